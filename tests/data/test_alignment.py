"""Origin and alignment by the first frame, against numpy oracles that take one clip at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shapmix.data.geometry import alignment, axis_joints, first_pose_of_clip, turn_onto
from shapmix.data.loader import RaggedBatch, Sample, collate
from shapmix.data.transforms import Transform
from shapmix.layouts import CATALOG, Layout, get_layout

NTU = get_layout("ntu25")
# The published numbers of the joints, from 1: spine 1 to 21, shoulders 5 to 9.
BOTTOM, TOP, LEFT, RIGHT, MIDDLE = 0, 20, 4, 8, 1


def batch_of(*clips: np.ndarray) -> RaggedBatch:
    return collate([Sample(c, 0, i) for i, c in enumerate(clips)], 2)


def make_clip(rng: np.random.Generator, T: int, M: int = 2, *, late: int = 0) -> np.ndarray:
    """Bodies anywhere; person 0 is not there in the first `late` frames.

    Person 0 stands (y is up) and is turned by less than 2 rad: near half a turn, where the axis of
    the smallest rotation is arbitrary, float32 has few digits of it.
    """
    x = rng.normal(size=(T, M, 25, 3)).astype(np.float32) + 3
    angle = rng.uniform(-2, 2)
    x[:, 0, TOP] = x[:, 0, BOTTOM] + [rng.normal(0, 0.1), 0.6, rng.normal(0, 0.1)]
    x[:, 0, RIGHT] = x[:, 0, LEFT] + 0.4 * np.array([np.cos(angle), 0.2, np.sin(angle)])
    x[:late, 0] = 0
    return x


def plain(**options: Any) -> Transform:
    """Frames as they are: nothing is cropped."""
    return Transform(NTU, **{"num_frames": 12, "test_ratio": 1.0, **options})


# --- oracle: Rodrigues' rotation of one vector, twice, for one clip


def rodrigues(vector: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """`vector` turned about the unit `axis`."""
    along = axis * (axis @ vector) * (1 - np.cos(angle))
    return vector * np.cos(angle) + np.cross(axis, vector) * np.sin(angle) + along


def oracle_turn(points: np.ndarray, direction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`points (..., 3)` turned as `direction` is when it is turned onto `target`."""
    normal = np.cross(direction, target)
    if not np.linalg.norm(normal):
        return points
    angle = np.arctan2(np.linalg.norm(normal), direction @ target)
    axis = normal / np.linalg.norm(normal)
    return np.apply_along_axis(rodrigues, -1, points, axis, angle)


def oracle_align(x: np.ndarray, frame: int, origin: int) -> np.ndarray:
    """One clip `(T, M, V, 3)` as `frame` of person 0 says; absent bodies stay zero."""
    present = (x != 0).any((2, 3))
    out = x.astype(np.float64) - x[frame, 0, origin]
    pose = out[frame, 0]
    out = oracle_turn(out, pose[TOP] - pose[BOTTOM], np.array([0.0, 0.0, 1.0]))
    pose = out[frame, 0]
    out = oracle_turn(out, pose[RIGHT] - pose[LEFT], np.array([1.0, 0.0, 0.0]))
    out[~present] = 0
    return out


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), late=st.integers(0, 11))
def test_alignment_agrees_with_the_oracle(seed: int, late: int) -> None:
    rng = np.random.default_rng(seed)
    clips = [make_clip(rng, 12, late=late), make_clip(rng, 12), make_clip(rng, 12, 1)]
    clips[1][5:, 1] = 0
    transform = plain(align="first_frame", center_joint="spine_middle")
    found = transform(batch_of(*clips)).permute(0, 2, 4, 3, 1).numpy()
    for out, x, frame in zip(found, clips, (late, 0, 0), strict=True):
        expected = oracle_align(x, frame, MIDDLE)
        np.testing.assert_allclose(out[:, : x.shape[1]], expected, atol=2e-5)
        assert not out[:, x.shape[1] :].any()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16))
