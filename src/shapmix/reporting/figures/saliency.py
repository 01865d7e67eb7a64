"""Figures of saliency: coalitions as bars, bodies coloured by part, interactions of parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shapmix.layouts import Layout
from shapmix.reporting.drawing import GREY, INK, PALE, STRONG, axes_at, draw_coalitions
from shapmix.reporting.figures.paper import SMALL, TEXT, WIDTHS, Columns, diverging, page, shortened
from shapmix.reporting.report.inputs import ReportRun
from shapmix.reporting.report.saliency import part_title
from shapmix.reporting.runs import Explanation
from shapmix.reporting.schematic import layout_pose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EDGE, _DOT, _ROW = 0.08, 0.115, 0.115  # inches
_TITLE = 0.34


def coalitions_figure(
    run: ReportRun, found: Explanation, classes: Sequence[int], columns: Columns
) -> "Figure":
    """Shapley values of the coalitions of about half the parts, with standard errors.

    A column of bars for each class; the dots on the left say which parts make a coalition, and the
    three most salient are coloured.
    """
    parts = [part_title(part) for part in found.part_names]
    P = len(parts)
    rows = np.flatnonzero(np.isin(found.coalitions.sum(1), (P // 2, (P + 1) // 2)))
    coalitions = found.coalitions[rows]
    values, errors = found.coalition_values[:, rows], found.coalition_errors[:, rows]
    head = 0.12 + 0.06 * max(map(len, parts))
    height = max(head, _TITLE) + _ROW * len(rows) + 0.4
    figure = page(columns, height)
    dots, left = _DOT * P, _EDGE + _DOT * P + 0.12
    bottom, tall = 0.36, _ROW * len(rows)
    matrix = axes_at(figure, _EDGE, bottom, dots, tall)
    draw_coalitions(matrix, coalitions, parts, dot=11, line=0.8, text=SMALL)
    gap = 0.14
    wide = (WIDTHS[columns] - left - _EDGE - gap * (len(classes) - 1)) / len(classes)
    spread = np.nan_to_num(errors[classes])
    low = min(0.0, float((values[classes] - spread).min()))
    high = max(0.0, float((values[classes] + spread).max()))
    for i, label in enumerate(classes):
        axes = axes_at(figure, left + i * (wide + gap), bottom, wide, tall)
        best = np.argsort(-values[label], kind="stable")[:3]
        colours = [
            STRONG if row in best and value > 0 else PALE for row, value in enumerate(values[label])
        ]
        axes.barh(
            range(len(rows)), values[label], 0.74, color=colours, xerr=spread[i],
            error_kw={"ecolor": INK, "elinewidth": 0.6},
        )  # fmt: skip
        axes.set(xlim=(1.03 * low, 1.03 * high + 1e-9), ylim=(len(rows) - 0.5, -0.5), yticks=[])
        axes.axvline(0, color=GREY, linewidth=0.6)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=4 if wide > 0.8 else 2)
        axes.xaxis.set_major_formatter("{x:g}")
        _write_class(axes, run, label, wide)
    middle = (left + (WIDTHS[columns] - _EDGE)) / 2 / WIDTHS[columns]
    figure.text(middle, 0.05 / height, "Shapley value", ha="center", size=TEXT)
    return figure


def body_figure(
    run: ReportRun, found: Explanation, layout: Layout, classes: Sequence[int], columns: Columns
) -> "Figure":
    """A body for each class, its parts coloured by their Shapley values."""
    figure = page(columns, 2.45 if columns == 2 else 1.9)
    height = figure.get_figheight()
    wide = (WIDTHS[columns] - 0.1) / len(classes)
    values = found.parts[classes]
    colours, scale = diverging(values)
    for i, label in enumerate(classes):
        axes = axes_at(figure, 0.05 + i * wide, 0.46, wide, height - 0.46 - _TITLE)
        own = dict(zip(found.part_names, values[i], strict=True))
        of_joint = {j: own[part] for part, members in layout.parts.items() for j in members}
        _draw_body(axes, layout, [colours(scale(of_joint[j])) for j in range(layout.num_joints)])
        _write_class(axes, run, label, wide)
    _draw_scale(figure, colours, scale, "Shapley value")
    return figure


def _draw_body(axes: "Axes", layout: Layout, colours: Sequence[Any]) -> None:
    from matplotlib.collections import LineCollection

    pose = layout_pose(layout)
    bones = np.array(layout.bones)
    order = [colours[child] for child in bones[:, 0]]
    for width, shades in ((4.4, [GREY] * len(bones)), (3.4, order)):  # an outline, then the bones
        axes.add_collection(
            LineCollection(list(pose[bones]), colors=shades, linewidths=width, capstyle="round")
        )
    head = [j for j, name in enumerate(layout.joints) if name in ("head", "nose")]
    shades = [colours[j] for j in head]
    axes.scatter(pose[head, 0], pose[head, 1], 55, shades, edgecolor=GREY, linewidth=0.5, zorder=3)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.autoscale_view()
    axes.margins(0.08)


def _draw_scale(figure: "Figure", colours: Any, scale: Any, title: str) -> None:
    """The colour bar in the middle of the lower edge."""
    from matplotlib.cm import ScalarMappable

    width = figure.get_figwidth()
    bar = axes_at(figure, width / 2 - 0.9, 0.34, 1.8, 0.07)
    drawn = figure.colorbar(ScalarMappable(scale, colours), cax=bar, orientation="horizontal")
    drawn.outline.set_visible(False)
    bar.locator_params(axis="x", nbins=5)
    figure.text(0.5, 0.04 / figure.get_figheight(), title, ha="center", size=SMALL)


def interactions_figure(
    run: ReportRun, found: Explanation, classes: Sequence[int], columns: Columns
) -> "Figure":
    """Shapley interaction indices of pairs of parts, a matrix for each class."""
    parts = [part_title(part) for part in found.part_names]
    P = len(parts)
    names = 0.1 + 0.058 * max(map(len, parts))
    gap = 0.1
    side = (WIDTHS[columns] - names - 0.1 - gap * (len(classes) - 1)) / len(classes)
    height = side + _TITLE + names + 0.46
    figure = page(columns, height)
    values = found.interactions[classes]
    colours, scale = diverging(values)
    for i, label in enumerate(classes):
        axes = axes_at(figure, names + i * (side + gap), names + 0.46, side, side)
        shown = np.where(np.eye(P, dtype=bool), np.nan, values[i])
        axes.imshow(shown, cmap=colours, norm=scale, interpolation="nearest")
        if side > 0.28 * P:
            for row, column in zip(*np.nonzero(~np.eye(P, dtype=bool)), strict=True):
                value = values[i, row, column]
                strong = abs(value) > 0.6 * scale.vmax
                axes.text(
                    column, row, _number(value), ha="center", va="center",
                    size=min(SMALL, 19 * side / P),
                    color="white" if strong and value < 0 else INK,
                )  # fmt: skip
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks(range(P), parts, rotation=90, fontsize=SMALL)
        axes.set_yticks(range(P), parts if i == 0 else [""] * P, fontsize=SMALL)
        _write_class(axes, run, label, side)
    _draw_scale(figure, colours, scale, "Shapley interaction index")
    return figure


def _number(value: float) -> str:
    words = f"{value:.2f}"
    return words.replace("-", "\N{MINUS SIGN}" if float(words) else "")


def _write_class(axes: "Axes", run: ReportRun, label: int, width: float) -> None:
    """Name and training clips of a class above its axes, which are so many inches wide."""
    clips = run.run.class_counts[label]
    name = shortened(run.run.class_names[label], max(8, int(width / 0.062)))
    above: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "ha": "center",
    }
    axes.annotate(name, (0.5, 1), (0, 13), size=TEXT, weight="bold", **above)
    training = "training " if width > 0.8 else ""
    words = f"{clips} {training}clip{'s' * (clips != 1)}"
    axes.annotate(words, (0.5, 1), (0, 4.5), size=SMALL, color=GREY, **above)
