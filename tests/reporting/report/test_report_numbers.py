"""The numbers and sentences of the report, against slow oracles and cases made by hand."""

import csv
import json
import shlex

import numpy as np
import pytest
from example_files import write_examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from run_folders import COUNTS, write_run

from shapmix.commands.cli import main
from shapmix.reporting import RunError, difference_table, load_run
from shapmix.reporting.report import (
    confusion,
    curves,
    health,
    overview,
    reliability,
    sentences,
    write_report,
)
from shapmix.reporting.report.classes import trend
from shapmix.reporting.report.configuration import differing_settings, flat
from shapmix.reporting.report.inputs import load_inputs, methods_of
from shapmix.reporting.report.markup import json_block, percent, points, rounded
from shapmix.reporting.report.page import make_page


@pytest.fixture(scope="module")
def runs(three_runs):
    return load_inputs(three_runs)


# ---- inputs


def test_seeds_of_one_method_come_together(runs):
    one, two = methods_of(runs)
    assert [run.label for run in one.runs] == ["baseline"]
    assert [run.label for run in two.runs] == ["mix-0", "mix-1"]
    assert two.mean("top1") == np.mean([run.test["top1"] for run in two.runs])
    assert two.confusion().sum() == 2 * 210
    expected = [
        np.mean([run.test["per_class"][k]["accuracy"] for run in two.runs]) for k in range(7)
    ]
    assert np.allclose(two.accuracies(), expected)


def test_single_runs_are_named_by_their_folders(three_runs):
    assert [m.name for m in methods_of(load_inputs(three_runs[:2]))] == ["baseline", "mix-0"]


def test_equal_folder_names_are_told_apart(tmp_path):
    folders = [write_run(tmp_path / parent / "run", seed=i) for i, parent in enumerate("ab")]
    assert [run.label for run in load_inputs(folders)] == ["a/run", "b/run"]


def test_a_method_without_mixing_has_a_name(tmp_path):
    folders = [
        write_run(tmp_path / f"{mixer}{seed}", mixer=mixer, seed=seed)
        for mixer in ("none", "mixup")
        for seed in (0, 1)
    ]
    assert [m.name for m in methods_of(load_inputs(folders))] == ["no mixing", "mixup"]


def test_methods_have_names_of_their_own(tmp_path):
    settings = [{}, {"grown": None}, {"seed": 1}]  # a setting that older runs do not have
    folders = [write_run(tmp_path / f"run{i}", **each) for i, each in enumerate(settings)]
    names = [method.name for method in methods_of(load_inputs(folders))]
    assert len(set(names)) == len(names) == 2


def test_the_selected_epoch(three_runs):
    last, best = (load_inputs(three_runs[:1], which)[0] for which in ("last", "best"))
    assert (last.result.epoch, best.result.epoch) == (65, 60)
    assert np.array_equal(best.logits, best.scores.logits_best)
    assert best.test["top1"] != last.test["top1"]


def test_without_a_selected_epoch(tmp_path):
    with pytest.raises(RunError, match="selected no epoch"):
        load_inputs([write_run(tmp_path / "run", best=False)], "best")


def test_a_folder_given_twice(three_runs):
    with pytest.raises(RunError, match="given twice"):
        load_inputs([three_runs[0], three_runs[0]])


def test_no_folder():
    with pytest.raises(RunError, match="at least one run folder"):
        load_inputs([])


def test_other_classes(tmp_path, three_runs):
    other = write_run(tmp_path / "other", counts=COUNTS[:6])
    with pytest.raises(RunError, match=r"different classes \(7 and 6.*report of each"):
        load_inputs([three_runs[0], other])


def test_other_test_clips_are_not_compared(tmp_path, three_runs):
    other = write_run(tmp_path / "other", clip_prefix="x", mixer="mixup")
    runs = load_inputs([three_runs[0], other])
    gains, warnings = overview.compare(methods_of(runs), "last")
    assert set(gains.values()) == {None}
    page = make_page(runs)
    assert any("different clips" in warning for warning in warnings)
    assert "tested on different clips" in page


