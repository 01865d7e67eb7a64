"""Keypoints of a PYSKL annotation, as an archive has them: (T, M, V, C)."""

from __future__ import annotations

from mmap import mmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ClipError, Keypoints
from shapmix.data.importers.pyskl_annotations import Annotation
from shapmix.data.importers.safe_pickle import PickledArray


class Form(NamedTuple):
    """What the keypoints of all clips of a file have in common.

    Attributes:
        joints: V.
        values: of a joint in the array `keypoint`, 2 or 3.
        channels: of the archive: "xyz", "xy" or "xyc".
    """

    joints: int
    values: int
    channels: str


def tracked(annotation: Annotation, file: mmap, form: Form) -> Keypoints:
    """(T, M, V, C) from `keypoint` (M, T, V, 2 or 3) and, for xyc, `keypoint_score` (M, T, V).

    Raises:
        ClipError: they are of another form than those of the other clips.
        UnreadablePickle: an array is damaged.
    """
    name = annotation.name
    values = _numbers(annotation.keypoint, "keypoint", file, name)
    if values.ndim != 4 or values.shape[2:] != (form.joints, form.values):
        expected = f"(persons, frames, {form.joints}, {form.values})"
        raise ClipError("wrong shape", name, f"keypoint is {values.shape}, expected {expected}")
    if annotation.frames not in (None, values.shape[1]):
        detail = f"total_frames is {annotation.frames}, but keypoint has {values.shape[1]} frames"
        raise ClipError("contradictory number of frames", name, detail)
    if form.values < len(form.channels):
        scores = _numbers(annotation.score, "keypoint_score", file, name)
        if scores.shape != values.shape[:3]:
            detail = f"keypoint_score is {scores.shape}, expected {values.shape[:3]}"
            raise ClipError("wrong shape", name, detail)
        values = np.concatenate([values, scores[..., None]], 3)
    return values.transpose(1, 0, 2, 3)


def detections(
    annotation: Annotation,
    file: mmap,
    own_file: mmap,
    form: Form,
    *,
    above: float,
    max_persons: int,
) -> Keypoints:
    """(T', M, V, C) of the frames that have a detection whose box score is above a threshold.

    Args:
        annotation: with `keypoint` (N, V, C), `frame_inds` and `box_score` (N,).
        file: that holds `keypoint`.
        own_file: that holds the annotation.
        above: the threshold.
        max_persons: of a frame the highest box scores stay, highest first.

    Raises:
        ClipError: they are of another form, or no detection is left.
        UnreadablePickle: an array is damaged.
    """
    name = annotation.name
    values = _numbers(annotation.keypoint, "keypoint", file, name)
    frames = _numbers(annotation.frame_inds, "frame_inds", own_file, name)
    scores = _numbers(annotation.box_score, "box_score", own_file, name)
    expected = (len(frames), form.joints, form.values) if frames.ndim == 1 else None
    if values.shape != expected or scores.shape != frames.shape:
        shapes = f"keypoint {values.shape}, frame_inds {frames.shape}, box_score {scores.shape}"
        detail = f"{shapes}; expected (N, {form.joints}, {form.values}), (N,) and (N,)"
        raise ClipError("wrong shape", name, detail)
    last = float("inf") if annotation.frames is None else annotation.frames
    if not ((frames >= 0) & (frames <= last)).all():
        detail = f"frame_inds go beyond total_frames, {annotation.frames}"
        raise ClipError("contradictory number of frames", name, detail)
    kept = np.flatnonzero(scores > above)
    kept = kept[np.lexsort((-scores[kept], frames[kept]))]  # by frame, then the highest first
    if not len(kept):
        raise ClipError("no body", name, f"no detection has a box score above {above}")
    _, first, t = np.unique(frames[kept], return_index=True, return_inverse=True)
    rank = np.arange(len(kept)) - first[t]
    chosen = rank < max_persons
    persons = int(rank[chosen].max()) + 1
    keypoints = np.zeros((len(first), persons, *values.shape[1:]), np.float32)
    keypoints[t[chosen], rank[chosen]] = values[kept[chosen]]
    return keypoints


def _numbers(
    array: PickledArray | None, field: str, file: mmap, clip: str
) -> npt.NDArray[np.float32]:
    if array is None:
        raise ClipError("other fields", clip, f"no array {field}")
    if array.dtype.kind not in "fiu":
        raise ClipError("wrong type", clip, f"{field} is {array.dtype}, expected numbers")
    with np.errstate(over="ignore"):  # the archive refuses what overflows
        return array.load(file).astype(np.float32)
