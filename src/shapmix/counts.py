"""Training clips per class: checked in one place, and the many / medium / few bins made of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

MANY_ABOVE = 100  # a class with more training clips than this is many-shot
FEW_BELOW = 20  # one with fewer than this is few-shot; between the two it is medium-shot
MOST = 2**53  # clips of a class; beyond it floating point counts no more

ClassCounts = Sequence[int] | Any  # a sequence, an array or a tensor, (K,)


def check_counts(class_counts: ClassCounts) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Training clips per class as `(K,)` int64.

    Raises:
        ValueError: not one positive whole count for each of at least two classes.
    """
    given = class_counts.tolist() if hasattr(class_counts, "tolist") else class_counts
    try:
        counts = np.asarray(given)
    except ValueError:  # rows of different lengths
        counts = np.asarray(None)
    if counts.ndim != 1 or len(counts) < 2 or counts.dtype.kind not in "iuf":
        shape = f" of shape {counts.shape}" if counts.ndim else ""
        raise ValueError(
            f"class_counts is a {type(class_counts).__name__}{shape}; expected one number of "
            "training clips for each of at least two classes, such as [40, 12, 4]"
        )
    if not ((np.abs(counts) < MOST).all() and np.array_equal(counts, np.round(counts))):
        raise ValueError(
            f"class_counts is {counts.tolist()[:20]}; expected whole numbers of training clips, "
            "without fractions, NaN or infinities"
        )
    empty = np.flatnonzero(counts < 1).tolist()
    if empty:
        raise ValueError(
            f"classes {empty[:20]} have no training clips: leave them out and renumber the labels "
            "0..K-1 (`shapmix import ... --classes present` does), or give each at least one clip"
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
