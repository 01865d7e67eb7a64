"""Standings and tables of a leaderboard, from simulated results with known effects."""

import csv
import io

import numpy as np
import pytest
from benchmark_tables import METHODS, failed, make_row, make_rows, write_table
from scipy.stats import rankdata

from shapmix.metrics import class_groups, holm, sign_flip_test
from shapmix.reporting import RunError
from shapmix.reporting.benchmark import read_benchmark
from shapmix.reporting.leaderboard import write_leaderboard
from shapmix.reporting.leaderboard_tables import (
    cost_table,
    dataset_table,
    gain_table,
    standings_table,
)
from shapmix.reporting.standings import BINS, MEAN, make_standings

BASELINE = "balanced-softmax"


def standings_of(path, rows, baseline=BASELINE, resamples=200, backbone="ctrgcn"):
    benchmark = read_benchmark(write_table(path / "results.parquet", rows))
    return make_standings(benchmark, backbone, baseline, resamples=resamples)


def accuracy(row, figure):
    """Overall or tail accuracy of a row, in the slow way."""
    right = np.equal(row["labels"], row["predictions"])
    if figure == "top1":
        return right.mean()
    tail = class_groups(row["class_counts"])["tail"]
    return np.mean([right[np.equal(row["labels"], k)].mean() for k in tail])


def accuracies(rows, method, dataset, figure):
    """seed -> accuracy."""
    return {
        row["seed"]: accuracy(row, figure)
        for row in rows
        if (row["method"], row["dataset"]) == (method, dataset)
    }


def by_method(table):
    return {row["method"]: row for row in csv.DictReader(io.StringIO(table.csv()))}


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def standings(rows, tmp_path_factory):
    return standings_of(tmp_path_factory.mktemp("full"), rows, resamples=1000)


def test_accuracies_means_and_ranks(rows, standings):
    found = by_method(standings_table(standings))
    for figure in ("top1", "tail"):
        means = {
            name: [
                np.mean(list(accuracies(rows, name, d, figure).values())) for d in ("ucla", "utd")
            ]
            for name in METHODS
        }
        ranks = np.mean([rankdata([-means[m][i] for m in METHODS]) for i in range(2)], axis=0)
        for name, rank in zip(METHODS, ranks, strict=True):
            values = list(accuracies(rows, name, "utd", figure).values())
            assert float(found[name][f"utd_{figure}"]) == pytest.approx(means[name][1])
            assert float(found[name][f"utd_{figure}_sd"]) == pytest.approx(np.std(values, ddof=1))
            assert float(found[name][f"mean_{figure}"]) == pytest.approx(np.mean(means[name]))
            assert float(found[name][f"rank_{figure}"]) == pytest.approx(rank)
    assert next(iter(found)) == "shap-mix", "the best overall comes first"


def test_gains_find_the_known_effects(rows, standings):
    """Tail: the third with the fewest clips; with ten classes the mean rank is 8 of 0 to 9."""
    found = by_method(gain_table(standings, "tail"))
    for name, (head, tail) in METHODS.items():
        if name == BASELINE:
            continue
        share = np.mean([7, 8, 9]) / 9
        assert float(found[name]["ucla_low"]) < head * (1 - share) + tail * share
        assert float(found[name]["ucla_high"]) > head * (1 - share) + tail * share
        a, b = (accuracies(rows, method, "ucla", "tail") for method in (BASELINE, name))
        gain = np.mean([b[seed] - a[seed] for seed in range(6)])
        assert float(found[name]["ucla"]) == pytest.approx(gain)
    assert float(found["shap-mix"]["mean_low"]) > 0
    assert BASELINE not in found


def test_p_values_are_adjusted_within_a_column(rows, standings):
    others = [name for name in METHODS if name != BASELINE]
    for datasets, column in ((["ucla"], "ucla"), (["ucla", "utd"], MEAN)):
        p_values = []
        for name in others:
            pairs = [[accuracies(rows, m, d, "tail") for m in (BASELINE, name)] for d in datasets]
            p_values.append(sign_flip_test([[b[s] - a[s] for s in a] for a, b in pairs]))
        found = standings.adjusted(column, "tail")
        np.testing.assert_allclose([found[name] for name in others], holm(p_values))
    text = gain_table(standings, "tail").markdown()
    assert f"p = {standings.adjusted('ucla', 'tail')['st-mix']:.3f}" in text


