"""The catalog against published numbering, and against how real people stand and move."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from shapmix.layouts import CATALOG, Layout, get_layout

# --- every entry ---


@pytest.mark.parametrize(
    ("name", "joints", "center"),
    [
        ("ntu25", 25, "spine_shoulder"),
        ("kinect20", 20, "shoulder_center"),
        ("utd20", 20, "shoulder_center"),
        ("msr20", 20, "shoulder_center"),
        ("sbu15", 15, "neck"),
        ("coco17", 17, "nose"),
        ("openpose18", 18, "neck"),
        ("openpose25", 25, "neck"),
        ("mediapipe33", 33, "nose"),
        ("h36m17", 17, "hip_center"),
    ],
)
def test_counts_center_and_parts(name: str, joints: int, center: str) -> None:
    layout = CATALOG[name]
    assert layout.name == name
    assert layout.num_joints == joints
    assert len(layout.bones) == joints - 1
    assert layout.joints[layout.center] == center
    assert layout.part_names == ("trunk", "right_arm", "left_arm", "right_leg", "left_leg")
    assert layout.source


def test_catalog_is_complete() -> None:
    assert set(CATALOG) == {
        *("ntu25", "kinect20", "utd20", "msr20", "sbu15", "coco17", "openpose18"),
        *("openpose25", "mediapipe33", "h36m17"),
    }


@pytest.mark.parametrize("name", CATALOG)
def test_a_flip_exchanges_left_and_right_and_keeps_the_skeleton(name: str) -> None:
    layout = CATALOG[name]
    flipped = np.arange(layout.num_joints)
    for left, right in layout.mirror:
        assert layout.joints[left].startswith("left_")
        assert layout.joints[right] == layout.joints[left].replace("left_", "right_")
        flipped[[left, right]] = right, left
    assert {(flipped[child], flipped[parent]) for child, parent in layout.bones} == set(
        layout.bones
    )
    for part in ("arm", "leg"):
        lefts, rights = layout.parts[f"left_{part}"], layout.parts[f"right_{part}"]
        assert set(flipped[list(lefts)]) == set(rights)
        assert all(layout.joints[joint].startswith("left_") for joint in lefts)
    assert set(flipped[list(layout.parts["trunk"])]) == set(layout.parts["trunk"])


@pytest.mark.parametrize("name", CATALOG)
def test_yaml_form_of_every_entry(name: str) -> None:
    assert Layout.from_dict(CATALOG[name].to_dict()) == CATALOG[name]


# --- published numbering, 1-based where the source is ---


@pytest.mark.parametrize(
    ("name", "bones"),
    [
        (
            "ntu25",
            "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 "
            "17-1 18-17 19-18 20-19 22-23 23-8 24-25 25-12",
        ),
        (
            "kinect20",
            "1-2 2-3 4-3 5-3 6-5 7-6 8-7 9-3 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 "
            "19-18 20-19",
        ),
        (  # the limbs that OpenPose draws, each away from the neck; from 0 there
            "openpose25",
            "1-2 3-2 4-3 5-4 6-2 7-6 8-7 9-2 10-9 11-10 12-11 13-9 14-13 15-14 16-1 17-1 18-16 "
            "19-17 20-15 21-20 22-15 23-12 24-23 25-12",
        ),
        (  # parents 0 1 2 0 4 5 0 7 8 9 8 11 12 8 14 15 of joints 1..16, from 0
            "h36m17",
            "2-1 3-2 4-3 5-1 6-5 7-6 8-1 9-8 10-9 11-10 12-9 13-12 14-13 15-9 16-15 17-16",
        ),
    ],
)
def test_bones_as_published(name: str, bones: str) -> None:
    pairs = [bone.split("-") for bone in bones.split()]
    assert CATALOG[name].bones == tuple(
        (int(child) - 1, int(parent) - 1) for child, parent in pairs
    )


def test_ntu_limbs_are_the_persons_own() -> None:
    """NTU RGB+D numbers the person's left arm 5-8 and left leg 13-16, the right 9-12 and 17-20."""
    joints = CATALOG["ntu25"].joints
    chains = {
        4: ("left", "shoulder elbow wrist hand"),
        8: ("right", "shoulder elbow wrist hand"),
        12: ("left", "hip knee ankle foot"),
        16: ("right", "hip knee ankle foot"),
    }
    for start, (side, chain) in chains.items():
        assert joints[start : start + 4] == tuple(f"{side}_{joint}" for joint in chain.split())


