"""The results of a benchmark, read from its table: folds pooled, what failed, how it was made."""

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shapmix.metrics import RunPair, class_groups
from shapmix.metrics.groups import group_means
from shapmix.reporting.files import RunError
from shapmix.reporting.runs import Which

Cost = Literal["train_seconds", "clips_per_second", "peak_memory_mb", "parameters"]
COSTS: tuple[Cost, ...] = ("train_seconds", "clips_per_second", "peak_memory_mb", "parameters")
_WORDS = ("key", "method", "dataset", "backbone", "fold", "status", "error", "test_names_hash")
_MADE = ("commit", "torch", "machine", "finished")
_LISTS = ("class_names", "class_counts", "labels")
_PREDICTIONS: Mapping[Which, str] = {"last": "predictions", "best": "predictions_best"}

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one method made of one data set with one seed, all folds together.

    Attributes:
        labels, correct: `(n,)` of all test clips.
        class_counts: `(K,)` training clips, the mean over folds.
        test_set: names the test clips.
        machine: on which all folds ran; empty when they ran on several.
        accuracies: name -> fraction; without empty groups.
        costs: seconds are the sum over folds, memory is the most, the others are means.
    """

    labels: Any
    correct: Any
    class_counts: Any
    test_set: str
    machine: str
    accuracies: Mapping[str, float]
    costs: Mapping[Cost, float]

    def pair_with(self, baseline: "Outcome") -> RunPair | None:
        """Both runs as a pair; None where test clips or training counts differ."""
        if self.test_set != baseline.test_set or not (
            np.array_equal(self.labels, baseline.labels)
            and np.array_equal(self.class_counts, baseline.class_counts)
        ):
            return None
        return RunPair(
            baseline.correct, self.correct, self.labels, self.class_counts, self.test_set
        )


Key = tuple[str, str, str]  # backbone, data set, method
Keys = Collection[str] | Mapping[str, Mapping[str, str]]  # of tasks; or key -> how it is called


@dataclass(frozen=True, eq=False)
class Benchmark:
    """All results of a table.

    Attributes:
        outcomes: (backbone, data set, method) -> seed -> outcome.
        failed: the rows of tasks that failed.
        made: commits, versions of torch, machines and times of finishing, each without repetition.
        tasks: how many succeeded.
        warnings: what was left out, and why.
    """

    outcomes: Mapping[Key, Mapping[int, Outcome]]
    failed: Sequence[Row]
    made: Mapping[str, Sequence[str]]
    tasks: int
    warnings: tuple[str, ...]

    def names(self, part: int) -> list[str]:
        """Backbones (0), data sets (1) or methods (2), in the order of the table."""
        return list(dict.fromkeys(key[part] for key in self.outcomes))


def read_benchmark(path: Path, which: Which = "last", keys: Keys | None = None) -> Benchmark:
    """Read the Parquet table of a benchmark.

    Of several results of the same method, data set, backbone, seed and fold the latest counts. Runs
    that lack folds that others have are left out. Both are said in `warnings`.

    Args:
        which: the predictions of the last epoch, or of the epoch selected on validation clips.
        keys: of the tasks that count; all by default. A table may have tasks of older settings, or
            of another suite with other names for the same, so a mapping says how each is called:
            method, dataset, backbone and fold. All the folds that it names are needed, too.

    Raises:
        RunError: the file is missing, no such table, or has no successful task; or a run has no
            predictions of the selected epoch.
        ImportError: pyarrow is not installed.
    """
    everything = _read_rows(path, which)
    called = keys if isinstance(keys, Mapping) else {}
    chosen = [
        {**row, **called.get(row["key"], {})}
        for row in everything
        if keys is None or row["key"] in keys
    ]
    rows, repeated = _latest(chosen)
    passed = [row for row in rows if row["status"] == "ok"]
    if not passed:
        raise RunError(f"{path} has no successful task: let the benchmark run, then look again")
    runs: dict[tuple[Key, int], list[Row]] = {}
    for row in passed:
        runs.setdefault((_key(row), row["seed"]), []).append(row)
    outcomes: dict[Key, dict[int, Outcome]] = {}
    lacking = 0
    folds = _folds([*rows, *called.values()])
    for (key, seed), members in runs.items():
        if {row["fold"] for row in members} == folds[key[:2]]:
            outcomes.setdefault(key, {})[seed] = _pool(members, which)
        else:
            lacking += 1
    left_out = {
        "results of other tasks or settings": len(everything) - len(chosen),
        "earlier results of tasks that were run again": repeated,
        "runs that lack folds which others have": lacking,
    }
    if not outcomes:
        raise RunError(f"{path} has no run with all its folds: let the benchmark run on")
    return Benchmark(
        outcomes=outcomes,
        failed=[row for row in rows if row["status"] != "ok"],
        made={name: sorted({row[name] for row in passed if row[name]}) for name in _MADE},
        tasks=len(passed),
        warnings=tuple(f"left out: {n} {what}." for what, n in left_out.items() if n),
    )


def _read_rows(path: Path, which: Which) -> list[Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError(
            "a leaderboard needs pyarrow: pip install pyarrow (or shapmix[train])"
        ) from error
    needed = [*_WORDS, "seed", *_LISTS, _PREDICTIONS[which], *COSTS, *_MADE]
    try:
        content = io.BytesIO(path.read_bytes())  # another process may replace the file meanwhile
        missing = sorted(set(needed) - set(pq.read_schema(content).names))
        if missing:
            raise RunError(
                f"{path} has no column {', '.join(missing)}: give the table of results that "
                "`shapmix benchmark` writes, of this version"
            )
        rows: list[Row] = pq.read_table(content, columns=needed).to_pylist()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error}): give a table of results") from error
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path} is no Parquet table ({reason}): give a table of results") from error
    return rows


def _key(row: Row) -> Key:
    return row["backbone"], row["dataset"], row["method"]


def _latest(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The row of each task that finished last, and how many others there are."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        task = (*_key(row), row["seed"], row["fold"])
        if task not in found or found[task]["finished"] <= row["finished"]:
            found[task] = row
    return list(found.values()), len(rows) - len(found)


def _folds(rows: Iterable[Row]) -> dict[tuple[str, ...], set[str]]:
    """The folds of each (backbone, data set), failed ones too."""
    folds: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        folds.setdefault(_key(row)[:2], set()).add(row["fold"])
    return folds


def _pool(rows: Sequence[Row], which: Which) -> Outcome:
    """One outcome of the folds of a run."""
    rows = sorted(rows, key=lambda row: str(row["fold"]))
    for row in rows:
        _check(row, _PREDICTIONS[which])
    labels = np.concatenate([np.asarray(row["labels"], dtype=np.int64) for row in rows])
    guessed = np.concatenate([np.asarray(row[_PREDICTIONS[which]], np.int64) for row in rows])
    counts = np.maximum(np.rint(np.mean([row["class_counts"] for row in rows], axis=0)), 1)
    clips = np.bincount(labels, minlength=len(counts))
    right = np.bincount(labels[labels == guessed], minlength=len(counts))
    means = group_means(right / np.maximum(clips, 1), clips, class_groups(counts))
    return Outcome(
        labels=labels,
        correct=labels == guessed,
        class_counts=counts.astype(np.int64),
        test_set=" ".join(f"{row['fold']}:{row['test_names_hash']}" for row in rows),
        machine=machines.pop()
        if len(machines := {row["machine"] or "" for row in rows}) == 1
        else "",
        accuracies={name: float(value) for name, value in means.items()},
        costs={name: _cost([row[name] for row in rows], name) for name in COSTS},
    )


def _cost(folds: Sequence[float | None], name: Cost) -> float:
    """A cost of a run from those of its folds; NaN where one is not known."""
    values = np.array(folds, dtype=np.float64)  # None becomes NaN
    if name == "train_seconds":
        return float(values.sum())
    return float(values.max() if name == "peak_memory_mb" else values.mean())


def _check(row: Row, predictions: str) -> None:
    """That labels, predictions and class counts belong together."""
    labels, guessed, classes = (row[name] or () for name in ("labels", predictions, "class_counts"))
    if len(labels) and len(labels) == len(guessed) and max(labels) < len(classes):
        return
    where = f"{row['method']} on {row['dataset']} ({row['backbone']}, seed {row['seed']})"
    if len(labels) and not len(guessed):
        raise RunError(
            f"{where} has no {predictions}: it selected no epoch; make the leaderboard of the last "
            "epoch instead"
        )
    raise RunError(
        f"{where} has {len(labels)} labels, {len(guessed)} {predictions} and {len(classes)} class "
        "counts, which do not belong together: run the task again"
    )