def test_gains_do_not_hang_on_what_else_is_in_the_table(tmp_path, rows, standings):
    some = [row for row in rows if row["method"] in ("shap-mix", BASELINE)][::-1]
    alone = standings_of(tmp_path, some, resamples=1000)
    assert alone.gain("utd", "shap-mix", "tail") == standings.gain("utd", "shap-mix", "tail")


def test_draws_hang_on_no_name_of_a_method(tmp_path, rows, standings):
    new = [row | {"method": row["method"].replace("shap-mix", "ours")} for row in rows]
    named = standings_of(tmp_path, new, resamples=1000)
    assert named.gain("utd", "ours", "tail") == standings.gain("utd", "shap-mix", "tail")


def test_a_data_set_apart_is_in_no_mean_and_no_rank(tmp_path, rows, standings):
    third = [
        row | {"dataset": "again", "predictions": row["labels"]}
        for row in rows
        if row["dataset"] == "ucla" and row["method"] != "mixup"
    ]
    benchmark = read_benchmark(write_table(tmp_path / "results.parquet", [*rows, *third]))
    found = make_standings(benchmark, "ctrgcn", BASELINE, resamples=1000, apart=["again"])
    table = standings_table(found)
    assert "Means and ranks are over ucla, utd, of means over all 6 seeds." in table.notes[-1]
    assert table.warnings == ()
    before = by_method(standings_table(standings))
    for method, row in by_method(table).items():
        for column in ("mean_top1", "rank_tail", "utd_tail"):
            assert row[column] == before[method][column]
    assert by_method(table)[BASELINE]["again_top1"].startswith("1")
    assert found.gain(MEAN, "mixup", "tail") == standings.gain(MEAN, "mixup", "tail")
    alone = make_standings(benchmark, "ctrgcn", BASELINE, resamples=100, apart=found.datasets)
    assert alone.counted == found.datasets, "means of nothing would help nobody"


def test_one_pair_has_no_interval(tmp_path, rows):
    few = [row for row in rows if row["method"] != "mixup" or row["seed"] == 2]
    gains = gain_table(standings_of(tmp_path, few), "top1").markdown()
    mixup = next(line for line in gains.splitlines() if line.startswith("| mixup"))
    assert mixup.count("1 pair") == 2
    assert "[" not in mixup
    assert gains.count("[") > 0


def test_fewer_seeds_are_said_and_means_are_of_common_seeds(tmp_path, rows):
    some = [row for row in rows if row["method"] != "mixup" or row["seed"] in (1, 2, 4)]
    found = standings_of(tmp_path, some)
    table = standings_table(found)
    assert "(3 seeds)" in table.markdown()
    assert "(ucla: 3, utd: 3)" in table.notes[-1]
    for method in METHODS:
        means = [
            np.mean([accuracies(rows, method, d, "tail")[seed] for seed in (1, 2, 4)])
            for d in ("ucla", "utd")
        ]
        assert float(by_method(table)[method]["mean_tail"]) == pytest.approx(np.mean(means))
    gains = gain_table(found, "top1").markdown()
    mixup = next(line for line in gains.splitlines() if line.startswith("| mixup"))
    assert mixup.count("3 pairs") == 2
    assert mixup.count("p = ") == 1, "three pairs a data set have no p-value, six together do"
    assert "6 pairs" in mixup


def test_a_method_of_few_seeds_does_not_throw_away_those_of_the_others(tmp_path, rows):
    some = [row for row in rows if row["method"] != "mixup" or row["seed"] in (1, 2)]
    table = standings_table(standings_of(tmp_path, some))
    mixup = by_method(table)["mixup"]
    assert (mixup["mean_tail"], mixup["rank_tail"]) == ("", "")
    assert "over all 6 seeds" in table.notes[-1]
    assert "Left out, lacking data sets or seeds: mixup." in table.notes[-1]
    means = [np.mean(list(accuracies(rows, BASELINE, d, "tail").values())) for d in ("ucla", "utd")]
    assert float(by_method(table)[BASELINE]["mean_tail"]) == pytest.approx(np.mean(means))


def test_only_common_seeds_are_paired(tmp_path):
    rows = [make_row(BASELINE, "ucla", seed) for seed in (0, 1, 2)]
    rows += [make_row("shap-mix", "ucla", seed) for seed in (1, 2, 3)]
    gain = standings_of(tmp_path, rows).gain("ucla", "shap-mix", "top1")
    a, b = accuracies(rows, BASELINE, "ucla", "top1"), accuracies(rows, "shap-mix", "ucla", "top1")
    assert gain.value == pytest.approx(np.mean([b[1] - a[1], b[2] - a[2]]))
    assert (gain.pairs, gain.p_value) == (2, None)


