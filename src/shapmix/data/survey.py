"""One pass over all clips of an archive, in bounded memory: what later checks and pages need.

A joint is present in a frame when any of its coordinates is not zero and, where there is a
confidence channel, its confidence is above zero; a body is present when any of its joints is.
Distances are in the units of the archive.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.clip import Keypoints

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SAMPLED_FRAMES = 16  # of a clip, for what needs no more: size of bodies, range of channels
SKETCHED = 32  # numbers of a clip's sketch


@dataclass(frozen=True, eq=False)
class Survey:
    """What was measured of N clips with V joints and C channels.

    Attributes:
        digests: hash of each clip's keypoints and their shape.
        sketch: (N, 32) summary of the first person's usual posture and of how far each joint goes
            from it; the root of the mean square difference of two sketches is about that of
            coordinates. Alike for clips that differ by a shift, small noise, or few frames.
        finite: (N,) whether all numbers are finite.
        size: (N,) median of the largest extent of a body along an axis; NaN without a body.
        largest_step: (N,) the farthest that a joint goes from one frame to the next.
        usual_step: (N,) median over the steps of what the farthest joint goes in each.
        repeated_end: (N,) how often the last frame, if it shows someone, is repeated at the end.
        empty_frames: (N,) frames without any body.
        bodies: (N,) bodies present, summed over frames.
        missing: (N,) missing joints of present bodies, summed over frames.
        joint_missing: (V,) the same for each joint, summed over clips.
        low, high: (N, C) range of each channel over present joints, in 16 frames; low is above
            high where no joint is ever present.
    """

    digests: tuple[bytes, ...]
    sketch: npt.NDArray[np.float32]
    finite: npt.NDArray[np.bool_]
    size: Floats
    largest_step: Floats
    usual_step: Floats
    repeated_end: Ints
    empty_frames: Ints
    bodies: Ints
    missing: Ints
    joint_missing: Ints
    low: Floats
    high: Floats

    @property
    def typical_size(self) -> float:
        """Size of the median clip (never a mean of two); NaN when no clip has a body."""
        known = np.sort(self.size[np.isfinite(self.size)])
        return float(known[(len(known) - 1) // 2]) if known.size else math.nan

    @property
    def typical_largest_step(self) -> float:
        """Median over the clips that move of their largest step; 0 when none moves."""
        moving = self.largest_step[self.largest_step > 0]
        return float(np.median(moving)) if moving.size else 0.0


class _Measures(NamedTuple):
    """Of one clip; the names are those of `Survey`."""

    digest: bytes
    finite: bool
    size: float
    largest_step: float
    usual_step: float
    repeated_end: int
    empty_frames: int
    bodies: int
    missing: int


def survey(archive: Archive, on_progress: Callable[[int], None] | None = None) -> Survey:
    """Measure every clip, one after the other.

    Args:
        on_progress: called now and then with the number of clips done.
    """
    N, (V, C) = len(archive), archive.info.joint_shape
    scored = archive.info.channels.endswith("c")
    rows: list[_Measures] = []
    sketch = np.zeros((N, SKETCHED), np.float32)
    projection = _projection(2 * V * (C - scored))
    joint_missing = np.zeros(V, np.int64)
    low, high = np.empty((N, C)), np.empty((N, C))
    for i in range(N):
        keypoints = archive.read(i)
        finite = bool(np.isfinite(keypoints).all())
        if not finite:
            keypoints = np.nan_to_num(keypoints, nan=0.0, posinf=0.0, neginf=0.0)
        here = present_joints(keypoints, scored=scored)
        body = np.logical_or.reduce(here, axis=2)
        lost = int(body.sum()) - here.sum((0, 1))
        joint_missing += lost
        x = keypoints[..., : C - scored]
        size, low[i], high[i] = _extent(keypoints, here, body, x.shape[-1])
        largest, usual, repeated = _steps(x, here)
        sketch[i] = _sketch(x[: len(x) - repeated, 0], here[: len(x) - repeated, 0], projection)
        rows.append(
            _Measures(
                digest(keypoints),
                finite,
                size,
                largest,
                usual,
                repeated,
                int((~body.any(1)).sum()),
                int(body.sum()),
                int(lost.sum()),
            )
        )
        if on_progress is not None and (i % 256 == 255 or i == N - 1):
            on_progress(i + 1)
    columns = dict(zip(_Measures._fields, zip(*rows, strict=True), strict=True))
    digests = columns.pop("digest")
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Survey(digests, sketch, joint_missing=joint_missing, low=low, high=high, **arrays)


def present_joints(keypoints: Keypoints, *, scored: bool) -> npt.NDArray[np.bool_]:
    """Which joints are present: `(T, M, V)` of keypoints `(T, M, V, C)`."""
    here: npt.NDArray[np.bool_] = keypoints[..., 0] != 0
    for channel in range(1, keypoints.shape[-1] - scored):
        here |= keypoints[..., channel] != 0
    if scored:
        here &= keypoints[..., -1] > 0
    return here


def sampled_frames(num_frames: int) -> Ints:
    """Up to `SAMPLED_FRAMES` frames at equal distances, the first and the last among them."""
    return np.linspace(0, num_frames - 1, min(SAMPLED_FRAMES, num_frames)).astype(np.int64)


def largest_step_window(keypoints: Keypoints, num_frames: int) -> slice:
    """Up to so many frames of a clip `(T, V, D)` around the largest step of a joint."""
    if len(keypoints) <= num_frames:
        return slice(None)
    here = present_joints(keypoints, scored=False)
    squares = np.square(keypoints[1:] - keypoints[:-1]).sum(-1) * (here[1:] & here[:-1])
    middle = int(squares.max(1).argmax()) + 1
    start = min(max(middle - num_frames // 2, 0), len(keypoints) - num_frames)
    return slice(start, start + num_frames)


def digest(keypoints: Keypoints) -> bytes:
    """Hash of keypoints and their shape."""
    shape = repr(keypoints.shape).encode()
    return hashlib.blake2b(keypoints.data, digest_size=16, key=shape).digest()


def _extent(
    keypoints: Keypoints, here: npt.NDArray[np.bool_], body: npt.NDArray[np.bool_], D: int
) -> tuple[float, Floats, Floats]:
    """Size of the bodies in D dimensions and range (C,) of each channel, in sampled frames."""
    C = keypoints.shape[-1]
    if not body.any():
        return math.nan, np.full(C, np.inf), np.full(C, -np.inf)
    frames = np.flatnonzero(body.any(1))
    frames = frames[sampled_frames(len(frames))]
    k, valid, bodies = keypoints[frames], here[frames], body[frames]
    if valid.all():
        least, most = k.min(2)[bodies], k.max(2)[bodies]
    else:
        valid = valid[..., None]
        least = np.where(valid, k, np.float32(np.inf)).min(2)[bodies]
        most = np.where(valid, k, np.float32(-np.inf)).max(2)[bodies]
    extents = (most - least)[:, :D].max(1)
    return float(np.median(extents)), least.min(0), most.max(0)


def _steps(x: Keypoints, here: npt.NDArray[np.bool_]) -> tuple[float, float, int]:
    """The largest and the usual step, and repetitions of a last frame that shows someone."""
    if len(x) < 2:
        return 0.0, 0.0, 0
    change = x[1:] - x[:-1]
    squares = np.einsum("tmvc,tmvc->tmv", change, change)
    same = squares.max((1, 2)) == 0
    squares *= here[1:] & here[:-1]
    farthest = np.sqrt(squares.max((1, 2)))
    repeated = len(same) if same.all() else int(same[::-1].argmin())
    repeated *= bool(here[-1].any())
    return float(farthest.max()), float(np.median(farthest)), repeated


def _projection(num_features: int) -> npt.NDArray[np.float32]:
    """(num_features, 32) random signs, the same ever; keeps mean squares, in expectation."""
    signs = np.random.default_rng(0).integers(0, 2, (num_features, SKETCHED)) * 2 - 1
    projection: npt.NDArray[np.float32] = (signs / np.sqrt(num_features)).astype(np.float32)
    return projection


def _sketch(
    x: Keypoints, here: npt.NDArray[np.bool_], projection: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Projection of mean and deviation over time of joints `(T, V, D)`, about their mean place."""
    total = np.count_nonzero(here)
    if total == here.size:
        x = x - x.mean((0, 1))
    else:
        x = (x - x.sum((0, 1)) / max(total, 1)) * here[..., None]
    mean = x.mean(0)
    deviation = np.sqrt(np.maximum(np.einsum("tvd,tvd->vd", x, x) / len(x) - mean**2, 0))
    sketch: npt.NDArray[np.float32] = np.concatenate([mean, deviation]).ravel() @ projection
    return sketch
