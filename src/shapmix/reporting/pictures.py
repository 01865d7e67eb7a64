"""Pictures: what mixing does to two clips, and which parts of the body carry which class.

They are matplotlib figures, drawn without pyplot and so without global state: save one with
`figure.savefig(path)`. matplotlib is imported when a picture is made.
"""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout
from shapmix.layouts.upright import Up
from shapmix.reporting.drawing import (
    FAINT,
    GREY,
    INK,
    PALE,
    STRONG,
    TINT,
    Floats,
    Window,
    axes_at,
    draw_coalitions,
    draw_funnel,
    draw_snapshots,
    draw_window,
    fit,
    flatten,
    new_figure,
    strip_axes,
)
from shapmix.reporting.runs import Run, load_saliency
from shapmix.suggest import did_you_mean, position

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _TEXT, _ROW, _GAP, _EDGE = 12.0, 2.3, 1.9, 0.3, 0.25  # inches


def mixed_clips_figure(
    receiver: Any,
    partner: Any,
    mixed: Any,
    pasted_joints: Any,
    window: Window,
    layout: Layout,
    *,
    source_window: Window | None = None,
    labels: tuple[str, str] = ("", ""),
    lam: float | None = None,
    titles: tuple[str, str, str] = ("Receiver", "Partner", "Mixed"),
    snapshots: int = 7,
    up: Up = "y",
    turn: float = 0.0,
) -> "Figure":
    """Two clips and what mixing made of them, a strip of snapshots each, 1200 pixels wide.

    Coloured are the parts that are pasted, in the partner's source window and in the paste window
    of the mixed clip; pale are the parts of the receiver that they replace.

    Args:
        receiver, partner, mixed: `(C, T, V)` clips of one person, C coordinates (>= 2).
        pasted_joints: `(V,)` bool, the joints that come from the partner.
        window: first frame and number of frames of the paste window.
        layout: the skeleton.
        source_window: the same of the partner's window; as the paste window when not given.
        labels: class names of receiver and partner.
        lam: weight of the receiver in the target; drawn when given.
        titles: of the three strips.
        snapshots: skeletons a strip.
        up: the axis that points up: `y`, `-y` (image coordinates) or `z`; x points right.
        turn: degrees by which to turn three-dimensional clips about the upward axis.

    Raises:
        ValueError: for shapes that do not belong together or a window outside the clip.
        ImportError: matplotlib is not installed.
    """
    clips = [np.asarray(clip, dtype=np.float64) for clip in (receiver, partner, mixed)]
    pasted = np.asarray(pasted_joints, dtype=bool)
    source = window if source_window is None else source_window
    _check_clips(clips, pasted, (window, source), layout)
    anchors = (clips[0], clips[1], clips[0])  # what is the receiver's stays where it was
    flat = [
        flatten(clip, anchor, layout.center, up, turn)
        for clip, anchor in zip(clips, anchors, strict=True)
    ]
    scale, lift = fit(flat[:2])
    flat = [scale * points + np.array([0, lift])[:, None, None] for points in flat]
    figure = new_figure(_WIDTH, 3 * _ROW + 2 * _GAP + 2 * _EDGE)
    looks = (  # colours of plain bones, marked bones, the window on the bar, the space over it
        (INK, PALE, GREY, FAINT),
        (GREY, STRONG, STRONG, TINT),
        (INK, STRONG, STRONG, TINT),
    )
    strips = [
        _draw_strip(figure, row, flat[row], layout, pasted, span, look, snapshots)
        for row, (span, look) in enumerate(zip((window, source, window), looks, strict=True))
    ]
    draw_funnel(figure, strips[1], source, strips[2], window)
    mixture = [] if lam is None else [f"{lam:.0%} {labels[0]}", f"{1 - lam:.0%} {labels[1]}"]
    _write_caption(figure, 0, titles[0], [labels[0]])
    _write_caption(figure, 1, titles[1], [labels[1], _part_names(layout, pasted)])
    _write_caption(figure, 2, titles[2], mixture, lam)
    return figure


def _draw_strip(
    figure: "Figure",
    row: int,
    points: Floats,
    layout: Layout,
    pasted: NDArray[np.bool_],
    window: Window,
    look: tuple[str, str, str, str],
    snapshots: int,
) -> "Axes":
    """A row of the picture: `points (2, T, V)` in body heights, marked inside the window."""
    T = points.shape[1]
    place = (_TEXT, _bottom(row), _WIDTH - _TEXT - _EDGE, _ROW)
    axes, frames_per_body = strip_axes(figure, *place, num_frames=T)
    frames = np.arange(T)[:, None]
    inside = (window[0] <= frames) & (frames < sum(window))
    plain, strong, bar, tint = look
    draw_window(axes, window, bar, tint)
    points = points * np.array([frames_per_body, 1])[:, None, None]
    draw_snapshots(axes, points, layout, inside & pasted, (plain, strong), snapshots)
    return axes


def _bottom(row: int) -> float:
    """Lower edge of a row counted from above, in inches."""
    return _EDGE + (2 - row) * (_ROW + _GAP)


def _part_names(layout: Layout, joints: NDArray[np.bool_]) -> str:
    masks = zip(layout.part_names, layout.part_masks(), strict=True)
    return ", ".join(_words(name) for name, mask in masks if joints[mask].any())


def _words(part: str) -> str:
    return part.replace("_", "\N{NO-BREAK SPACE}")


