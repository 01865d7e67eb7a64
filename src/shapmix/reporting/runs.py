"""The run folder: what training leaves behind and what reports are made of.

A run folder holds

* `config.yaml`: the resolved configuration, a mapping with keys such as `archive`, `split`,
  `mixer`, `loss`, `model`, `seed`, `epochs`;
* `environment.json`: a mapping, where and with which versions the run was made;
* `data_profile.json`: a mapping, what it was trained on: `archive`, `source`, `units`, `layout`,
  `class_names`, `split` (how it was made), `clips` (part -> K counts), and `findings`, what is
  suspicious about the data: a list of `{"kind": "error", "warning" or "note", "title", "text"}`;
* `history.csv`: a row for each epoch with the columns `epoch`, `lr`, `train_loss`, `val_top1`,
  `val_mean_class`, empty where not known;
* `metrics.json`: `{"format": 1, "class_names": [K names], "class_counts": [K training clips],
  "last": {"epoch": int, "test": E, "validation": E or null}, "best": the same or null (the epoch
  selected on the validation part), "cost": {"train_seconds": float, "clips_per_second": float,
  "parameters": int}}`, where E is what `shapmix.metrics.evaluate` returns;
* `scores.npz`, for the n test clips: `names (n,)` unicode, `labels (n,)` int64,
  `logits_last (n, K)` float32, optionally `logits_best (n, K)`, and `class_counts (K,)` int64;
* `saliency.npz`, with mixers that learn saliency, for R refreshes: `epochs (R,)`,
  `scores (R, K, Q)`, `coalitions (Q, P)` bool, `part_names (P,)` unicode and, when exact,
  `values (R, K, 2^P)` in bit-mask order;
* `explanation.npz`, what carries each class in the last epoch, on a few training clips of each:
  `part_names (P,)` unicode, `clips (K,)` int64, Shapley values `parts (K, P)`, generalised ones of
  all `coalitions (Q, P)` bool but the empty one `coalition_values (K, Q)`, `interactions
  (K, P, P)` of pairs of parts; and standard errors over clips of the three, `part_errors`,
  `coalition_errors`, `interaction_errors`, NaN with fewer than two clips;
* `examples.arrow`: clips and mixes to look at, see `shapmix.reporting.examples`.

Runs of older versions, second stages and ensembles may lack the history and what comes after the
scores.

Nothing in it is pickled, and nothing pickled is read.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts.layout import MAX_PARTS, MIN_PARTS
from shapmix.metrics import ACCURACIES
from shapmix.reporting.files import (
    RunError,
    damaged,
    read_arrays,
    read_json,
    read_text,
    read_yaml,
)

FORMAT = 1
Which = Literal["last", "best"]  # epoch: the last one, or the one selected on validation clips


@dataclass(frozen=True)
class Result:
    """The evaluations of one epoch.

    Attributes:
        epoch: number of the epoch.
        test: what `shapmix.metrics.evaluate` returns, of the test clips.
        validation: the same of the validation clips; None without any.
    """

    epoch: int
    test: Mapping[str, Any]
    validation: Mapping[str, Any] | None


@dataclass(frozen=True)
class Run:
    """A finished run; its arrays are read when asked for (`load_scores`, `load_saliency`).

    Attributes:
        path: the run folder.
        config: the resolved configuration. environment: versions and machine.
        class_names: K names. class_counts: training clips of each class.
        last: result of the last epoch. best: of the epoch selected on validation clips, or None.
        cost: `train_seconds`, `clips_per_second`, `parameters`.
    """

    path: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    last: Result
    best: Result | None
    cost: Mapping[str, float]

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name

    def result(self, which: Which = "last") -> Result:
        """The result of the last or of the selected epoch.

        Raises:
            RunError: there is no selected epoch.
        """
        result = self.best if which == "best" else self.last
        if result is None:
            raise RunError(
                f"{self.path} selected no epoch (it has no validation clips): report the last one"
            )
        return result


@dataclass(frozen=True)
class Scores:
    """Logits of the test clips.

    Attributes:
        names: `(n,)` clip names. labels: `(n,)` int64.
        logits_last: `(n, K)` float32. logits_best: the same of the selected epoch, or None.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    logits_last: NDArray[np.float32]
    logits_best: NDArray[np.float32] | None

    def correct(self, which: Which = "last") -> NDArray[np.bool_]:
        """Which clips are recognised: `(n,)`."""
        logits = self.logits_best if which == "best" else self.logits_last
        if logits is None:
            raise RunError("scores.npz has no logits_best: compare the last epochs instead")
        right: NDArray[np.bool_] = logits.argmax(1) == self.labels
        return right


