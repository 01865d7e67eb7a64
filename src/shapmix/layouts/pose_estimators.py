"""Skeletons of pose estimators, and of the motion capture that they learn from.

name -> (source, table): one row a joint, see `catalog`.
"""

POSE_ESTIMATORS = {
    # COCO draws its body as a loop (shoulders and hips are joined); the tree keeps the two sides
    # and hangs the shoulders from the nose and the hips from the shoulders, as PYSKL does.
    "coco17": (
        "COCO keypoints: order of the annotations; bones as in PYSKL",
        """
        nose             -                trunk
        left_eye         nose             trunk
        right_eye        nose             trunk
        left_ear         left_eye         trunk
        right_ear        right_eye        trunk
        left_shoulder    nose             left_arm
        right_shoulder   nose             right_arm
        left_elbow       left_shoulder    left_arm
        right_elbow      right_shoulder   right_arm
        left_wrist       left_elbow       left_arm
        right_wrist      right_elbow      right_arm
        left_hip         left_shoulder    left_leg
        right_hip        right_shoulder   right_leg
        left_knee        left_hip         left_leg
        right_knee       right_hip        right_leg
        left_ankle       left_knee        left_leg
        right_ankle      right_knee       right_leg
        """,
    ),
    "openpose18": (
        "OpenPose, 18 keypoints (Kinetics-skeleton): order of its output; bones as in ST-GCN",
        """
        nose             neck             trunk
        neck             -                trunk
        right_shoulder   neck             right_arm
        right_elbow      right_shoulder   right_arm
        right_wrist      right_elbow      right_arm
        left_shoulder    neck             left_arm
        left_elbow       left_shoulder    left_arm
        left_wrist       left_elbow       left_arm
        right_hip        right_shoulder   right_leg
        right_knee       right_hip        right_leg
        right_ankle      right_knee       right_leg
        left_hip         left_shoulder    left_leg
        left_knee        left_hip         left_leg
        left_ankle       left_knee        left_leg
        right_eye        nose             trunk
        left_eye         nose             trunk
        right_ear        right_eye        trunk
        left_ear         left_eye         trunk
        """,
    ),
    "openpose25": (
        "OpenPose, 25 keypoints (BODY_25): order of its output; its limbs, which are a tree",
        """
        nose             neck             trunk
        neck             -                trunk
        right_shoulder   neck             right_arm
        right_elbow      right_shoulder   right_arm
        right_wrist      right_elbow      right_arm
        left_shoulder    neck             left_arm
        left_elbow       left_shoulder    left_arm
        left_wrist       left_elbow       left_arm
        mid_hip          neck             trunk
        right_hip        mid_hip          right_leg
        right_knee       right_hip        right_leg
        right_ankle      right_knee       right_leg
        left_hip         mid_hip          left_leg
        left_knee        left_hip         left_leg
        left_ankle       left_knee        left_leg
        right_eye        nose             trunk
        left_eye         nose             trunk
        right_ear        right_eye        trunk
        left_ear         left_eye         trunk
        left_big_toe     left_ankle       left_leg
        left_small_toe   left_big_toe     left_leg
        left_heel        left_ankle       left_leg
        right_big_toe    right_ankle      right_leg
        right_small_toe  right_big_toe    right_leg
        right_heel       right_ankle      right_leg
        """,
    ),
    # MediaPipe's connections have loops in the trunk, the hands and the feet; the tree hangs
    # shoulders and hips as coco17 does, and each finger, heel and toe from its wrist or ankle.
    "mediapipe33": (
        "MediaPipe Pose (BlazePose): order of its landmarks; bones as for coco17",
        """
        nose             -                trunk
        left_eye_inner   nose             trunk
        left_eye         left_eye_inner   trunk
        left_eye_outer   left_eye         trunk
        right_eye_inner  nose             trunk
        right_eye        right_eye_inner  trunk
        right_eye_outer  right_eye        trunk
        left_ear         left_eye_outer   trunk
        right_ear        right_eye_outer  trunk
        left_mouth       nose             trunk
        right_mouth      nose             trunk
        left_shoulder    nose             left_arm
        right_shoulder   nose             right_arm
        left_elbow       left_shoulder    left_arm
        right_elbow      right_shoulder   right_arm
        left_wrist       left_elbow       left_arm
        right_wrist      right_elbow      right_arm
        left_pinky       left_wrist       left_arm
        right_pinky      right_wrist      right_arm
        left_index       left_wrist       left_arm
        right_index      right_wrist      right_arm
        left_thumb       left_wrist       left_arm
        right_thumb      right_wrist      right_arm
        left_hip         left_shoulder    left_leg
        right_hip        right_shoulder   right_leg
        left_knee        left_hip         left_leg
        right_knee       right_hip        right_leg
        left_ankle       left_knee        left_leg
        right_ankle      right_knee       right_leg
        left_heel        left_ankle       left_leg
        right_heel       right_ankle      right_leg
        left_foot_index  left_ankle       left_leg
        right_foot_index right_ankle      right_leg
        """,
    ),
    "h36m17": (
        "Human3.6M, 17 joints: order, bones and root of VideoPose3D",
        """
        hip_center       -                trunk
        right_hip        hip_center       right_leg
        right_knee       right_hip        right_leg
        right_ankle      right_knee       right_leg
        left_hip         hip_center       left_leg
        left_knee        left_hip         left_leg
        left_ankle       left_knee        left_leg
        spine            hip_center       trunk
        thorax           spine            trunk
        neck             thorax           trunk
        head             neck             trunk
        left_shoulder    thorax           left_arm
        left_elbow       left_shoulder    left_arm
        left_wrist       left_elbow       left_arm
        right_shoulder   thorax           right_arm
        right_elbow      right_shoulder   right_arm
        right_wrist      right_elbow      right_arm
        """,
    ),
}
