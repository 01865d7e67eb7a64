"""Pictures of explanations: a clip with its parts coloured by what they tell, still or moving.

Blue parts speak against the class, orange ones for it, grey ones not at all. Everything is drawn
from plain arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout
from shapmix.layouts.upright import Up
from shapmix.reporting.drawing import FAINT, GREY, INK, STRONG, axes_at
from shapmix.reporting.figures.paper import (
    MINUS,
    SMALL,
    TEXT,
    WIDTHS,
    diverging,
    page,
    print_style,
    save,
    shortened,
)
from shapmix.reporting.paper_bodies import Stage, bodies_on_paper, draw_body, draw_strip
from shapmix.writing import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

Floats = NDArray[np.floating[Any]]

STILL, MOVING = (".png", ".svg", ".pdf"), ".gif"
MOST_FRAMES = 60  # of an animation
_FPS = 30.0  # where nobody said
_GIF_DOTS = 120  # an inch
_NOTHING = "#b4bbc4"  # of a part that tells nothing; to be seen on white
_HEIGHT, _EDGE, _TOP = 4.0, 0.15, 0.6  # inches


@dataclass(frozen=True, eq=False)
class Pictured:
    """What a picture shows.

    Attributes:
        title: such as the class and its probability. subtitle: what it is about.
        keypoints: `(T, M, V, C)` the clip that is drawn; absent bodies are zero.
        layout: its skeleton. up: the axis that points up.
        has_score: whether the last channel is a confidence; joints with none are left out.
        parts: name -> value. errors: of the same parts, NaN where there are none.
        together: name of a coalition -> value, the best ones.
        fps: frames a second, None where unknown.

    Raises:
        ValueError: shapes that do not belong together.
    """

    title: str
    subtitle: str
    keypoints: Floats
    layout: Layout
    up: Up
    has_score: bool
    parts: Mapping[str, float]
    errors: Sequence[float]
    together: Mapping[str, float]
    fps: float | None = None

    def __post_init__(self) -> None:
        V = self.layout.num_joints
        if self.keypoints.ndim != 4 or self.keypoints.shape[2] != V or not len(self.keypoints):
            raise ValueError(
                f"keypoints have shape {self.keypoints.shape}; expected (T, M, {V}, C) of layout "
                f"{self.layout.name!r}"
            )
        if set(self.parts) != set(self.layout.parts) or len(self.errors) != len(self.parts):
            raise ValueError(
                f"there are values of {', '.join(self.parts)} and {len(self.errors)} errors; "
                f"expected one each of {', '.join(self.layout.part_names)}"
            )

    def bodies(self) -> Floats:
        """The clip on paper: `(T, M, V, 2)`, NaN where there is no joint."""
        return bodies_on_paper(self.keypoints, self.up, self.has_score)


def check_path(path: Path, *, moving: bool = True) -> None:
    """ValueError when a picture cannot be written in the format that a name asks for."""
    known = (*STILL, MOVING) if moving else STILL
    if path.suffix.lower() not in known:
        why = "" if moving else " (only a clip or a class moves)"
        raise ValueError(f"{path} ends in {path.suffix!r}; expected {', '.join(known)}{why}")


def write_picture(path: Path, shown: Pictured) -> Path:
    """Write a picture, or an animation where the name ends in .gif; whole or not at all.

    Raises:
        ValueError: another ending of the name.
        ImportError: matplotlib is not installed.
    """
    check_path(path)
    with print_style():
        if path.suffix.lower() == MOVING:
            return _write_animation(path, shown)
        return _save(explanation_figure(shown), path)


def write_overview(
    path: Path, title: str, values: Any, classes: Sequence[str], parts: Sequence[str]
) -> Path:
    """Write the picture of all classes; see `overview_figure`."""
    check_path(path, moving=False)
    with print_style():
        return _save(overview_figure(title, np.asarray(values), classes, parts), path)


def _save(figure: "Figure", path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(figure, path, path.suffix.lower()[1:])  # type: ignore[arg-type]  # checked


def explanation_figure(shown: Pictured) -> "Figure":
    """The clip as a strip of coloured snapshots, over bars of parts and of coalitions."""
    figure = _titled(shown)
    width = WIDTHS[2] - 2 * _EDGE
    strip = axes_at(figure, _EDGE, _HEIGHT - _TOP - 1.75, width, 1.75)
    draw_strip(strip, shown.bodies(), shown.layout, joint_colours(shown), shown.fps)
    bars = axes_at(figure, 1.0, 0.42, 2.2, 0.95)
    _draw_parts(bars, shown)
    beside = axes_at(figure, 5.0, 0.42, WIDTHS[2] - 5.0 - 0.2, 0.95)
    _draw_bars(beside, shown.together, [np.nan] * len(shown.together))
    beside.set_title("parts together", loc="right", size=SMALL, color=GREY)
    return figure


def _write_animation(path: Path, shown: Pictured) -> Path:
    """A .gif at the speed of the clip, of at most `MOST_FRAMES` frames."""
    from PIL.Image import Dither

    step = -(-len(shown.keypoints) // MOST_FRAMES)
    frames = animation(shown, step)
    palette = frames[len(frames) // 2].quantize(64)
    images = [image.quantize(palette=palette, dither=Dither.NONE) for image in frames]
    with atomic_file(path) as file:
        images[0].save(
            file,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=max(round(1000 * step / (shown.fps or _FPS)), 20),
            loop=0,
            comment=b"shapmix",
        )
    return path


def animation(shown: Pictured, step: int = 1) -> list["Image"]:
    """Every `step`-th frame of the clip as a picture: the body beside the bars of its parts."""
    from PIL import Image

    figure = _titled(shown)
    figure.set_dpi(_GIF_DOTS)
    side = _HEIGHT - _TOP - 0.45
    axes = axes_at(figure, _EDGE, 0.4, side + 0.25, side)
    bars = axes_at(figure, 4.75, 1.25, WIDTHS[2] - 4.75 - 0.2, side - 0.95)
    _draw_parts(bars, shown)
    clock = axes_at(figure, _EDGE, 0.2, side + 0.25, 0.06)
    clock.set(xlim=(0, len(shown.keypoints)), ylim=(0, 1))
    clock.set_facecolor(FAINT)
    clock.set(xticks=[], yticks=[])
    for spine in clock.spines.values():
        spine.set_visible(False)
    bodies, colours = shown.bodies(), joint_colours(shown)
    stage = Stage.around(bodies, axes)
    canvas: Any = figure.canvas
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    images = []
    for frame in range(0, len(bodies), step):
        canvas.restore_region(background)
        body = draw_body(axes, stage(bodies[frame]), shown.layout, colours)
        for artist in (*body, clock.axvspan(0, frame + 1, color=GREY, linewidth=0)):
            axes.draw_artist(artist)
            artist.remove()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        images.append(Image.fromarray(np.ascontiguousarray(pixels)))
    return images


def overview_figure(
    title: str, values: Floats, classes: Sequence[str], parts: Sequence[str]
) -> "Figure":
    """A row of coloured cells for each class `(K, P)`, the value in each."""
    K, P = values.shape
    height = 0.75 + 0.2 * K
    figure = page(2, height)
    axes = axes_at(figure, 2.1, 0.1, 0.85 * min(P, 5), 0.2 * K)
    colours, scale = diverging(values)
    axes.imshow(values, cmap=colours, norm=scale, aspect="auto", alpha=0.8)
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            column, row, _signed(float(value)), ha="center", va="center", size=SMALL, color=INK
        )
    axes.set_yticks(range(K), [shortened(name, 30) for name in classes])
    axes.set_xticks(range(P), [name.replace("_", " ") for name in parts])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.text(_EDGE / WIDTHS[2], 1 - 0.2 / height, title, size=9, weight="bold", va="center")
    return figure


def joint_colours(shown: Pictured) -> list[Any]:
    """The colour of each joint, by the value of its part."""
    most = max([*map(abs, shown.parts.values()), 1e-9])
    colours: list[Any] = [_NOTHING] * shown.layout.num_joints
    for part, value in shown.parts.items():
        for joint in shown.layout.parts[part]:
            colours[joint] = _map()(0.5 + 0.5 * value / most)
    return colours


def _map() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tells", [MINUS, _NOTHING, STRONG])


def _titled(shown: Pictured) -> "Figure":
    figure = page(2, _HEIGHT)
    looks: list[tuple[str, float, dict[str, Any]]] = [
        (shown.title, 0.2, {"size": 10, "weight": "bold"}),
        (shown.subtitle, 0.42, {"size": TEXT, "color": GREY}),
    ]
    for text, below, look in looks:
        place = _EDGE / WIDTHS[2], 1 - below / _HEIGHT
        figure.text(*place, shortened(text, 110), va="center", **look)
    return figure


def _draw_parts(axes: "Axes", shown: Pictured) -> None:
    """Bars of the parts in the colours of the body, with their errors and a legend."""
    _draw_bars(axes, shown.parts, shown.errors)
    low, high = axes.get_xlim()
    words = [("against", low, "left", MINUS), ("for", high, "right", STRONG)]
    for text, at, side, colour in words if low < 0 else words[1:]:
        axes.text(at, -0.75, text, size=SMALL, color=colour, ha=side, va="bottom")


def _draw_bars(axes: "Axes", values: Mapping[str, float], errors: Sequence[float]) -> None:
    """Horizontal bars on both sides of zero, the first on top."""
    lengths = np.array([*values.values()], dtype=np.float64)
    spread = np.nan_to_num(np.array(errors, dtype=np.float64))
    most = max(float(np.abs(lengths).max(initial=0.0)), 1e-9)
    colours = [_map()(0.5 + 0.5 * value / most) for value in lengths]
    axes.barh(range(len(values)), lengths, 0.68, color=colours)
    if spread.any():
        axes.errorbar(
            lengths,
            range(len(values)),
            xerr=spread,
            fmt="none",
            ecolor=INK,
            elinewidth=0.8,
            capsize=2,
        )
    axes.axvline(0, color=GREY, linewidth=0.6)
    names = [shortened(name.replace("_", " "), 34) for name in values]
    axes.set_yticks(range(len(values)), names)
    low, high = min(float((lengths - spread).min()), 0.0), max(float((lengths + spread).max()), 0.0)
    room = 0.04 * max(high - low, 1e-9)
    axes.set(xlim=(low - room * (low < 0), high + room), ylim=(len(values) - 0.5, -0.5))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0" if not float(text) else text.replace("-", "−")
