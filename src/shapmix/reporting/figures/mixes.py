"""A mix as three strips of snapshots: receiver, partner and mixed clip."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from shapmix.reporting.drawing import (
    FAINT,
    GREY,
    INK,
    PALE,
    STRONG,
    TINT,
    Floats,
    draw_funnel,
    draw_snapshots,
    draw_window,
    fit,
    flatten,
    strip_axes,
)
from shapmix.reporting.examples import Example, scenes
from shapmix.reporting.figures.paper import SMALL, TEXT, WIDTHS, page
from shapmix.reporting.report.inputs import ReportRun
from shapmix.reporting.report.mixes import Mix, label_text, pasted_parts
from shapmix.reporting.report.player import clip_scene, front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SNAPSHOTS = 9
_CAPTION, _ROW, _GAP, _EDGE = 1.3, 1.05, 0.2, 0.06  # inches
_THIN = 0.5  # of the lines of pictures that are 1200 pixels wide
# Of receiver, partner and mixed clip: plain bones, marked bones, the window, the space over it.
_LOOKS = (
    (INK, PALE, GREY, FAINT),
    (GREY, STRONG, STRONG, TINT),
    (INK, STRONG, STRONG, TINT),
)


def mix_figure(run: ReportRun) -> "Figure | None":
    """The first mix of a run in which something was pasted, two columns wide; None without any.

    Of several persons the first is drawn. In colour: the pasted parts, in the partner inside its
    source window; pale: what they replace.
    """
    mix = find_paste(run)
    if mix is None:
        return None
    figure = page(2, 3 * _ROW + 2 * _GAP + 2 * _EDGE)
    rows = [_draw_row(figure, mix, row, points) for row, points in enumerate(_on_paper(mix))]
    if mix[1].window and mix[2].window:
        draw_funnel(figure, rows[1], mix[1].window, rows[2], mix[2].window)
    _make_thin(figure)
    _write_captions(figure, mix, run.run.class_names)
    return figure


def find_paste(run: ReportRun) -> Mix | None:
    """The first mix in which something was pasted."""
    mixes = scenes(run.examples, "mix") if run.examples else []
    return next(
        (mix for mix in mixes if mix[2].pasted.any() and mix[1].window and mix[2].window), None
    )


def _on_paper(mix: Mix) -> list[Floats]:
    """The three clips from the receiver's front, in body heights."""
    receiver, partner, mixed = (_first_person(example) for example in mix)
    up, center = mix[0].up, mix[0].layout.center
    turn = np.rad2deg(front(clip_scene(mix[0]))) * (1 if up == "y" else -1)
    flat = [
        flatten(clip, anchor, center, up, turn)
        for clip, anchor in ((receiver, receiver), (partner, partner), (mixed, receiver))
    ]
    scale, lift = fit(flat)
    return [scale * points + np.array([0, lift])[:, None, None] for points in flat]


def _first_person(example: Example) -> Floats:
    """Coordinates `(D, T, V)`."""
    D = len(example.channels.removesuffix("c"))
    return np.moveaxis(example.keypoints[:, 0, :, :D].astype(np.float64), 2, 0)


def _draw_row(figure: "Figure", mix: Mix, row: int, points: Floats) -> "Axes":
    T = points.shape[1]
    plain, strong, bar, tint = _LOOKS[row]
    axes, wide = strip_axes(
        figure, _CAPTION, _bottom(row), WIDTHS[2] - _CAPTION - _EDGE, _ROW, num_frames=T
    )
    window = mix[row].window or mix[2].window
    assert window is not None
    draw_window(axes, window, bar, tint)
    frames = np.arange(T)[:, None]
    marked = (window[0] <= frames) & (frames < sum(window)) & mix[2].pasted
    in_frames = points * np.array([wide, 1])[:, None, None]
    draw_snapshots(axes, in_frames, mix[0].layout, marked, (plain, strong), SNAPSHOTS)
    return axes


def _bottom(row: int) -> float:
    return _EDGE + (2 - row) * (_ROW + _GAP)


def _make_thin(figure: "Figure") -> None:
    """Lines, heads and words of a picture for the screen, in the sizes of print."""
    for axes in figure.axes:
        for bones in axes.collections:
            bones.set_linewidth((_THIN * np.asarray(bones.get_linewidth())).tolist())
        for line in axes.lines:
            line.set_linewidth(_THIN * line.get_linewidth())
            line.set_markersize(_THIN * line.get_markersize())
    for words in figure.texts:
        words.set_fontsize(SMALL)


def _write_captions(figure: "Figure", mix: Mix, names: Sequence[str]) -> None:
    """Beside each strip: what it is, its class or mixed label, and the pasted parts."""
    width, height = figure.get_size_inches()
    classes = ["" if example.label is None else names[example.label] for example in mix]
    texts = (
        ("Receiver", classes[0], ""),
        ("Partner", classes[1], ", ".join(pasted_parts(mix[2]))),
        ("Mixed", label_text(mix[2], names), ""),
    )
    for row, (title, first, second) in enumerate(texts):
        y = _bottom(row) + _ROW - 0.18
        figure.text(_EDGE / width, y / height, title, size=TEXT + 1, weight="bold", va="top")
        lines = fill(first, 24)
        y -= 0.19
        figure.text(_EDGE / width, y / height, lines, size=TEXT - 0.5, va="top", linespacing=1.25)
        y -= 0.13 * (lines.count("\n") + 1) + 0.02
        figure.text(
            _EDGE / width, y / height, fill(second, 24), size=TEXT - 0.5, va="top", color=STRONG,
            linespacing=1.25,
        )  # fmt: skip