def _write_caption(
    figure: "Figure", row: int, title: str, lines: Sequence[str], lam: float | None = None
) -> None:
    """Left of a strip: title, a bar of the shares of the target, lines (the second coloured)."""
    from matplotlib.artist import Artist
    from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, TextArea, VPacker
    from matplotlib.patches import Rectangle

    children: list[Artist] = []
    children.append(TextArea(title, textprops={"size": 15, "weight": "bold", "color": INK}))
    if lam is not None:
        length, height = 125.0, 9.0  # points
        bar = DrawingArea(length, height)
        bar.add_artist(Rectangle((0, 0), length, height, color=STRONG, linewidth=0))
        bar.add_artist(Rectangle((0, 0), lam * length, height, color=INK, linewidth=0))
        children.append(bar)
    for text, colour in zip(lines, (INK, STRONG), strict=False):
        look = {"size": 11.5, "color": colour, "linespacing": 1.25}
        children.append(TextArea(fill(text, 22), textprops=look))
    middle = (_bottom(row) + _ROW / 2) / figure.get_figheight()
    box = AnchoredOffsetbox(
        loc="center left",
        child=VPacker(children=children, align="left", pad=0, sep=5),
        bbox_to_anchor=(_EDGE / _WIDTH, middle),
        bbox_transform=figure.transFigure,
        borderpad=0,
        frameon=False,
    )
    figure.add_artist(box)


def _check_clips(
    clips: Sequence[NDArray[Any]],
    pasted: NDArray[np.bool_],
    windows: Sequence[Window],
    layout: Layout,
) -> None:
    shapes = [clip.shape for clip in clips]
    V = layout.num_joints
    if len(set(shapes)) > 1 or len(shapes[0]) != 3 or shapes[0][2] != V or shapes[0][0] < 2:
        raise ValueError(
            f"clips have shapes {shapes}; expected three times (C, T, {V}), with two coordinates "
            f"or more and the joints of layout {layout.name!r}: pick one person of (C, T, V, M)"
        )
    if pasted.shape != (V,):
        raise ValueError(f"pasted_joints has shape {pasted.shape}; expected ({V},)")
    for start, length in windows:
        if start < 0 or length < 0 or start + length > shapes[0][1]:
            raise ValueError(
                f"window ({start}, {length}) leaves the clip's {shapes[0][1]} frames; expected "
                "first frame and number of frames"
            )


def saliency_figure(run: Run, classes: Sequence[int | str] | None = None) -> "Figure":
    """Saliency of every coalition at the last refresh: a column of horizontal bars for each class.

    The dots on the left say which parts make a coalition. The three most salient of each class are
    coloured.

    Args:
        run: a run with `saliency.npz`.
        classes: labels or names; the four with the fewest training clips when not given.

    Raises:
        RunError: the run has no saliency, or the file is damaged.
        ValueError: an unknown class.
        ImportError: matplotlib is not installed.
    """
    saliency = load_saliency(run)
    labels = _choose_classes(run, classes)
    scores = saliency.scores[-1][labels]
    Q, P = saliency.coalitions.shape
    left, column, height = _EDGE + 0.3 * P, 2.45, 0.24 * Q  # inches
    figure = new_figure(left + len(labels) * column + _EDGE, 0.6 + height + 1.0)
    dots = axes_at(figure, _EDGE, 0.6, 0.3 * P, height)
    names = [_words(name) for name in saliency.part_names]
    draw_coalitions(dots, saliency.coalitions, names, dot=62, line=1.8, text=9.5)
    limit = 1.05 * max(float(scores.max()), 1e-9)
    for i, (label, values) in enumerate(zip(labels, scores, strict=True)):
        axes = axes_at(figure, left + i * column + 0.2, 0.6, column - 0.25, height)
        _draw_bars(axes, values, limit)
        clips = run.class_counts[label]
        title = fill(run.class_names[label], 22) + "\n"
        axes.set_title(title, loc="left", size=12, weight="bold", color=INK)
        axes.text(0, -0.8, f"{clips} training clip{'s' * (clips != 1)}", size=9.5, color=GREY)
    words = f"saliency score after epoch {int(saliency.epochs[-1])}"
    figure.text(0.5, 0.12 / figure.get_figheight(), words, ha="center", size=10, color=INK)
    return figure


def _draw_bars(axes: "Axes", values: NDArray[np.floating[Any]], limit: float) -> None:
    """A bar for each coalition, the three longest coloured."""
    best = np.argsort(-values, kind="stable")[:3]
    colours = [STRONG if i in best and value > 0 else PALE for i, value in enumerate(values)]
    axes.barh(range(len(values)), values, color=colours, height=0.72)
    axes.set(xlim=(0, limit), ylim=(len(values) - 0.5, -0.5), yticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(GREY)
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(axis="x", length=0, labelsize=9, labelcolor=GREY)


def _choose_classes(run: Run, classes: Sequence[int | str] | None) -> list[int]:
    if classes is None:
        return sorted(range(len(run.class_names)), key=lambda label: run.class_counts[label])[:4]
    if not classes:
        raise ValueError("classes is empty; expected at least one label or name")
    return [_find_class(run, name) for name in classes]


def _find_class(run: Run, name: int | str) -> int:
    if isinstance(name, str) and (found := position(name, run.class_names)) is not None:
        return found
    if isinstance(name, int) and 0 <= name < len(run.class_names):
        return name
    hint = did_you_mean(str(name), run.class_names)
    raise ValueError(
        f"no class {name!r}{hint}; expected one of {list(run.class_names)} or a label from 0 to "
        f"{len(run.class_names) - 1}"
    )
