import csv
import io

import numpy as np
import pytest

from shapmix.metrics import paired_difference
from shapmix.reporting import RunError, compare_table, difference_table, load_scores
from shapmix.reporting.methods import group_methods


def read_csv(table):
    return list(csv.DictReader(io.StringIO(table.csv())))


@pytest.fixture
def runs(new_run):
    """Two methods of three seeds each."""
    return [
        new_run(f"{mixer}-{seed}", mixer=mixer, seed=seed, signal=signal, saliency=False)
        for mixer, signal in (("none", 1.5), ("shapmix", 2.2))
        for seed in (0, 1, 2)
    ]


def test_methods_are_runs_that_differ_only_in_the_seed(runs):
    methods = group_methods(runs)
    assert [method.name for method in methods] == ["none", "shapmix"]
    assert [list(method.by_seed()) for method in methods] == [[0, 1, 2]] * 2


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ([{}, {"mixer": "none"}], ["shapmix", "none"]),
        (
            [{"mixer": "none", "loss": "ce"}, {"mixer": "shapmix"}],
            ["none + ce", "shapmix + balanced-softmax"],
        ),
        ([{}, {"mixer_options": {"tau": 0.4}}], ["shapmix + balanced-softmax", "tau=0.4"]),
        ([{"lr": 0.1}, {"lr": 0.05, "mixer": "none"}], ["shapmix (lr=0.1)", "none (lr=0.05)"]),
        ([{}], ["shapmix + balanced-softmax"]),
        ([{}, {"workers": 3, "seed": 1}], ["shapmix + balanced-softmax"]),
    ],
)
def test_methods_are_named_by_what_differs(new_run, settings, names):
    runs = [
        new_run(f"{i}", saliency=False, best=False, **setting) for i, setting in enumerate(settings)
    ]
    assert [method.name for method in group_methods(runs)] == names


def test_mean_and_spread_over_seeds(runs):
    table = compare_table(runs, resamples=20)
    rows = read_csv(table)
    for row, members in zip(rows, (runs[:3], runs[3:]), strict=True):
        for name in ("top1", "mean_class", "many", "few", "tail", "macro_f1", "ece"):
            values = [run.last.test[name] for run in members]
            assert float(row[name]) == pytest.approx(np.mean(values))
            assert float(row[f"{name}_sd"]) == pytest.approx(np.std(values, ddof=1))
        assert row["seeds"] == "3"
        assert float(row["clips_per_second"]) == 812.5
    assert table.warnings == ()


def test_gains_pair_runs_of_equal_seeds_and_clips_of_equal_names(new_run, runs):
    runs[4] = new_run("reversed", mixer="shapmix", seed=1, signal=2.2, reverse=True)
    runs[3:] = runs[3:][::-1]
    gain = read_csv(difference_table(runs, resamples=300, seed=4))[0]
    correct = {}
    for run in runs:
        scores = load_scores(run)
        order = np.argsort(scores.names)
        correct[run.config["mixer"], run.config["seed"]] = scores.correct()[order]
    a, b = ([correct[mixer, seed] for seed in (0, 1, 2)] for mixer in ("none", "shapmix"))
    labels, counts = np.arange(210) % 7, runs[0].class_counts
    expected = paired_difference(np.stack(a), np.stack(b), labels, counts, resamples=300, seed=4)
    for name, found in expected.items():
        assert float(gain[name]) == found["difference"]
        assert [float(gain[f"{name}_{end}"]) for end in ("low", "high")] == found["interval"]
    assert gain["pairs"] == "3"
    headline = read_csv(compare_table(runs, resamples=300, seed=4))
    assert headline[1]["gain"] == gain["top1"]
    assert headline[0]["gain"] == ""


def test_one_method_has_no_gain_and_one_seed_no_spread(runs):
    table = compare_table(runs[:1])
    assert "gain" not in table.csv()
    assert "_sd" not in table.csv()
    assert difference_table(runs[:1]).rows == ()


def test_selected_epoch(runs):
    rows = read_csv(compare_table(runs, "best", resamples=20))
    best = [run.best.test["top1"] for run in runs[:3]]
    assert float(rows[0]["top1"]) == pytest.approx(np.mean(best))


def test_empty_bins_are_not_available(new_run):
    runs = [
        new_run(mixer, mixer=mixer, counts=(9, 8, 7, 6), saliency=False) for mixer in ("none", "x")
    ]
    assert [row["many"] for row in read_csv(compare_table(runs, resamples=20))] == ["", ""]
    assert read_csv(difference_table(runs, resamples=20))[0]["many"] == ""


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"epochs": 100}, "runs differ in epochs (65, 100)"),
        ({"batch_size": 16}, "runs differ in batch_size (64, 16)"),
        ({"model": "stgcn"}, "runs differ in model (ctrgcn, stgcn)"),
        ({"split": "other.json"}, "runs differ in split (lt.json, other.json)"),
        ({"last_epoch": 30}, "runs ended at different epochs (65, 30)"),
        ({"clip_prefix": "other"}, "tested on different clips"),
        ({"counts": (99, 80, 60, 40, 25, 12, 6)}, "differ in training clips per class"),
        ({"seed": 7}, "methods have different seeds"),
    ],
)
def test_what_cannot_be_compared_is_said(new_run, options, warning):
    runs = [
        new_run("a", mixer="none", saliency=False),
        new_run("b", saliency=False, **options),
    ]
    for table in (compare_table(runs, resamples=20), difference_table(runs, resamples=20)):
        found = [text for text in table.warnings if warning in text]
        assert found, table.warnings
        assert f"Warning: {found[0]}" in table.markdown()
    gain = read_csv(difference_table(runs, resamples=20))[0]
    paired = not {"clip_prefix", "counts", "seed"} & set(options)
    assert (gain["top1"] != "") == paired
    assert gain["pairs"] == ("0" if "seed" in options else "1")


def test_a_seed_twice_is_said(new_run):
    runs = [new_run(name, saliency=False) for name in "ab"]
    table = compare_table(runs)
    assert "shapmix + balanced-softmax has more than one run of seed 0." in table.warnings


def test_errors(new_run):
    with pytest.raises(RunError, match="no runs to compare"):
        compare_table([])
    with pytest.raises(RunError, match=r"selected no epoch|no logits_best"):
        compare_table([new_run("a", best=False)], "best")
