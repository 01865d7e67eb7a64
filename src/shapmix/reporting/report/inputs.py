"""What the sections of the report are made of: the files of each run, read once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapmix.reporting.examples import Example, load_examples
from shapmix.reporting.files import RunError, read_json
from shapmix.reporting.methods import Method, group_methods
from shapmix.reporting.runs import (
    Explanation,
    Result,
    Run,
    Saliency,
    Scores,
    Which,
    load_explanation,
    load_history,
    load_run,
    load_saliency,
    load_scores,
)


@dataclass(frozen=True, eq=False)
class ReportRun:
    """A run and everything in its folder that the report shows.

    Attributes:
        run: configuration and metrics. which: the epoch reported on.
        label: a short name, unique among the runs of the report.
        scores: of the test clips.
        saliency, explanation, examples, history, profile: None where the run has none; what it
            could have but has not is told by `missing`.
    """

    run: Run
    which: Which
    label: str
    scores: Scores
    saliency: Saliency | None
    explanation: Explanation | None
    examples: tuple[Example, ...] | None
    history: Mapping[str, NDArray[np.float64]] | None
    profile: Mapping[str, Any] | None

    @property
    def result(self) -> Result:
        """The result of the epoch reported on."""
        return self.run.result(self.which)

    @property
    def test(self) -> Mapping[str, Any]:
        """Figures of the test clips at that epoch, as `shapmix.metrics.evaluate` returns them."""
        return self.result.test

    @property
    def logits(self) -> NDArray[np.float32]:
        """`(n, K)` of that epoch."""
        best = self.scores.logits_best
        return best if self.which == "best" and best is not None else self.scores.logits_last

    @property
    def seed(self) -> Any:
        """Seed of the training."""
        return self.run.config.get("seed")

    def logged(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Epochs at which a column of the history was logged, and its values."""
        if self.history is None or name not in self.history:
            return np.empty(0, np.int64), np.empty(0)
        values = np.asarray(self.history[name], dtype=np.float64)
        known = np.isfinite(values)
        return np.asarray(self.history["epoch"], dtype=np.int64)[known], values[known]


@dataclass(frozen=True, eq=False)
class ReportMethod:
    """Runs that differ only in their seeds.

    Attributes:
        name: label of its only run, or what tells it from the other methods.
        runs: at least one. number: place among the methods, which decides its colour.
    """

    name: str
    runs: tuple[ReportRun, ...]
    number: int

    @property
    def tests(self) -> tuple[Mapping[str, Any], ...]:
        """Figures of the test clips of each run."""
        return tuple(run.test for run in self.runs)

    def mean(self, name: str) -> float | None:
        """Mean over the runs of an accuracy; None when it is for any."""
        values = [test[name] for test in self.tests]
        return None if None in values else float(np.mean(values))

    def accuracies(self) -> NDArray[np.float64]:
        """Mean accuracy of each class over the runs: `(K,)`, NaN without test clips."""
        rows = [[row["accuracy"] for row in test["per_class"]] for test in self.tests]
        mean: NDArray[np.float64] = np.array(rows, dtype=np.float64).mean(0)
        return mean

    def confusion(self) -> NDArray[np.int64]:
        """Test clips `(K, K)`, true class by recognised class, summed over the runs."""
        total: NDArray[np.int64] = np.sum([t["confusion"] for t in self.tests], 0, np.int64)
        return total


def load_inputs(folders: Sequence[str | Path], which: Which = "last") -> tuple[ReportRun, ...]:
    """Read run folders.

    Raises:
        RunError: a folder is missing, damaged or given twice, has no such epoch, or has classes
            that differ from those of the first.
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise RunError("there are no runs to report on: give at least one run folder")
    twice = [str(p) for p, n in Counter(p.resolve() for p in paths).items() if n > 1]
    if twice:
        raise RunError(f"{twice[0]} is given twice: name each run folder once")
    runs = [load_run(path) for path in paths]
    _check_same_classes(runs)
    labels = _labels(runs)
    return tuple(_load(run, which, label) for run, label in zip(runs, labels, strict=True))


def methods_of(runs: Sequence[ReportRun]) -> tuple[ReportMethod, ...]:
    """Runs as methods, in order of first appearance: seeds of one method together."""
    by_path = {run.run.path: run for run in runs}
    methods = group_methods([run.run for run in runs])
    single = all(len(method.runs) == 1 for method in methods)
    labels = [by_path[method.runs[0].path].label for method in methods]
    names = labels if single else [_spoken(method.name) for method in methods]
    twice = len(set(names)) < len(names)  # told apart only by settings that one does not have
    return tuple(
        ReportMethod(
            name=f"{name} ({label})" if twice else name,
            runs=tuple(by_path[run.path] for run in method.runs),
            number=number,
        )
        for number, (name, label, method) in enumerate(zip(names, labels, methods, strict=True))
    )


def plain_methods(methods: Sequence[ReportMethod]) -> tuple[Method, ...]:
    """The same as the comparing functions of `shapmix.reporting` take them."""
    return tuple(Method(method.name, tuple(run.run for run in method.runs)) for method in methods)


def _spoken(name: str) -> str:
    """A method that only its mixer names has a name even without one."""
    return "no mixing" if name == "none" else name


def _load(run: Run, which: Which, label: str) -> ReportRun:
    run.result(which)
    profile = run.path / "data_profile.json"
    return ReportRun(
        run=run,
        which=which,
        label=label,
        scores=load_scores(run),
        saliency=load_saliency(run) if (run.path / "saliency.npz").exists() else None,
        explanation=load_explanation(run) if (run.path / "explanation.npz").exists() else None,
        examples=load_examples(run) if (run.path / "examples.arrow").exists() else None,
        history=load_history(run) if (run.path / "history.csv").exists() else None,
        profile=read_json(profile) if profile.exists() else None,
    )


def _labels(runs: Sequence[Run]) -> list[str]:
    """Names of the folders; of those that are equal, as much of the path as tells them apart."""
    labels = [run.name for run in runs]
    if len(set(labels)) == len(labels):
        return labels
    return ["/".join(run.path.resolve().parts[-2:]) for run in runs]


def _check_same_classes(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.class_names != first.class_names:
            raise RunError(
                f"{first.path} and {run.path} have different classes ({len(first.class_names)} and "
                f"{len(run.class_names)}, or other names or another order): their figures mean "
                "different things; make a report of each"
            )
