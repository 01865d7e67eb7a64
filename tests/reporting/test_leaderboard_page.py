"""The page and the pictures of a leaderboard."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from benchmark_tables import METHODS, failed, make_row, make_rows, write_table
from matplotlib.colors import to_hex
from test_page import Reader

from shapmix.metrics import RankTest
from shapmix.reporting.benchmark import read_benchmark
from shapmix.reporting.leaderboard import write_leaderboard
from shapmix.reporting.leaderboard_figures import (
    _not_told_apart,
    _spread,
    class_gain_figure,
    cost_figure,
    critical_difference_figure,
    gain_figure,
)
from shapmix.reporting.leaderboard_page import failure_cards, made_table
from shapmix.reporting.standings import make_standings


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    bad = [
        failed(make_row("mixup", "ucla", seed), "x < y\n" + 900 * "." + "NaN") for seed in (7, 8)
    ]
    path = tmp_path_factory.mktemp("table") / "results.parquet"
    return write_table(path, [*make_rows(3), *bad])


@pytest.fixture(scope="module")
def standings(table):
    return make_standings(read_benchmark(table), "ctrgcn", "balanced-softmax", resamples=100)


@pytest.fixture(scope="module")
def page(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return write_leaderboard(table, out, "balanced-softmax", resamples=50).files[1]


def test_the_page_is_whole_and_asks_for_nothing(page):
    reader = Reader()
    reader.feed(page.read_text())
    assert not reader.open
    assert not reader.fetched
    assert len(reader.images) == 4
    text = "".join(reader.texts)
    for expected in ("Leaderboard", "How it was made", "results.parquet", "2 failed", "shap-mix"):
        assert expected in text
    assert page.read_text().count("<script>") == 1
    assert page.read_text().count('class="sortable"') == 4 + 2
    assert "x < y" not in page.read_text(), "errors are escaped, and of long ones the end is shown"


def test_failures_of_a_kind_share_a_card():
    rows = [failed(make_row("mixup", "ucla", seed, fold="a"), "no") for seed in (1, 2)]
    rows.append(failed(make_row("st-mix", "utd", 1), 700 * "a" + "end"))
    one, other = failure_cards(rows)
    assert one.title == "mixup"
    assert one.texts["tasks"] == "ucla (ctrgcn, seed 1, fold a); ucla (ctrgcn, seed 2, fold a)"
    assert other.texts["error"].startswith("… aaa")
    assert other.texts["error"].endswith("end")


def test_mixed_commits_and_machines_are_said(tmp_path):
    rows = make_rows(2, ("mixup",), ("ucla",))
    rows[0] |= {"commit": "other", "machine": "another", "finished": "2025-12-31"}
    benchmark = read_benchmark(write_table(tmp_path / "t.parquet", rows))
    board = make_standings(benchmark, "ctrgcn", "mixup", resamples=10)
    made = made_table(benchmark, [board], "t.parquet", "last")
    assert "the results are of more than one commit." in made.warnings
    assert "the results are of more than one machine, so times cannot be compared." in made.warnings
    facts = dict(made.rows)
    assert facts["Commit"] == "0a1b2c3d, other"
    assert facts["Finished"] == "2025-12-31 to 2026-01-01T00:00:00+00:00"
    assert facts["Seeds"] == "0, 1"


def test_gains_are_drawn_where_they_are(standings):
    panels = gain_figure(standings).axes
    assert [axes.get_title("left") for axes in panels] == ["ucla", "utd", "Mean"]
    dots = {
        (round(line.get_ydata()[0]), to_hex(line.get_color())): line.get_xdata()[0]
        for line in panels[1].lines
        if line.get_marker() == "o"
    }
    for row, method in enumerate(standings.others):
        for name, colour in (("top1", "#30353a"), ("tail", "#d55e00")):
            gain = standings.gain("utd", method, name)
            assert dots[row, colour] == pytest.approx(100 * gain.value)
            ends = [
                line.get_xdata()
                for line in panels[1].lines
                if to_hex(line.get_color()) == colour and len(line.get_xdata()) == 2
            ][row]
            np.testing.assert_allclose(ends, 100 * np.array(gain.interval))


def test_classes_are_drawn_on_a_logarithmic_axis(standings):
    panels = class_gain_figure(standings).axes
    assert len(panels) == 2 * 3
    for axes, method in zip(panels[::2], standings.others, strict=True):
        counts, gains = standings.class_points("ucla", method)
        dots = next(line for line in axes.lines if len(line.get_xdata()) == len(counts))
        np.testing.assert_allclose(dots.get_xdata(), counts)
        np.testing.assert_allclose(dots.get_ydata(), 100 * gains)
        assert axes.get_xscale() == "log"
        assert axes.get_ylim() == panels[0].get_ylim()


def test_costs_are_drawn_and_named(standings):
    panels = cost_figure(standings).axes
    for axes in panels:
        assert {text.get_text() for text in axes.texts} == set(METHODS)
        assert axes.lines[0].get_xdata().min() == pytest.approx(1)


def test_ranks_of_many_methods_are_named():
    methods = [f"method {i}" for i in range(7)]
    ranks = np.array([7, 1, 2.5, 2.5, 4, 5, 6])
    test = RankTest(ranks, 9, 0.0004, 1.2)
    figure = critical_difference_figure(methods, {"top1": test, "tail": test})
    for axes in figure.axes:
        texts = [text.get_text() for text in axes.texts]
        assert {"method 0  7.0", "method 2  2.5"} <= set(texts)
        assert "critical difference 1.2, Friedman test p < 0.001" in texts


def test_bars_join_what_is_not_told_apart():
    ranks = np.array([1.0, 1.5, 2.2, 4.0, 4.1])
    assert _not_told_apart(ranks, 1.0) == [(0, 1), (1, 2), (3, 4)]
    assert _not_told_apart(ranks, 9.0) == [(0, 4)]
    assert _not_told_apart(ranks, 0.05) == []
    assert _not_told_apart(ranks, None) == []


def test_labels_move_apart_as_little_as_they_must():
    assert _spread([0, 10, 20], 5) == [0, 10, 20]
    assert _spread([0, 10, 11, 30], 5) == [0, 8, 13, 30]
    rng = np.random.default_rng(0)
    for _ in range(20):
        heights = sorted(rng.uniform(0, 10, 8))
        moved = _spread(heights, 2)
        assert np.diff(moved).min() >= 2 - 1e-9
        assert np.mean(moved) == pytest.approx(np.mean(heights))


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_columns_sort(tmp_path, page):
    """Run the page's script on a table of two columns, without a browser."""
    script = page.read_text().partition("<script>")[2].partition("</script>")[0]
    rows = [["b", "+1.0\n[0, 1]"], ["a", "\u22122.5"], ["c", "n/a"], ["d", "1,000"]]
    stub = f"""
    const make = text => ({{ innerText: text }});
    const head = number => ({{
      classList: {{ contains: () => number }}, attributes: {{}},
      getAttribute(name) {{ return this.attributes[name]; }},
      setAttribute(name, value) {{ this.attributes[name] = value; }},
      removeAttribute(name) {{ delete this.attributes[name]; }},
    }});
    const heads = [head(false), head(true)];
    const body = {{
      rows: {json.dumps(rows)}.map(cells => ({{ cells: cells.map(make) }})),
      append(...rows) {{ this.rows = rows; }},
    }};
    const table = {{ tHead: {{ rows: [{{ cells: heads }}] }}, tBodies: [body] }};
    globalThis.document = {{ querySelectorAll: () => [table] }};
    {script}
    const order = () => body.rows.map(row => row.cells[0].innerText).join("");
    for (const i of [1, 1, 0, 0]) {{ heads[i].onclick(); console.log(order()); }}
    """
    file = tmp_path / "sort.mjs"
    file.write_text(stub)
    out = subprocess.run(["node", file], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["dbac", "abdc", "abcd", "dcba"]
