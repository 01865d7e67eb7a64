"""A picture of a recording: what was recognised when, and how probable each action was.

Above, a bar with the segments; below, a row for each action with its probability over time, filled
where it is the label. Every action has its row and its name, so that nothing rests on colour alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapmix.reporting.drawing import FAINT, GREY, INK, PALE, axes_at, new_figure
from shapmix.reporting.figures.paper import FACTS
from shapmix.writing import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

FORMATS = (".png", ".svg", ".pdf")
MOST_ROWS = 12
LIKELY = 0.2  # probability that a class without a segment needs somewhere to have a row
LONGEST_NAME = 28  # characters
# Okabe and Ito (2008) without black and yellow: told apart by the colour-blind, in this order also
# as neighbours.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
DARK = ("#0072b2", "#009e73", "#d55e00")  # those that carry white letters

_WIDTH, _NAMES, _RIGHT = 11.0, 2.5, 0.55  # inches
_ROW, _GAP, _BAR, _TOP, _BOTTOM = 0.44, 0.12, 0.42, 0.55, 0.62

Span = tuple[int, int, int]  # first frame, frame after the last, class index
Floats = NDArray[np.floating[Any]]


def timeline_figure(
    probabilities: Floats,
    borders: NDArray[np.int64],
    segments: Sequence[Span],
    class_names: Sequence[str],
    *,
    fps: float | None = None,
    title: str = "",
) -> "Figure":
    """Segments and probabilities over time, 1100 pixels wide.

    Args:
        probabilities: `(n, K)`; row i holds from frame `borders[i]` to `borders[i + 1]`.
        borders: `(n + 1,)`, ascending.
        segments: in the order of time.
        class_names: K names.
        fps: frames a second; the axis has frames when it is not known.
        title: of the picture.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the shapes do not fit one another.
    """
    n, K = probabilities.shape
    if len(borders) != n + 1 or len(class_names) != K:
        raise ValueError(
            f"{n} rows of {K} probabilities, {len(borders)} borders and {len(class_names)} names; "
            "expected one border more than rows, and a name for each class"
        )
    classes = shown_classes(probabilities, segments)
    panel = len(classes) * (_ROW + _GAP)
    height = _TOP + _BAR + _GAP + panel + _BOTTOM
    figure = new_figure(_WIDTH, height)
    width = _WIDTH - _NAMES - _RIGHT
    scale = 1.0 if fps is None else 1 / fps
    ends = (float(borders[0]) * scale, float(borders[-1]) * scale)
    colours = {k: COLOURS[i % len(COLOURS)] for i, k in enumerate(classes)}
    bar = axes_at(figure, _NAMES, height - _TOP - _BAR, width, _BAR)
    names = _draw_segments(bar, segments, class_names, colours, scale, ends)
    with figure.spelt():
        for text, room in names:
            text.set_visible(text.get_window_extent().width <= room)
    for row, k in enumerate(classes):
        bottom = height - _TOP - _BAR - _GAP - (row + 1) * (_ROW + _GAP) + _GAP / 2
        axes = axes_at(figure, _NAMES, bottom, width, _ROW)
        spans = [(start, end) for start, end, label in segments if label == k]
        _draw_row(axes, probabilities[:, k], borders, spans, colours[k], scale)
        _finish(axes, class_names[k], ends, is_last=row == len(classes) - 1)
    _write_words(figure, title, "frames" if fps is None else "seconds", K - len(classes))
    return figure


def shown_classes(probabilities: Floats, segments: Sequence[Span]) -> list[int]:
    """The classes with segments, in the order of their first one; then the most probable others.

    At most `MOST_ROWS`; where more have segments, those with the most frames.
    """
    frames: dict[int, int] = {}
    for start, end, label in segments:
        frames[label] = frames.get(label, 0) + end - start
    kept = sorted(frames, key=lambda k: -frames[k])[:MOST_ROWS]
    chosen = [k for k in frames if k in kept]
    others = [int(k) for k in np.argsort(-probabilities.max(0), kind="stable") if k not in frames]
    likely = [k for k in others if probabilities[:, k].max() >= LIKELY]
    if not chosen and not likely:
        likely = others[:3]
    return (chosen + likely)[:MOST_ROWS]


def _write_words(figure: "Figure", title: str, unit: str, hidden: int) -> None:
    """The title above, and what the axes have below."""
    height = figure.get_figheight()
    top, bottom = 1 - 0.33 / height, 0.12 / height
    middle = (_NAMES + _WIDTH - _RIGHT) / 2 / _WIDTH
    figure.text(_NAMES / _WIDTH, top, title, size=12, color=INK)
    figure.text(middle, bottom, unit, size=10, color=GREY, ha="center")
    figure.text(1 - 0.1 / _WIDTH, bottom, "probability", size=8.5, color=GREY, ha="right")
    if hidden:
        words = f"{hidden} other classes not shown" if hidden > 1 else "1 other class not shown"
        figure.text(0.1 / _WIDTH, bottom, words, size=8.5, color=GREY)


def _draw_segments(
    axes: "Axes",
    segments: Sequence[Span],
    class_names: Sequence[str],
    colours: dict[int, str],
    scale: float,
    ends: tuple[float, float],
) -> list[tuple["Text", float]]:
    """The bar; the names in its segments, and the dots of room that each has."""
    axes.set(xlim=ends, ylim=(0, 1))
    axes.set_axis_off()
    axes.axhspan(0, 1, color=FAINT, linewidth=0)
    axes.text(
        -0.012, 0.5, "recognised", transform=axes.transAxes, ha="right", va="center", size=10,
        color=INK, weight="bold",
    )  # fmt: skip
    names = []
    for start, end, label in segments:
        colour = colours.get(label, GREY)
        axes.axvspan(start * scale, end * scale, color=colour, linewidth=0)
        for border in (start, end):
            axes.axvline(border * scale, color="white", linewidth=1.2)
        text = axes.text(
            (start + end) / 2 * scale, 0.5, _short(class_names[label]), ha="center", va="center",
            size=9.5, color="white" if colour in DARK else INK,
        )  # fmt: skip
        room = axes.transData.transform([(start * scale, 0), (end * scale, 0)])[:, 0]
        names.append((text, room[1] - room[0] - 6))
    return names


def _draw_row(
    axes: "Axes",
    probability: Floats,
    borders: NDArray[np.int64],
    spans: Sequence[tuple[int, int]],
    colour: str,
    scale: float,
) -> None:
    """One class: its probability in steps, filled with colour where it is the label."""
    axes.stairs(probability, borders * scale, fill=True, color=PALE, linewidth=0)
    for start, end in spans:
        first, last = np.searchsorted(borders, [start, end])
        axes.stairs(
            probability[first:last], borders[first : last + 1] * scale, fill=True, color=colour,
            linewidth=0,
        )  # fmt: skip
    axes.stairs(probability, borders * scale, color=INK, linewidth=0.8, baseline=None)


def _finish(axes: "Axes", name: str, ends: tuple[float, float], *, is_last: bool) -> None:
    axes.set(xlim=ends, ylim=(0, 1.02))
    axes.set_yticks([0, 1], ["0", "1"] if is_last else ["", ""])
    axes.yaxis.tick_right()
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(colors=GREY, labelsize=9, length=3 if is_last else 0)
    axes.tick_params(axis="x", labelbottom=is_last)
    axes.text(
        -0.012, 0.35, _short(name), transform=axes.transAxes, ha="right", va="center", size=10,
        color=INK,
    )  # fmt: skip


def _short(name: str) -> str:
    """A name that fits beside a row, without what would break its line."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def check_path(path: Path) -> None:
    """ValueError when no picture can be written to a path of this name."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"the picture is {path.name!r}; expected a name in {', '.join(FORMATS)}")


def save_timeline(figure: "Figure", path: Path) -> None:
    """Write the picture in the format of the name's ending, whole or not at all.

    Raises:
        ValueError: the ending is not one of `FORMATS`.
    """
    import matplotlib as mpl

    check_path(path)
    embedded: Any = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "shapmix"}
    kind = path.suffix.lower()[1:]
    with atomic_file(path) as file, mpl.rc_context(embedded):
        figure.savefig(file, format=kind, dpi=150, metadata=FACTS[kind])  # type: ignore[index]
