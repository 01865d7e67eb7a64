"""Bodies of a clip on paper, a bone in the colour of its joint: one frame, or a strip of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout
from shapmix.layouts.upright import Up
from shapmix.reporting.drawing import GREY

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Floats = NDArray[np.floating[Any]]

_HEADS = ("head", "nose")  # joints drawn as heads
_STILL = (0.5, 99.5)  # percentiles between which joints count; some jump away
_MOST_SNAPSHOTS = 8
_ROOM = 1.12  # around bodies


def bodies_on_paper(keypoints: Floats, up: Up, has_score: bool = False) -> Floats:
    """A clip `(T, M, V, C)` to the right and up: `(T, M, V, 2)`, NaN where there is no joint.

    A body is absent where all its coordinates are zero, a joint also where its score is.
    """
    height = 2 if up == "z" else 1
    points = np.stack([keypoints[..., 0], keypoints[..., height]], -1).astype(np.float64)
    if up == "-y":
        points[..., 1] *= -1
    points[~np.any(keypoints, axis=(2, 3))] = np.nan
    if has_score:
        points[keypoints[..., -1] <= 0] = np.nan
    return points


@dataclass(frozen=True)
class Stage:
    """Places a picture of bodies into axes whose units are inches.

    Attributes:
        middle: of what is shown, on paper. scale: inches of a unit. corner: middle of the axes.
    """

    middle: Floats
    scale: float
    corner: Floats

    @classmethod
    def around(cls, bodies: Floats, axes: "Axes") -> Self:
        """The stage that holds nearly all of `(..., 2)`; sets the limits of the axes."""
        width, height = _inches(axes)
        axes.set_axis_off()
        axes.set(xlim=(0, width), ylim=(0, height))
        seen = bodies.reshape(-1, 2)
        seen = seen[~np.isnan(seen).any(1)]
        if not len(seen):
            return cls(np.zeros(2), 1.0, np.array([width, height]) / 2)
        low, high = np.percentile(seen, _STILL, axis=0)
        extent = np.maximum(high - low, 1e-9) * _ROOM
        scale = float(min(width / extent[0], height / extent[1]))
        return cls((low + high) / 2, scale, np.array([width, height]) / 2)

    def __call__(self, points: Floats) -> Floats:
        """Points `(..., 2)` of paper in inches of the axes."""
        placed: Floats = (points - self.middle) * self.scale + self.corner
        return placed


def draw_body(
    axes: "Axes", points: Floats, layout: Layout, colours: Sequence[Any]
) -> list["Artist"]:
    """Draw bodies `(M, V, 2)` in inches of the axes; what was drawn."""
    from matplotlib.collections import LineCollection

    bones = np.array(layout.bones)
    lines = points[:, bones]  # (M, V - 1, 2, 2)
    seen = ~np.isnan(lines).any((2, 3))
    shades = [colours[bones[bone, 0]] for _, bone in np.argwhere(seen)]
    height = _inches(axes)[1]
    drawn = LineCollection(
        list(lines[seen]), colors=shades, linewidths=1.5 * height, capstyle="round"
    )
    axes.add_collection(drawn)
    head = next((layout.joints.index(name) for name in _HEADS if name in layout.joints), None)
    if head is None:
        return [drawn]
    x, y = points[:, head].T
    dots = axes.scatter(x, y, (4.2 * height) ** 2, color=colours[head], zorder=3)
    return [drawn, dots]


def draw_strip(
    axes: "Axes", bodies: Floats, layout: Layout, colours: Sequence[Any], fps: float | None
) -> None:
    """Draw snapshots of `(T, M, V, 2)` at equal distances in time, each over its moment.

    Each is centred on who is there, so that people who walk stay in the strip.
    """
    T = len(bodies)
    shown = bodies - _anchors(bodies)[:, None, None] * np.array([1.0, 0.0])
    width, height = _inches(axes)
    stage = Stage.around(shown, axes)
    scale = min(stage.scale, 0.74 * height / max(_extent(shown), 1e-9))
    number = _snapshots(shown, width, scale, T)
    for frame in ((np.arange(number) + 0.5) * T / number).astype(int):
        at = np.array([(frame + 0.5) / T * width, 0.54 * height])
        draw_body(axes, (shown[frame] - stage.middle) * scale + at, layout, colours)
        moment = f"{(frame + 0.5) / fps:.1f} s" if fps else f"frame {frame + 1}"
        axes.text(at[0], 0, moment, ha="center", va="bottom", size=6.5, color=GREY)


def _anchors(bodies: Floats) -> Floats:
    """Where the bodies of each frame are, to the right: `(T, 1)`; 0 where there is nobody."""
    across = bodies[..., 0].reshape(len(bodies), -1)
    seen = ~np.isnan(across)
    total = np.where(seen, across, 0.0).sum(1, keepdims=True)
    means: Floats = total / np.maximum(seen.sum(1, keepdims=True), 1)
    return means


def _extent(bodies: Floats) -> float:
    """Height of nearly all joints."""
    heights = bodies[..., 1]
    heights = heights[~np.isnan(heights)]
    return float(np.ptp(np.percentile(heights, _STILL))) if len(heights) else 0.0


def _snapshots(bodies: Floats, width: float, scale: float, num_frames: int) -> int:
    """As many snapshots as fit beside one another."""
    reach = np.abs(bodies[..., 0])
    reach = reach[~np.isnan(reach)]
    each = 2 * scale * float(np.percentile(reach, 95)) if len(reach) else width
    fitting = int(width / max(each, 1e-9))
    return min(max(fitting, 2), _MOST_SNAPSHOTS, num_frames)


def _inches(axes: "Axes") -> tuple[float, float]:
    box = axes.get_window_extent()
    dots: float = axes.get_figure(root=True).dpi  # type: ignore[union-attr]  # they are on one
    return box.width / dots, box.height / dots