def test_shoulders_lie_along_x_and_the_spine_stands(seed: int) -> None:
    """Both exactly, when they are at right angles."""
    rng = np.random.default_rng(seed)
    x = make_clip(rng, 12)
    spine = x[0, 0, TOP] - x[0, 0, BOTTOM]
    across = x[0, 0, RIGHT] - x[0, 0, LEFT]
    across -= spine * (across @ spine) / (spine @ spine)
    x[0, 0, RIGHT] = x[0, 0, LEFT] + across / np.linalg.norm(across)
    pose = plain(align="first_frame")(batch_of(x))[0, :, 0, :, 0].numpy()
    spine, shoulders = pose[:, TOP] - pose[:, BOTTOM], pose[:, RIGHT] - pose[:, LEFT]
    np.testing.assert_allclose(spine, [0, 0, np.linalg.norm(spine)], atol=1e-5)
    np.testing.assert_allclose(shoulders, [1, 0, 0], atol=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), stream=st.sampled_from(["joint", "bone_motion"]))
def test_the_view_does_not_matter(seed: int, stream: Any) -> None:
    """A clip seen from elsewhere is the same clip once it is aligned, if it stood upright."""
    rng = np.random.default_rng(seed)
    x = make_clip(rng, 12)
    angle = rng.uniform(-3, 3)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    view = np.vstack([about_z, [0, 0, 1]])
    x[0, 0, TOP] = x[0, 0, BOTTOM] + np.array([0, 0, 0.5], np.float32)
    x[0, 0, RIGHT, 2] = x[0, 0, LEFT, 2]
    elsewhere = (x @ view.T + rng.normal(size=3)).astype(np.float32)
    transform = plain(align="first_frame", stream=stream)
    one, other = transform(batch_of(x, elsewhere))
    torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)


@example(
    vectors=[(0.0, 0.0, 1.5e-22), (1e-42, 0.0, -1e-42), (1.0, 0.0, 1.5e-22)], axis=0
)  # squares underflow
@given(
    vectors=st.lists(st.tuples(*[st.floats(-5, 5, width=32)] * 3), min_size=1, max_size=5),
    axis=st.integers(0, 2),
)
def test_any_vector_is_turned_onto_the_axis(vectors: list[Any], axis: int) -> None:
    v = torch.tensor(vectors)
    R = turn_onto(v, axis)
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand_as(R), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(len(v)), atol=1e-5, rtol=0)
    length = torch.linalg.vector_norm(v, dim=1)
    expected = length[:, None] * torch.eye(3)[axis]
    torch.testing.assert_close((R @ v[..., None])[..., 0], expected, atol=1e-4, rtol=1e-4)


def test_no_direction_turns_nothing_and_the_opposite_one_half_a_turn() -> None:
    R = turn_onto(torch.tensor([[0.0, 0, 0], [0, 0, 2], [0, 0, -2], [0, 1e-12, -2]]), 2)
    assert torch.equal(R[0], torch.eye(3))
    assert torch.equal(R[1], torch.eye(3))
    for turned in R[2:]:
        torch.testing.assert_close(turned @ torch.tensor([0.0, 0, -2]), torch.tensor([0.0, 0, 2]))
    torch.testing.assert_close(turn_onto(torch.tensor([[-1.0, 0, 0]]), 0)[0, :, 2], torch.eye(3)[2])


def test_a_body_without_extent_is_left_as_it_is() -> None:
    rng = np.random.default_rng(0)
    x = make_clip(rng, 12)
    x[0, 0] = 1.5  # all joints at one point: no spine, no shoulders
    assert torch.equal(plain(align="first_frame")(batch_of(x)), plain()(batch_of(x)))
    absent = np.zeros((12, 1, 25, 3), np.float32)
    assert not plain(align="first_frame")(batch_of(absent)).any()
    x[:, 0] = 0  # only a second person, who has no reference
    assert torch.equal(plain(align="first_frame")(batch_of(x)), plain()(batch_of(x)))


def test_an_aligned_clip_may_keep_its_place() -> None:
    x = make_clip(np.random.default_rng(1), 12)
    kept = plain(align="first_frame", center="none")(batch_of(x))
    moved = plain(align="first_frame")(batch_of(x))
    place = torch.from_numpy(x[0, 0, NTU.center])[None, :, None, None, None]
    torch.testing.assert_close(kept, moved + place, atol=1e-5, rtol=1e-5)


# --- the joint and the frame that the origin is taken from