def test_methods_without_all_data_sets_have_no_mean_and_no_rank(tmp_path, rows):
    some = [r for r in rows if r["method"] != "mixup" or r["dataset"] == "ucla"]
    found = standings_of(tmp_path, some)
    table = standings_table(found)
    mixup = by_method(table)["mixup"]
    assert (mixup["mean_top1"], mixup["rank_tail"], mixup["utd_top1"]) == ("", "", "")
    assert mixup["ucla_top1"] != ""
    assert list(by_method(table))[-1] == "mixup"
    assert "Left out, lacking data sets or seeds: mixup." in table.notes[-1]
    assert found.gain(MEAN, "mixup", "top1") is None
    assert by_method(gain_table(found, "top1"))["mixup"]["mean"] == ""
    assert by_method(cost_table(found))["mixup"]["clips_per_second"] == ""
    assert "mixup" not in by_method(dataset_table(found, "utd"))


def test_without_common_seeds_there_are_no_means(tmp_path):
    rows = [make_row(BASELINE, d, 0) for d in ("ucla", "utd")]
    rows += [make_row("mixup", d, 1) for d in ("ucla", "utd")]
    found = standings_of(tmp_path, rows)
    table = standings_table(found)
    assert {row["mean_top1"] for row in by_method(table).values()} == {""}
    assert "no seed is common to all methods" in table.notes[-1]
    assert by_method(gain_table(found, "top1"))["mixup"]["ucla"] == ""


def test_runs_that_differ_in_more_than_the_method_are_not_paired(tmp_path, rows):
    some = [dict(row) for row in rows if row["method"] in ("mixup", BASELINE)]
    other = next(r for r in some if (r["method"], r["seed"]) == ("mixup", 3))
    other["test_names_hash"] = "other clips"
    found = standings_of(tmp_path, some)
    table = gain_table(found, "tail")
    assert table.warnings[0].startswith("1 runs have other test clips or class counts")
    assert found.gain(other["dataset"], "mixup", "tail").pairs == 5


def test_data_sets_with_the_same_test_clips_are_told(tmp_path, rows):
    some = [row | {"dataset": "longer"} for row in rows if row["dataset"] == "ucla"]
    (warning,) = standings_table(standings_of(tmp_path, [*rows, *some])).warnings
    assert warning.startswith("ucla, longer have the same test clips")
    assert standings_table(standings_of(tmp_path, rows)).warnings == ()


@pytest.mark.parametrize("methods", [(BASELINE,), (BASELINE, "mixup")])
def test_one_data_set_has_no_means(tmp_path, methods):
    found = standings_of(tmp_path, make_rows(2, methods, ("ucla",)))
    table = standings_table(found)
    assert [column.key for column in table.columns] == ["method", "ucla_top1", "ucla_tail"]
    assert [column.key for column in gain_table(found, "top1").columns] == ["method", "ucla"]


def test_the_best_of_those_with_enough_seeds_is_bold(tmp_path):
    rows = make_rows(3, (BASELINE, "st-mix"), ("ucla",))
    perfect = [make_row("mixup", "ucla", seed) for seed in (0, 1)]
    for row in perfect:
        row["predictions"] = row["labels"]
    two = standings_table(standings_of(tmp_path, [*rows, *perfect])).markdown()
    assert "| mixup | **100.0** ± 0.0 (2 seeds)" in two
    table = standings_table(standings_of(tmp_path, [*rows, perfect[0]]))
    lines = table.markdown().splitlines()
    assert any(text.startswith("| mixup | 100.0 (1 seed)") for text in lines), lines
    assert sum(text.count("**") for text in lines if text.startswith("|")) == 2 * 2
    assert table.html().count("<strong>") == 2
    assert "**" not in table.html()


def test_times_of_different_machines_are_not_compared(tmp_path, rows):
    some = [
        row | {"machine": "fast", "train_seconds": row["train_seconds"] / 50}
        if row["method"] == "mixup" and row["seed"] > 0
        else row
        for row in rows
    ]
    found, same = standings_of(tmp_path, some), [r for r in rows if r["seed"] == 0]
    expected = standings_of(tmp_path, same).time_ratio("mixup")
    assert found.time_ratio("mixup") == pytest.approx(expected)
    elsewhere = [r | {"machine": r["method"]} for r in rows]
    assert standings_of(tmp_path, elsewhere).time_ratio("mixup") is None


