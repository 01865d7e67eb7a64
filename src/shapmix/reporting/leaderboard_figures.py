"""Pictures of a leaderboard: gains with intervals, critical differences, classes, costs.

In all of them overall accuracy is dark and tail accuracy coloured.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shapmix.metrics import RankTest
from shapmix.reporting.drawing import GREY, INK, PALE, STRONG, axes_at, new_figure
from shapmix.reporting.leaderboard_tables import FIGURE_TITLES, p_text
from shapmix.reporting.standings import HEADLINE, MEAN, Figure, Standings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

COLOURS: Mapping[Figure, str] = {"top1": INK, "tail": STRONG}
_WIDTH, _EDGE, _GAP = 12.0, 0.3, 0.35  # inches
_LETTER = 0.083  # inches, of a name at the size of names
_ABOVE, _BELOW = 0.4, 0.55  # inches around a panel


def gain_figure(standings: Standings) -> "Picture":
    """Gains on the baseline with 95 % intervals: a panel for each data set and for their mean."""
    datasets = [*standings.datasets, *([MEAN] if len(standings.counted) > 1 else [])]
    methods = standings.others
    columns = len(datasets) if len(datasets) <= 5 else 4
    height = 0.42 * max(len(methods), 2) + 0.1
    names = 0.25 + _names(methods)
    figure, panels = _grid(len(datasets), columns, height, left=names, top=0.35)
    for i, (axes, dataset) in enumerate(zip(panels, datasets, strict=True)):
        axes.axvline(0, color=GREY, linewidth=1, zorder=0)
        for row, method in enumerate(methods):
            for name, lift in zip(HEADLINE, (-0.15, 0.15), strict=True):
                gain = standings.gain(dataset, method, name)
                if gain is not None:
                    ends = 100 * np.array(gain.interval)
                    if gain.fewest > 1:
                        axes.plot(ends, [row + lift] * 2, color=COLOURS[name], linewidth=1.8)
                    axes.plot(100 * gain.value, row + lift, "o", color=COLOURS[name], markersize=5)
        axes.set_ylim(len(methods) - 0.5, -0.5)
        axes.set_yticks(range(len(methods)), methods if i % columns == 0 else [""] * len(methods))
        _finish(axes, dataset or "Mean", "gain, points")
    lows, highs = zip(*(axes.get_xlim() for axes in panels), strict=True)
    for axes in panels:
        axes.set_xlim(min(lows), max(highs))
    for name, offset in zip(HEADLINE, (1.7, 0.8), strict=True):
        words = f"\N{BLACK CIRCLE} {FIGURE_TITLES[name].lower()}"
        place = (1 - offset / _WIDTH, 1 - 0.25 / figure.get_figheight())
        figure.text(*place, words, size=10.5, color=COLOURS[name])
    return figure


def critical_difference_figure(
    methods: Sequence[str], tests: Mapping[Figure, RankTest]
) -> "Picture":
    """Mean ranks of methods; bars join those that Nemenyi's test does not tell apart (5 %).

    The diagram of Demsar (2006), one below the other for each figure, with the best method on the
    left.
    """
    height = 0.24 * -(-len(methods) // 2) + 1.4
    figure = new_figure(_WIDTH, height * len(tests))
    width = _WIDTH - 2 * _EDGE
    for i, (name, test) in enumerate(tests.items()):
        bottom = height * (len(tests) - 1 - i) + 0.05
        axes = axes_at(figure, _EDGE, bottom, width, height - 0.1)
        axes.set_axis_off()
        axes.set(xlim=(0, width), ylim=(0.1 - height, 0))  # inches, downwards from the top
        _draw_ranks(axes, methods, test, width, COLOURS[name])
        title = f"{FIGURE_TITLES[name]} accuracy: mean rank over {test.blocks} data sets"
        axes.text(0, -0.05, title, size=11, color=INK, va="top")
        friedman = "" if test.p_value is None else f", Friedman test {p_text(test.p_value)}"
        words = f"critical difference {test.critical_difference:.1f}{friedman}"
        axes.text(0, -0.27, words, size=9.5, color=GREY, va="top")
    return figure


def _draw_ranks(
    axes: "Axes", methods: Sequence[str], test: RankTest, width: float, colour: str
) -> None:
    """The axis of ranks with its ticks, methods at elbows on both sides, and bars."""
    k = len(methods)
    side = 0.5 + _names(methods)
    left, right, top = side, width - side, -0.85
    at = left + (test.ranks - 1) / max(k - 1, 1) * (right - left)
    axes.plot([left, right], [top, top], color=GREY, linewidth=1)
    for rank in range(1, k + 1):
        x = left + (rank - 1) / max(k - 1, 1) * (right - left)
        axes.plot([x, x], [top, top + 0.06], color=GREY, linewidth=1)
        axes.text(x, top + 0.09, str(rank), size=9, color=GREY, ha="center")
    order = np.argsort(test.ranks, kind="stable")
    bars = _not_told_apart(test.ranks[order], test.critical_difference)
    for level, (first, last) in enumerate(bars):
        y = top - 0.1 - 0.08 * level
        ends = [at[order[first]] - 0.05, at[order[last]] + 0.05]
        axes.plot(ends, [y, y], color=colour, linewidth=3.5, solid_capstyle="round", zorder=3)
    half = -(-k // 2)
    below = top - 0.25 - 0.08 * len(bars)
    for place, method in enumerate(order):
        on_left = place < half
        y = below - 0.22 * (place if on_left else k - 1 - place)
        edge = left - 0.1 if on_left else right + 0.1
        axes.plot([at[method], at[method], edge], [top, y, y], color=INK, linewidth=0.9)
        words = f"{methods[method]}  {test.ranks[method]:.1f}"
        alignment = "right" if on_left else "left"
        axes.text(
            edge + (-0.05 if on_left else 0.05), y, words, ha=alignment, va="center", size=9.5,
            color=INK,
        )  # fmt: skip


def _not_told_apart(ranks: Any, critical: float | None) -> list[tuple[int, int]]:
    """Longest stretches of ascending ranks that span less than the critical difference."""
    stretches: list[tuple[int, int]] = []
    for first in range(len(ranks) if critical is not None else 0):
        last = int(np.flatnonzero(ranks - ranks[first] < critical)[-1])
        if last > first and (not stretches or last > stretches[-1][1]):
            stretches.append((first, last))
    return stretches


def class_gain_figure(standings: Standings) -> "Picture":
    """Gain in each class against its training clips: a row for each method, a column a data set.

    Dots are classes by rank of training clips, means over seeds. Lines join means of bins of
    classes, with 95 % intervals.
    """
    methods, datasets = standings.others, standings.datasets
    figure, panels = _grid(
        len(methods) * len(datasets), len(datasets), 1.25,
        left=0.6 + _names(methods), above=0.15, below=0.2,
    )  # fmt: skip
    for i, axes in enumerate(panels):
        method, dataset = methods[i // len(datasets)], datasets[i % len(datasets)]
        axes.axhline(0, color=GREY, linewidth=1, zorder=0)
        if (dataset, method) in standings.gains:
            _draw_classes(axes, standings, dataset, method)
        _clips_axis(axes)
        last = i >= len(panels) - len(datasets)
        _finish(axes, dataset if i < len(datasets) else "", "training clips" if last else "")
        if i % len(datasets) == 0:
            axes.annotate(
                method, (0, 0.5), (-38, 0), xycoords="axes fraction", ha="right", va="center",
                textcoords="offset points", size=10, color=INK,
            )  # fmt: skip
    for column in range(len(datasets)):
        _same_heights(panels[column :: len(datasets)])
    return figure


def _draw_classes(axes: "Axes", standings: Standings, dataset: str, method: str) -> None:
    counts, gains = standings.class_points(dataset, method)
    axes.plot(counts, 100 * gains, "o", color=GREY, alpha=0.4, markersize=4.5, mew=0)
    bins = standings.class_bins(dataset, method)
    for clips, gain in bins if all(gain.fewest > 1 for _, gain in bins) else []:
        axes.plot([clips, clips], 100 * np.array(gain.interval), color=STRONG, linewidth=1.6)
    means = [100 * gain.value for _, gain in bins]
    axes.plot([clips for clips, _ in bins], means, "o-", color=STRONG, linewidth=1.6, markersize=4)


def _clips_axis(axes: "Axes") -> None:
    """Training clips on a logarithmic axis with round numbers."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [n * 10**power for power in range(6) for n in (1, 2, 5) if low <= n * 10**power <= high]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(low, high)


