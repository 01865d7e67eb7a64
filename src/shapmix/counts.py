"""Training clips per class: checked in one place, and the many / medium / few bins made of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

MANY_ABOVE = 100  # a class with more training clips than this is many-shot
FEW_BELOW = 20  # one with fewer than this is few-shot; between the two it is medium-shot

ClassCounts = Sequence[int] | Any  # a sequence, an array or a tensor, (K,)


def check_counts(class_counts: ClassCounts) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Training clips per class as `(K,)` int64.

    Raises:
        ValueError: not one positive whole count for each of at least two classes.
    """
    counts = np.asarray(class_counts.tolist() if hasattr(class_counts, "tolist") else class_counts)
    if counts.ndim != 1 or len(counts) < 2 or counts.dtype.kind not in "iuf":
        raise ValueError(
            f"class_counts is {counts.dtype} of shape {counts.shape}; expected one number of "
            "training clips for each of at least two classes"
        )
    if not np.array_equal(counts, np.round(counts)):
        raise ValueError("class_counts has fractions or NaN; expected numbers of training clips")
    empty = np.flatnonzero(counts < 1).tolist()
    if empty:
        raise ValueError(
            f"classes {empty[:20]} have no training clips: leave them out and renumber the labels "
            "0..K-1, or give each at least one clip"
        )
    return counts.astype(np.int64)


def shot_bins(class_counts: ClassCounts) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Classes of each bin by training clips: `{"many": (..,), "medium": (..,), "few": (..,)}`."""
    counts = np.asarray(class_counts)
    many, few = counts > MANY_ABOVE, counts < FEW_BELOW
    return {
        "many": np.flatnonzero(many),
        "medium": np.flatnonzero(~many & ~few),
        "few": np.flatnonzero(few),
    }
