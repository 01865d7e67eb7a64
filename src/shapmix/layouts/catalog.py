"""The skeletons of public data sets and pose estimators, one table each.

A table has one row a joint, in the order of the data: joint, parent, part; the centre has no
parent (``-``). Left and right are the person's own; mirror pairs follow from the names. All
layouts have the paper's five parts, in the same order.
"""

from pathlib import Path

from shapmix.layouts.layout import Layout, LayoutError
from shapmix.suggest import did_you_mean

_PARTS = ("trunk", "right_arm", "left_arm", "right_leg", "left_leg")


def _layout(name: str, source: str, table: str) -> Layout:
    rows = [line.split() for line in table.strip().splitlines()]
    joints = [joint for joint, _, _ in rows]
    index = {joint: number for number, joint in enumerate(joints)}
    return Layout(
        name=name,
        joints=tuple(joints),
        bones=tuple((index[joint], index[parent]) for joint, parent, _ in rows if parent != "-"),
        center=next(index[joint] for joint, parent, _ in rows if parent == "-"),
        parts={
            part: tuple(index[joint] for joint, _, its_part in rows if its_part == part)
            for part in _PARTS
        },
        mirror=tuple(
            (index[joint], index["right_" + joint.removeprefix("left_")])
            for joint in joints
            if joint.startswith("left_")
        ),
        source=source,
    )


_NTU25 = _layout(
    "ntu25",
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
)

_KINECT20 = _layout(
    "kinect20",
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
)

_UTD20 = _layout(
    "utd20",
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
)

_MSR20 = _layout(
    "msr20",
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
)

_SBU15 = _layout(
    "sbu15",
    "SBU Kinect Interaction: joint order of OpenNI/NITE; shoulders on the neck, hips on the torso",
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
)

# COCO draws its body as a loop (shoulders and hips are joined); the tree keeps the two sides and
# hangs the shoulders from the nose and the hips from the shoulders, as PYSKL does.
_COCO17 = _layout(
    "coco17",
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
)

_OPENPOSE18 = _layout(
    "openpose18",
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
)

CATALOG: dict[str, Layout] = {
    layout.name: layout
    for layout in (_NTU25, _KINECT20, _UTD20, _MSR20, _SBU15, _COCO17, _OPENPOSE18)
}


def get_layout(layout: str | Path | Layout) -> Layout:
    """Find a layout: a name in `CATALOG`, the path of a ``.yaml`` file, or a layout itself.

    Raises:
        LayoutError: for an unknown name, with the nearest one, or an invalid file.
    """
    if isinstance(layout, Layout):
        return layout
    if isinstance(layout, str) and layout in CATALOG:
        return CATALOG[layout]
    if Path(layout).suffix in (".yaml", ".yml"):
        return Layout.from_yaml(layout)
    raise LayoutError(
        f"unknown layout {str(layout)!r}{did_you_mean(str(layout), CATALOG)}; "
        f"expected one of {', '.join(CATALOG)}, or the path of a .yaml file"
    )
