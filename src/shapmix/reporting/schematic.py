"""A skeleton drawn from its layout alone: where its joints are on a body that faces the reader.

The person's right side is on the left. A body has a height of about 1.7.
"""

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout

# Distance to the side and height of joints by their names; the sided ones without their side.
_MIDDLE = {
    "head": 1.66,
    "nose": 1.6,
    "neck": 1.48,
    **dict.fromkeys(("shoulder_center", "spine_shoulder", "thorax"), 1.4),
    **dict.fromkeys(("spine", "spine_middle", "torso"), 1.15),
    **dict.fromkeys(("hip_center", "spine_base", "mid_hip", "pelvis"), 0.93),
}
_SIDED = {
    "eye": (0.05, 1.65),
    "eye_inner": (0.035, 1.65),
    "eye_outer": (0.07, 1.65),
    "ear": (0.11, 1.62),
    "mouth": (0.04, 1.55),
    "shoulder": (0.2, 1.38),
    "elbow": (0.31, 1.12),
    "wrist": (0.39, 0.88),
    "hand": (0.42, 0.79),
    "hand_tip": (0.46, 0.7),
    "index": (0.46, 0.74),
    "pinky": (0.5, 0.79),
    "thumb": (0.36, 0.75),
    "hip": (0.12, 0.9),
    "knee": (0.15, 0.5),
    "ankle": (0.17, 0.1),
    "heel": (0.13, 0.03),
    "foot": (0.24, 0.03),
    "foot_index": (0.25, 0.03),
    "big_toe": (0.25, 0.03),
    "small_toe": (0.3, 0.05),
}
_KNOWN_SHARE = 0.6  # of the joints: with fewer, the hierarchy is drawn instead of a body


def layout_pose(layout: Layout) -> NDArray[np.float64]:
    """Where the joints are: `(V, 2)`, to the right and up.

    Joints are placed by their names, and unknown ones beyond their parents. A skeleton of mostly
    unknown names is drawn as a tree, the centre above.
    """
    places = [_place(name) for name in layout.joints]
    if sum(place is not None for place in places) < _KNOWN_SHARE * layout.num_joints:
        return _tree(layout)
    pose = np.full((layout.num_joints, 2), np.nan)
    for joint, place in enumerate(places):
        if place is not None:
            pose[joint] = place
    for joint in _downwards(layout):
        if np.isnan(pose[joint]).any():
            parent = layout.parents[joint]
            before = layout.parents[parent]
            pose[joint] = pose[parent] + 0.5 * (pose[parent] - pose[before])
    pose[np.isnan(pose)] = 1.0  # a centre of an unknown name
    return pose


def _place(name: str) -> tuple[float, float] | None:
    if name in _MIDDLE:
        return 0.0, _MIDDLE[name]
    side, _, rest = name.partition("_")
    if side not in ("left", "right") or rest not in _SIDED:
        return None
    across, height = _SIDED[rest]
    return (across if side == "left" else -across), height


def _children(layout: Layout) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for child, parent in layout.bones:
        children.setdefault(parent, []).append(child)
    return children


def _downwards(layout: Layout) -> list[int]:
    """The joints, parents before their children."""
    children = _children(layout)
    order, waiting = [], [layout.center]
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += reversed(children.get(joint, []))
    return order


def _tree(layout: Layout) -> NDArray[np.float64]:
    """Leaves side by side, every other joint above the middle of its children."""
    order, parents, children = _downwards(layout), layout.parents, _children(layout)
    across = np.full(layout.num_joints, np.nan)
    leaves = [joint for joint in order if joint not in children]
    across[leaves] = np.linspace(-0.5, 0.5, len(leaves)) if len(leaves) > 1 else 0.0
    depth = np.zeros(layout.num_joints)
    for joint in order[1:]:
        depth[joint] = depth[parents[joint]] + 1
    for joint in reversed(order):
        if joint in children:
            across[joint] = across[children[joint]].mean()
    return np.stack([across, 1.7 * (1 - depth / depth.max())], axis=1)
