"""The batched transforms against slow per-clip oracles, and their properties."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from shapmix.data.geometry import bone, interleave, rotation_matrices
from shapmix.data.loader import RaggedBatch, Sample, collate
from shapmix.data.resample import (
    central_crop,
    random_crop,
    resize_positions,
    sample_frames,
    segment_positions,
)
from shapmix.data.transforms import Draws, Transform
from shapmix.layouts import get_layout

NTU = get_layout("ntu25")
STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def clip(
    rng: np.random.Generator, T: int, M: int, V: int = 25, channels: str = "xyz"
) -> np.ndarray:
    """A clip with bodies that are missing in some frames and, for 'xyc', joints without a score."""
    x = rng.normal(size=(T, M, V, len(channels))).astype(np.float32)
    if channels == "xyc":
        x[..., 2] = rng.uniform(0.1, 1, size=(T, M, V))
        x[rng.random((T, M, V)) < 0.2] = 0
    x[rng.random((T, M)) < 0.15] = 0
    return x


def batch_of(clips: list[np.ndarray], num_persons: int) -> RaggedBatch:
    return collate([Sample(c, 0, i) for i, c in enumerate(clips)], num_persons)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- oracles: one clip, one frame, one joint at a time, in numpy


def is_valid(frame: np.ndarray, joint: int, D: int) -> bool:
    """`frame (V, C)` of one person."""
    return bool((frame[:, :D] != 0).any()) and (frame.shape[1] == D or frame[joint, D] > 0)


def oracle_sample(x: np.ndarray, positions: np.ndarray, D: int) -> tuple[np.ndarray, np.ndarray]:
    """`(T, M, V, C)` read at positions, and which of its joints are valid."""
    T, M, V, C = x.shape
    out, valid = np.zeros((len(positions), M, V, C)), np.zeros((len(positions), M, V), bool)
    for t, m, v in product(range(len(positions)), range(M), range(V)):
        left = int(positions[t])
        right, w = min(left + 1, T - 1), positions[t] - left
        a, b = x[left, m], x[right, m]
        if is_valid(a, v, D) and is_valid(b, v, D):
            out[t, m, v], valid[t, m, v] = (1 - w) * a[v] + w * b[v], True
        else:
            near = b if w >= 0.5 else a
            if is_valid(near, v, D):
                out[t, m, v], valid[t, m, v] = near[v], True
    return out, valid


def oracle_place(
    x: np.ndarray, valid: np.ndarray, options: dict[str, Any], draws: Draws, n: int, D: int
) -> tuple[np.ndarray, np.ndarray]:
    """Origin, mirror, rotation, box and scale of one clip `(T, M, V, C)`."""
    x, valid, layout = x.copy(), valid.copy(), options["layout"]
    frames = [t for t in range(len(x)) if valid[t, 0, layout.center]]
    origin = np.zeros((len(x), D))
    for t in range(len(x)) if frames else ():
        own = options["center"] == "every_frame" and t in frames
        origin[t] = x[t if own else frames[0], 0, layout.center, :D]
    x[..., :D] -= origin[:, None, None]
    if draws.mirrored is not None and draws.mirrored[n]:
        swap = {i: j for pair in layout.mirror for i, j in (pair, pair[::-1])}
        order = [swap.get(v, v) for v in range(x.shape[2])]
        x, valid = x[:, :, order], valid[:, :, order]
        x[..., 0] *= -1
    if draws.rotation is not None:
        R = draws.rotation[n].double().numpy()
        for t, m, v in product(*map(range, x.shape[:3])):
            x[t, m, v, :D] = R @ x[t, m, v, :D]
    if options["normalize"] == "box" and valid.any():
        points = x[valid][:, :D]
        low, high = points.min(0), points.max(0)
        x[..., :D] = (x[..., :D] - (low + high) / 2) / (((high - low) / 2).max() or 1)
    if draws.scale is not None:
        x[..., :D] *= float(draws.scale[n])
    if options["center"] == "none" and options["normalize"] == "none":
        x[..., :D] += origin[:, None, None]
    x[~valid] = 0
    return x, valid


def oracle_stream(x: np.ndarray, valid: np.ndarray, stream: str, layout: Any, D: int) -> np.ndarray:
    if stream.startswith("bone"):
        bones, ends = x.copy(), valid.copy()
        for child, parent in [*layout.bones, (layout.center, layout.center)]:
            bones[:, :, child, :D] = x[:, :, child, :D] - x[:, :, parent, :D]
            bones[..., child, D:] = np.minimum(x[..., child, D:], x[..., parent, D:])
            ends[..., child] = valid[..., child] & valid[..., parent]
            bones[..., child, :D][~ends[..., child]] = 0
        x, valid = bones, ends
    if stream.endswith("motion"):
        moves = x.copy()
        for t, m, v in product(*map(range, x.shape[:3])):
            both = t + 1 < len(x) and valid[t, m, v] and valid[t + 1, m, v]
            moves[t, m, v, :D] = x[t + 1, m, v, :D] - x[t, m, v, :D] if both else 0
        x = moves
    return x


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    persons=st.integers(1, 3),
    T=st.sampled_from([8, 13]),
    channels=st.sampled_from(["xyz", "xy", "xyc"]),
    stream=st.sampled_from(STREAMS),
    sampling=st.sampled_from(["crop", "segments"]),
    center=st.sampled_from(["none", "first_frame", "every_frame"]),
    normalize=st.sampled_from(["none", "box"]),
    augment=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_whole_transform_agrees_with_the_oracle(
    lengths: list[int],
    persons: int,
    T: int,
    channels: str,
    augment: bool,
    seed: int,
    **options: Any,
) -> None:
    rng = np.random.default_rng(seed)
    layout = get_layout("sbu15")
    clips = [clip(rng, L, int(rng.integers(1, persons + 1)), 15, channels) for L in lengths]
    batch = batch_of(clips, persons)
    transform = Transform(
        layout,
        channels=channels,
        num_frames=T,
        rotation=0.4,
        scale_range=(0.8, 1.3),
        mirror=0.5,
        **options,
    )
    draws = transform.draw(batch.lengths, generator(seed) if augment else None)
    out = transform(batch, generator(seed) if augment else None)
    D = 2 if channels != "xyz" else 3
    assert out.shape == (len(lengths), len(channels), T, 15, persons)
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    for n, x in enumerate(clips):
        x, valid = oracle_sample(x.astype(np.float64), draws.positions[n].double().numpy(), D)
        x, valid = oracle_place(x, valid, {**options, "layout": layout}, draws, n, D)
        x = oracle_stream(x, valid, options["stream"], layout, D)
        found = out[n].permute(1, 3, 2, 0).numpy()
        np.testing.assert_allclose(found[:, : x.shape[1]], x, atol=2e-5)
        assert not found[:, x.shape[1] :].any()  # persons the clip does not have


@given(length=st.integers(1, 80), T=st.integers(8, 70), seed=st.integers(0, 99))
def test_resize_agrees_with_interpolate(length: int, T: int, seed: int) -> None:
    x = torch.randn(length, 2, 5, 3, generator=generator(seed))
    start, size = central_crop(torch.tensor([length]), 0.95)
    found, valid = sample_frames(
        x, torch.tensor([length]), resize_positions(start, size, T), num_coordinates=3
    )
    crop = x[int(start) : int(start + size)].permute(3, 2, 1, 0).flatten(0, 2)[None]
    expected = F.interpolate(crop, size=T, mode="linear", align_corners=False)
    torch.testing.assert_close(
        found[0].permute(0, 2, 3, 1).flatten(0, 2), expected[0], atol=1e-4, rtol=1e-4
    )
    assert valid.all()


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=9), seed=st.integers(0, 999))
def test_random_crops_follow_the_formula(lengths: list[int], seed: int) -> None:
    L = torch.tensor(lengths)
    start, size = random_crop(L, 64, (0.5, 1.0), generator(seed))
    p = 0.5 + 0.5 * torch.rand(2, len(L), generator=generator(seed))[0]
    expected = [min(max(math.floor(q * n), 64), n) for q, n in zip(p, lengths, strict=True)]
    assert size.tolist() == expected
    assert (start >= 0).all()
    assert (start + size <= L).all()


def test_random_crops_reach_every_start_and_every_length() -> None:
    start, size = random_crop(torch.full((5000,), 20), 8, (0.5, 1.0), generator())
    assert set(size.tolist()) == set(range(10, 20))
    assert set(start[size == 10].tolist()) == set(range(11))


@pytest.mark.parametrize("persons", [1, 2, 3])
def test_interleaving_changes_the_memory_alone(persons: int) -> None:
    x = torch.randn(4, 3, persons, 5, 7, generator=generator()).permute(0, 1, 3, 4, 2)
    found = interleave(x)
    assert torch.equal(found, x)
    assert found.is_contiguous()


@pytest.mark.parametrize(
    ("length", "expected"), [(1, (0, 1)), (40, (1, 38)), (80, (2, 76)), (103, (2, 99))]
)
def test_central_crop_keeps_95_percent(length: int, expected: tuple[int, int]) -> None:
    start, size = central_crop(torch.tensor([length]), 0.95)
    assert (int(start), int(size)) == expected


@given(length=st.integers(1, 300), T=st.integers(8, 100), seed=st.integers(0, 99))
def test_segments_draw_one_frame_each(length: int, T: int, seed: int) -> None:
    drawn = segment_positions(torch.tensor([length]), T, generator(seed))[0]
    centre = segment_positions(torch.tensor([length]), T)[0]
    for t in range(T):
        low, high = t * length / T, (t + 1) * length / T
        assert math.floor(low) <= drawn[t] < max(high, math.floor(low) + 1)
        assert centre[t] == math.floor((low + high) / 2 + 1e-9)
    assert drawn.max() <= length - 1


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    stream=st.sampled_from(STREAMS),
    center=st.sampled_from(["none", "first_frame", "every_frame"]),
    normalize=st.sampled_from(["none", "box"]),
    seed=st.integers(0, 999),
)
def test_absent_bodies_stay_zero(lengths: list[int], seed: int, **options: Any) -> None:
    rng = np.random.default_rng(seed)
    clips = [rng.normal(size=(L, 3, 25, 3)).astype(np.float32) for L in lengths]
    for x in clips:
        x[:, 1] = 0
    transform = Transform(NTU, num_frames=8, mirror=0.5, scale_range=(0.5, 2), **options)
    out = transform(batch_of(clips, 3), generator(seed))
    assert not out[..., 1].any()
    if options["stream"] in ("joint", "bone"):
        assert out[..., 0].flatten(1).any(1).all()


def test_a_body_that_is_never_there_leaves_no_nan() -> None:
    batch = batch_of([np.zeros((5, 2, 25, 3), np.float32)], 2)
    for center, normalize in product(("none", "first_frame"), ("none", "box")):
        transform = Transform(NTU, num_frames=8, center=center, normalize=normalize)
        assert not transform(batch, generator()).any()


@given(angles=st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_rotations_are_rotations_about_x_then_y_then_z(angles: list[float]) -> None:
    R = rotation_matrices(torch.tensor([angles]))[0]
    torch.testing.assert_close(R @ R.T, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.det(R) == pytest.approx(1, abs=1e-5)
    a, b, c = (np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]) for t in angles)
    x, y, z = np.eye(3), np.eye(3), np.eye(3)
    x[1:, 1:] = a
    y[np.ix_([2, 0], [2, 0])] = b
    z[:2, :2] = c
    np.testing.assert_allclose(R.numpy(), z @ y @ x, atol=1e-5)


def test_rotation_preserves_distances_and_is_one_per_clip() -> None:
    rng = np.random.default_rng(0)
    batch = batch_of([rng.normal(size=(12, 2, 25, 3)).astype(np.float32) for _ in range(2)], 2)
    transform = Transform(NTU, num_frames=12, crop_ratio=(1.0, 1.0), test_ratio=1.0)
    plain, turned = transform(batch), transform(batch, generator())

    def distances(x: torch.Tensor) -> torch.Tensor:
        points = x.permute(0, 2, 3, 4, 1).flatten(1, 3)
        return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")

    torch.testing.assert_close(distances(plain), distances(turned), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain, turned, atol=0.01)


@pytest.mark.parametrize("channels", ["xyz", "xyc"])
def test_mirroring_twice_is_the_identity(channels: str) -> None:
    rng = np.random.default_rng(1)
    batch = batch_of([clip(rng, 20, 2, 25, channels)], 2)
    options: dict[str, Any] = {"channels": channels, "num_frames": 20, "test_ratio": 1.0}
    mirrored = Transform(NTU, rotation=0, mirror=1.0, crop_ratio=(1.0, 1.0), **options)
    once = mirrored(batch, generator())
    again = RaggedBatch(once[0].permute(1, 3, 2, 0), batch.lengths, batch.labels, batch.indices)
    plain = Transform(NTU, **options)(batch)
    torch.testing.assert_close(mirrored(again, generator()), plain)
    assert not torch.equal(once, plain)
    left, right = NTU.joints.index("left_hand"), NTU.joints.index("right_hand")
    torch.testing.assert_close(once[:, 1:, :, left], plain[:, 1:, :, right])
    torch.testing.assert_close(once[:, 0, :, left], -plain[:, 0, :, right])


@pytest.mark.parametrize("name", ["ntu25", "sbu15", "coco17"])
def test_bones_sum_along_the_path_to_the_joint(name: str) -> None:
    layout = get_layout(name)
    x = torch.randn(2, 3, 4, layout.num_joints, 2, generator=generator())
    bones = bone(x, torch.tensor(layout.parents))
    assert not bones[:, :, :, layout.center].any()
    for joint in range(layout.num_joints):
        total, at = torch.zeros_like(x[:, :, :, 0]), joint
        while at != layout.center:
            total, at = total + bones[:, :, :, at], layout.parents[at]
        torch.testing.assert_close(total, x[:, :, :, joint] - x[:, :, :, layout.center])


def test_first_frame_centre_survives_a_late_first_person() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(10, 2, 25, 3)).astype(np.float32)
    x[:4, 0] = 0
    out = Transform(NTU, num_frames=10, test_ratio=1.0)(batch_of([x], 2))
    assert not out[0, :, 4, NTU.center, 0].any()
    expected = x[0, 1] - x[4, 0, NTU.center]
    np.testing.assert_allclose(out[0, :, 0, :, 1].T, expected, atol=1e-6)


def test_scores_are_not_moved() -> None:
    rng = np.random.default_rng(3)
    x = clip(rng, 16, 1, 17, "xyc")
    batch = batch_of([x], 1)
    transform = Transform(
        "coco17", channels="xyc", num_frames=16, crop_ratio=(1.0, 1.0), rotation=1.0,
        scale_range=(2.0, 2.0), normalize="box",
    )  # fmt: skip
    np.testing.assert_array_equal(transform(batch, generator())[0, 2, :, :, 0], x[:, 0, :, 2])
    assert transform(batch, generator())[:, :2].abs().max() == pytest.approx(2.0, abs=1e-5)


def test_an_offset_moves_what_is_there() -> None:
    x = clip(np.random.default_rng(5), 16, 2, 18, "xyc")
    options: dict[str, Any] = {"channels": "xyc", "num_frames": 16, "center": "none"}
    plain = Transform("openpose18", **options, test_ratio=1.0)(batch_of([x], 2))
    moved = Transform("openpose18", **options, test_ratio=1.0, offset=-0.5)(batch_of([x], 2))
    seen = plain[:, 2:] > 0
    torch.testing.assert_close(moved[:, :2], (plain[:, :2] - 0.5).where(seen, 0.0))
    assert torch.equal(moved[:, 2], plain[:, 2])


def test_only_the_generator_decides_and_the_global_one_is_untouched() -> None:
    rng = np.random.default_rng(4)
    batch = batch_of([clip(rng, 90, 1) for _ in range(3)], 1)
    transform = Transform(NTU, mirror=0.5, scale_range=(0.9, 1.1))
    before = torch.random.get_rng_state()
    frames = batch.frames.clone()
    source = generator(7)
    first, second = transform(batch, source), transform(batch, source)
    assert torch.equal(first, transform(batch, generator(7)))
    assert not torch.equal(first, second)
    assert torch.equal(transform(batch), transform.train()(batch))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(frames, batch.frames)
    assert not transform.state_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stream": "bones"}, "stream is 'bones': choose from joint, bone"),
        ({"channels": "zyx"}, "channels is 'zyx'"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"crop_ratio": (0.9, 0.5)}, "crop_ratio"),
        ({"test_ratio": 0.0}, "test_ratio"),
        ({"scale_range": (0.0, 1.0)}, "scale_range"),
        ({"rotation": -0.1}, "rotation is -0.1"),
        ({"mirror": 1.5}, "mirror 1.5"),
        ({"offset": -0.5}, "offset is -0.5, but center is 'first_frame'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Transform("ntu25", **options)


def test_a_batch_of_another_layout_is_refused() -> None:
    batch = batch_of([np.ones((3, 1, 20, 3), np.float32)], 1)
    with pytest.raises(ValueError, match=r"\(20, 3\).*'ntu25'.*\(25, 3\)"):
        Transform("ntu25")(batch)