# ---- overview


def test_gains_are_those_of_the_comparison(runs, three_runs):
    methods = methods_of(runs)
    gains, _ = overview.compare(methods, "last")
    row = difference_table([load_run(path) for path in three_runs]).rows[0]
    assert gains[methods[1].name]["top1"]["difference"] == row[2].value
    assert tuple(gains[methods[1].name]["top1"]["interval"]) == row[2].interval


def test_figures(runs):
    one, two = methods_of(runs)
    single = overview.figure(one, "few", None, runs[0])
    assert [single.low, single.high] == runs[0].test["intervals"]["few"]
    several = overview.figure(two, "few", None, runs[0])
    values = [run.test["few"] for run in two.runs]
    assert several.value == pytest.approx(sum(values) / 2)
    assert several.high - several.value == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


def test_what_is_missing(runs, tmp_path):
    what, commands = overview.missing(runs)
    assert len(what) == 3
    words = [["shapmix", "evaluate", str(run.run.path)] for run in runs]
    assert list(map(shlex.split, commands)) == words
    complete = write_run(tmp_path / "run")
    (complete / "data_profile.json").write_text('{"findings": []}')
    assert len(overview.missing(load_inputs([complete]))[0]) == 2


def test_an_old_run_has_a_page(tmp_path):
    folder = write_run(tmp_path / "old", saliency=False, best=False)
    page = make_page(load_inputs([folder]))
    assert f"shapmix evaluate {folder}" in page
    assert 'id="saliency"' not in page
    assert 'id="training"' not in page


def test_classes_without_test_clips(tmp_path):
    folder = write_run(tmp_path / "run", labels=np.arange(100) % 5)
    page = make_page(load_inputs([folder]))
    assert "Without test clips, so left out of all means: kick, jump." in page
    assert "NaN" not in page.partition('id="plotly"')[0]


def test_of_too_many_classes_only_the_pairs_are_shown(runs, monkeypatch):
    assert 'class="confusion"' in confusion.make_section(runs).html
    monkeypatch.setattr(confusion, "MOST_CLASSES", 6)
    html = confusion.make_section(runs).html
    assert 'class="confusion"' not in html
    assert "too many classes to draw" in html
    assert "Most confused pairs" in html
    assert '"matrices":[]' in html


# ---- sentences


def said_of(difference, low, high, runs):
    one, two = methods_of(runs)
    gain = {"mean_class": {"difference": difference, "interval": [low, high]}}
    return sentences.is_it_better(two, one, gain)


def test_better_worse_or_undecided(runs):
    assert " is better than none + ce by 12.3 points" in said_of(0.123, 0.05, 0.2, runs)
    assert " is worse than none + ce by 12.3 points" in said_of(-0.123, -0.2, -0.05, runs)
    undecided = said_of(0.02, -0.01, 0.05, runs)
    assert "cannot decide" in undecided
    assert "+2.0 points (95 % interval −1.0 to +5.0)" in undecided
    assert "one run each" in said_of(0.123, 0.05, 0.2, runs)
    assert sentences.is_it_better(*methods_of(runs), None) is None


def test_the_first_is_compared_with_the_best_of_the_others(tmp_path):
    signals = {"stmix": 4.0, "none": 1.0, "mixup": 2.0}
    folders = [write_run(tmp_path / m, mixer=m, signal=s) for m, s in signals.items()]
    html = overview.make_section(load_inputs(folders)).html
    assert "mixup is worse than stmix by" in html
    assert "none is worse" not in html


def test_where_it_fails(runs):
    method = methods_of(runs)[0]
    said = sentences.where_does_it_fail(method, runs[0].run.class_names, COUNTS)
    accuracies = method.accuracies()
    worst = int(accuracies.argmin())
    assert said.startswith(
        f"It fails most on “{runs[0].run.class_names[worst]}” ({percent(accuracies[worst])}; "
        f"{COUNTS[worst]} training clips; "
    )


