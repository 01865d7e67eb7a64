"""What may be compared: clips paired by name, runs by seed, and warnings where neither fits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapmix.metrics import paired_difference
from shapmix.reporting.methods import Method
from shapmix.reporting.runs import Run, Which, load_scores

# Settings that must not differ between methods: what is learned from, and with what budget.
SAME_FOR_ALL = (
    "archive",
    "split",
    "num_frames",
    "num_persons",
    "epochs",
    "batch_size",
    "devices",
    "model",
    "model_options",
    "init_from",
)

Gain = Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Answers:
    """Which test clips a run recognises, in order of clip names.

    Attributes:
        names: `(n,)`, ascending. labels: `(n,)`. correct: `(n,)` bool.
        class_counts: training clips of each class.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    correct: NDArray[np.bool_]
    class_counts: tuple[int, ...]

    def same_clips(self, other: "Answers") -> bool:
        """Whether both runs were tested on the same clips."""
        return np.array_equal(self.names, other.names) and np.array_equal(self.labels, other.labels)


def load_answers(methods: Sequence[Method], which: Which) -> dict[Path, Answers]:
    """The answers of all runs, by run folder."""
    return {run.path: _answers(run, which) for method in methods for run in method.runs}


def common_seeds(first: Method, other: Method) -> list[Any]:
    """Seeds that both methods have, in the order of the first."""
    theirs = other.by_seed()
    return [seed for seed in first.by_seed() if seed in theirs]


def paired_gain(
    first: Method, other: Method, answers: Mapping[Path, Answers], *, resamples: int, seed: int
) -> Gain | None:
    """`paired_difference` of two methods.

    None without a common seed, or where test clips or training counts differ.
    """
    seeds = common_seeds(first, other)
    a, b = ([answers[method.by_seed()[s].path] for s in seeds] for method in (first, other))
    if not seeds or not all(_comparable(a[0], each) for each in a + b):
        return None
    return paired_difference(
        np.stack([each.correct for each in a]),
        np.stack([each.correct for each in b]),
        a[0].labels,
        a[0].class_counts,
        resamples=resamples,
        seed=seed,
    )


def find_warnings(methods: Sequence[Method], answers: Mapping[Path, Answers]) -> tuple[str, ...]:
    """Why the runs may not be comparable, a sentence each."""
    runs = [run for method in methods for run in method.runs]
    found = [
        f"runs differ in {key} ({', '.join(values)}), so not in the method alone."
        for key in SAME_FOR_ALL
        if len(values := list(dict.fromkeys(_text(run.config.get(key)) for run in runs))) > 1
    ]
    epochs = dict.fromkeys(str(run.last.epoch) for run in runs)
    if len(epochs) > 1:
        found.append(f"runs ended at different epochs ({', '.join(epochs)}).")
    one, *others = (answers[run.path] for run in runs)
    if not all(one.same_clips(other) for other in others):
        found.append("runs were tested on different clips; their figures cannot be compared.")
    if len({run.class_counts for run in runs}) > 1:
        found.append("runs differ in training clips per class; many, few, ... mean other classes.")
    return (*found, *_seed_warnings(methods))


def _answers(run: Run, which: Which) -> Answers:
    scores = load_scores(run)
    order = np.argsort(scores.names)
    return Answers(
        names=scores.names[order],
        labels=scores.labels[order],
        correct=scores.correct(which)[order],
        class_counts=run.class_counts,
    )


def _comparable(one: Answers, other: Answers) -> bool:
    return one.class_counts == other.class_counts and one.same_clips(other)


def _seed_warnings(methods: Sequence[Method]) -> list[str]:
    found = []
    for method in methods:
        seeds = Counter(run.config.get("seed") for run in method.runs)
        twice = [str(seed) for seed, number in seeds.items() if number > 1]
        if twice:
            found.append(f"{method.name} has more than one run of seed {', '.join(twice)}.")
    if any(set(method.by_seed()) != set(methods[0].by_seed()) for method in methods):
        found.append("methods have different seeds; gains are those of the seeds in common.")
    return found


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
