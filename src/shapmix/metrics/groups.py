"""Groups of classes by training clips, means over them, and bootstrap intervals."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shapmix.counts import ClassCounts, check_counts, shot_bins

SHOTS = ("many", "medium", "few")
THIRDS = ("head", "middle", "tail")
ACCURACIES = ("top1", "top5", "mean_class", "macro_f1", *SHOTS, *THIRDS)
LEVEL = 0.95  # of all intervals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Means = dict[str, Floats]  # an empty group has no entry


def class_groups(class_counts: ClassCounts) -> dict[str, Ints]:
    """The classes of each group, as ascending labels; a group may be empty.

    `many`, `medium` and `few` are the bins of `shapmix.counts.shot_bins`. `head`, `middle` and
    `tail` are thirds of the classes by rank of training count, ties by label: their sizes differ by
    at most one, and what three does not divide goes to the head first, then to the middle.

    Args:
        class_counts: `(K,)` training clips of each class.
    """
    counts = check_counts(class_counts)
    thirds = np.array_split(np.argsort(-counts, kind="stable"), len(THIRDS))
    return shot_bins(counts) | {
        name: np.sort(third) for name, third in zip(THIRDS, thirds, strict=True)
    }


def group_means(per_class: Floats, clips: Ints, groups: Mapping[str, Ints]) -> Means:
    """Overall, mean-class and group means of the figures of classes.

    Args:
        per_class: `(..., K)`, the leading axes being resamples.
        clips: `(K,)` test clips; classes without any are left out.
        groups: name -> labels.

    Returns:
        name -> `(...)`; without the groups that have no class with test clips.
    """
    means = {"top1": (per_class * clips).sum(-1) / clips.sum()}
    for name, classes in {"mean_class": np.arange(len(clips)), **groups}.items():
        tested = classes[clips[classes] > 0]
        if len(tested):
            means[name] = per_class[..., tested].mean(-1)
    return means


def percentile_interval(drawn: Floats | None) -> list[float] | None:
    """The percentile interval of bootstrap draws; None when there are none."""
    if drawn is None or len(drawn) == 0:
        return None
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
