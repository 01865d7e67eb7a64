"""Can its confidence be believed: reliability diagrams and calibration errors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapmix.metrics.evaluation import CALIBRATION_BINS
from shapmix.reporting.report.inputs import ReportMethod, ReportRun, methods_of
from shapmix.reporting.report.markup import plain, plot, render, rounded, series_colour
from shapmix.reporting.report.section import Section

Floats = NDArray[np.float64]


def make_section(runs: Sequence[ReportRun]) -> Section:
    """The diagram of all methods and a table of their errors."""
    methods = methods_of(runs)
    binned = [bin_confidences(*confidences(method)) for method in methods]
    rows = []
    for method, (clips, confidence, accuracy) in zip(methods, binned, strict=True):
        total = clips.sum()
        rows.append(
            {
                "name": method.name,
                "colour": series_colour(method.number),
                "ece": float(np.mean([test["ece"] for test in method.tests])),
                "confidence": float(np.nansum(confidence * clips) / total),
                "accuracy": float(np.nansum(accuracy * clips) / total),
            }
        )
    seeds = any(len(method.runs) > 1 for method in methods)
    html = render("reliability.html", diagram=_diagram(methods, binned), rows=rows, seeds=seeds)
    return Section("reliability", "Reliability", html)


def confidences(method: ReportMethod) -> tuple[Floats, NDArray[np.bool_]]:
    """Largest probability of every test clip, and whether it is recognised; over all runs."""
    confidence, right = [], []
    for run in method.runs:
        logits = run.logits.astype(np.float64)
        logits -= logits.max(1, keepdims=True)
        confidence.append(1 / np.exp(logits).sum(1))
        right.append(run.scores.correct(run.which))
    return np.concatenate(confidence), np.concatenate(right)


def bin_confidences(
    confidence: Floats, right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Clips, mean confidence and accuracy of equal bins of confidence: `(bins,)` each.

    Means of empty bins are NaN. The bins are those of the expected calibration error of
    `shapmix.metrics.evaluate` (Naeini et al. 2015): closed below, the last one closed above too.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    clips = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights, bins) for weights in (confidence, right))
    with np.errstate(invalid="ignore"):
        mean_confidence, accuracy = (total / np.where(clips, clips, np.nan) for total in sums)
    return clips, mean_confidence, accuracy


def _diagram(
    methods: Sequence[ReportMethod],
    binned: Sequence[tuple[NDArray[np.int64], Floats, Floats]],
) -> Any:
    traces: list[dict[str, Any]] = [
        {
            "x": [0, 100],
            "y": [0, 100],
            "mode": "lines",
            "line": {"color": "var(--soft)", "dash": "dot", "width": 1.2},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    width = 100 / CALIBRATION_BINS
    for method, (clips, confidence, accuracy) in zip(methods, binned, strict=True):
        used = clips > 0
        colour = series_colour(method.number)
        traces.append(
            {
                "name": plain(method.name),
                "x": rounded(100 * confidence[used], 2),
                "y": rounded(100 * accuracy[used], 2),
                "customdata": clips[used].tolist(),
                "mode": "lines+markers",
                "line": {"color": colour},
                "marker": {"size": 7, "symbol": method.number % 6},
                "hovertemplate": "confidence %{x:.0f} %, right %{y:.0f} %, %{customdata} clips",
            }
        )
        traces.append(
            {
                "type": "bar",
                "name": plain(method.name),
                "x": rounded((np.arange(CALIBRATION_BINS) + 0.5) * width, 2),
                "y": rounded(100 * clips / clips.sum(), 2),
                "marker": {"color": colour},
                "xaxis": "x",
                "yaxis": "y2",
                "showlegend": False,
                "hovertemplate": "%{y:.1f} % of the clips",
            }
        )
    layout = {
        "xaxis": {"range": [0, 100], "title": {"text": "confidence (%)"}, "anchor": "y2"},
        "yaxis": {"range": [0, 102], "domain": [0.3, 1], "title": {"text": "accuracy (%)"}},
        "yaxis2": {"domain": [0, 0.2], "title": {"text": "clips (%)"}, "rangemode": "tozero"},
        "bargap": 0.15,
        "showlegend": len(methods) > 1,
    }
    label = (
        "Lines: accuracy of the clips of each bin of confidence; on the diagonal confidence can "
        "be believed, below it the model is too sure. Under them, bars: how many clips each bin "
        "has. The table below has the means."
    )
    return plot("reliability-diagram", traces, layout, label, height=460)