@dataclass(frozen=True)
class Saliency:
    """How saliency developed over R refreshes.

    Attributes:
        epochs: `(R,)`. scores: `(R, K, Q)`. coalitions: `(Q, P)` bool. part_names: P names.
        values: `(R, K, 2^P)` mean value of every coalition in bit-mask order; None when estimated
            by sampling.
    """

    epochs: NDArray[np.int64]
    scores: NDArray[np.float32]
    coalitions: NDArray[np.bool_]
    part_names: tuple[str, ...]
    values: NDArray[np.float32] | None


@dataclass(frozen=True)
class Explanation:
    """What carries each class in the last epoch, by Shapley values of a few training clips.

    Attributes:
        part_names: P names. clips: `(K,)` clips of each class that were looked at.
        parts: `(K, P)` Shapley values of single parts. coalitions: `(Q, P)` bool, all but the empty
            one. coalition_values: `(K, Q)` generalised Shapley values.
        interactions: `(K, P, P)` Shapley interaction indices, symmetric with zero diagonal.
        part_errors, coalition_errors, interaction_errors: standard errors over clips; NaN with
            fewer than two.
    """

    part_names: tuple[str, ...]
    clips: NDArray[np.int64]
    parts: NDArray[np.float32]
    part_errors: NDArray[np.float32]
    coalitions: NDArray[np.bool_]
    coalition_values: NDArray[np.float32]
    coalition_errors: NDArray[np.float32]
    interactions: NDArray[np.float32]
    interaction_errors: NDArray[np.float32]


