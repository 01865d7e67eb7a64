"""How methods stand on one backbone: accuracies, paired gains on a baseline, ranks.

Nothing here averages over different seeds or data sets: means over data sets and ranks are of the
methods that have all data sets, with at least half of the most seeds, over the seeds that all of
these have: a few seeds of one method do not throw away the others'.
"""

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import mode
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapmix.metrics import (
    Difference,
    Differences,
    RankTest,
    RunPair,
    class_groups,
    grouped_difference,
    holm,
    mean_difference,
    rank_test,
)
from shapmix.metrics.groups import Floats, Ints
from shapmix.reporting.benchmark import Benchmark, Cost, Outcome

Figure = Literal["top1", "mean_class", "head", "middle", "tail", "many", "medium", "few"]
HEADLINE: tuple[Figure, Figure] = ("top1", "tail")
BINS = 6  # of ranks of classes by training clips
MEAN = ""  # in the place of a data set: the mean over data sets


@dataclass(frozen=True, eq=False)
class Standings:
    """All methods on one backbone.

    Attributes:
        methods: the best mean overall accuracy first, methods without all data sets last.
        baseline: one of them.
        outcomes: (data set, method) -> seed -> outcome.
        counted: the data sets that means and ranks are over.
        complete: the methods with enough seeds (`has_enough`) on each counted data set.
        common: counted data set -> the seeds that all complete methods have.
        gains: (data set, method) -> differences to the baseline, of all figures and of bins of
            classes ("bin 0" has the most training clips); without those that have no pair.
    """

    backbone: str
    baseline: str
    methods: Sequence[str]
    datasets: Sequence[str]
    outcomes: Mapping[tuple[str, str], Mapping[int, Outcome]]
    counted: Sequence[str]
    complete: Sequence[str]
    common: Mapping[str, Sequence[int]]
    gains: Mapping[tuple[str, str], Differences]

    @property
    def others(self) -> list[str]:
        """All methods but the baseline."""
        return [method for method in self.methods if method != self.baseline]

    @property
    def seeds(self) -> int:
        """How many seeds a method that has enough has on a data set, mostly."""
        enough = [len(runs) for key, runs in self.outcomes.items() if self.has_enough(*key)]
        return mode(sorted(enough, reverse=True))

    def has_enough(self, dataset: str, method: str) -> bool:
        """Whether a method has at least half of the most seeds on a data set, so may be ranked."""
        return _has_enough(self.outcomes, dataset, method)

    @property
    def comparable(self) -> bool:
        """Whether means over data sets and ranks exist: a common seed on every data set."""
        return bool(self.complete) and all(map(len, self.common.values()))

    @property
    def same_clips(self) -> list[list[str]]:
        """Counted data sets that share test clips with others, such as lengths of training.

        They are no independent data sets, as tests and intervals of means take them to be.
        """
        groups: dict[frozenset[str], list[str]] = {}
        for name in self.counted:
            tested = {
                run.test_set
                for (d, _), runs in self.outcomes.items()
                if d == name
                for run in runs.values()
            }
            groups.setdefault(frozenset(tested), []).append(name)
        return [names for names in groups.values() if len(names) > 1]

    @property
    def unpaired(self) -> int:
        """How many runs have a seed of the baseline's, but other test clips or class counts."""
        return sum(
            len(runs.keys() & self.outcomes.get((name, self.baseline), {}).keys())
            - len(self.pairs(name, method))
            for (name, method), runs in self.outcomes.items()
        )

    def values(self, dataset: str, method: str, figure: Figure) -> list[float]:
        """The figure of each seed; empty when the group is, for any of them."""
        runs = self.outcomes.get((dataset, method), {}).values()
        found = [run.accuracies[figure] for run in runs if figure in run.accuracies]
        return found if len(found) == len(runs) else []

    def scores(self, figure: Figure) -> Floats | None:
        """`(data sets, complete methods)`: means over the common seeds; None where there are none.

        None also when the group is empty on a data set.
        """
        return self._over_seeds(lambda run: run.accuracies.get(figure, np.nan))

    def cost(self, name: Cost) -> Floats | None:
        """`(data sets, complete methods)`: means over the common seeds."""
        return self._over_seeds(lambda run: run.costs[name])

    def ranks(self, figure: Figure) -> RankTest | None:
        """Ranks of the complete methods over data sets."""
        scores = self.scores(figure)
        return None if scores is None else rank_test(scores)

    def gain(self, dataset: str, method: str, figure: str) -> Difference | None:
        """Of a method on the baseline, on one data set or, for `MEAN`, the mean of the counted."""
        datasets = self.counted if dataset == MEAN else [dataset]
        if any((name, method) not in self.gains for name in datasets):
            return None
        return mean_difference([self.gains[name, method] for name in datasets], figure)

    def adjusted(self, dataset: str, figure: str) -> dict[str, float]:
        """Holm-adjusted p-values of all methods' gains in a figure on one data set (or `MEAN`)."""
        gains = {method: self.gain(dataset, method, figure) for method in self.others}
        p_values = {
            method: gain.p_value
            for method, gain in gains.items()
            if gain is not None and gain.p_value is not None
        }
        adjusted = holm(list(p_values.values())).tolist()
        return dict(zip(p_values, adjusted, strict=True))

    def time_ratio(self, method: str) -> float | None:
        """Training time of the baseline's: geometric mean over pairs of one seed and machine."""
        ratios = [
            run.costs["train_seconds"] / base[seed].costs["train_seconds"]
            for dataset in self.datasets
            for base in [self.outcomes.get((dataset, self.baseline), {})]
            for seed, run in self.outcomes.get((dataset, method), {}).items()
            if seed in base and run.machine and run.machine == base[seed].machine
        ]
        known = [ratio for ratio in ratios if np.isfinite(ratio) and ratio > 0]
        return float(np.exp(np.mean(np.log(known)))) if known else None

    def class_points(self, dataset: str, method: str) -> tuple[Floats, Floats]:
        """Training clips and gain of the classes by rank, means over seeds: `(K,)` each.

        Classes are taken by their rank among training counts, and so are the same ones in every run
        unless the seed permutes the order of classes. NaN for classes without test clips.
        """
        counts, gains = [], []
        for pair in self.pairs(dataset, method):
            own = np.asarray(pair.class_counts)
            order = np.argsort(-own, kind="stable")
            clips = np.bincount(pair.labels, minlength=len(order))
            right = pair.correct_b.astype(float) - pair.correct_a
            gain = np.bincount(pair.labels, right, len(order)) / np.where(clips, clips, np.nan)
            counts.append(own[order])
            gains.append(gain[order])
        return np.mean(counts, axis=0), np.mean(gains, axis=0)

    def class_bins(self, dataset: str, method: str) -> list[tuple[float, Difference]]:
        """Training clips (geometric mean) and gain of each bin of classes that has test clips."""
        parts = _split(self.class_points(dataset, method)[0])
        gains = [self.gain(dataset, method, f"bin {i}") for i in range(len(parts))]
        return [
            (float(np.exp(np.log(part).mean())), gain)
            for part, gain in zip(parts, gains, strict=True)
            if gain is not None
        ]

    def pairs(self, dataset: str, method: str) -> list[RunPair]:
        """The baseline's runs and the method's that may be compared, by seed."""
        base = self.outcomes.get((dataset, self.baseline), {})
        runs = self.outcomes.get((dataset, method), {})
        found = [run.pair_with(base[seed]) for seed, run in sorted(runs.items()) if seed in base]
        return [pair for pair in found if pair is not None]

    def _over_seeds(self, value: Callable[[Outcome], float]) -> Floats | None:
        if not self.comparable:
            return None
        means = np.array(
            [
                [
                    np.mean([value(self.outcomes[name, method][seed]) for seed in seeds])
                    for method in self.complete
                ]
                for name, seeds in self.common.items()
            ]
        )
        return means if np.isfinite(means).all() else None


