"""The picture of a recording: what is drawn where, and how it is written."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from shapmix.reporting.timeline import (
    COLOURS,
    FORMATS,
    MOST_ROWS,
    check_path,
    save_timeline,
    shown_classes,
    timeline_figure,
)

NAMES = ["wave", "walk", "jump", "a class of a very long name that would not fit beside a row"]
BORDERS = np.array([0, 20, 40, 70, 100])
ROWS = np.array([[0.9, 0.1, 0, 0], [0.6, 0.3, 0.1, 0], [0.1, 0.1, 0.1, 0.7], [0, 1.0, 0, 0]])
SEGMENTS = [(0, 40, 0), (40, 70, 3), (70, 100, 1)]


def texts(figure) -> list[str]:
    found = [text for axes in figure.axes for text in axes.texts if text.get_visible()]
    return [text.get_text() for text in [*found, *figure.texts]]


def test_rows_in_the_order_of_their_first_segment():
    figure = timeline_figure(ROWS, BORDERS, SEGMENTS, NAMES, title="clip $1$")
    bar, *rows = figure.axes
    names = [axes.texts[0].get_text() for axes in rows]
    assert names == ["wave", "a class of a very long name…", "walk"]
    assert all(axes.get_xlim() == (0, 100) for axes in figure.axes)
    spans = [patch for patch in bar.patches if isinstance(patch, Rectangle)][1:]
    edges = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in spans]
    assert edges == [(start, end) for start, end, _ in SEGMENTS]
    said = texts(figure)
    assert "clip $1$" in said
    assert "frames" in said
    assert any("1 other class not shown" in text for text in said)


def test_seconds_where_the_rate_is_known():
    figure = timeline_figure(ROWS, BORDERS, SEGMENTS, NAMES, fps=25.0)
    assert all(axes.get_xlim() == (0, 4) for axes in figure.axes)
    assert "seconds" in texts(figure)


def test_the_fill_is_the_probability_where_the_class_is_the_label():
    figure = timeline_figure(ROWS, BORDERS, SEGMENTS, NAMES)
    pale, coloured, line = figure.axes[1].patches
    for patch in (pale, line):
        values, edges, _ = patch.get_data()
        np.testing.assert_array_equal(values, ROWS[:, 0])
        np.testing.assert_array_equal(edges, BORDERS)
    values, edges, _ = coloured.get_data()
    np.testing.assert_array_equal(values, ROWS[:2, 0])
    np.testing.assert_array_equal(edges, BORDERS[:3])


def test_a_name_stands_only_where_it_fits():
    figure = timeline_figure(ROWS, BORDERS, [(0, 2, 0), (2, 100, 1)], NAMES)
    in_bar = [text.get_text() for text in figure.axes[0].texts if text.get_visible()]
    assert in_bar == ["recognised", "walk"]


def test_no_text_leaves_the_picture_or_lies_on_another():
    K = 30
    rng = np.random.default_rng(0)
    names = [f"quite a long name of class number {k}" for k in range(K)]
    borders = np.arange(K + 1) * 10
    segments = [(10 * k, 10 * k + 10, k) for k in range(K)]
    figure = timeline_figure(rng.dirichlet(np.ones(K), K), borders, segments, names, title="t" * 60)
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    shown = [t for axes in figure.axes for t in axes.texts if t.get_visible()] + figure.texts
    boxes = [text.get_window_extent() for text in shown if text.get_text()]
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_at_most_so_many_rows():
    K = MOST_ROWS + 5
    rows = np.eye(K)
    segments = [(k * 10, k * 10 + (5 if k < 5 else 10), k) for k in range(K)]
    assert shown_classes(rows, segments) == list(range(5, K))


def test_without_segments_the_most_probable_classes_are_shown():
    assert shown_classes(ROWS, []) == [1, 0, 3]
    assert shown_classes(np.full((3, 50), 0.02), []) == [0, 1, 2]
    assert shown_classes(ROWS, [(0, 40, 2)]) == [2, 1, 0, 3]
    timeline_figure(ROWS[:1], BORDERS[:2], [], NAMES)


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    shares = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("place", range(len(COLOURS)))
def test_names_can_be_read_on_every_colour(place):
    segments = [(0, 20, k) for k in range(place)] + [(20, 100, place)]
    rows = np.full((4, 6), 0.1)
    figure = timeline_figure(rows, BORDERS, segments, [f"c{k}" for k in range(6)])
    text = next(text for text in figure.axes[0].texts if text.get_text() == f"c{place}")
    colours = [to_hex(text.get_color()), COLOURS[place]]
    dark, light = sorted(map(luminance, colours))
    assert (light + 0.05) / (dark + 0.05) >= 3.3


@pytest.mark.parametrize("ending", FORMATS)
def test_it_is_written_whole_and_the_same_each_time(ending, tmp_path):
    figure = timeline_figure(ROWS, BORDERS, SEGMENTS, NAMES)
    path = tmp_path / "new" / f"timeline{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_timeline(figure, path)
    content = path.read_bytes()
    assert content[:4] in (b"\x89PNG", b"%PDF", b"<?xm")
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if ending == ".pdf":
        assert b"/FontFile2" in content, "fonts are embedded"


def test_other_formats_and_shapes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a name in"):
        check_path(Path("timeline.gif"))
    with pytest.raises(ValueError, match="expected one border more than rows"):
        timeline_figure(ROWS, BORDERS[:-1], SEGMENTS, NAMES)
    with pytest.raises(ValueError, match="a name for each class"):
        timeline_figure(ROWS, BORDERS, SEGMENTS, NAMES[:2])
