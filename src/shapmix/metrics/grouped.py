"""Paired differences of runs whose class counts, and so groups, or test clips may differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shapmix.counts import ClassCounts, check_counts
from shapmix.metrics.checks import Labels, check_correct, check_labels, check_resamples
from shapmix.metrics.groups import Floats, Ints, class_groups, group_means, percentile_interval
from shapmix.metrics.significance import sign_flip_test

Groups = Callable[[Ints], Mapping[str, Ints]]  # training clips of each class -> name -> labels


@dataclass(frozen=True, eq=False)
class RunPair:
    """A run of method a and one of method b, of one seed and on the same test clips.

    Attributes:
        correct_a, correct_b: `(n,)` bool, which test clips each run gets right.
        labels: `(n,)` whole numbers from 0 to K - 1.
        class_counts: `(K,)` training clips of each class; decides the groups.
        test_set: names the test clips: pairs with equal names have the same clips in the same
            order.
    """

    correct_a: Any
    correct_b: Any
    labels: Labels
    class_counts: ClassCounts
    test_set: str = ""


@dataclass(frozen=True, eq=False)
class Differences:
    """b - a in every figure, of each pair of runs and resampled.

    Attributes:
        per_run: name of the figure -> `(S,)`, one for each pair.
        drawn: name -> `(resamples,)`, means over the drawn pairs and clips.
    """

    per_run: Mapping[str, Floats]
    drawn: Mapping[str, Floats]


@dataclass(frozen=True)
class Difference:
    """A mean difference b - a as a fraction.

    Attributes:
        value: the mean. interval: the 95 % percentile bootstrap interval.
        p_value: two-sided, by `sign_flip_test`; None with fewer than five pairs.
        pairs: how many pairs of runs it is made of.
        fewest: pairs on the data set that has the fewest; with one, the interval is of test clips
            alone and says nothing of seeds.
    """

    value: float
    interval: tuple[float, float]
    p_value: float | None
    pairs: int
    fewest: int


def grouped_difference(
    pairs: Sequence[RunPair],
    groups: Groups = class_groups,
    *,
    resamples: int = 1000,
    rng: np.random.Generator,
) -> Differences:
    """How much better b is than a, when each pair of runs has its own groups of classes.

    The figure of a group is the mean over pairs of the mean over the pair's own classes of that
    group of the class accuracy; `top1` weights classes by test clips, as everywhere.

    The bootstrap is hierarchical. Each resample draws S pairs with replacement and, independently,
    clips of each class with replacement; a draw of clips holds for both methods and for all pairs
    that have the same test clips. Where seeds and clips are crossed so, the bootstrap errs to the
    safe side (Owen 2007, The pigeonhole bootstrap), but of few seeds it cannot tell the spread:
    read intervals of S < 5 as a lower bound.

    Args:
        pairs: at least one. groups: from the class counts of a pair to its groups.
        resamples: at least 1. rng: of the bootstrap.

    Returns:
        Figures in the order `top1`, `mean_class`, then the groups; without those that are empty in
        any pair.

    Raises:
        ValueError: no pairs, shapes that do not belong together, values that are not boolean,
            labels out of range, or test sets of one name with different labels.
    """
    check_resamples(resamples, least=1)
    runs = [_checked(pair) for pair in pairs]
    if not runs:
        raise ValueError("there are no pairs of runs; expected at least one")
    S = len(runs)
    weights = np.concatenate([np.ones((1, S)), rng.multinomial(S, np.full(S, 1 / S), resamples)])
    figures: list[Mapping[str, Floats]] = [{}] * S
    for members in _by_test_set(pairs, runs):
        gain = np.stack([runs[s].gain for s in members])
        truth, clips = runs[members[0]].labels, runs[members[0]].clips
        per_class = _resample_classes(gain, truth, clips, resamples, rng)
        for s, drawn in zip(members, per_class, strict=True):
            figures[s] = group_means(drawn, clips, groups(runs[s].counts))
    names = [name for name in figures[0] if all(name in figure for figure in figures)]
    stacked = {name: np.stack([figure[name] for figure in figures], axis=1) for name in names}
    return Differences(
        per_run={name: stacked[name][0] for name in names},
        drawn={name: (weights * stacked[name]).sum(1)[1:] / S for name in names},
    )


def mean_difference(data_sets: Sequence[Differences], name: str) -> Difference | None:
    """The mean over data sets of the mean difference in one figure.

    The data sets count as given, not as a sample of all data sets: each is resampled by itself, so
    the interval tells of other seeds and test clips, not of other data sets.

    Args:
        data_sets: one or more, with equally many resamples, drawn by generators in different
            states.
        name: of the figure.

    Returns:
        None when a data set lacks the figure, or there are none.
    """
    if not data_sets or any(name not in each.per_run for each in data_sets):
        return None
    per_run = [each.per_run[name] for each in data_sets]
    drawn = np.mean([each.drawn[name] for each in data_sets], axis=0)
    low, high = percentile_interval(drawn) or (np.nan, np.nan)
    return Difference(
        value=float(np.mean([values.mean() for values in per_run])),
        interval=(low, high),
        p_value=sign_flip_test(per_run),
        pairs=sum(map(len, per_run)),
        fewest=min(map(len, per_run)),
    )


@dataclass(frozen=True, eq=False)
class _Run:
    """A checked pair: gain `(n,)`, labels `(n,)`, test clips `(K,)`, training clips `(K,)`."""

    gain: Floats
    labels: Ints
    clips: Ints
    counts: Ints


def _checked(pair: RunPair) -> _Run:
    counts = check_counts(pair.class_counts)
    a, b = (check_correct(getattr(pair, name), name) for name in ("correct_a", "correct_b"))
    if a.shape != b.shape or len(a) > 1:
        raise ValueError(
            f"correct_a has shape {np.shape(pair.correct_a)} and correct_b "
            f"{np.shape(pair.correct_b)}; expected (n,) of both, one run on the same clips"
        )
    a, b = a[0], b[0]
    labels = check_labels(pair.labels, len(a), len(counts))
    clips = np.bincount(labels, minlength=len(counts))
    return _Run(b.astype(np.float64) - a, labels, clips, counts)


def _by_test_set(pairs: Sequence[RunPair], runs: Sequence[_Run]) -> list[list[int]]:
    """Positions of the pairs of each test set."""
    sets: dict[str, list[int]] = {}
    for s, pair in enumerate(pairs):
        members = sets.setdefault(pair.test_set, [])
        members.append(s)
        if not np.array_equal(runs[members[0]].labels, runs[s].labels):
            raise ValueError(
                f"pairs {members[0]} and {s} have test set {pair.test_set!r} but different "
                "labels; expected the same clips in the same order: name the test sets differently"
            )
    return list(sets.values())


def _resample_classes(
    gain: Floats, truth: Ints, clips: Ints, resamples: int, rng: np.random.Generator
) -> Floats:
    """Mean gain of each class, as measured and then resampled: `(S, n)` to `(S, 1 + resamples, K)`.

    Clips of a class with the same gain in every run are interchangeable, so that what is drawn is
    how many of each kind there are.
    """
    drawn = np.zeros((len(gain), 1 + resamples, len(clips)))
    for label in np.flatnonzero(clips):
        kinds, number = np.unique(gain[:, truth == label], axis=1, return_counts=True)
        counts = rng.multinomial(clips[label], number / clips[label], resamples)
        shares = np.concatenate([number[None], counts]) / clips[label]
        drawn[:, :, label] = kinds @ shares.T
    return drawn