def make_standings(
    benchmark: Benchmark,
    backbone: str,
    baseline: str,
    *,
    resamples: int,
    apart: Collection[str] = (),
) -> Standings:
    """The standings on one backbone; `apart` are data sets that means and ranks leave out."""
    outcomes = {key[1:]: runs for key, runs in benchmark.outcomes.items() if key[0] == backbone}
    datasets = [name for name in benchmark.names(1) if any(key[0] == name for key in outcomes)]
    methods = [name for name in benchmark.names(2) if any(key[1] == name for key in outcomes)]
    counted = [name for name in datasets if name not in apart] or datasets
    complete = [m for m in methods if all(_has_enough(outcomes, name, m) for name in counted)]
    seeds = {name: [set(outcomes[name, m]) for m in complete] for name in counted}
    standings = Standings(
        backbone=backbone,
        baseline=baseline,
        methods=methods,
        datasets=datasets,
        outcomes=outcomes,
        counted=counted,
        complete=complete,
        common={name: sorted(set.intersection(*each)) for name, each in seeds.items() if each},
        gains={},
    )
    scores = standings.scores("top1")
    if scores is not None:
        best_first = [complete[i] for i in np.argsort(-scores.mean(0), kind="stable")]
        methods = [*best_first, *(m for m in methods if m not in complete)]
    return replace(standings, methods=methods, gains=_gains(standings, resamples))


def _has_enough(
    outcomes: Mapping[tuple[str, str], Mapping[int, Outcome]], dataset: str, method: str
) -> bool:
    most = max(len(runs) for (name, _), runs in outcomes.items() if name == dataset)
    return 2 * len(outcomes.get((dataset, method), {})) >= most


def _gains(standings: Standings, resamples: int) -> dict[tuple[str, str], Differences]:
    """The differences of all methods to the baseline, on each data set."""
    gains = {}
    for name, method in product(standings.datasets, standings.others):
        if pairs := standings.pairs(name, method):
            # A stream for each data set, which hangs on nothing else that is in the table.
            rng = np.random.default_rng(zlib.crc32(f"{standings.backbone}/{name}".encode()))
            gains[name, method] = grouped_difference(pairs, _groups, resamples=resamples, rng=rng)
    return gains


def _groups(counts: Ints) -> dict[str, Ints]:
    """The usual groups, and bins of nearly equal size by rank of training clips."""
    parts = _split(np.argsort(-counts, kind="stable"))
    return class_groups(counts) | {f"bin {i}": part for i, part in enumerate(parts)}


def _split(values: NDArray[Any]) -> list[NDArray[Any]]:
    return np.array_split(values, min(BINS, len(values)))
