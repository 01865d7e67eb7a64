"""Where does it fail: each class against its training clips, and the gain over a baseline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapmix.metrics import SHOTS, class_groups
from shapmix.reporting.report.inputs import ReportMethod, ReportRun, methods_of
from shapmix.reporting.report.markup import (
    json_block,
    render,
    rounded,
    series_colour,
    static_text,
)
from shapmix.reporting.report.section import Section
from shapmix.reporting.report.sentences import GROUPS


def make_section(runs: Sequence[ReportRun]) -> Section:
    """The long-tail curve with the accuracies of all classes, their gains, and a table."""
    methods = methods_of(runs)
    run = runs[0].run
    counts = np.array(run.class_counts)
    order = np.argsort(-counts, kind="stable")
    shots = _shots(run.class_counts)
    accuracies = np.stack([method.accuracies() for method in methods])
    data = {
        "names": [run.class_names[k] for k in order],
        "counts": counts[order].tolist(),
        "shots": [shots[k] for k in order],
        "clips": int(np.median([row["clips"] for row in runs[0].test["per_class"]])),
        "methods": [
            {
                "name": method.name,
                "colour": series_colour(method.number),
                "symbol": method.number % 6,
                "accuracies": rounded(accuracies[method.number, order]),
                "trend": rounded(trend(accuracies[method.number, order])),
            }
            for method in methods
        ],
    }
    html = render(
        "classes.html",
        methods=methods,
        groups={shot: GROUPS[shot] for shot in dict.fromkeys(shots[k] for k in order)},
        data=json_block("data-classes", data),
        rows=[_row(int(k), methods, accuracies, shots, runs[0]) for k in order],
        colours=[series_colour(method.number) for method in methods],
        untested=[run.class_names[k] for k in runs[0].test["untested_classes"]],
    )
    return Section("classes", "Classes", html, (static_text("classes.js"),))


def _shots(class_counts: Sequence[int]) -> dict[int, str]:
    """Group of each class."""
    groups = class_groups(class_counts)
    return {int(label): name for name in SHOTS for label in groups[name]}


def trend(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over neighbouring classes, the most frequent first: windows of a fifth of them."""
    K = len(accuracies)
    half = max(1, K // 10)
    windows = [accuracies[max(0, k - half) : k + half + 1] for k in range(K)]
    means = [np.nanmean(w) if not np.isnan(w).all() else np.nan for w in windows]
    return np.array(means)


def _row(
    label: int,
    methods: Sequence[ReportMethod],
    accuracies: NDArray[np.float64],
    shots: dict[int, str],
    run: ReportRun,
) -> dict[str, Any]:
    """What the table says of a class; a class without test clips has no accuracy."""
    taken, share = _taken_for(methods[-1].confusion()[label], label)
    values = [None if np.isnan(a) else float(a) for a in accuracies[:, label]]
    return {
        "label": label,
        "name": run.run.class_names[label],
        "count": run.run.class_counts[label],
        "shot": shots[label],
        "clips": run.test["per_class"][label]["clips"],
        "accuracies": values,
        "taken": None if taken is None else run.run.class_names[taken],
        "share": share,
    }


def _taken_for(row: NDArray[np.int64], label: int) -> tuple[int | None, float]:
    """The class it is most often taken for, and in which share of its clips."""
    others = row.copy()
    others[label] = 0
    if not others.any():
        return None, 0.0
    return int(others.argmax()), float(others.max() / row.sum())
