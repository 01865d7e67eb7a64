"""What metrics accept: arrays or tensors, checked at the boundary."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapmix.metrics.groups import Floats, Ints

Labels = Any  # an array or a tensor (n,)


def _array(values: Any) -> NDArray[Any]:
    """An array of an array, a sequence or a tensor (of any device and dtype)."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    return np.asarray(values)


def check_logits(logits: Any, num_classes: int) -> Floats:
    """Logits as float64 `(n, K)`; ValueError for another shape, or values that are not finite."""
    scores = _array(logits)
    if scores.ndim != 2 or scores.shape[1] != num_classes or scores.dtype.kind not in "fiu":
        raise ValueError(
            f"logits is {scores.dtype} of shape {scores.shape}; expected numbers of shape "
            f"(n, {num_classes}), one for each clip and each entry of class_counts"
        )
    bad = np.flatnonzero(~np.isfinite(scores).all(1))
    if len(bad):
        raise ValueError(
            f"logits has NaN or infinite values for {len(bad)} clips, the first at "
            f"{bad[:10].tolist()}; expected finite scores: look for a diverged model or clips "
            "with NaN"
        )
    return scores.astype(np.float64)


def check_scores(logits: Any, labels: Labels, num_classes: int) -> tuple[Floats, Ints]:
    """Logits as by `check_logits`, and labels as by `check_labels`."""
    scores = check_logits(logits, num_classes)
    return scores, check_labels(labels, len(scores), num_classes)


def check_labels(labels: Labels, clips: int, num_classes: int) -> Ints:
    """Labels as int64 `(n,)`; ValueError if they are no classes, or not one for each clip."""
    truth = _array(labels)
    if truth.shape != (clips,) or truth.dtype.kind not in "iu" or clips == 0:
        raise ValueError(
            f"labels is {truth.dtype} of shape {truth.shape} for {clips} clips; expected whole "
            "numbers, one for each clip, and at least one clip"
        )
    if truth.min() < 0 or truth.max() >= num_classes:
        raise ValueError(
            f"labels go from {truth.min()} to {truth.max()}; expected 0 to {num_classes - 1}, one "
            "for each entry of class_counts"
        )
    return truth.astype(np.int64)


def check_correct(correct: Any, name: str) -> NDArray[np.bool_]:
    """What S runs got right, `(S, n)`, of `(n,)` or `(S, n)` booleans; ValueError for others."""
    values = _array(correct)
    if values.dtype != np.bool_ or values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            f"{name} is {values.dtype} of shape {values.shape}; expected booleans of shape (n,) "
            "for one run or (S, n) for S runs"
        )
    return np.atleast_2d(values)


def check_resamples(resamples: int, least: int = 0) -> None:
    """ValueError for fewer resamples than `least`."""
    if resamples < least:
        raise ValueError(f"resamples is {resamples}; expected {least} or more")
