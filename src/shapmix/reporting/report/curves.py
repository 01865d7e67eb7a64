"""How training went: loss and validation accuracy of every epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from shapmix.reporting.report.inputs import ReportMethod, ReportRun, methods_of
from shapmix.reporting.report.markup import plain, plot, render, rounded, series_colour
from shapmix.reporting.report.section import Section

# Columns of history.csv that are drawn, in this order: title, unit, factor.
_CURVES: Mapping[str, tuple[str, str, float]] = {
    "train_loss": ("Training loss", "loss", 1.0),
    "val_top1": ("Accuracy on validation clips", "accuracy (%)", 100.0),
    "val_mean_class": ("Mean class accuracy on validation clips", "accuracy (%)", 100.0),
    "lr": ("Learning rate", "learning rate", 1.0),
}


def make_section(runs: Sequence[ReportRun]) -> Section | None:
    """A plot of each quantity logged more than once; None when there is none."""
    methods = methods_of(runs)
    plots = [_plot(name, methods) for name in _CURVES]
    known = [each for each in plots if each is not None]
    if not known:
        return None
    without = [run.label for run in runs if run.history is None]
    html = render("curves.html", plots=known, without=without)
    return Section("training", "Training", html)


def _plot(name: str, methods: Sequence[ReportMethod]) -> dict[str, Any] | None:
    title, unit, factor = _CURVES[name]
    traces = []
    for method in methods:
        for i, run in enumerate(method.runs):
            epochs, values = run.logged(name)
            if not len(epochs):
                continue
            traces.append(
                {
                    "name": plain(method.name),
                    "legendgroup": method.name,
                    "showlegend": i == 0,
                    "x": epochs.tolist(),
                    "y": rounded(factor * values, 6),
                    "mode": "lines" if len(epochs) > 1 else "markers",
                    "line": {"color": series_colour(method.number), "width": 1.8},
                    "marker": {"symbol": method.number % 6, "size": 8},
                    "opacity": 1 if len(method.runs) == 1 else 0.65,
                    "hovertemplate": f"epoch %{{x}}: <b>%{{y:.4~g}}</b>{_seed(run)}",
                }
            )
    if all(len(trace["x"]) < 2 for trace in traces):
        return None  # a single point is in the other sections
    layout = {
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": unit}, "rangemode": "tozero"},
        "showlegend": len(methods) > 1,
    }
    label = f"Lines: {title.lower()} by epoch, one line a run. {_summary(traces)}"
    return {"title": title, "plot": plot(f"curve-{name}", traces, layout, label, height=280)}


def _seed(run: ReportRun) -> str:
    """The seed for a label of plotly, which reads tags."""
    return f" (seed {run.seed})" if isinstance(run.seed, int) else ""


def _summary(traces: Sequence[Mapping[str, Any]]) -> str:
    """First and last value of each line, for those who do not see them."""
    return " ".join(f"{t['name']}: from {t['y'][0]:.4g} to {t['y'][-1]:.4g}." for t in traces[:12])
