"""Tables of one run: its headline figures, and its classes one by one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shapmix.counts import FEW_BELOW, MANY_ABOVE
from shapmix.metrics import ACCURACIES, SHOTS, class_groups
from shapmix.reporting.grid import Cell, Name, Number, Table
from shapmix.reporting.runs import Result, Run

TITLES: Mapping[str, str] = {
    "top1": "Top-1",
    "top5": "Top-5",
    "mean_class": "Mean class",
    "macro_f1": "Macro F1",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "head": "Head",
    "middle": "Middle",
    "tail": "Tail",
    "ece": "ECE",
}


def run_table(run: Run) -> Table:
    """The headline figures of a run with their intervals, last epoch beside selected epoch."""
    results = _results(run)
    rows = [
        (
            Name(name, _describe(name)),
            _tested_classes(run, name),
            *(_number(result.test, name) for result in results.values()),
        )
        for name in (*ACCURACIES, "ece")
    ]
    clips = sum(row["clips"] for row in run.last.test["per_class"])
    return Table(
        title=f"{run.name}: {clips} test clips, in percent",
        columns=(Name("metric", "Metric"), Name("classes", "Classes"), *_epochs(results)),
        rows=tuple(rows),
        notes=_notes(run),
    )


def class_table(run: Run) -> Table:
    """Accuracy of every class and what it is most often taken for, most training clips first."""
    results = _results(run)
    groups = class_groups(run.class_counts)
    shot = {int(label): name for name in SHOTS for label in groups[name]}
    columns = (
        Name("class", "Class"),
        Name("train_clips", "Training clips"),
        Name("group", "Group"),
        Name("test_clips", "Test clips"),
        *_epochs(results),
        Name("taken_for", "Most often taken for"),
    )
    rows = []
    for label in sorted(range(len(run.class_names)), key=lambda k: -run.class_counts[k]):
        accuracies = [result.test["per_class"][label]["accuracy"] for result in results.values()]
        rows.append(
            (
                run.class_names[label],
                run.class_counts[label],
                shot[label],
                run.last.test["per_class"][label]["clips"],
                *(None if value is None else Number(value) for value in accuracies),
                _taken_for(run, run.last, label),
            )
        )
    return Table(f"{run.name}: classes, accuracy in percent", columns, tuple(rows))


def _results(run: Run) -> dict[str, Result]:
    return {"last": run.last} | ({"best": run.best} if run.best is not None else {})


def _epochs(results: Mapping[str, Result]) -> list[Name]:
    return [Name(key, f"{key.title()} (epoch {r.epoch})") for key, r in results.items()]


def _describe(name: str) -> str:
    clips = {
        "many": f"more than {MANY_ABOVE}",
        "medium": f"{FEW_BELOW} to {MANY_ABOVE}",
        "few": f"fewer than {FEW_BELOW}",
    }
    return f"{TITLES[name]} ({clips[name]} training clips)" if name in clips else TITLES[name]


def _tested_classes(run: Run, name: str) -> int:
    """Of how many classes a figure is made."""
    classes = class_groups(run.class_counts).get(name, range(len(run.class_counts)))
    return sum(run.last.test["per_class"][label]["clips"] > 0 for label in classes)


def _number(test: Mapping[str, Any], name: str) -> Cell:
    if test[name] is None:
        return None
    interval = test["intervals"].get(name)
    return Number(test[name], interval=None if interval is None else (interval[0], interval[1]))


def _taken_for(run: Run, result: Result, label: int) -> str:
    """The most frequent wrong prediction, such as `"drink water (12.0)"`; "" without mistakes."""
    row = np.array(result.test["confusion"][label], dtype=np.int64)
    clips, other = int(row.sum()), row.copy()
    other[label] = 0
    if not other.any():
        return ""
    worst = int(other.argmax())
    return f"{run.class_names[worst]} ({100 * other[worst] / clips:.1f})"


def _notes(run: Run) -> tuple[str, ...]:
    notes = []
    if run.last.test["intervals"]["top1"] is not None:
        notes.append("In brackets: 95 % bootstrap intervals over test clips, stratified by class.")
    if run.best is not None:
        notes.append(
            f"Epoch {run.best.epoch} was selected on validation clips, never on test ones."
        )
    untested = [
        run.class_names[row["label"]] for row in run.last.test["per_class"] if not row["clips"]
    ]
    if untested:
        notes.append(f"Without test clips, so left out of all means: {', '.join(untested)}.")
    cost = run.cost
    notes.append(
        f"{cost['parameters']:,} parameters, trained in {duration(cost['train_seconds'])} at "
        f"{cost['clips_per_second']:,.0f} clips/s."
    )
    return tuple(notes)


def duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if hours < 1 else f"{hours:.1f} h"
