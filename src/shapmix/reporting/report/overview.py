"""Is it good: the headline figures with their intervals, in words, as bars and as a table."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shapmix.metrics import SHOTS, THIRDS, class_groups
from shapmix.reporting.pairing import Gain, find_warnings, load_answers, paired_gain
from shapmix.reporting.report import sentences
from shapmix.reporting.report.inputs import ReportMethod, ReportRun, methods_of, plain_methods
from shapmix.reporting.report.markup import plain, plot, render, rounded, series_colour
from shapmix.reporting.report.reliability import confidences
from shapmix.reporting.report.section import Section
from shapmix.reporting.runs import Which
from shapmix.reporting.tables import TITLES

HEADLINE = ("top1", "mean_class", *SHOTS)
FURTHER = ("top5", "macro_f1", *THIRDS, "ece")
_TITLES = dict(TITLES) | {"top1": "All test clips", "mean_class": "Mean of classes"}


@dataclass(frozen=True)
class Figure:
    """A headline figure of a method.

    Attributes:
        title, about: what it is. value: a fraction.
        spread: the interval over test clips, or the spread over seeds, in words.
        low, high: ends of the error bar.
        gain: paired difference to the first method, or None. gain_interval: its ends.
    """

    title: str
    about: str
    value: float
    spread: str
    low: float
    high: float
    gain: float | None
    gain_interval: tuple[float, float] | None


def make_section(runs: Sequence[ReportRun]) -> Section:
    """Cards and sentences for the best method, bars and a table for all."""
    methods = methods_of(runs)
    gains, warnings = compare(methods, runs[0].which)
    names, further = (
        [n for n in group if any(method.mean(n) is not None for method in methods)]
        for group in (HEADLINE, FURTHER)
    )
    figures = {
        method.name: {name: figure(method, name, gains[method.name], runs[0]) for name in names}
        for method in methods
    }
    more = {
        method.name: {name: figure(method, name, gains[method.name], runs[0]) for name in further}
        for method in methods
    }
    best = max(methods, key=_mean_class)
    html = render(
        "overview.html",
        best=best,
        first=methods[0],
        methods=methods,
        titles={name: _TITLES[name] for name in names},
        further={name: _TITLES[name] for name in further},
        figures=figures,
        more=more,
        said=_sentences(best, methods, gains, runs[0]),
        bars=_bars(methods, names, figures),
        colours=[series_colour(method.number) for method in methods],
        warnings=warnings,
        missing=missing(runs),
        epoch=_epoch(runs),
    )
    return Section("overview", "Overview", html)


def compare(
    methods: Sequence[ReportMethod], which: Which
) -> tuple[dict[str, Gain | None], tuple[str, ...]]:
    """Paired gain of each method on the first, and why methods may not be comparable."""
    first, *others = plain_methods(methods)
    gains: dict[str, Gain | None] = {first.name: None}
    if not others:
        return gains, ()
    answers = load_answers((first, *others), which)
    for method in others:
        gains[method.name] = paired_gain(first, method, answers, resamples=1000, seed=0)
    return gains, find_warnings((first, *others), answers)


def figure(method: ReportMethod, name: str, gain: Gain | None, run: ReportRun) -> Figure | None:
    """A headline figure with its interval (one run) or its spread over seeds (several)."""
    value = method.mean(name)
    if value is None:
        return None
    low, high, spread = value, value, ""
    interval = method.tests[0]["intervals"].get(name)
    if len(method.runs) > 1:
        sd = float(np.std([test[name] for test in method.tests], ddof=1))
        low, high, spread = value - sd, value + sd, f"± {100 * sd:.1f} over seeds"
    elif interval is not None:
        low, high = interval
        spread = f"{100 * low:.1f} to {100 * high:.1f}"
    found = gain.get(name) if gain is not None else None
    return Figure(
        title=_TITLES[name],
        about=_about(name, run),
        value=value,
        spread=spread,
        low=low,
        high=high,
        gain=None if found is None else found["difference"],
        gain_interval=None if found is None else tuple(found["interval"]),
    )


def missing(runs: Sequence[ReportRun]) -> tuple[list[str], list[str]]:
    """What run folders made by older versions lack, and the commands that add it."""
    lacking = {
        "saliency of the trained model": [run for run in runs if run.explanation is None],
        "clips to watch": [run for run in runs if run.examples is None],
        "findings about the data": [run for run in runs if "findings" not in (run.profile or {})],
    }
    older = [str(run.run.path) for run in runs if any(run in those for those in lacking.values())]
    commands = [shlex.join(["shapmix", "evaluate", folder]) for folder in older]
    return [what for what, those in lacking.items() if those], commands


def _mean_class(method: ReportMethod) -> float:
    return method.mean("mean_class") or 0.0


def _about(name: str, run: ReportRun) -> str:
    if name not in sentences.GROUPS:
        about = {"top1": "share recognised", "mean_class": "each class counts the same"}
        return about.get(name, "")
    classes = class_groups(run.run.class_counts)[name]
    return f"{sentences.GROUPS[name]}; {len(classes)} class{'es' * (len(classes) != 1)}"


def _epoch(runs: Sequence[ReportRun]) -> str:
    epochs = sorted({run.result.epoch for run in runs})
    numbers = " and ".join(map(str, epochs)) if len(epochs) < 3 else f"{epochs[0]} to {epochs[-1]}"
    if runs[0].which == "best":
        return f"Figures of the epoch selected on validation clips ({numbers})."
    return f"Figures of the last epoch ({numbers}; the first is 0)."


def _sentences(
    best: ReportMethod,
    methods: Sequence[ReportMethod],
    gains: Mapping[str, Gain | None],
    run: ReportRun,
) -> list[str]:
    names, counts = run.run.class_names, run.run.class_counts
    first = methods[0]
    others = [method for method in methods if method is not first]
    compared = best if best in others else max(others, key=_mean_class, default=None)
    confidence, right = confidences(best)
    said = [
        sentences.is_it_good(best, len(methods) - 1),
        compared and sentences.is_it_better(compared, first, gains[compared.name]),
        sentences.how_far_is_the_tail(best, counts),
        sentences.where_does_it_fail(best, names, counts),
        sentences.is_it_sure(best, float(confidence.mean() - right.mean())),
    ]
    return [sentence for sentence in said if sentence]


def _bars(
    methods: Sequence[ReportMethod],
    names: Sequence[str],
    figures: Mapping[str, Mapping[str, Figure | None]],
) -> Any:
    traces = []
    for method in methods:
        shown = [(name, f) for name in names if (f := figures[method.name][name]) is not None]
        values = [f for _, f in shown]
        traces.append(
            {
                "type": "bar",
                "name": plain(method.name),
                "x": [_TITLES[name] for name, _ in shown],
                "y": rounded([100 * f.value for f in values], 2),
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": rounded([100 * (f.high - f.value) for f in values], 2),
                    "arrayminus": rounded([100 * (f.value - f.low) for f in values], 2),
                    "color": "var(--soft)",
                    "thickness": 1.2,
                    "width": 3,
                },
                "marker": {"color": series_colour(method.number)},
                "offsetgroup": method.number,
                "customdata": [f.spread for f in values],
                "hovertemplate": "%{x}: <b>%{y:.1f} %</b> (%{customdata})",
            }
        )
        if len(method.runs) > 1:
            traces.append(_dots(method, [name for name, _ in shown]))
    layout = {
        "barmode": "group",
        "bargap": 0.25,
        "scattermode": "group",
        "scattergap": 0.25,
        "yaxis": {"range": [0, 100], "title": {"text": "accuracy (%)"}},
        "xaxis": {"fixedrange": True, "showgrid": False},
        "showlegend": len(methods) > 1,
    }
    label = (
        "Bars: accuracy of each method for all test clips, for the mean of classes, and for "
        "classes with many, a medium number of, and few training clips. The table below has the "
        "numbers."
    )
    return plot("overview-bars", traces, layout, label, height=360)


def _dots(method: ReportMethod, names: Sequence[str]) -> dict[str, Any]:
    """Each run of a method as a dot on its bars."""
    pairs = [(name, run) for name in names for run in method.runs]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(method.name),
        "showlegend": False,
        "offsetgroup": method.number,
        "x": [_TITLES[name] for name, _ in pairs],
        "y": rounded([100 * run.test[name] for name, run in pairs], 2),
        "marker": {"color": "var(--page)", "size": 6, "line": {"color": "var(--ink)", "width": 1}},
        "customdata": [plain(run.label) for _, run in pairs],
        "hovertemplate": "%{customdata}: <b>%{y:.1f} %</b><extra></extra>",
    }
