"""The table: merging by key, its exact columns, and two processes that write at the same time."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stand_ins import row

from shapmix.benchmarking.table import (
    SCALARS,
    SCHEMA,
    TableError,
    append_results,
    finished_keys,
    read_results,
)


def test_a_row_comes_back_as_it_was(tmp_path):
    path = tmp_path / "sub" / "results.parquet"
    given = row("a", labels=[2, 0], probability=[0.5, 0.25], class_names=["x", "y"], top1=0.75)
    append_results(path, [given])
    (found,) = read_results(path).to_pylist()
    assert list(found) == list(SCHEMA)
    assert math.isnan(found["few"])
    assert {k: v for k, v in found.items() if v == v} == {k: v for k, v in given.items() if v == v}
    assert [str(kind) for kind in pq.read_schema(path).types] == [
        kind.replace("<", "<element: ").replace("float32", "float") for kind in SCHEMA.values()
    ]


def test_a_table_that_is_not_there_is_empty(tmp_path):
    assert read_results(tmp_path / "none.parquet").num_rows == 0
    assert finished_keys(tmp_path / "none.parquet") == {}


def test_csv_has_the_scalar_columns(tmp_path):
    append_results(tmp_path / "r.parquet", [row("a", error='said "no",\nthen\tstopped', seed=3)])
    with (tmp_path / "r.csv").open(newline="") as file:
        (found,) = csv.DictReader(file)
    assert tuple(found) == SCALARS
    assert "labels" not in found
    assert found["error"] == 'said "no",\nthen\tstopped'
    assert (found["seed"], found["top1"]) == ("3", "nan")


rows = st.tuples(st.sampled_from("abcd"), st.sampled_from(["ok", "failed"]), st.integers(0, 99))


@given(st.lists(st.lists(rows, max_size=4), max_size=5))
@hypothesis_settings(max_examples=25)
def test_merging_by_key(tmp_path_factory, chunks):
    path = tmp_path_factory.mktemp("merge") / "r.parquet"
    expected = {}
    for chunk in chunks:
        append_results(path, [row(key, status, seed=seed) for key, status, seed in chunk])
        for key, status, seed in sorted(chunk, key=lambda found: found[1]):  # failed, then ok
            if expected.get(key, ("failed",))[0] == "failed" or status == "ok":
                expected[key] = (status, seed)
    found = read_results(path).to_pylist()
    assert {r["key"]: (r["status"], r["seed"]) for r in found} == expected
    assert len(found) == len(expected)


WRITER = """
import sys
from stand_ins import row
from shapmix.benchmarking.table import append_results
for i in range(12):
    append_results(sys.argv[1], [row(f"{sys.argv[2]}{i}"), row("shared", seed=i)])
"""


def test_two_processes_write_to_one_table(tmp_path):
    path = tmp_path / "r.parquet"
    here = str(tmp_path / "..")
    environment = {"PYTHONPATH": str(Path(__file__).parent)}
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], cwd=here, env=environment)
        for name in "xy"
    ]
    assert [process.wait() for process in processes] == [0, 0]
    keys = read_results(path)["key"].to_pylist()
    assert sorted(keys) == sorted([f"{p}{i}" for p in "xy" for i in range(12)] + ["shared"])
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".lock") == [
        "r.csv",
        "r.parquet",
    ]


def test_a_table_is_no_csv(tmp_path):
    with pytest.raises(TableError, match=r"give \.parquet"):
        append_results(tmp_path / "r.csv", [row("a")])


def test_another_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "r.parquet"
    path.write_text("not mine")
    with pytest.raises(TableError, match="no table of benchmark results"):
        append_results(path, [row("a")])
    assert path.read_text() == "not mine"