def test_no_failures(tmp_path):
    runs = load_inputs([write_run(tmp_path / "run", signal=100)])
    method = methods_of(runs)[0]
    assert sentences.where_does_it_fail(method, runs[0].run.class_names, COUNTS) is None
    assert "about equally well" in sentences.how_far_is_the_tail(method, COUNTS)
    assert make_page(runs).count("No test clip was taken for another class") == 1


def test_the_tail(runs):
    method = methods_of(runs)[0]
    said = sentences.how_far_is_the_tail(method, COUNTS)
    assert "many (more than 100 training clips, 2 classes)" in said
    assert percent(method.mean("few")) in said
    assert sentences.how_far_is_the_tail(method, COUNTS)


# ---- confusions, reliability, classes, curves, data, configuration


@given(arrays.arrays(np.int64, (4, 4), elements=st.integers(0, 5)))
def test_confused_pairs(matrix):
    slow = [
        (-matrix[i, j], -matrix[i, j] / matrix[i].sum(), i, j)
        for i in range(4)
        for j in range(4)
        if i != j and matrix[i, j]
    ]
    found = confusion.confused_pairs(matrix, most=5)
    assert [(i, j) for i, j, _, _ in found] == [(i, j) for *_, i, j in sorted(slow)[:5]]
    for i, j, clips, share in found:
        assert clips == matrix[i, j]
        assert share == pytest.approx(clips / matrix[i].sum())


def test_clips_to_watch_have_a_limit(tmp_path):
    folder = write_run(tmp_path / "run")
    write_examples(folder)
    runs = load_inputs([folder])
    (method,), names = methods_of(runs), runs[0].run.class_names
    assert list(confusion.make_shows(method, names, 10**6)[0]) == [(3, 5), (2, 0)]
    first = 8 * (6 + 4) * 2 * 20 * 3 // 3  # bytes: frames of two clips, persons, joints, axes
    assert list(confusion.make_shows(method, names, first)[0]) == [(3, 5)]
    assert confusion.make_shows(method, names, first - 1) == ({}, {})


def test_bins_have_the_error_of_the_metrics(runs):
    for run in runs:
        method = methods_of([run])[0]
        clips, confidence, accuracy = reliability.bin_confidences(*reliability.confidences(method))
        gaps = np.abs(confidence - accuracy)[clips > 0] @ clips[clips > 0] / clips.sum()
        assert gaps == pytest.approx(run.test["ece"], abs=1e-6)
        assert clips.sum() == 210


def test_a_confidence_of_one_is_in_the_last_bin():
    clips, confidence, accuracy = reliability.bin_confidences(
        np.array([1.0, 0.5]), np.array([True, False]), 2
    )
    assert clips.tolist() == [0, 2]
    assert np.isnan(confidence[0])
    assert (confidence[1], accuracy[1]) == (0.75, 0.5)


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=40))
def test_trend(values):
    half = max(1, len(values) // 10)
    for i, mean in enumerate(trend(np.array(values))):
        near = [v for j, v in enumerate(values) if abs(i - j) <= half and v == v]
        np.testing.assert_allclose(mean, sum(near) / len(near) if near else np.nan, atol=1e-12)


def test_trend_leaves_untested_classes_out():
    values = np.array([1.0, np.nan, 0.0, np.nan, np.nan, np.nan])
    assert np.array_equal(trend(values), [1, 0.5, 0, 0, np.nan, np.nan], equal_nan=True)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=30))
def test_imbalance(counts):
    found = health.imbalance(counts)
    gaps = sum(abs(a - b) for a in counts for b in counts)
    assert found["gini"] == pytest.approx(gaps / (2 * len(counts) * sum(counts)))
    assert found["ratio"] == max(counts) / min(counts)


