"""Skeletons of the data sets that were recorded with depth sensors.

name -> (source, table): one row a joint, see `catalog`.
"""

DEPTH_SENSORS = {
    "ntu25": (
        "NTU RGB+D 60 and 120: Kinect v2 joint order; bones as in CTR-GCN",
        """
        spine_base       spine_middle     trunk
        spine_middle     spine_shoulder   trunk
        neck             spine_shoulder   trunk
        head             neck             trunk
        left_shoulder    spine_shoulder   left_arm
        left_elbow       left_shoulder    left_arm
        left_wrist       left_elbow       left_arm
        left_hand        left_wrist       left_arm
        right_shoulder   spine_shoulder   right_arm
        right_elbow      right_shoulder   right_arm
        right_wrist      right_elbow      right_arm
        right_hand       right_wrist      right_arm
        left_hip         spine_base       left_leg
        left_knee        left_hip         left_leg
        left_ankle       left_knee        left_leg
        left_foot        left_ankle       left_leg
        right_hip        spine_base       right_leg
        right_knee       right_hip        right_leg
        right_ankle      right_knee       right_leg
        right_foot       right_ankle      right_leg
        spine_shoulder   -                trunk
        left_hand_tip    left_thumb       left_arm
        left_thumb       left_hand        left_arm
        right_hand_tip   right_thumb      right_arm
        right_thumb      right_hand       right_arm
        """,
    ),
    "kinect20": (
        "Northwestern-UCLA Multiview Action 3D: Kinect v1 joint order; bones as in CTR-GCN",
        """
        hip_center       spine            trunk
        spine            shoulder_center  trunk
        shoulder_center  -                trunk
        head             shoulder_center  trunk
        left_shoulder    shoulder_center  left_arm
        left_elbow       left_shoulder    left_arm
        left_wrist       left_elbow       left_arm
        left_hand        left_wrist       left_arm
        right_shoulder   shoulder_center  right_arm
        right_elbow      right_shoulder   right_arm
        right_wrist      right_elbow      right_arm
        right_hand       right_wrist      right_arm
        left_hip         hip_center       left_leg
        left_knee        left_hip         left_leg
        left_ankle       left_knee        left_leg
        left_foot        left_ankle       left_leg
        right_hip        hip_center       right_leg
        right_knee       right_hip        right_leg
        right_ankle      right_knee       right_leg
        right_foot       right_ankle      right_leg
        """,
    ),
    "utd20": (
        "UTD-MHAD: order of its Skeleton_joint_order.txt; bones of the Kinect v1 skeleton",
        """
        head             shoulder_center  trunk
        shoulder_center  -                trunk
        spine            shoulder_center  trunk
        hip_center       spine            trunk
        left_shoulder    shoulder_center  left_arm
        left_elbow       left_shoulder    left_arm
        left_wrist       left_elbow       left_arm
        left_hand        left_wrist       left_arm
        right_shoulder   shoulder_center  right_arm
        right_elbow      right_shoulder   right_arm
        right_wrist      right_elbow      right_arm
        right_hand       right_wrist      right_arm
        left_hip         hip_center       left_leg
        left_knee        left_hip         left_leg
        left_ankle       left_knee        left_leg
        left_foot        left_ankle       left_leg
        right_hip        hip_center       right_leg
        right_knee       right_hip        right_leg
        right_ankle      right_knee       right_leg
        right_foot       right_ankle      right_leg
        """,
    ),
    "msr20": (
        "MSR-Action3D: order, bones, left and right of the body model shipped with its skeletons",
        """
        left_shoulder    shoulder_center  left_arm
        right_shoulder   shoulder_center  right_arm
        shoulder_center  -                trunk
        spine            shoulder_center  trunk
        left_hip         hip_center       left_leg
        right_hip        hip_center       right_leg
        hip_center       spine            trunk
        left_elbow       left_shoulder    left_arm
        right_elbow      right_shoulder   right_arm
        left_wrist       left_elbow       left_arm
        right_wrist      right_elbow      right_arm
        left_hand        left_wrist       left_arm
        right_hand       right_wrist      right_arm
        left_knee        left_hip         left_leg
        right_knee       right_hip        right_leg
        left_ankle       left_knee        left_leg
        right_ankle      right_knee       right_leg
        left_foot        left_ankle       left_leg
        right_foot       right_ankle      right_leg
        head             shoulder_center  trunk
        """,
    ),
    "sbu15": (
        "SBU Kinect Interaction: joint order of OpenNI/NITE; shoulders on the neck, hips on the "
        "torso",
        """
        head             neck             trunk
        neck             -                trunk
        torso            neck             trunk
        left_shoulder    neck             left_arm
        left_elbow       left_shoulder    left_arm
        left_hand        left_elbow       left_arm
        right_shoulder   neck             right_arm
        right_elbow      right_shoulder   right_arm
        right_hand       right_elbow      right_arm
        left_hip         torso            left_leg
        left_knee        left_hip         left_leg
        left_foot        left_knee        left_leg
        right_hip        torso            right_leg
        right_knee       right_hip        right_leg
        right_foot       right_knee       right_leg
        """,
    ),
}
