"""Reading the table of a benchmark."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from benchmark_tables import failed, make_row, make_rows, write_table

from shapmix.metrics import class_groups
from shapmix.reporting import RunError
from shapmix.reporting.benchmark import read_benchmark

UCLA = ("ctrgcn", "ucla", "shap-mix")


def read(tmp_path, rows, which="last"):
    return read_benchmark(write_table(tmp_path / "results.parquet", rows), which)


def slow_figures(rows):
    """Overall, mean class and tail accuracy of the folds of a run, clip by clip."""
    counts = np.mean([row["class_counts"] for row in rows], axis=0).round()
    right = {k: [] for k in range(len(counts))}
    for row in rows:
        for label, guess in zip(row["labels"], row["predictions"], strict=True):
            right[label].append(label == guess)
    tail = class_groups(counts)["tail"]
    return {
        "top1": np.mean(np.concatenate(list(right.values()))),
        "mean_class": np.mean([np.mean(right[k]) for k in right]),
        "tail": np.mean([np.mean(right[k]) for k in tail]),
    }


def test_figures_of_a_row(tmp_path):
    row = make_row("shap-mix", "ucla", 3)
    found = read(tmp_path, [row]).outcomes[UCLA][3]
    for name, value in slow_figures([row]).items():
        assert found.accuracies[name] == pytest.approx(value), name
    assert found.class_counts.tolist() == row["class_counts"]
    assert found.costs["train_seconds"] == row["train_seconds"]


def test_folds_are_pooled_in_any_order(tmp_path):
    rows = [make_row("shap-mix", "ucla", 3, fold=fold) for fold in ("a", "b", "c")]
    rows[1]["class_counts"] = [count + 3 for count in rows[1]["class_counts"]]
    rows[1]["labels"], rows[1]["predictions"] = (rows[1][n][5:] for n in ("labels", "predictions"))
    benchmark = read(tmp_path, rows)
    found = benchmark.outcomes[UCLA][3]
    assert len(found.labels) == sum(len(row["labels"]) for row in rows)
    for name, value in slow_figures(rows).items():
        assert found.accuracies[name] == pytest.approx(value), name
    assert found.costs["train_seconds"] == pytest.approx(sum(r["train_seconds"] for r in rows))
    assert found.costs["peak_memory_mb"] == 900
    assert found.class_counts.tolist() == [count + 1 for count in rows[0]["class_counts"]]
    backwards = read(tmp_path, rows[::-1]).outcomes[UCLA][3]
    assert backwards.pair_with(found).test_set == found.test_set
    np.testing.assert_array_equal(backwards.labels, found.labels)


def test_runs_that_lack_folds_are_left_out(tmp_path):
    rows = [make_row("shap-mix", "ucla", seed, fold=fold) for seed in (0, 1) for fold in "ab"]
    benchmark = read(tmp_path, [*rows[:3], failed(rows[3])])
    assert list(benchmark.outcomes[UCLA]) == [0]
    assert benchmark.warnings == ("left out: 1 runs that lack folds which others have.",)
    with pytest.raises(RunError, match="no run with all its folds"):
        read(tmp_path, [rows[0], failed(rows[1])])


def test_the_latest_of_repeated_tasks_counts(tmp_path):
    old, new = make_row("shap-mix", "ucla", 0), make_row("shap-mix", "ucla", 0)
    old |= {"finished": "2025-01-01T00:00:00+00:00", "train_seconds": 1.0, "key": "old"}
    for rows in ([old, new], [new, old]):
        benchmark = read(tmp_path, rows)
        assert benchmark.outcomes[UCLA][0].costs["train_seconds"] == new["train_seconds"]
        assert benchmark.warnings == ("left out: 1 earlier results of tasks that were run again.",)
    assert read(tmp_path, [new]).warnings == ()


def test_only_chosen_tasks_count(tmp_path):
    rows = make_rows(3, ("mixup",), ("ucla",))
    path = write_table(tmp_path / "results.parquet", rows)
    benchmark = read_benchmark(path, keys={rows[0]["key"], rows[2]["key"], "not yet"})
    assert list(benchmark.outcomes["ctrgcn", "ucla", "mixup"]) == [0, 2]
    assert benchmark.warnings == ("left out: 1 results of other tasks or settings.",)


def test_tasks_are_called_and_have_the_folds_as_the_suite_says(tmp_path):
    rows = [make_row("shap-mix", "ucla", 0, fold=fold) for fold in ("a", "b")]
    path = write_table(tmp_path / "results.parquet", rows)
    name = {"method": "ours", "dataset": "nw", "backbone": "gcn"}
    called = {row["key"]: name | {"fold": row["fold"]} for row in rows}
    assert list(read_benchmark(path, keys=called).outcomes) == [("gcn", "nw", "ours")]
    with pytest.raises(RunError, match="no run with all its folds"):
        read_benchmark(path, keys=called | {"not yet": name | {"fold": "c"}})


def test_selected_epoch(tmp_path):
    row = make_row("shap-mix", "ucla", 0)
    row["predictions_best"] = row["labels"]
    assert read(tmp_path, [row], "best").outcomes[UCLA][0].accuracies["top1"] == 1
    assert read(tmp_path, [row]).outcomes[UCLA][0].accuracies["top1"] < 1


def test_how_it_was_made_is_that_of_what_succeeded(tmp_path):
    rows = make_rows(2, ("mixup",), ("ucla",))
    broken = failed(make_row("mixup", "ucla", 2)) | {"commit": "other"}
    benchmark = read(tmp_path, [*rows, broken])
    assert benchmark.made["commit"] == ["0a1b2c3d"]
    assert benchmark.tasks == 2
    assert [row["seed"] for row in benchmark.failed] == [2]


def test_what_pairs(tmp_path):
    one, other = make_row("mixup", "ucla", 0), make_row("shap-mix", "ucla", 0)
    changes = {
        "fits": {},
        "test_names_hash": {"test_names_hash": "other"},
        "class_counts": {"class_counts": [n + 1 for n in one["class_counts"]]},
        "labels": {"labels": one["labels"][::-1]},
    }
    for name, change in changes.items():
        outcomes = read(tmp_path, [one, other | change]).outcomes
        base = outcomes["ctrgcn", "ucla", "mixup"][0]
        assert (outcomes[UCLA][0].pair_with(base) is not None) == (name == "fits"), name


def test_missing_and_damaged_tables(tmp_path):
    path = tmp_path / "results.parquet"
    with pytest.raises(RunError, match="cannot be read"):
        read_benchmark(path)
    path.write_text("no parquet")
    with pytest.raises(RunError, match="is no Parquet table"):
        read_benchmark(path)
    row = make_row("mixup", "ucla", 0)
    table = pq.read_table(write_table(path, [row])).drop_columns(["fold", "labels"])
    pq.write_table(table, path)
    with pytest.raises(RunError, match="has no column fold, labels: give the table of results"):
        read_benchmark(path)
    with pytest.raises(RunError, match="no successful task"):
        read(tmp_path, [failed(row)])


@pytest.mark.parametrize(
    ("change", "which", "message"),
    [
        ({}, "best", r"mixup on ucla \(ctrgcn, seed 0\) has no predictions_best: it selected no"),
        ({"predictions": [0]}, "last", "460 labels, 1 predictions and 10 class counts"),
        ({"class_counts": [9] * 3}, "last", "460 predictions and 3 class counts"),
        ({"labels": []}, "last", "0 labels"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, change, which, message):
    with pytest.raises(RunError, match=message):
        read(tmp_path, [make_row("mixup", "ucla", 0) | change], which)
