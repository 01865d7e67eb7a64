"""The benchmarks of speed run at a tiny size; what they find is written, compared and rendered."""

import math
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import compare
import harness
import pytest
import render
import speed
import torch
from growth import exponent, skeleton
from harness import Curve, Figure, Report

from shapmix.layouts import hop_distance

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", harness.BENCHMARKS)
def test_runs_at_a_tiny_size(name):
    threads = torch.get_num_threads()
    report = import_module(name).measure(True)
    names = [figure.name for figure in report.figures]
    assert len(names) == len(set(names)) > 1
    assert all(math.isfinite(figure.value) for figure in report.figures)
    assert all(len(curve.points) > 0 for curve in report.curves)
    assert torch.get_num_threads() == threads


def test_command_line_writes_json(tmp_path):
    path = tmp_path / "loading.json"
    script = ROOT / "benchmarks" / "loading.py"
    command = [sys.executable, script, "--quick", "--threads", "1", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    content, report = harness.read(path)
    assert content["benchmark"] == "loading"
    assert content["sources"] == harness.fingerprint("loading")
    assert harness.table(report.figures) in done.stdout
    assert {"commit", "packages", "threads"} <= set(content["environment"])


def test_what_is_compared_takes_turns():
    order = []
    works = {name: lambda name=name: order.append(name) for name in "ab"}
    taken = harness.in_turn(works, 3, warmup=1)
    assert order == list("abababab")
    assert [len(seconds) for seconds in taken.values()] == [3, 3]


def test_a_ratio_is_the_median_of_its_pairs():
    found = harness.speedup("x", [2.0, 9.0, 4.0], [1.0, 3.0, 4.0], goal=2.5)
    assert (found.value, found.low, found.high) == (2.0, 1.0, 3.0)
    assert found.met is False
    assert harness.Figure("x", 2.0, "s", goal=2.5).met is True
    assert harness.Figure("x", 2.0, "s").met is None


def test_every_benchmark_stands_in_the_page():
    text = render.PAGE.read_text()
    for name in ("goals", *harness.BENCHMARKS):
        assert text.count(f"<!-- begin {name} -->") == text.count(f"<!-- end {name} -->") == 1


def test_the_page_has_what_was_measured_last():
    assert render.rendered(render.PAGE.read_text(), render.results()) == render.PAGE.read_text()


REPORT = Report(
    {"threads": 2},
    [
        Figure("fast", 5.0, "x", 4.0, 6.0, goal=3.0, higher_is_better=True),
        Figure("slow", 20.0, "ms", 18.0, 21.0, goal=10.0),
        Figure("plain", 1.0, "MB"),
    ],
    [Curve(plot, "line", "size", "ms", [(1, 1.0), (2, 2.5)]) for plot in ("memory", "data")],
)


def test_a_report_survives_its_file(tmp_path):
    harness.write(tmp_path / "step.json", "step", REPORT, 1.5)
    content, found = harness.read(tmp_path / "step.json")
    assert found.figures == REPORT.figures
    assert [[tuple(point) for point in curve.points] for curve in found.curves] == [
        curve.points for curve in REPORT.curves
    ]
    assert content["seconds"] == 1.5


def test_rendering_replaces_a_table_and_nothing_else(tmp_path):
    harness.write(tmp_path / "step.json", "step", REPORT, 1.5)
    found = render.results(tmp_path)
    assert list(found) == ["step"]
    page = (
        "a\n<!-- begin step -->\nold\n<!-- end step -->\nb\n<!-- begin goals --><!-- end goals -->"
    )
    once = render.rendered(page, found)
    assert "old" not in once
    assert once.startswith("a\n")
    assert "\nb\n" in once
    assert "| fast | 5× | 4 to 6 | at least 3: met |" in once
    assert "| step | slow | 20 | at most 10 | **not met** |" in once
    assert render.rendered(once, found) == once


def test_plots_are_drawn(tmp_path):
    plots = {curve.plot: [curve] for curve in REPORT.curves}
    render.draw(plots, {"memory": "Memory", "data": "Data"}, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_two_commits_are_compared(tmp_path, monkeypatch, capsys):
    fast, slow, plain = REPORT.figures
    newer = Report(
        {},
        [
            replace(fast, value=3.0, low=2.5, high=3.5),
            replace(slow, value=15.0, low=14.0, high=16.0),
            replace(plain, name="other"),
        ],
    )
    for name, report in (("old", REPORT), ("new", newer)):
        harness.write(tmp_path / name / "step.json", "step", report, 1.0)
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "old"), str(tmp_path / "new")])
    compare.main()
    found = capsys.readouterr().out
    assert "| step | fast | x | 5 | 3 | 0.60 | **worse** |" in found
    assert "| step | slow | ms | 20 | 15 | 0.75 | better |" in found
    assert "only in OLD: step: plain" in found
    assert "only in NEW: step: other" in found
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path), str(tmp_path)])
    with pytest.raises(SystemExit):
        compare.main()
    assert "no figures in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [(1.04, 1.03, 1.05, ""), (1.5, 0.9, 2.0, ""), (1.5, 1.4, 1.6, "**worse**")],
)
def test_a_change_must_be_clear(value, low, high, expected):
    assert compare.verdict(Figure("t", 1.0, "s", 0.9, 1.0), Figure("t", value, "s", low, high)) == (
        expected
    )


def test_measured_once_is_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "RESULTS", tmp_path)
    assert not speed.measured("step")
    harness.write(tmp_path / "step.json", "step", REPORT, 1.0)
    assert speed.measured("step")
    text = (tmp_path / "step.json").read_text()
    (tmp_path / "step.json").write_text(text.replace(harness.fingerprint("step"), "other"))
    assert not speed.measured("step")


def test_exponents_and_skeletons():
    assert exponent([(1, 3.0), (2, 12.0), (4, 48.0)]) == pytest.approx(2.0)
    for joints in (10, 23):
        layout = skeleton(joints)
        assert layout.num_joints == joints
        assert hop_distance(layout).max() > 1