def load_run(path: str | Path) -> Run:
    """Read configuration and metrics of a run.

    Raises:
        RunError: the folder or one of its files is missing or damaged.
        ImportError: PyYAML is not installed.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"{path} is no folder; expected a run folder as `shapmix train` makes it")
    metrics = read_json(path / "metrics.json")
    if metrics.get("format") != FORMAT:
        raise RunError(
            f"{path / 'metrics.json'} has format {metrics.get('format')!r}; this version reads "
            f"format {FORMAT}: use the version that made the run, or make the run again"
        )
    config = read_yaml(path / "config.yaml")
    environment = read_json(path / "environment.json")
    try:
        run = Run(
            path=path,
            config=config,
            environment=environment,
            class_names=tuple(map(str, metrics["class_names"])),
            class_counts=tuple(map(int, metrics["class_counts"])),
            last=_result(metrics["last"]),
            best=None if metrics["best"] is None else _result(metrics["best"]),
            cost=dict(metrics["cost"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path / "metrics.json", repr(error)) from error
    _check_classes(run)
    return run


def load_scores(run: Run) -> Scores:
    """Read the logits of the test clips.

    Raises:
        RunError: `scores.npz` is missing or damaged, or does not belong to the metrics.
    """
    path = run.path / "scores.npz"
    arrays = read_arrays(path, ("names", "labels", "logits_last"))
    n, K = arrays["labels"].size, len(run.class_names)
    shapes: dict[str, tuple[int, ...]] = {"names": (n,), "labels": (n,)}
    shapes |= {name: (n, K) for name in arrays if name.startswith("logits_")}
    _check_shapes(path, arrays, shapes)
    return Scores(
        names=arrays["names"],
        labels=arrays["labels"],
        logits_last=arrays["logits_last"],
        logits_best=arrays.get("logits_best"),
    )


def load_saliency(run: Run) -> Saliency:
    """Read how saliency developed.

    Raises:
        RunError: `saliency.npz` is missing (the mixer learns no saliency) or damaged.
    """
    path = run.path / "saliency.npz"
    if not path.exists():
        raise RunError(f"{path} does not exist: only runs with a saliency-guided mixer have one")
    arrays = read_arrays(path, ("epochs", "scores", "coalitions", "part_names"))
    R, K, P = arrays["epochs"].size, len(run.class_names), _check_parts(path, arrays)
    Q = arrays["coalitions"].size // P
    shapes = {"scores": (R, K, Q), "coalitions": (Q, P), "values": (R, K, 2**P)}
    _check_shapes(path, arrays, {name: shapes[name] for name in shapes if name in arrays})
    if R == 0:
        raise RunError(f"{path} is empty: no epoch has ended, or the mixer was never refreshed")
    return Saliency(
        epochs=arrays["epochs"],
        scores=arrays["scores"],
        coalitions=arrays["coalitions"].astype(bool),
        part_names=tuple(map(str, arrays["part_names"])),
        values=arrays.get("values"),
    )


def load_explanation(run: Run) -> Explanation:
    """Read what carries each class.

    Raises:
        RunError: `explanation.npz` is missing or damaged, or does not belong to the metrics.
    """
    path = run.path / "explanation.npz"
    arrays = read_arrays(path, tuple(field.name for field in fields(Explanation)))
    K, P = len(run.class_names), _check_parts(path, arrays)
    Q = 2**P - 1
    shapes: dict[str, tuple[int, ...]] = {"clips": (K,), "coalitions": (Q, P)}
    for what, shape in (("part", (K, P)), ("coalition", (K, Q)), ("interaction", (K, P, P))):
        values = "coalition_values" if what == "coalition" else f"{what}s"
        shapes |= {values: shape, f"{what}_errors": shape}
    _check_shapes(path, arrays, shapes)
    arrays["coalitions"] = arrays["coalitions"].astype(bool)
    for name in ("parts", "coalition_values", "interactions"):
        if not np.isfinite(arrays[name]).all():
            raise damaged(path, f"{name} has values that are not finite")
    names = tuple(map(str, arrays.pop("part_names")))
    return Explanation(part_names=names, **{name: arrays[name] for name in shapes})


def load_history(run: Run) -> dict[str, NDArray[np.float64]]:
    """Read what was logged of R epochs: column -> `(R,)`, NaN where empty, `epoch` among them.

    Raises:
        RunError: `history.csv` is missing or damaged.
    """
    path = run.path / "history.csv"
    lines = list(csv.reader(io.StringIO(read_text(path))))
    if not lines or "epoch" not in lines[0] or len(set(lines[0])) != len(lines[0]):
        raise damaged(path, "no column epoch, or two of one name")
    try:
        rows = [[float(cell or "nan") for cell in line] for line in lines[1:]]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(lines[0]))
    except ValueError as error:
        raise damaged(path, str(error)) from error
    return dict(zip(lines[0], table.T, strict=True))


def _check_parts(path: Path, arrays: Mapping[str, NDArray[Any]]) -> int:
    """The number of parts P, which a layout can have."""
    P = arrays["part_names"].size
    if not MIN_PARTS <= P <= MAX_PARTS:
        raise damaged(path, f"{P} parts; expected {MIN_PARTS} to {MAX_PARTS}")
    return P


def _result(entry: Mapping[str, Any]) -> Result:
    for part in ("test", "validation"):
        figures = entry[part]
        if figures is not None or part == "test":
            missing = {*ACCURACIES, "ece", "intervals", "per_class", "confusion"} - set(figures)
            if missing:
                raise KeyError(f"{part} without {', '.join(sorted(missing))}")
    return Result(int(entry["epoch"]), entry["test"], entry["validation"])


def _check_classes(run: Run) -> None:
    K = len(run.class_names)
    sizes = {len(run.class_counts)}
    for result in (run.last, run.best):
        sizes |= {len(result.test["per_class"]), len(result.test["confusion"])} if result else set()
    if sizes != {K}:
        found = f"{K} class names, but figures of {sorted(sizes)} classes"
        raise damaged(run.path / "metrics.json", found)


def _check_shapes(
    path: Path, arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            found = f"{name} has shape {arrays[name].shape}; expected {shape}"
            raise damaged(path, found)