def test_curves(tmp_path):
    folder = write_run(tmp_path / "run")
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "lr", "train_loss", "val_top1"])
        writer.writerows([[0, 0.1, 3.5, ""], [1, 0.1, 2.5, ""], [2, 0.1, 1.25, 0.5]])
    section = curves.make_section(load_inputs([folder]))
    assert "from 3.5 to 1.25" in section.html
    assert "Learning rate" in section.html
    assert "validation" not in section.html  # one point is no curve
    assert curves.make_section(load_inputs([write_run(tmp_path / "older")])) is None


def test_findings(tmp_path):
    folder = write_run(tmp_path / "run")
    text = "They are copies. `shapmix split <OUT>` leaves them out."
    finding = {"kind": "warning", "title": "3 clips <b>", "text": text}
    (folder / "data_profile.json").write_text(json.dumps({"findings": [finding]}))
    html = health.make_section(load_inputs([folder])).html
    assert "3 clips &lt;b&gt;" in html
    assert "They are copies. <code>shapmix split &lt;OUT&gt;</code> leaves them out." in html
    assert "300 clips in the largest class, 6 in the smallest: 50 to 1" in html
    (folder / "data_profile.json").write_text(json.dumps({"findings": []}))
    assert "Nothing suspicious" in health.make_section(load_inputs([folder])).html


def test_settings(runs):
    assert differing_settings(runs) == [
        ("loss", ["ce", "balanced-softmax", "balanced-softmax"]),
        ("mixer", ["none", "shapmix", "shapmix"]),
        ("seed", ["0", "0", "1"]),
    ]
    assert flat({"a": {"b": None}, "c": [1, 2]}) == {"a.b": "none", "c": "1, 2"}


# ---- markup and the file


def test_numbers():
    assert [percent(x) for x in (0.5234, None, 0.0)] == ["52.3 %", "n/a", "0.0 %"]
    assert [points(x) for x in (0.1, -0.1, -0.0001)] == ["+10.0", "−10.0", "0.0"]
    assert rounded([[0.12345, np.nan]], 2) == [[0.12, None]]


def test_data_cannot_close_its_element():
    block = json_block("data", ["</script><script>", "<!--", "\u2028", 'a"b'])
    body = block.partition(">")[2].rpartition("</script>")[0]
    assert "<" not in body
    assert json.loads(body) == ["</script><script>", "<!--", "\u2028", 'a"b']
    with pytest.raises(ValueError):
        json_block("data", [float("nan")])


def test_the_file_is_replaced_whole_or_not_at_all(three_runs, tmp_path, monkeypatch):
    out = tmp_path / "new" / "report.html"
    assert write_report(three_runs[:1], out) == out
    before = out.read_bytes()
    assert len(before) < 4e6
    monkeypatch.setattr("shapmix.reporting.report.page.MOST_BYTES", len(before) - 1)
    with pytest.raises(RunError, match="report on fewer runs"):
        write_report(three_runs[:1], out)
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    assert out.read_bytes() == before


def test_the_command(three_runs, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", *map(str, three_runs), "--out", str(out)]) == 0
    assert f"page to open: {out}" in capsys.readouterr().out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["report", str(tmp_path / "nothing"), "--out", str(out)]) == 1
    assert "expected a run folder" in capsys.readouterr().err
    assert main(["report", str(three_runs[0]), "--epoch", "first"]) == 2


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    text = capsys.readouterr().out
    assert "shapmix report runs/mine" in text
    assert "shapmix evaluate RUN" in text


def test_an_archive_is_not_replaced_by_the_page(three_runs, tmp_path, capsys):
    archive = tmp_path / "mine.arrow"
    archive.write_bytes(b"ARROW1 and clips")
    assert main(["report", str(three_runs[0]), "--out", str(archive)]) == 1
    assert "mine.arrow exists and is no page of shapmix" in capsys.readouterr().err
    assert archive.read_bytes() == b"ARROW1 and clips"
