"""Paired differences between runs on the same test clips."""

from typing import Any

import numpy as np

from shapmix.counts import ClassCounts, check_counts
from shapmix.metrics.checks import Labels, check_correct, check_labels, check_resamples
from shapmix.metrics.grouped import RunPair, grouped_difference
from shapmix.metrics.groups import class_groups, percentile_interval


def paired_difference(
    correct_a: Any,
    correct_b: Any,
    labels: Labels,
    class_counts: ClassCounts,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Any] | None]:
    """How much better b is than a on the same clips, with bootstrap intervals of the difference.

    With S runs a side, run s of a and run s of b being trained with the same seed, the bootstrap is
    hierarchical: each resample draws S pairs of runs with replacement and, independently, clips of
    each class with replacement, the same clips for all runs. What a and b have in common, the easy
    and the hard clips, so cancels. With one run a side only clips are drawn. (Of few seeds no
    bootstrap can tell the spread well: read intervals of S < 5 as a lower bound.)

    Args:
        correct_a: `(n,)` or `(S, n)` bool, which clips each run of a gets right.
        correct_b: the same for b, the same clips in the same order.
        labels: `(n,)` whole numbers from 0 to K - 1.
        class_counts: `(K,)` training clips of each class; decides the groups.
        resamples: at least 1. seed: of the bootstrap.

    Returns:
        `{"top1", "mean_class", "many", "medium", "few", "head", "middle", "tail"}`, each
        `{"difference": b - a, "interval": [low, high]}`, or None for an empty group.

    Raises:
        ValueError: for shapes that do not belong together, values that are not boolean or labels
            out of range.
    """
    counts = check_counts(class_counts)
    a, b = check_correct(correct_a, "correct_a"), check_correct(correct_b, "correct_b")
    if a.shape != b.shape:
        raise ValueError(
            f"correct_a has shape {a.shape} and correct_b {b.shape}; expected the same clips and "
            "as many runs on both sides"
        )
    truth = check_labels(labels, a.shape[1], len(counts))
    check_resamples(resamples, least=1)
    pairs = [RunPair(one, other, truth, counts) for one, other in zip(a, b, strict=True)]
    found = grouped_difference(pairs, resamples=resamples, rng=np.random.default_rng(seed))
    return {
        name: {
            "difference": float(found.per_run[name].mean()),
            "interval": percentile_interval(found.drawn[name]),
        }
        if name in found.per_run
        else None
        for name in ("top1", "mean_class", *class_groups(counts))
    }
