"""Skeletons on paper: a clip as a strip of snapshots, each standing over its moment in time.

A strip has frames to the right and body heights up; its time bar runs along the lower edge.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout
from shapmix.layouts.upright import Up

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from shapmix.reporting.canvas import Canvas

# Greys and one strong colour, the vermilion of Okabe and Ito (2008); they differ in lightness too,
# so that neither a kind of colour blindness nor a grey print loses the difference.
INK, GREY, PALE, FAINT = "#30353a", "#858d95", "#cfd4d9", "#eef0f2"
STRONG, TINT = "#d55e00", "#fdeee3"

LOW, HIGH = -0.7, 0.62  # edges of a strip, in body heights from the middle of the body
_BAR = -0.66  # height of the time bar
_HEADS = ("head", "nose")  # joints drawn as heads

Window = tuple[int, int]  # first frame, number of frames
Floats = NDArray[np.float64]


def new_figure(width: float, height: float) -> "Canvas":
    """An empty figure, in inches, at 100 dots an inch.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from shapmix.reporting.canvas import Canvas
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib: pip install matplotlib (or shapmix[report])"
        ) from error
    return Canvas(width, height)


def axes_at(figure: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Axes at a place given in inches."""
    W, H = figure.get_size_inches()
    return figure.add_axes((left / W, bottom / H, width / W, height / H))


def flatten(clip: Floats, anchor: Floats, center: int, up: Up, turn: float = 0.0) -> Floats:
    """A clip `(C, T, V)` on paper: `(2, T, V)`, to the right and up; NaN in frames without a body.

    Each frame is centred on the horizontal position of the centre joint in `anchor`, so that people
    who walk stay in place, and all frames on its mean height, so that people who jump rise.

    Args:
        up: the axis that points up. turn: degrees about it, for clips of three dimensions.
    """
    points, anchors = (_right_and_up(each, up, np.deg2rad(turn)) for each in (clip, anchor))
    points[0] -= anchors[0, :, center, None]
    points[1] -= anchors[1, :, center].mean()
    points[:, ~clip.any((0, 2))] = np.nan
    return points


def _right_and_up(clip: Floats, up: Up, turn: float) -> Floats:
    height, depth = (2, 1) if up == "z" else (1, 2)
    right = clip[0] if turn == 0 else np.cos(turn) * clip[0] + np.sin(turn) * clip[depth]
    return np.stack([right, -clip[height] if up == "-y" else clip[height]])


def fit(strips: Sequence[Floats]) -> tuple[float, float]:
    """Scale and lift that make the bodies of flattened clips one unit high, with zero amid."""
    heights = np.concatenate([strip[1].ravel() for strip in strips])
    if np.isnan(heights).all():
        return 1.0, 0.0
    low, high = np.nanpercentile(heights, [0.5, 99.5])  # a joint that jumps away does not count
    scale = 1 / max(high - low, 1e-9)
    return float(scale), float(-scale * (low + high) / 2)


def strip_axes(
    figure: "Figure", left: float, bottom: float, width: float, height: float, num_frames: int
) -> tuple["Axes", float]:
    """Axes of a strip at a place given in inches, and how many frames a body height is wide."""
    axes = axes_at(figure, left, bottom, width, height)
    axes.set_axis_off()
    axes.set_xlim(0, num_frames)
    axes.set_ylim(LOW, HIGH)
    return axes, num_frames / (width / height * (HIGH - LOW))


def draw_snapshots(
    axes: "Axes",
    points: Floats,
    layout: Layout,
    marked: NDArray[np.bool_],
    colours: tuple[str, str],
    snapshots: int,
) -> None:
    """Draw skeletons at equal distances in time.

    Args:
        points: `(2, T, V)` in units of the axes, around the middle of the body.
        marked: `(T, V)` bool, joints whose bones (from the parent to the joint) are marked.
        colours: of plain and of marked bones.
    """
    from matplotlib.collections import LineCollection

    T = points.shape[1]
    bones = np.array(layout.bones)
    head = next((layout.joints.index(name) for name in _HEADS if name in layout.joints), None)
    for frame in ((np.arange(snapshots) + 0.5) * T / snapshots).astype(int):
        body = points[:, frame].T + np.array([frame + 0.5, 0])
        if np.isnan(body).any():
            continue
        order = bones[np.argsort(marked[frame, bones[:, 0]], kind="stable")]  # marked ones on top
        strong = marked[frame, order[:, 0]]
        axes.add_collection(
            LineCollection(
                list(body[order]),
                colors=[colours[mark] for mark in strong.astype(int)],
                linewidths=np.where(strong, 3.4, 2.4),
                capstyle="round",
            )
        )
        if head is not None:
            colour = colours[int(marked[frame, head])]
            axes.plot(*body[head], "o", color=colour, markersize=8.5, zorder=3)


def draw_window(axes: "Axes", window: Window, colour: str, tint: str) -> None:
    """Draw the time bar with a window on it, and tint the space over the window."""
    span = [window[0], sum(window)]
    axes.fill_between(span, _BAR, HIGH, color=tint, linewidth=0, zorder=0)
    for ends, shade in ((axes.get_xlim(), PALE), (span, colour)):
        axes.plot(ends, [_BAR, _BAR], color=shade, linewidth=6, solid_capstyle="butt", zorder=1)


def draw_funnel(figure: "Figure", above: "Axes", source: Window, below: "Axes", to: Window) -> None:
    """Join the window on a time bar with the window of the strip below that it is resampled to."""
    from matplotlib.patches import Polygon

    corners = [
        *above.transData.transform([(source[0], _BAR), (sum(source), _BAR)]),
        *below.transData.transform([(sum(to), HIGH), (to[0], HIGH)]),
    ]
    outline = figure.transFigure.inverted().transform(corners)
    figure.add_artist(Polygon(outline, closed=True, color=TINT, linewidth=0, zorder=-1))
    words = f"{source[1]} frames" + (f" become {to[1]}" if source[1] != to[1] else "")
    x, y = outline.mean(0)
    figure.text(x, y, words, size=9.5, color=STRONG, ha="center", va="center")


def draw_coalitions(
    axes: "Axes",
    coalitions: NDArray[np.bool_],
    names: Sequence[str],
    *,
    dot: float,
    line: float,
    text: float,
) -> None:
    """A row of dots for each coalition `(Q, P)`, filled where it has the part.

    Args:
        dot: area of a dot. line: width of the line that joins them. text: size of the names above.
    """
    Q, P = coalitions.shape
    rows, places = np.mgrid[:Q, :P]
    for dots, colour, layer in ((~coalitions, PALE, 1), (coalitions, INK, 3)):
        axes.scatter(places[dots], rows[dots], s=dot, color=colour, linewidth=0, zorder=layer)
    for row, members in enumerate(coalitions):
        inside = np.flatnonzero(members)
        axes.plot(inside[[0, -1]], [row, row], color=INK, linewidth=line, zorder=2)
    axes.set_axis_off()
    axes.set(xlim=(-0.5, P - 0.5), ylim=(Q - 0.5, -0.5))
    for part, name in enumerate(names):
        axes.text(part, -0.7, name, size=text, color=INK, rotation=90, ha="center", va="bottom")