def _same_heights(panels: Sequence["Axes"]) -> None:
    lows, highs = zip(*(axes.get_ylim() for axes in panels), strict=True)
    for axes in panels:
        axes.set_ylim(min(lows), max(highs))


def cost_figure(standings: Standings) -> "Picture | None":
    """Mean accuracy over data sets against training time; None without means over data sets."""
    ratios = {m: r for m in standings.complete if (r := standings.time_ratio(m)) is not None}
    right = 0.2 + _names(standings.complete)
    figure, panels = _grid(len(HEADLINE), len(HEADLINE), 3.2, left=0.5, right=right)
    for axes, name in zip(panels, HEADLINE, strict=True):
        scores = standings.scores(name)
        if scores is None or not ratios:
            return None
        means = dict(zip(standings.complete, 100 * scores.mean(0), strict=True))
        shown = sorted(ratios, key=lambda method: means[method])
        heights = [means[method] for method in shown]
        axes.plot([ratios[m] for m in shown], heights, "o", color=COLOURS[name], markersize=6)
        low, high = min(heights), max(heights)
        axes.set_ylim(low - 0.12 * (high - low) - 0.5, high + 0.12 * (high - low) + 0.5)
        longest = max(ratios.values())
        axes.set_xlim(min(ratios.values()) - 0.05 * longest, 1.02 * longest)
        apart = 0.055 * float(np.diff(axes.get_ylim())[0])
        for method, y in zip(shown, _spread(heights, apart), strict=True):
            axes.annotate(
                method, (ratios[method], means[method]), (1.02, y),
                textcoords=("axes fraction", "data"), va="center", size=9.5, color=INK,
                arrowprops={"arrowstyle": "-", "color": PALE, "linewidth": 0.8},
            )  # fmt: skip
        title = f"{FIGURE_TITLES[name]} accuracy, percent"
        _finish(axes, title, f"training time, of that of {standings.baseline}")
    return figure


