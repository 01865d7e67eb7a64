"""Raw keypoints as people hand them over: checked, and made into ragged batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shapmix.data.loader import RaggedBatch
from shapmix.layouts import Layout


def as_clips(clips: Any) -> Sequence[Any]:
    """One clip as a list of one; several as they are."""
    several: Sequence[Any] = [clips] if getattr(clips, "ndim", 0) in (3, 4) else clips
    return several


def check_clip(clip: Any, number: int, layout: Layout, channels: str) -> NDArray[Any]:
    """One clip as `(T, M, V, C)`.

    Args:
        clip: `(T, M, V, C)`, or `(T, V, C)` of one person.
        number: what an error message calls it.
        layout: the skeleton, V joints.
        channels: C of them.

    Raises:
        ValueError: another shape, no frame, or values that are not finite.
    """
    keypoints = np.asarray(clip)
    found, expected = keypoints.shape, (layout.num_joints, len(channels))
    if keypoints.ndim == 3:
        keypoints = keypoints[:, None]
    numbers = keypoints.dtype.kind in "fiu" and keypoints.ndim == 4
    if not numbers or keypoints.shape[2:] != expected or 0 in keypoints.shape:
        raise ValueError(
            f"clip {number} is {keypoints.dtype} of shape {found}; expected numbers of shape "
            f"(frames, persons, {expected[0]} joints of {layout.name!r}, {expected[1]} channels "
            f"{channels!r}), at least one frame and one person"
        )
    with np.errstate(over="ignore"):
        single: NDArray[np.float32] = keypoints.astype(np.float32)
    if not np.isfinite(single).all():
        raise ValueError(
            f"clip {number} has values that are NaN, infinite or beyond float32: set the joints "
            "that are missing to 0"
        )
    return single


def ragged(clips: Sequence[NDArray[Any]], num_persons: int) -> RaggedBatch:
    """Checked clips one after the other; persons beyond the first M are left out, missing ones 0.

    Labels are 0, for nobody knows them.
    """
    lengths = torch.tensor([len(clip) for clip in clips])
    shape = (int(lengths.sum()), num_persons, *clips[0].shape[2:])
    frames = np.zeros(shape, dtype=np.float32)
    stop = 0
    for clip in clips:
        start, stop = stop, stop + len(clip)
        frames[start:stop, : clip.shape[1]] = clip[:, :num_persons]
    indices = torch.arange(len(clips))
    return RaggedBatch(torch.from_numpy(frames), lengths, torch.zeros_like(indices), indices)