def test_costs(standings, rows):
    found = by_method(cost_table(standings))
    seconds = {(r["method"], r["dataset"], r["seed"]): r["train_seconds"] for r in rows}
    pairs = [(d, s) for d in ("ucla", "utd") for s in range(6)]
    ratios = [seconds["shap-mix", *pair] / seconds[BASELINE, *pair] for pair in pairs]
    expected = np.exp(np.mean(np.log(ratios)))
    assert float(found["shap-mix"]["time_ratio"]) == pytest.approx(expected)
    assert float(found[BASELINE]["time_ratio"]) == pytest.approx(1)
    mean = np.mean([seconds["shap-mix", *pair] for pair in pairs])
    assert float(found["shap-mix"]["train_seconds"]) == pytest.approx(mean)
    assert found["mixup"]["peak_memory_mb"] == "900.0"


def test_classes_are_taken_by_rank_of_training_clips(rows, standings):
    counts, gains = standings.class_points("ucla", "shap-mix")
    expected = np.zeros((6, 10))
    for seed in range(6):
        a, b = (
            next(r for r in rows if (r["method"], r["dataset"], r["seed"]) == (m, "ucla", seed))
            for m in (BASELINE, "shap-mix")
        )
        order = sorted(range(10), key=lambda k: -a["class_counts"][k])
        for rank, k in enumerate(order):
            clips = [i for i, label in enumerate(a["labels"]) if label == k]
            right = [(r["predictions"][i] == k) for r in (b, a) for i in clips]
            expected[seed, rank] = np.mean(right[: len(clips)]) - np.mean(right[len(clips) :])
    np.testing.assert_allclose(gains, expected.mean(0), atol=1e-12)
    np.testing.assert_allclose(counts, np.rint(np.geomspace(150, 5, 10)))
    bins = standings.class_bins("ucla", "shap-mix")
    parts = np.array_split(np.arange(10), BINS)
    values = [expected[:, part].mean() for part in parts]
    np.testing.assert_allclose([gain.value for _, gain in bins], values, atol=1e-12)
    clips = [np.exp(np.log(counts[part]).mean()) for part in parts]
    np.testing.assert_allclose([center for center, _ in bins], clips)


def test_everything_is_written(tmp_path, rows):
    broken = failed(make_row("mixup", "ucla", 9), "Trace <back>\nRuntimeError: NaN")
    some = [row for row in rows if row["method"] in (BASELINE, "shap-mix")]
    path = write_table(tmp_path / "results.parquet", [*some, broken])
    board = write_leaderboard(path, tmp_path / "out", BASELINE, resamples=50)
    names = ["leaderboard.md", "leaderboard.html", "critical_difference.png", "per_class_gain.png"]
    assert [file.name for file in board.files] == names
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(names)
    assert len(board.tables) == 4
    text = board.files[0].read_text()
    for expected in (
        "**Accuracy, ctrgcn**",
        "**Gain on balanced-softmax in tail accuracy, ctrgcn**",
        "| Seeds | 0 to 5 |",
        "| Tasks | 24 done, 1 failed |",
        "| Commit | 0a1b2c3d |",
    ):
        assert expected in text
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in board.files[2:])


def test_two_backbones_and_the_first_method_as_baseline(tmp_path):
    rows = make_rows(2, ("st-mix", "mixup"))
    rows += make_rows(2, ("st-mix", "mixup"), backbone="tcn")
    path = write_table(tmp_path / "results.parquet", rows)
    board = write_leaderboard(path, tmp_path / "out", resamples=20)
    assert [file.name for file in board.files[2:]] == [
        "critical_difference.png",
        "per_class_gain.png",
        "critical_difference_tcn.png",
        "per_class_gain_tcn.png",
    ]
    assert [table.title for table in board.tables][1::4] == [
        f"Gain on st-mix in overall accuracy, {name}" for name in ("ctrgcn", "tcn")
    ]


def test_it_prints(tmp_path):
    from rich.console import Console

    rows = make_rows(1, ("st-mix", "mixup"), ("ucla",))
    path = write_table(tmp_path / "results.parquet", rows)
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(write_leaderboard(path, tmp_path, resamples=5, keys=[r["key"] for r in rows]))
    text = console.export_text()
    for expected in ("Accuracy, ctrgcn", "Gain on st-mix", "leaderboard.html"):
        assert expected in text


def test_an_unknown_baseline(tmp_path):
    path = write_table(tmp_path / "results.parquet", make_rows(1))
    with pytest.raises(RunError, match=r"'st-mx' \(did you mean 'st-mix'\?\); there are bal"):
        write_leaderboard(path, tmp_path, "st-mx")