def test_orders_of_the_pose_estimators() -> None:
    """COCO lists left before right, by joint; OpenPose right before left, by limb."""
    coco = [f"{side}_{joint}" for joint in ("eye", "ear") for side in ("left", "right")]
    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    coco += [f"{side}_{joint}" for joint in limbs for side in ("left", "right")]
    assert CATALOG["coco17"].joints == ("nose", *coco)

    openpose = [f"{side}_{joint}" for side in ("right", "left") for joint in limbs[:3]]
    openpose += [f"{side}_{joint}" for side in ("right", "left") for joint in limbs[3:]]
    openpose += [f"{side}_{joint}" for joint in ("eye", "ear") for side in ("right", "left")]
    assert CATALOG["openpose18"].joints == ("nose", "neck", *openpose)
    body25 = [*openpose[:6], "mid_hip", *openpose[6:]]
    feet = ("big_toe", "small_toe", "heel")
    body25 += [f"{side}_{joint}" for side in ("left", "right") for joint in feet]
    assert CATALOG["openpose25"].joints == ("nose", "neck", *body25)

    # MediaPipe: the eyes outwards, first the left one, then pairs from the ears down
    eye = ("eye_inner", "eye", "eye_outer")
    mediapipe = [f"{side}_{joint}" for side in ("left", "right") for joint in eye]
    pairs = ("ear", "mouth", *limbs[:3], "pinky", "index", "thumb", *limbs[3:])
    pairs += ("heel", "foot_index")
    mediapipe += [f"{side}_{joint}" for joint in pairs for side in ("left", "right")]
    assert CATALOG["mediapipe33"].joints == ("nose", *mediapipe)
    positions = {"nose": 0, "left_ear": 7, "right_mouth": 10, "left_shoulder": 11, "left_hip": 23}
    for joint, position in positions.items():
        assert CATALOG["mediapipe33"].joints[position] == joint


def test_order_of_human36m() -> None:
    joints = CATALOG["h36m17"].joints
    assert joints[7:11] == ("spine", "thorax", "neck", "head")
    assert [joint.split("_")[0] for joint in joints[1:7]] == ["right"] * 3 + ["left"] * 3
    assert [joint.split("_")[0] for joint in joints[11:]] == ["left"] * 3 + ["right"] * 3


def test_utd_order_is_that_of_its_own_list(real_data: Path) -> None:
    with zipfile.ZipFile(real_data / "utd_mhad.zip") as archive:
        text = archive.read("Skeleton_joint_order.txt").decode()
    listed = [line.split(". ")[1].strip(" ;\r") for line in text.splitlines() if ";" in line]
    assert list(CATALOG["utd20"].joints) == listed


def test_msr_is_its_own_body_model(real_data: Path) -> None:
    with zipfile.ZipFile(real_data / "msr_action3d.zip") as archive:
        model = loadmat(io.BytesIO(archive.read("body_model.mat")))["body_model"][0, 0]
    layout = CATALOG["msr20"]
    assert {frozenset(bone) for bone in model["bones"].astype(int) - 1} == {
        frozenset(bone) for bone in layout.bones
    }
    landmarks = ["head", "left_hip", "right_hip", "left_wrist", "right_wrist", "left_ankle"]
    for joint in [*landmarks, "right_ankle"]:
        assert layout.joints[int(model[f"{joint}_index"].item()) - 1] == joint
    assert layout.joints[int(model["hip_center_index"].item()) - 1] == "hip_center"


def test_parts_are_those_of_the_released_program(real_data: Path) -> None:
    """Same joint sets; ntu25's also in the same order, which numbers the published coalitions."""
    golden = json.loads((real_data / "golden" / "golden.json").read_text())
    for name in ("ntu25", "coco17"):
        ours = {part: set(joints) for part, joints in CATALOG[name].parts.items()}
        assert ours == {part: set(joints) for part, joints in golden[f"parts_{name}"].items()}
    assert list(golden["parts_ntu25"]) == list(CATALOG["ntu25"].part_names)


# --- real recordings: (T, V, 3) of one person ---

Clips = Iterator[np.ndarray]


def _members(path: Path, wanted: Callable[[str], bool]) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if wanted(name):
                yield archive.read(name)


def _nw_ucla(folder: Path, actions: tuple[str, ...]) -> Clips:
    def wanted(name: str) -> bool:
        return name.endswith(".json") and Path(name).name[:3] in actions

    for content in _members(folder / "nw_ucla.zip", wanted):
        yield np.array(json.loads(content)["skeletons"])


def _utd(folder: Path, actions: tuple[str, ...]) -> Clips:
    def wanted(name: str) -> bool:
        return name.endswith(".mat") and name.split("_")[0] in actions

    for content in _members(folder / "utd_mhad.zip", wanted):
        yield loadmat(io.BytesIO(content))["d_skel"].transpose(2, 0, 1)


def _msr(folder: Path, actions: tuple[str, ...]) -> Clips:
    def wanted(name: str) -> bool:
        return name.endswith("_skeleton3D.txt") and Path(name).name[:3] in actions

    for content in _members(folder / "msr_action3d.zip", wanted):
        clip = np.array(content.split(), dtype=float).reshape(-1, 20, 4)[..., :3]
        clip = clip[clip.any(axis=(1, 2))]
        if len(clip):
            yield clip


def _sbu(folder: Path, actions: tuple[str, ...]) -> Iterator[np.ndarray]:
    """(T, 2, 15, 3): x to the right of the picture, y down, z away from the camera."""

    def wanted(name: str) -> bool:
        return name.endswith("skeleton_pos.txt") and name.split("/")[1] in actions

    for content in _members(folder / "sbu.zip", wanted):
        rows = np.array([line.split(b",") for line in content.split()], dtype=float)
        yield rows[:, 1:].reshape(-1, 2, 15, 3)


