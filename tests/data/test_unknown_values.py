"""Columns that are known of some clips only, from the source to the split."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shapmix.commands import cli
from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.duplicates import check_persons
from shapmix.data.findings import Case
from shapmix.data.importers import run_import
from shapmix.data.importers.arrays import Options as ArrayOptions
from shapmix.data.importers.table import Options as TableOptions
from shapmix.data.splits import make_split, select, unknown_values
from shapmix.data.survey import survey
from shapmix.data.validation import left_out_validation
from shapmix.layouts import get_layout

JOINTS = get_layout("sbu15").joints
SUBJECTS = [1, None, 7, 8, None, 2]


def table(**columns: list[Any]) -> pa.Table:
    """Six clips of one frame, and columns that say something of each."""
    clips = len(SUBJECTS)
    rows: dict[str, list[Any]] = {
        "clip": [f"c{i}" for i in range(clips) for _ in JOINTS],
        "frame": [0 for _ in range(clips) for _ in JOINTS],
        "joint": [joint for _ in range(clips) for joint in JOINTS],
        **{axis: [i + j / 7 for i in range(clips) for j in range(15)] for axis in "xyz"},
        "label": ["push" if i % 2 else "hug" for i in range(clips) for _ in JOINTS],
    }
    rows |= {name: [v for v in values for _ in JOINTS] for name, values in columns.items()}
    return pa.table(rows)


def as_csv(content: pa.Table, path: Path) -> Path:
    with path.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(content.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in content.columns), strict=True))
    return path.with_suffix(".csv")


def as_parquet(content: pa.Table, path: Path) -> Path:
    parquet.write_table(content, path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def as_pandas_writes(values: list[Any]) -> list[Any]:
    """Floats, where a whole number is missing."""
    return [None if value is None else float(value) for value in values]


@pytest.mark.parametrize("written", [as_csv, as_parquet])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (SUBJECTS, SUBJECTS),
        (as_pandas_writes(SUBJECTS), SUBJECTS),
        ([1.0, float("nan"), 7.0, 8.0, float("nan"), 2.0], SUBJECTS),
        (["1", "NA", "7.0", "8", "None", "2"], SUBJECTS),
        ([123456789012.0, *[None] * 5], [123456789012, *[None] * 5]),
        (["P1", None, "P7", "P8", None, "P2"], ["P1", "", "P7", "P8", "", "P2"]),
        (["P1", "none", "7", "8", None, "2"], ["P1", "none", "7", "8", "", "2"]),
        ([None] * 6, [""] * 6),
    ],
)
def test_a_table(
    tmp_path: Path,
    written: Callable[[pa.Table, Path], Path],
    values: list[Any],
    expected: list[Any],
) -> None:
    path = written(table(subject=values), tmp_path / "t")
    report = run_import("table", path, tmp_path / "a.arrow", TableOptions(layout="sbu15"))
    assert (report.read, report.repaired) == (6, {})
    assert Archive(tmp_path / "a.arrow").metadata["subject"].tolist() == expected


@pytest.mark.parametrize("text", ["1.0,1.5,,2.0,-3.25,0.0", "True,False,,True,False,True"])
def test_csv_and_parquet_of_one_frame_agree(tmp_path: Path, text: str) -> None:
    """As pandas writes both: to a CSV as text, to Parquet by type."""
    spelt = text.split(",")
    kinds = {"True": True, "False": False, "": None}
    values = [kinds[s] if s in kinds else float(s) for s in spelt]
    found = []
    for path in (
        as_csv(table(it=[s or None for s in spelt]), tmp_path / "t"),
        as_parquet(table(it=values), tmp_path / "t"),
    ):
        run_import("table", path, tmp_path / "a.arrow", TableOptions(layout="sbu15"))
        found.append(Archive(tmp_path / "a.arrow").metadata["it"].tolist())
    assert found == [spelt, spelt]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Six arrays, with labels and subjects from a CSV."""
    for i in range(6):
        path = tmp_path / "mine" / f"c{i}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.random.default_rng(i).normal(size=(4, 1, 15, 3)))
    subjects = ["" if subject is None else f"{subject}.0" for subject in SUBJECTS]
    rows = [f"c{i},{'push' if i % 2 else 'hug'},{s},{i % 3}" for i, s in enumerate(subjects)]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["clip,label,subject,camera", *rows]))
    options = ArrayOptions(layout="sbu15", labels=str(labels))
    run_import("arrays", tmp_path / "mine", tmp_path / "a.arrow", options)
    return Archive(tmp_path / "a.arrow")