@pytest.mark.parametrize("center", ["first_frame", "every_frame"])
def test_the_origin_is_the_named_joint(center: Any) -> None:
    x = make_clip(np.random.default_rng(2), 12, late=3)
    out = plain(center=center, center_joint="spine_middle")(batch_of(x))
    frames = range(12) if center == "every_frame" else [3] * 12
    for t, frame in enumerate(frames):
        origin = x[max(frame, 3), 0, MIDDLE]
        np.testing.assert_allclose(out[0, :, t, :, 1].T, x[t, 1] - origin, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"align": "first_frame"}], ids=["origin", "aligned"])
def test_crops_of_a_clip_share_its_first_frame(options: dict[str, Any]) -> None:
    """What the crops have in common is the same in all: that is one preparation for the clip."""
    rng = np.random.default_rng(3)
    clips = [make_clip(rng, T, late=late) for T, late in ((40, 7), (25, 0), (12, 11))]
    crops = {"num_frames": 12, "crop_ratio": (0.3, 0.3), "rotation": 0.0}
    transform = Transform(NTU, **crops, first_frame_of="clip", **options)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        draws = transform.draw(torch.tensor([40, 25, 12]), generator)
        found = transform.apply_draws(batch_of(*clips), draws).permute(0, 2, 4, 3, 1).numpy()
        for n, (x, frame) in enumerate(zip(clips, (7, 0, 11), strict=True)):
            whole = x - x[frame, 0, NTU.center]
            whole[(x == 0).all((2, 3))] = 0
            if options:
                whole = oracle_align(x, frame, NTU.center)
            chosen = draws.positions[n].numpy()
            assert (chosen == chosen.round()).all()  # crops of 12 frames: nothing is interpolated
            np.testing.assert_allclose(found[n], whole[chosen.astype(int)], atol=2e-5)


def test_the_first_pose_of_a_clip_is_its_own() -> None:
    """Of clips one after the other, and of one that never has person 0."""
    rng = np.random.default_rng(4)
    clips = [make_clip(rng, 9, late=late) for late in (0, 5, 2, 9)]
    batch = batch_of(*clips)
    found = first_pose_of_clip(batch.frames, batch.lengths, 0, 3)
    for pose, x, frame in zip(found, clips, (0, 5, 2, 0), strict=True):
        np.testing.assert_array_equal(pose.T, x[frame, 0])


def test_hidden_joints_are_no_reference() -> None:
    """2D: the first frame is the first in which the detector saw the joint."""
    x = np.random.default_rng(5).uniform(1, 9, size=(12, 1, 17, 3)).astype(np.float32)
    x[:4, 0, 5] = 0
    options: dict[str, Any] = {"num_frames": 12, "test_ratio": 1.0, "first_frame_of": "clip"}
    transform = Transform("coco17", channels="xyc", center_joint="left_shoulder", **options)
    out = transform(batch_of(x))[0, :2, :, 0, 0].T.numpy()
    np.testing.assert_allclose(out, x[:, 0, 0, :2] - x[4, 0, 5, :2], atol=1e-6)


# --- layouts


@pytest.mark.parametrize("name", ["ntu25", "kinect20", "utd20", "msr20", "sbu15"])
def test_layouts_of_depth_cameras_can_be_aligned(name: str) -> None:
    joints = [CATALOG[name].joints[i] for i in axis_joints(CATALOG[name])]
    assert joints[2:] == ["left_shoulder", "right_shoulder"]
    x = torch.randn(3, 3, CATALOG[name].num_joints)
    assert alignment(x, axis_joints(CATALOG[name])).shape == (3, 3, 3)


def test_ntu_is_aligned_by_the_published_joints() -> None:
    assert axis_joints(NTU) == (BOTTOM, TOP, LEFT, RIGHT)


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        ("coco17", {"align": "first_frame"}, "'coco17' has no joint named spine_base or hip_cent"),
        ("ntu25", {"align": "first_frame", "channels": "xy"}, "only 3D clips can be aligned"),
        ("ntu25", {"align": "upright"}, "align is 'upright': choose from none, first_frame"),
        ("ntu25", {"first_frame_of": "film"}, "first_frame_of is 'film': choose from crop, clip"),
        ("ntu25", {"center_joint": "spine_midle"}, "no joint 'spine_midle'.*mean 'spine_middle'"),
    ],
)
def test_impossible_options_are_refused(
    layout: str | Layout, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Transform(layout, **options)
