"""The page about a data set."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from shapmix.layouts import get_layout
from shapmix.layouts.upright import guess_up
from shapmix.reporting.data_page import (
    SHOT_COLOURS,
    DataSummary,
    class_curve_figure,
    clips_figure,
    joints_figure,
    lengths_figure,
    write_data_page,
)
from shapmix.reporting.grid import Name, Table
from shapmix.reporting.page import Card

LAYOUT = get_layout("coco17")
POSE = np.random.default_rng(0).normal(size=(17, 2))


def table(title: str) -> Table:
    return Table(title, (Name("a", "A"), Name("b", "B")), (("x <y>", 1),))


@pytest.fixture
def summary() -> DataSummary:
    return DataSummary(
        title="The data of <mine>",
        facts=table("facts"),
        findings=[Card("error", "x <y> is wrong", {"why": "a & b", "clips": ""})],
        classes=table("classes"),
        class_counts=np.array([3, 200, 50, 0]),
        class_names=("walk", "$run$", "a name that is much too long for a bar", "<never>"),
        counted="clips",
        num_frames=np.array([1, 5, 30, 30, 4000]),
        num_persons=np.array([1, 1, 2, 1, 1]),
        layout=LAYOUT,
        missing=np.linspace(0, 0.5, 17),
        pose=POSE,
        doubtful=[("one & two", POSE[None]), ("long", np.repeat(POSE[None], 50, 0))],
    )


class Images(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.images = 0
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        if tag == "img":
            self.images += 1
            assert str(dict(attrs)["src"]).startswith("data:image/png;base64,")
            assert dict(attrs)["alt"]

    def handle_data(self, data: str) -> None:
        if self.inside == "h2" and data.strip():
            self.headings.append(data)


def read(path: Path) -> Images:
    page = Images()
    page.feed(path.read_text())
    return page


def test_page_has_every_part(summary: DataSummary, tmp_path: Path) -> None:
    page = read(write_data_page(tmp_path / "page.html", summary))
    assert page.images == 4
    assert page.headings == [
        "Facts",
        "Findings",
        "The long tail",
        "Lengths and persons",
        "Joints",
        "Clips to look at",
        "Classes",
    ]
    text = (tmp_path / "page.html").read_text()
    assert "<mine>" not in text
    assert "too many for names" not in text
    assert text.count(">classes<") == 0, "no heading twice"


def test_page_says_what_bars_without_names_are(summary: DataSummary, tmp_path: Path) -> None:
    many = dataclasses.replace(
        summary,
        findings=[],
        class_counts=np.arange(61),
        class_names=[f"class {k}" for k in range(61)],
    )
    text = write_data_page(tmp_path / "page.html", many).read_text()
    assert "too many for names here" in text
    assert "Nothing suspicious was found." in text


def test_page_of_data_without_a_body(summary: DataSummary, tmp_path: Path) -> None:
    """Nothing to draw is no fault of the page."""
    empty = dataclasses.replace(
        summary,
        pose=None,
        doubtful=[],
        class_counts=np.zeros(4, np.int64),
        num_frames=np.ones(3, np.int64),
        num_persons=np.ones(3, np.int64),
    )
    page = read(write_data_page(tmp_path / "page.html", empty))
    assert page.images == 2


def test_class_curve_falls_and_is_coloured() -> None:
    figure = class_curve_figure(np.array([5, 150, 20, 100]), list("abcd"), "clips")
    (axes,) = figure.axes
    bars = sorted((p for p in axes.patches if p.get_height() > 0), key=lambda p: p.get_x())
    assert [bar.get_height() for bar in bars] == [150, 100, 20, 5]
    shown = [tick.get_text() for tick in axes.get_xticklabels()]
    assert shown == ["b", "d", "c", "a"]
    from matplotlib.colors import to_hex

    shots = ["many", "medium", "medium", "few"]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [SHOT_COLOURS[s] for s in shots]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["many: 1 class", "medium: 2 classes", "few: 1 class"]


def test_a_hundred_classes_have_no_names() -> None:
    counts = np.arange(1, 101)
    axes = class_curve_figure(counts, [f"c{k}" for k in range(100)], "clips").axes[0]
    assert axes.get_xlabel() == "classes, the largest first"
    assert axes.get_yscale() == "log"


def test_lengths_count_every_clip() -> None:
    frames = np.random.default_rng(0).integers(5, 150, 500)
    axes, persons = lengths_figure(frames, np.repeat([1, 2], 250)).axes
    heights = [p.get_height() for p in axes.patches]
    longer = int((frames > np.percentile(frames, 99.5)).sum())
    assert 500 - longer <= sum(heights) <= 500
    assert [p.get_height() for p in persons.patches] == [250, 250]
    axes, _ = lengths_figure(np.array([10] * 300 + [9000]), np.ones(301, int)).axes
    assert "1 longer, up to 9000, not shown" in axes.get_title(loc="left")


def test_joints_and_bars() -> None:
    missing = np.zeros(17)
    missing[3] = 0.25
    body, bars = joints_figure(LAYOUT, POSE, missing, "-y").axes
    assert [p.get_width() for p in bars.patches] == [25 * (j == 3) for j in range(17)]
    assert len(body.collections[1].get_offsets()) == 17


def test_clips_with_absent_bodies_are_drawn() -> None:
    clip = np.repeat(POSE[None], 9, 0)
    clip[4] = 0
    nobody = np.zeros((3, 17, 2))
    assert len(clips_figure([("a", clip), ("b", nobody)], LAYOUT, "y").axes) == 2


@pytest.mark.parametrize(
    ("axis", "sign", "up"),
    [(1, 1, "y"), (1, -1, "-y"), (2, 1, "z")],
)
def test_up_is_where_the_head_is(axis: int, sign: int, up: str) -> None:
    layout = get_layout("ntu25")
    pose = np.zeros((25, 3))
    for joint, height in (("head", 1.7), ("left_foot", 0.0), ("right_ankle", 0.1)):
        pose[layout.joints.index(joint), axis] = sign * height
    assert guess_up(pose, layout) == up
