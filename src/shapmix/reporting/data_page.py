"""A page about a data set: classes, lengths, persons, missing joints, findings, doubtful clips.

It is made of plain values, which whoever has the data set measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapmix.counts import shot_bins
from shapmix.layouts import Layout
from shapmix.layouts.upright import Up, guess_up
from shapmix.reporting.drawing import (
    GREY,
    INK,
    PALE,
    STRONG,
    Floats,
    axes_at,
    draw_snapshots,
    fit,
    flatten,
    new_figure,
    strip_axes,
)
from shapmix.reporting.grid import Table
from shapmix.reporting.page import Card, Section, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOT_COLOURS = {"many": INK, "medium": GREY, "few": STRONG}
FULL_COLOUR = 0.05  # of the bodies lack a joint: it has the full colour
NAMED_CLASSES = 60  # with more, the bars of classes have no names
UNNAMED = (
    " Each bar is a class, the largest first; they are too many for names here, which are in the "
    "table of classes below."
)
_WIDTH, _EDGE = 12.0, 0.35  # inches


@dataclass(frozen=True, eq=False)
class DataSummary:
    """What the page shows.

    Attributes:
        title: heading of the page.
        facts, classes: tables.
        findings: a card for each.
        class_counts: (K,) clips of each class. class_names: K.
        counted: what the counts are of, such as "training clips".
        num_frames, num_persons: (N,) of each clip.
        layout: the skeleton.
        missing: (V,) share of the bodies that lack the joint.
        pose: (V, D) a complete body, to draw the skeleton on; None when there is none.
        doubtful: title and keypoints (T, V, D) of clips to look at.
    """

    title: str
    facts: Table
    findings: Sequence[Card]
    classes: Table
    class_counts: NDArray[np.int64]
    class_names: Sequence[str]
    counted: str
    num_frames: NDArray[np.int64]
    num_persons: NDArray[np.int64]
    layout: Layout
    missing: Floats
    pose: Floats | None
    doubtful: Sequence[tuple[str, Floats]]


def write_data_page(path: Path, summary: DataSummary) -> Path:
    """Write the page, whole or not at all; its path.

    Raises:
        ImportError: matplotlib is not installed.
    """
    sections = [
        Section("Facts", summary.facts),
        Section("Findings", summary.findings)
        if summary.findings
        else Section("Findings", None, "Nothing suspicious was found."),
        Section(
            "The long tail",
            class_curve_figure(summary.class_counts, summary.class_names, summary.counted),
            f"Classes by {summary.counted}: many (more than 100), medium and few (fewer than 20)."
            + (UNNAMED if len(summary.class_counts) > NAMED_CLASSES else ""),
        ),
        Section(
            "Lengths and persons",
            lengths_figure(summary.num_frames, summary.num_persons),
            "Frames and persons of all clips.",
        ),
    ]
    if summary.pose is not None:
        up = guess_up(summary.pose, summary.layout)
        sections.append(
            Section(
                "Joints",
                joints_figure(summary.layout, summary.pose, summary.missing, up),
                "A body of the data with the layout's joints and bones, and how often each joint "
                "is missing where its body is there. Bones all over the body mean a wrong order.",
            )
        )
        if summary.doubtful:
            sections.append(
                Section(
                    "Clips to look at",
                    clips_figure(summary.doubtful, summary.layout, up),
                    "Seven moments of the first person of each, from left to right.",
                )
            )
    sections.append(Section("Classes", replace(summary.classes, title="By label")))
    return write_page(path, summary.title, sections)


def class_curve_figure(
    class_counts: NDArray[np.int64], class_names: Sequence[str], counted: str
) -> "Figure":
    """Bars of the classes' clips, the largest class first, coloured by many, medium and few."""
    K = len(class_counts)
    order = np.argsort(-class_counts, kind="stable")
    named = K <= NAMED_CLASSES
    names = [_shortened(class_names[k]) for k in order]
    below = 0.5 + 0.07 * max(map(len, names)) if named else 0.6
    figure = new_figure(_WIDTH, 3.4 + below)
    axes = axes_at(figure, _EDGE + 0.5, below, _WIDTH - 2 * _EDGE - 0.5, 3.0)
    for shot, members in shot_bins(class_counts).items():
        places = np.flatnonzero(np.isin(order, members))
        if not len(places):
            continue
        label = f"{shot}: {len(places)} class{'es' * (len(places) != 1)}"
        colour = SHOT_COLOURS[shot]
        axes.bar(places, class_counts[order[places]], 0.8, color=colour, label=label)
    present = class_counts[class_counts > 0]
    if present.size and present.max() > 30 * present.min():
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.6)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    else:
        axes.locator_params(axis="y", integer=True)
    axes.set_xlim(-0.7, K - 0.3)
    axes.set_ylabel(counted, color=INK)
    if named:
        axes.set_xticks(range(K), names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xlabel("classes, the largest first", color=INK)
    axes.legend(frameon=False, labelcolor=INK, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    _plain(axes)
    return figure


def lengths_figure(num_frames: NDArray[np.int64], num_persons: NDArray[np.int64]) -> "Figure":
    """A histogram of the clips' frames, with quartiles, and bars of their persons."""
    figure = new_figure(_WIDTH, 3.6)
    axes = axes_at(figure, _EDGE + 0.5, 0.6, 7.6, 2.7)
    last = max(int(np.percentile(num_frames, 99.5)), 2)  # a few long clips would squeeze the rest
    longer = int((num_frames > last).sum())
    width = -(-last // 60)  # whole frames, lest bars hold now one length more, now one less
    axes.hist(num_frames, bins=np.arange(0.5, last + width, width).tolist(), color=INK)
    quartiles = np.percentile(num_frames, [25, 50, 75])
    for value in quartiles:
        axes.axvline(float(value), color=STRONG, linewidth=1.2)
    axes.set_title(
        "frames a clip; quartiles "
        + ", ".join(f"{value:.0f}" for value in quartiles)
        + (f"; {longer} longer, up to {num_frames.max()}, not shown" if longer else ""),
        loc="left",
        size=11,
        color=INK,
    )
    axes.set_ylabel("clips", color=INK)
    persons, clips = np.unique(num_persons, return_counts=True)
    beside = axes_at(figure, 9.4, 0.6, _WIDTH - 9.4 - _EDGE, 2.7)
    beside.bar(range(len(persons)), clips, 0.6, color=INK)
    beside.set_xticks(range(len(persons)), [str(n) for n in persons])
    beside.set_xlim(-0.8, len(persons) - 0.2)
    beside.set_title("persons a clip", loc="left", size=11, color=INK)
    for each in (axes, beside):
        _plain(each)
    return figure


def joints_figure(layout: Layout, pose: Floats, missing: Floats, up: Up) -> "Figure":
    """The skeleton on a pose `(V, D)`, joints coloured by the share missing, and bars of it."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap

    V = layout.num_joints
    height = max(4.5, 0.21 * V + 0.8)
    figure = new_figure(_WIDTH, height)
    axes = axes_at(figure, _EDGE, 0.3, 5.5, height - 0.6)
    body = _on_paper(pose[None], layout, up)[:, 0].T
    axes.add_collection(LineCollection(list(body[np.array(layout.bones)]), colors=PALE, zorder=1))
    colours = LinearSegmentedColormap.from_list("missing", [INK, STRONG])
    most = max(float(missing.max()), FULL_COLOUR)
    axes.scatter(
        body[:, 0], body[:, 1], s=60, c=missing / most, cmap=colours, vmin=0, vmax=1, zorder=2
    )
    for joint, (x, y) in enumerate(body):
        axes.annotate(str(joint), (x, y), (5, 4), textcoords="offset points", size=8.5, color=GREY)
    axes.set_aspect("equal")
    axes.margins(0.12)
    axes.set_axis_off()
    bars = axes_at(figure, 8.0, 0.5, _WIDTH - 8.0 - _EDGE, height - 1.0)
    bars.barh(range(V), 100 * missing, 0.7, color=[colours(m / most) for m in missing])
    names = [f"{name}  {joint}" for joint, name in enumerate(layout.joints)]
    bars.set_yticks(range(V), names, size=8.5)
    bars.set_ylim(V - 0.4, -0.6)
    bars.set_xlim(0, max(100 * float(missing.max()) * 1.05, 1.0))
    bars.set_title("percent of bodies without the joint", loc="left", size=11, color=INK)
    _plain(bars)
    return figure


def clips_figure(clips: Sequence[tuple[str, Floats]], layout: Layout, up: Up) -> "Figure":
    """A strip of snapshots for each titled clip `(T, V, D)`."""
    row = 2.0
    figure = new_figure(_WIDTH, row * len(clips) + 0.1)
    for number, (title, keypoints) in enumerate(clips):
        bottom = row * (len(clips) - 1 - number)
        points = _on_paper(keypoints, layout, up)
        axes, frames_wide = strip_axes(
            figure, _EDGE, bottom, _WIDTH - 2 * _EDGE, row - 0.35, points.shape[1]
        )
        scale, lift = fit([points])
        points = scale * points + np.array([0, lift])[:, None, None]
        points[0] *= frames_wide
        plain = np.zeros(points.shape[1:], dtype=np.bool_)
        draw_snapshots(axes, points, layout, plain, (INK, INK), min(7, points.shape[1]))
        axes.set_title(title, loc="left", size=11, color=INK)
    return figure


def _on_paper(keypoints: Floats, layout: Layout, up: Up) -> Floats:
    """Keypoints `(T, V, D)` as `(2, T, V)`, to the right and up, absent bodies as NaN."""
    clip = np.moveaxis(keypoints.astype(np.float64), 2, 0)
    return flatten(clip, clip, layout.center, up)


def _shortened(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _plain(axes: "Axes") -> None:
    """Two thin edges and small ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    settings: dict[str, Any] = {"length": 0, "labelsize": 9, "labelcolor": INK}
    axes.tick_params(**settings)