def _spread(heights: Sequence[float], apart: float) -> list[float]:
    """Ascending heights, those of neighbours that are too close moved apart around their middle."""
    groups: list[tuple[float, int]] = []  # middle and number of labels of each stretch
    for height in heights:
        middle, number = height, 1
        while groups and middle - groups[-1][0] < apart * (number + groups[-1][1]) / 2:
            other, more = groups.pop()
            middle = (middle * number + other * more) / (number + more)
            number += more
        groups.append((middle, number))
    return [
        middle + apart * (i - (number - 1) / 2) for middle, number in groups for i in range(number)
    ]


def _names(methods: Sequence[str]) -> float:
    """Inches that the longest name takes."""
    return _LETTER * max(map(len, methods), default=0)


def _grid(
    number: int,
    columns: int,
    height: float,
    *,
    left: float,
    right: float = _GAP,
    above: float = _ABOVE,
    below: float = _BELOW,
    top: float = 0.0,
) -> tuple["Picture", list["Axes"]]:
    """Panels in rows, with room for names left of all and `right` of each; in inches."""
    rows = -(-number // columns)
    pitch = above + height + below
    total = rows * pitch + top + (_ABOVE - above) + (_BELOW - below)
    figure = new_figure(_WIDTH, total)
    width = (_WIDTH - left) / columns - right
    panels = []
    for i in range(number):
        row, column = divmod(i, columns)
        bottom = (_BELOW - below) + (rows - 1 - row) * pitch + below
        panels.append(axes_at(figure, left + column * (width + right), bottom, width, height))
    return figure, panels


def _finish(axes: "Axes", title: str, below: str) -> None:
    """Title, label, two thin edges and small ticks."""
    axes.set_title(title, loc="left", size=11, color=INK)
    axes.set_xlabel(below, size=9.5, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    settings: dict[str, Any] = {"length": 0, "labelsize": 9, "labelcolor": INK}
    axes.tick_params(which="both", **settings)