def test_a_labels_csv(archive: Archive) -> None:
    assert archive.metadata["subject"].tolist() == SUBJECTS
    assert archive.metadata["camera"].tolist() == [0, 1, 2, 0, 1, 2]
    assert archive.clip(1).metadata == {"subject": None, "camera": 1}


def test_a_clip_of_an_unknown_subject_is_in_no_part(archive: Archive) -> None:
    assert select(archive, "subject <= 6").tolist() == [0, 5]
    assert select(archive, "not subject <= 6").tolist() == [2, 3]
    assert select(archive, "subject != 7").tolist() == [0, 3, 5]
    split = make_split(archive, train="subject <= 6", test="subject > 6", val_fraction=0)
    assert {*split.train, *split.test} == {"c0", "c2", "c3", "c5"}
    assert unknown_values(archive, split) == {"subject": 2}
    split = make_split(
        archive, train="subject <= 6 or camera == 1", test="subject > 6", val_fraction=0
    )
    assert unknown_values(archive, split) == {}
    names = archive.path.with_name("names.txt")
    names.write_text("c1\nc4\n")
    split = make_split(archive, train=names, test="camera == 0", val_fraction=0)
    assert unknown_values(archive, split) == {}


def test_split_and_info_say_so(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    out = archive.path.with_name("split.json")
    words = ["split", str(archive.path), "--val-fraction", "0", "--out", str(out)]
    assert cli.main([*words, "--train", "subject <= 6", "--test", "subject > 6"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "subject is unknown for 2 clips, which are therefore in no part." in text
    assert cli.main([*words, "--train", "camera == 0", "--test", "camera > 0"]) == 0
    assert "unknown" not in capsys.readouterr().out
    assert cli.main(["info", str(archive.path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "columns subject (4 values, unknown for 2 clips), camera (3 values)" in text


@pytest.mark.parametrize("kind", [int, str])
def test_nobody_is_not_a_person_in_both_parts(tmp_path: Path, kind: type) -> None:
    def found(subjects: list[Any]) -> list[str]:
        info = ArchiveInfo(get_layout("sbu15"), ("hug",))
        with ArchiveWriter(tmp_path / "a.arrow", info, columns={"subject": kind}) as writer:
            for i, subject in enumerate(subjects):
                subject = None if subject is None else kind(subject)
                keypoints = np.random.default_rng(i).normal(size=(4, 1, 15, 3))
                writer.write(Clip(f"c{i}", 0, keypoints, metadata={"subject": subject}))
        archive = Archive(tmp_path / "a.arrow")
        half = np.arange(len(subjects)) < len(subjects) // 2
        parts = {"train": np.flatnonzero(half), "test": np.flatnonzero(~half)}
        case = Case(archive, survey(archive), parts)
        return [finding.title for finding in check_persons(case)]

    unknown = "'subject' is unknown for {} of the training and test clips"
    assert found([1, 2, 3, 4]) == []
    assert found([1, None, 3, None]) == [unknown.format(2)]
    assert found([1, None, 1, 2])[0] == unknown.format(1)
    assert "1 of 2 values of 'subject' are in the training" in found([1, None, 1, 2])[1]


def test_validation_prefers_clips_that_are_known_to_be_of_others(tmp_path: Path) -> None:
    info = ArchiveInfo(get_layout("sbu15"), ("hug",))
    with ArchiveWriter(
        tmp_path / "a.arrow", info, columns={"subject": int, "trial": int}
    ) as writer:
        for i, (subject, trial) in enumerate([(1, 1), (1, 1), (None, 1), (2, 1), (None, None)]):
            keypoints = np.ones((4, 1, 15, 3))
            metadata = {"subject": subject, "trial": trial}
            writer.write(Clip(f"c{i}", 0, keypoints, metadata=metadata))
    archive = Archive(tmp_path / "a.arrow")
    train, rest = np.array([0]), np.array([1, 2, 3, 4])
    for seed in range(5):
        assert left_out_validation(archive, train, rest, 1, seed).tolist() == [3]
        assert left_out_validation(archive, train, rest, 3, seed).tolist() == [2, 3, 4]


def test_lists_are_no_expressions(tmp_path: Path) -> None:
    source = as_csv(table(subject=SUBJECTS), tmp_path / "t")
    run_import("table", str(source), tmp_path / "a.arrow", TableOptions(layout="sbu15"))
    archive = Archive(tmp_path / "a.arrow")
    lists = [tmp_path / name for name in ("some.list", "others.list")]
    for path, names in zip(lists, (archive.names[:4], archive.names[4:]), strict=True):
        path.write_text("\n".join(names))
    split = make_split(archive, train=lists[0], test=lists[1], val_fraction=0)
    assert unknown_values(archive, split) == {}
