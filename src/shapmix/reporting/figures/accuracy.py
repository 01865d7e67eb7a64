"""Figures of accuracy: by training clips, by groups of classes, by confidence, by epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shapmix.counts import FEW_BELOW, MANY_ABOVE
from shapmix.metrics import SHOTS
from shapmix.reporting.drawing import GREY, INK, PALE, axes_at
from shapmix.reporting.figures.paper import (
    COLOURS,
    DASHES,
    MARKERS,
    SMALL,
    WIDTHS,
    Columns,
    legend,
    legend_room,
    page,
    panels,
    shortened,
)
from shapmix.reporting.report.classes import trend
from shapmix.reporting.report.inputs import ReportMethod
from shapmix.reporting.report.reliability import bin_confidences, confidences

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME_ROOM, NAME_WIDTH = 0.1, 0.051  # inches around and of a character of a class name
NAMED = {1: 24, 2: 60}  # classes whose names fit into one and two columns
NAMED_FIELDS = {1: 16, 2: 40}  # classes with names beside a confusion matrix
BAND = "#f4f5f7"  # every second group of classes
_CURVES = {
    "train_loss": ("training loss", 1),
    "val_top1": ("validation accuracy (%)", 100),
    "val_mean_class": ("validation, mean class (%)", 100),
}


def class_accuracy_figure(methods: Sequence[ReportMethod], columns: Columns) -> "Figure":
    """Accuracy of every class above its training clips, the classes with most clips first.

    Dots are classes; lines are means over neighbouring classes, as in the report.
    """
    run = methods[0].runs[0].run
    counts = np.array(run.class_counts)
    order = np.argsort(-counts, kind="stable")
    named = len(order) <= NAMED[columns]
    names = [shortened(run.class_names[k]) for k in order]
    below = NAME_ROOM + NAME_WIDTH * max(map(len, names)) if named else 0.36
    figure = page(columns, 2.38 + below + legend_room(methods))
    left, width = 0.48, WIDTHS[columns] - 0.54
    above = axes_at(figure, left, below + 0.95, width, 1.35)
    tail = axes_at(figure, left, below, width, 0.82)
    places = np.arange(len(order))
    for method in methods:
        accuracy = 100 * method.accuracies()[order]
        colour, look = COLOURS[method.number % 6], method.number % 6
        above.plot(places, accuracy, MARKERS[look], color=colour, alpha=0.6, markersize=3, mew=0)
        above.plot(places, trend(accuracy), color=colour, linestyle=DASHES[look], label=method.name)
    above.set(ylim=(-3, 103), ylabel="accuracy (%)")
    above.tick_params(axis="x", labelbottom=False, length=0)
    legend(above, [method.name for method in methods])
    tail.bar(places, counts[order], 0.8, color=GREY, linewidth=0)
    _clips_axis(tail, counts)
    for axes in (above, tail):
        axes.set_xlim(-0.7, len(order) - 0.3)
        _draw_bands(axes, counts[order], told=axes is tail)
    if named:
        tail.set_xticks(places, names, rotation=90, fontsize=SMALL)
        tail.tick_params(axis="x", length=0)
    else:
        tail.set_xlabel(f"{len(order)} classes, by training clips")
    return figure


def _clips_axis(axes: "Axes", counts: NDArray[np.int64]) -> None:
    """Training clips on a logarithmic axis with round numbers, and room for words above."""
    low, high = 0.7 * counts.min(), float(counts.max())
    ticks = [n * 10**power for power in range(7) for n in (1, 2, 5)]
    few = ticks if high / low < 40 else ticks[::3]
    shown = [tick for tick in few if low <= tick <= high]
    axes.set(yscale="log", ylim=(low, high * (high / low) ** 0.25), ylabel="training clips")
    axes.set_yticks(shown, [f"{tick:,}" for tick in shown])
    axes.minorticks_off()


def _draw_bands(axes: "Axes", counts: NDArray[np.int64], *, told: bool) -> None:
    """Shade the medium classes, and name the groups."""
    ends = [0, int((counts > MANY_ABOVE).sum()), int((counts >= FEW_BELOW).sum()), len(counts)]
    for name, first, end in zip(SHOTS, ends[:-1], ends[1:], strict=True):
        if first == end:
            continue
        if name == "medium":
            axes.axvspan(first - 0.5, end - 0.5, color=BAND, linewidth=0, zorder=0)
        if told:
            axes.annotate(
                name, ((first + end - 1) / 2, 1), (0, -2), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="center", va="top", size=SMALL, color=INK,
            )  # fmt: skip


def groups_figure(methods: Sequence[ReportMethod], columns: Columns) -> "Figure":
    """Bars: accuracy over all clips, over classes, and of many, medium and few-shot classes."""
    titles = {"top1": "all clips", "mean_class": "all classes"} | {name: name for name in SHOTS}
    shown = [n for n in titles if any(method.mean(n) is not None for method in methods)]
    figure = page(columns, 1.85 + legend_room(methods))
    (axes,) = panels(figure, 1, bottom=0.25, top=0.15 + legend_room(methods))
    width = 0.8 / len(methods)
    for i, method in enumerate(methods):
        offset = (i - (len(methods) - 1) / 2) * width
        for place, name in enumerate(shown):
            value = method.mean(name)
            if value is None:
                continue
            label = method.name if place == 0 else None
            colour = COLOURS[method.number % 6]
            low, high = interval(method, name)
            axes.bar(place + offset, 100 * value, 0.92 * width, color=colour, label=label)
            axes.plot([place + offset] * 2, [100 * low, 100 * high], color=INK, linewidth=0.8)
            if len(methods) <= (3 if columns == 2 else 2):
                axes.annotate(
                    f"{100 * value:.1f}", (place + offset, 100 * high), (0, 1.5), ha="center",
                    textcoords="offset points", size=SMALL - 0.5, annotation_clip=False,
                )  # fmt: skip
    axes.set(ylim=(0, 100), ylabel="accuracy (%)", xlim=(-0.5, len(shown) - 0.5))
    axes.set_xticks(range(len(shown)), [titles[name] for name in shown])
    axes.tick_params(axis="x", length=0, labelsize=7)
    legend(axes, [method.name for method in methods])
    return figure


def interval(method: ReportMethod, name: str) -> tuple[float, float]:
    """Ends of the error bar: a standard deviation over seeds, or the interval of the only run."""
    values = [test[name] for test in method.tests]
    if len(values) > 1:
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
        return mean - sd, mean + sd
    low, high = method.tests[0]["intervals"].get(name) or (values[0], values[0])
    return float(low), float(high)


def reliability_figure(methods: Sequence[ReportMethod], columns: Columns) -> "Figure":
    """Accuracy of the clips of each bin of confidence, above how many clips it has."""
    room = 0.15 * len(methods)
    figure = page(columns, 2.85 + room)
    left, width = 0.48, min(WIDTHS[columns] - 0.58, 4.0)
    above = axes_at(figure, left, 1.14, width, 1.6)
    below = axes_at(figure, left, 0.4, width, 0.58)
    above.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    for method in methods:
        clips, confidence, accuracy = bin_confidences(*confidences(method))
        used = clips > 0
        look = method.number % 6
        ece = 100 * float(np.mean([test["ece"] for test in method.tests]))
        above.plot(
            100 * confidence[used], 100 * accuracy[used], marker=MARKERS[look],
            linestyle=DASHES[look], color=COLOURS[look], label=f"{method.name} (ECE {ece:.1f} %)",
        )  # fmt: skip
        edges = np.linspace(0, 100, len(clips) + 1)
        below.stairs(100 * clips / clips.sum(), edges, color=COLOURS[look], linestyle=DASHES[look])
    above.set(xlim=(0, 100), ylim=(-2, 102), ylabel="accuracy (%)")
    above.tick_params(axis="x", labelbottom=False)
    below.set(xlim=(0, 100), xlabel="confidence (%)", ylabel="clips (%)")
    above.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, handlelength=2.2)
    return figure


def training_figure(methods: Sequence[ReportMethod], columns: Columns) -> "Figure | None":
    """What was logged of more than one epoch, a line a run; None when nothing was."""
    runs = [run for method in methods for run in method.runs]
    shown = [name for name in _CURVES if any(len(run.logged(name)[0]) > 1 for run in runs)]
    if not shown:
        return None
    last = max(int(run.logged(name)[0].max(initial=0)) for run in runs for name in shown)
    rows = len(shown) if columns == 1 else 1
    room = 0.1 + legend_room(methods)
    figure = page(columns, 1.8 * rows + room)
    if columns == 2:
        places = panels(figure, len(shown), gap=0.6, top=room)
    else:
        top = figure.get_figheight() - room - 1.4
        places = [axes_at(figure, 0.5, top - 1.8 * row, 2.8, 1.4) for row in range(rows)]
    for axes, name in zip(places, shown, strict=True):
        _draw_curves(axes, methods, name)
        axes.set(xlabel="epoch", ylabel=_CURVES[name][0])
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.set_xlim(-0.3, last + 0.3)
        axes.locator_params(axis="x", integer=True)
    legend(places[0], [method.name for method in methods])
    return figure


def _draw_curves(axes: "Axes", methods: Sequence[ReportMethod], name: str) -> None:
    for method in methods:
        look = method.number % 6
        for i, run in enumerate(method.runs):
            epochs, values = run.logged(name)
            axes.plot(
                epochs, _CURVES[name][1] * values, color=COLOURS[look], linestyle=DASHES[look],
                marker=MARKERS[look] if len(epochs) < 4 else None,
                alpha=1 if len(method.runs) == 1 else 0.7,
                label=method.name if i == 0 else None,
            )  # fmt: skip


def confusion_figure(method: ReportMethod, columns: Columns) -> "Figure":
    """Shares of the test clips of each true class (rows) recognised as each class (columns)."""
    from matplotlib.colors import LinearSegmentedColormap

    run = method.runs[0].run
    order = np.argsort(-np.array(run.class_counts), kind="stable")
    confusion = method.confusion()[np.ix_(order, order)].astype(np.float64)
    clips = confusion.sum(1, keepdims=True)
    shares = 100 * confusion / np.where(clips, clips, np.nan)
    K = len(order)
    named = NAMED_FIELDS[columns] >= K
    names = [shortened(run.class_names[k], 20) for k in order]
    margin = NAME_ROOM + NAME_WIDTH * max(map(len, names)) + 0.18 if named else 0.5
    side = min(WIDTHS[columns] - margin - 0.65, 5.5)
    figure = page(columns, side + margin + 0.15)
    axes = axes_at(figure, margin, margin, side, side)
    colours = LinearSegmentedColormap.from_list("shares", ["#ffffff", "#7fb2d6", "#06304f"])
    image = axes.imshow(
        shares, cmap=colours.with_extremes(bad=PALE), vmin=0, vmax=100, interpolation="nearest"
    )
    axes.spines[:].set_visible(True)
    if named:
        size = min(SMALL, 60 * side / K)
        axes.set_xticks(range(K), names, rotation=90, fontsize=size)
        axes.set_yticks(range(K), names, fontsize=size)
    axes.tick_params(length=0)
    order_told = "" if named else ", by training clips"
    axes.set(xlabel=f"recognised as{order_told}", ylabel=f"true class{order_told}")
    bar = axes_at(figure, margin + side + 0.1, margin, 0.09, side)
    figure.colorbar(image, cax=bar, label="clips of the class (%)").outline.set_visible(False)
    return figure
