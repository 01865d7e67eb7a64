"""Paired differences between runs on the same test clips."""

from typing import Any

import numpy as np

from shapmix.counts import ClassCounts, check_counts
from shapmix.metrics.checks import Labels, check_correct, check_labels, check_resamples
from shapmix.metrics.groups import Floats, Ints, class_groups, group_means, percentile_interval


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
    gain = b.astype(np.float64) - a
    clips = np.bincount(truth, minlength=len(counts))
    estimate = np.bincount(truth, gain.mean(0), len(counts)) / np.maximum(clips, 1)
    drawn = _bootstrap(gain, truth, clips, resamples, np.random.default_rng(seed))
    groups = class_groups(counts)
    means, spread = group_means(estimate, clips, groups), group_means(drawn, clips, groups)
    return {
        name: {
            "difference": float(means[name]),
            "interval": percentile_interval(spread[name]),
        }
        if name in means
        else None
        for name in ("top1", "mean_class", *groups)
    }


def _bootstrap(
    gain: Floats, truth: Ints, clips: Ints, resamples: int, rng: np.random.Generator
) -> Floats:
    """Resampled mean gain of each class: `(S, n)` to `(resamples, K)`."""
    runs = len(gain)
    weights = rng.multinomial(runs, np.full(runs, 1 / runs), resamples) / runs
    drawn = np.zeros((resamples, len(clips)))
    for label in np.flatnonzero(clips):
        # Clips of a class with the same gain in every run are interchangeable: draw their numbers.
        kinds, number = np.unique(gain[:, truth == label], axis=1, return_counts=True)
        shares = rng.multinomial(clips[label], number / clips[label], resamples) / clips[label]
        drawn[:, label] = (weights * (shares @ kinds.T)).sum(1)
    return drawn