def _share(truths: list[bool]) -> float:
    assert len(truths) >= 20
    return float(np.mean(truths))


def _joint(clip: np.ndarray, layout: Layout, name: str) -> np.ndarray:
    return clip[..., layout.joints.index(name), :]


def _excursion(clip: np.ndarray, layout: Layout, name: str) -> float:
    """How far a joint moves about its mean, relative to the shoulder centre or the neck."""
    path = _joint(clip, layout, name) - clip[..., layout.center, :]
    return float(np.sqrt(path.var(axis=0).sum()))


KINECT = [
    ("kinect20", _nw_ucla, ("a01", "a08", "a11")),
    ("utd20", _utd, ("a1", "a22", "a27")),
    ("msr20", _msr, ("a02", "a10", "a16")),
]


@pytest.mark.parametrize(("name", "read", "actions"), KINECT)
def test_people_stand_upright(
    real_data: Path, name: str, read: Callable[..., Clips], actions: tuple[str, ...]
) -> None:
    """Kinect's y points up: the head is the highest joint, a foot or an ankle the lowest."""
    layout = get_layout(name)
    heights = [np.median(clip[..., 1], axis=0) for clip in read(real_data, actions)]
    head = layout.joints.index("head")
    assert _share([height.argmax() == head for height in heights]) > 0.85
    lowest = [layout.joints[height.argmin()] for height in heights]
    assert _share([joint.endswith(("foot", "ankle")) for joint in lowest]) > 0.95
    for upper, lower in (("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle")):
        for side in ("left", "right"):
            above = [
                height[layout.joints.index(f"{side}_{upper}")]
                > height[layout.joints.index(f"{side}_{lower}")]
                for height in heights
            ]
            assert _share(above) > 0.95


@pytest.mark.parametrize(("name", "read", "actions"), KINECT)
def test_left_is_on_the_persons_left(
    real_data: Path, name: str, read: Callable[..., Clips], actions: tuple[str, ...]
) -> None:
    """Camera space is right-handed: left = up x forward, and forward is where the feet point."""
    layout = get_layout(name)
    agrees = []
    for clip in read(real_data, actions):
        at = {joint: _joint(clip, layout, joint) for joint in layout.joints}
        forward = at["left_foot"] - at["left_ankle"] + at["right_foot"] - at["right_ankle"]
        left = np.cross(at["head"] - at["hip_center"], forward)
        for pair in ("shoulder", "elbow", "hip", "knee"):
            across = at[f"left_{pair}"] - at[f"right_{pair}"]
            agrees.append(np.median((across * left).sum(axis=-1)) > 0)
    assert _share(agrees) > 0.95


@pytest.mark.parametrize(
    ("name", "read", "actions", "joint", "share"),
    [
        # thrown by whichever hand each person likes, and some turn their back to the camera
        ("kinect20", _nw_ucla, ("a11",), "hand", 0.65),
        # swipes, wave, throw, drawing, knocking: performed with the right hand by protocol
        ("utd20", _utd, ("a1", "a2", "a3", "a5", "a8", "a9", "a19"), "hand", 0.99),
        # waves, hammer, catch, punch, throw, drawing; then kicks: right arm or leg by protocol
        ("msr20", _msr, tuple(f"a0{i}" for i in range(1, 10)), "hand", 0.95),
        ("msr20", _msr, ("a14", "a15"), "ankle", 0.95),
    ],
)
def test_one_sided_actions_are_of_the_right_side(
    real_data: Path,
    name: str,
    read: Callable[..., Clips],
    actions: tuple[str, ...],
    joint: str,
    share: float,
) -> None:
    layout = get_layout(name)
    right_moves_more = [
        _excursion(clip, layout, f"right_{joint}") > _excursion(clip, layout, f"left_{joint}")
        for clip in read(real_data, actions)
    ]
    assert _share(right_moves_more) > share


def test_sbu_persons_stand_face_to_face_and_shake_right_hands(real_data: Path) -> None:
    layout = get_layout("sbu15")
    upright, left_is_left, right_hand = [], [], []
    for clip in _sbu(real_data, ("05",)):  # shaking hands
        for person, other in ((0, 1), (1, 0)):
            own = clip[:, person]
            forward = np.median(clip[:, other, layout.center] - own[:, layout.center], axis=0)
            left = np.cross([0.0, -1.0, 0.0], forward)
            across = _joint(own, layout, "left_shoulder") - _joint(own, layout, "right_shoulder")
            left_is_left.append(np.median(across @ left) > 0)
            height = -np.median(own[..., 1], axis=0)
            upright.append(
                layout.joints[height.argmax()] == "head"
                and layout.joints[height.argmin()].endswith("foot")
            )
            right_hand.append(
                _excursion(own, layout, "right_hand") > _excursion(own, layout, "left_hand")
            )
    assert _share(upright) > 0.95
    assert _share(left_is_left) > 0.9
    assert _share(right_hand) > 0.9
