"""Tables: clips against a slow reading by the csv module, joints, labels, gaps, damage."""

from __future__ import annotations

import csv
import random
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from generators import table as written
from shapmix.data.archive import Archive
from shapmix.data.importers import run_import, table, table_clips, table_files, table_survey
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.table import Options
from shapmix.layouts import get_layout

importer: Importer = table  # the interface, checked by mypy

EXAMPLE = Path(__file__).parents[3] / "examples" / "own_skeletons.py"
COCO = get_layout("coco17").joints


def expected(path: Path, delimiter: str = ",") -> dict[str, tuple[str, np.ndarray]]:
    """Clip -> label and (T, M, V, 3), row by row."""
    clips: dict[str, tuple[str, dict[Any, list[float]]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file, delimiter=delimiter):
            _, values = clips.setdefault(row["clip"], (row["label"], {}))
            place = int(row["frame"]), int(row["person"]), COCO.index(row["joint"])
            values[place] = [float(row[c]) for c in ("x", "y", "score")]
    arrays = {}
    for name, (label, values) in clips.items():
        frames, persons = (sorted({place[k] for place in values}) for k in (0, 1))
        array = np.zeros((len(frames), len(persons), 17, 3), dtype=np.float32)
        for (t, m, v), value in values.items():
            array[frames.index(t), persons.index(m), v] = value
        arrays[name] = (label, array)
    return arrays


def check(archive: Archive, clips: dict[str, tuple[str, np.ndarray]]) -> None:
    assert list(archive.names) == list(clips)
    for i, (label, values) in enumerate(clips.values()):
        assert archive.info.class_names[archive.labels[i]] == label
        np.testing.assert_array_equal(archive.keypoints(i), values)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return written.write(tmp_path)


def as_parquet(source: Path, rows: int = 50) -> Path:
    content = arrow_csv.read_csv(source)
    content = content.set_column(7, "label", content["label"].dictionary_encode())
    parquet.write_table(content, source.with_suffix(".parquet"), row_group_size=rows)
    return source.with_suffix(".parquet")


# ---- forms of a table


@pytest.mark.parametrize("small", [False, True])
def test_archive_of_a_generated_table(
    source: Path, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if small:  # blocks and units that cut clips and lines anywhere
        monkeypatch.setattr(table_files, "BLOCK_BYTES", 701)
        monkeypatch.setattr(table_files, "BATCH_ROWS", 13)
        monkeypatch.setattr(table_survey, "UNIT_BYTES", 3000)
    report = run_import("table", source, source.with_suffix(".arrow"))
    assert (report.read, report.skipped, report.repaired) == (6, {}, {})
    assert report.total_units == (6 if small else 1)
    archive = Archive(source.with_suffix(".arrow"))
    check(archive, expected(source))
    info = archive.info
    assert (info.layout.name, info.channels, info.units) == ("coco17", "xyc", "px")
    assert archive.metadata["subject"].tolist() == [0, 1, 2, 0, 1, 2]
    run_import("table", as_parquet(source), source.with_suffix(".2.arrow"))
    check(Archive(source.with_suffix(".2.arrow")), expected(source))


def test_separators_byte_order_mark_windows_lines_blank_lines(source: Path) -> None:
    clips = expected(source)
    lines = source.read_text().replace(",", "\t").splitlines()
    lines.insert(9, "")
    source.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    run_import("table", source, source.with_suffix(".arrow"))
    check(Archive(source.with_suffix(".arrow")), clips)


def test_a_folder_of_tables(source: Path, tmp_path: Path) -> None:
    clips = expected(source)
    header, *lines = source.read_text().splitlines()
    for name in ("c00", "c01", "c02", "c03", "c04", "c05"):
        rows = [line for line in lines if line.startswith(name)]
        path = tmp_path / "many" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([header, *rows]))
    (tmp_path / "many" / "readme.txt").write_text("x")
    report = run_import("table", tmp_path / "many", tmp_path / "a.arrow")
    assert report.ignored == 1
    check(Archive(tmp_path / "a.arrow"), clips)
    (tmp_path / "many" / "x.csv").write_text(header.replace("score", "conf"))
    with pytest.raises(SourceError, match="differ in the column 'conf'"):
        run_import("table", tmp_path / "many", tmp_path / "a.arrow")


def test_renamed_and_dropped_columns(source: Path) -> None:
    clips = expected(source)
    text = source.read_text().replace("clip,", "video,", 1).replace("subject", "the subject", 1)
    source.write_text(text)
    with pytest.raises(SourceError, match=r"no column 'clip'; .*--rename NAME=clip"):
        run_import("table", source, source.with_suffix(".arrow"))
    run_import("table", source, source.with_suffix(".arrow"), Options(rename="video=clip"))
    assert list(Archive(source.with_suffix(".arrow")).metadata) == ["the_subject"]
    options = Options(rename="video=clip,the subject=who")
    run_import("table", source, source.with_suffix(".arrow"), options)
    archive = Archive(source.with_suffix(".arrow"))
    check(archive, clips)
    assert list(archive.metadata) == ["who"]
    options = Options(rename="video=clip", drop="the subject,score")
    run_import("table", source, source.with_suffix(".arrow"), options)
    archive = Archive(source.with_suffix(".arrow"))
    assert (list(archive.metadata), archive.info.channels) == ([], "xy")


def test_persons_in_parts_with_workers(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_survey, "UNIT_BYTES", 3000)
    monkeypatch.setattr("shapmix.data.importers.engine.PART_BYTES", 5000)
    run_import("table", source, source.with_suffix(".arrow"), workers=2)
    check(Archive(source.with_suffix(".arrow")), expected(source))


# ---- what pandas and people make of a table


def test_numbers_of_rows_are_left_out(source: Path) -> None:
    clips = expected(source)
    header, *lines = source.read_text().splitlines()
    for name in ("", "Unnamed: 0", "Unnamed: 0.1", "__index_level_0__"):
        numbered = [f"{number},{line}" for number, line in enumerate(lines)]
        source.write_text("\n".join([f"{name},{header}", *numbered]))
        run_import("table", source, source.with_suffix(".arrow"))
        check(Archive(source.with_suffix(".arrow")), clips)
        assert list(Archive(source.with_suffix(".arrow")).metadata) == ["subject"]


def test_names_of_columns_in_any_case(source: Path) -> None:
    clips = expected(source)
    header, lines = source.read_text().split("\n", 1)
    source.write_text(f"{header.replace(',', ' , ').title()}\n{lines}")
    run_import("table", source, source.with_suffix(".arrow"))
    check(Archive(source.with_suffix(".arrow")), clips)
    assert "clip, frame" in str(table.recognise(Peek(source)))


def split_up(source: Path, folder: Path) -> None:
    """A file a clip, in a folder a label, without columns for either."""
    _, *lines = source.read_text().splitlines()
    for line in lines:
        clip, *values, label, subject = line.split(",")
        path = folder / label / f"{clip}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("frame,person,joint,x,y,score,subject\n")
        with path.open("a") as file:
            file.write(",".join([*values, subject]) + "\n")


def test_a_file_a_clip_in_a_folder_a_label(source: Path, tmp_path: Path) -> None:
    clips = dict(sorted(expected(source).items(), key=lambda item: (item[1][0], item[0])))
    split_up(source, tmp_path / "mine")
    run_import("table", tmp_path / "mine", tmp_path / "a.arrow")
    check(Archive(tmp_path / "a.arrow"), clips)
    assert "columns frame" in str(table.recognise(Peek(tmp_path / "mine")))


@pytest.mark.parametrize("path", [False, True])
def test_labels_in_a_file_of_their_own(source: Path, tmp_path: Path, path: bool) -> None:
    clips = expected(source)
    csv_rows = ["Clip,label ,age,", "c99,wave,1,0"]
    csv_rows += [f"{c},{label}!,{k},{k}" for k, (c, (label, _)) in enumerate(clips.items())]
    if path:
        split_up(source, tmp_path / "mine")
        (tmp_path / "mine" / "walk").rename(tmp_path / "mine" / "wave" / "nested")
        source = tmp_path / "mine"
        (source / ".hidden.csv").write_bytes(b"?")
    labels = tmp_path / ("mine/labels.csv" if path else "labels.csv")  # a table, but not of joints
    labels.write_text("\n".join(csv_rows))
    report = run_import("table", source, tmp_path / "a.arrow", Options(labels=str(labels)))
    assert report.repaired == {"labels of clips that are not there left out": ["c99"]}
    archive = Archive(tmp_path / "a.arrow")
    for i, name in enumerate(archive.names):
        label, values = clips[name]
        assert archive.info.class_names[archive.labels[i]] == f"{label}!"
        np.testing.assert_array_equal(archive.keypoints(i), values)
        assert archive.metadata["age"][i] == list(clips).index(name)
    assert list(archive.metadata) == ["subject", "age"]
    labels.write_text("clip,label\nc0,a\n")
    with pytest.raises(SourceError, match=r"clips such as 'c0', none .*did you mean 'c0'"):
        run_import("table", source, tmp_path / "a.arrow", Options(labels=str(labels)))


@pytest.mark.parametrize(
    "form",
    ["{joint}_{part}", "{joint}.{part}", "{part}_{joint}", "{part}{number}", "{part}_{number}"],
)
@pytest.mark.parametrize("small", [False, True])
def test_wide_tables(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, small: bool
) -> None:
    clips = expected(source)
    parts = ("x", "y", "score")
    names = [
        form.format(joint=joint, number=number, part=part)
        for number, joint in enumerate(COCO)
        for part in parts
    ]
    lines = [",".join(["clip", "frame", "person", *names, "label"])]
    for name, (label, values) in clips.items():
        for t, m in np.argwhere((values != 0).any((2, 3))):
            cells = [str(value) for value in values[t, m].ravel()]
            lines.append(",".join([name, str(t), str(m), *cells, label]))
    path = tmp_path / "wide.csv"
    path.write_text("\n".join(lines))
    if small:
        monkeypatch.setattr(table_files, "BLOCK_BYTES", 2000)
        monkeypatch.setattr(table_survey, "UNIT_BYTES", 3000)
    run_import("table", path, tmp_path / "a.arrow", Options(layout="coco17"))
    check(Archive(tmp_path / "a.arrow"), clips)
    assert "columns clip" in str(table.recognise(Peek(path)))
    parquet.write_table(arrow_csv.read_csv(path), tmp_path / "wide.parquet")
    options = Options(layout="coco17")
    run_import("table", tmp_path / "wide.parquet", tmp_path / "a.arrow", options)
    check(Archive(tmp_path / "a.arrow"), clips)


# ---- small tables written by hand

HEADER = "clip,frame,joint,x,y,z,label"
JOINTS = ("a", "b", "c")
YAML = """name: abc
joints: [a, b, c]
bones: [[b, a], [c, a]]
center: a
parts: {one: [a], two: [b, c]}
"""


def rows(clip: str = "k", label: str = "l", frames: tuple[int, ...] = (0, 1)) -> list[str]:
    """A clip whose coordinates are 100 frame + joint, that + 10, that + 20."""
    return [
        f"{clip},{t},{j},{100 * t + k},{100 * t + k + 10},{100 * t + k + 20},{label}"
        for t in frames
        for k, j in enumerate(JOINTS)
    ]


def imported(tmp_path: Path, lines: list[str], header: str = HEADER, **options: Any) -> Any:
    """Archive and report of a table, with the layout of the joints a, b, c."""
    (tmp_path / "abc.yaml").write_text(YAML)
    source = tmp_path / "t.csv"
    source.write_text("\n".join([header, *lines]) + "\n")
    options = {"layout": str(tmp_path / "abc.yaml")} | options
    report = run_import("table", source, tmp_path / "a.arrow", Options(**options))
    return Archive(tmp_path / "a.arrow"), report


def test_three_dimensions(tmp_path: Path) -> None:
    archive, report = imported(tmp_path, rows(frames=(3, 4, 5)), fps=30)
    x = np.array([[300, 301, 302], [400, 401, 402], [500, 501, 502]])
    np.testing.assert_array_equal(archive.keypoints(0)[:, 0], np.stack([x, x + 10, x + 20], 2))
    assert (archive.info.channels, archive.info.units, archive.clip(0).fps) == ("xyz", "m", 30)
    assert report.repaired == {}


def test_missing_rows_values_and_frames(tmp_path: Path) -> None:
    lines = rows(frames=(0, 1, 2, 4))
    lines[4] = "k,1,b,,nan,N/A,l"
    del lines[6]  # joint a of frame 2
    archive, report = imported(tmp_path, lines)
    found = archive.keypoints(0)[:, 0, :, 0]
    assert found.tolist() == [[0, 1, 2], [100, 101, 102], [250, 201, 202], [400, 401, 402]]
    assert report.repaired == {
        "missing joints given a place": ["k"],
        "gaps in the frame numbers closed": ["k"],
    }


def test_scores_of_zero(tmp_path: Path) -> None:
    lines = [f"{row},{int(not row.startswith('k,1,b'))}" for row in rows(frames=(0, 1, 2))]
    archive, report = imported(tmp_path, lines, f"{HEADER},score")  # 3D: missing
    assert archive.keypoints(0)[1, 0, 1].tolist() == [101, 111, 121]
    assert report.repaired == {"missing joints given a place": ["k"]}
    archive, report = imported(tmp_path, lines, f"{HEADER},score", drop="z")  # 2D: not seen
    assert archive.keypoints(0)[1, 0].tolist() == [[100, 110, 1], [0, 0, 0], [102, 112, 1]]
    assert report.repaired == {}


@pytest.mark.parametrize("base", [0, 1])
def test_joints_by_number_and_frame_rates(tmp_path: Path, base: int) -> None:
    lines = rows()
    for k, joint in enumerate(JOINTS):
        lines = [row.replace(f",{joint},", f",{k + base},") for row in lines]
    archive, _ = imported(tmp_path, [f"{row},12.5" for row in lines], f"{HEADER},fps")
    assert archive.keypoints(0)[1, 0, :, 0].tolist() == [100, 101, 102]
    assert archive.clip(0).fps == 12.5
    lines[0] = f"k,0,{base + 3},1,1,1,l"
    with pytest.raises(SourceError, match=rf"joints up to number {base + 3}, .*abc has 3 joints"):
        imported(tmp_path, lines)


@pytest.mark.parametrize(
    ("cells", "given", "fps"),
    [
        (["12.5", ""], None, 12.5),
        (["", "nan"], None, None),
        (["", ""], 30, 30),
        (["12.5", ""], 30, 12.5),
    ],
)
def test_empty_cells_say_nothing_of_the_frame_rate(
    tmp_path: Path, cells: list[str], given: float | None, fps: float | None
) -> None:
    lines = [f"{row},{cells[k % 2]}" for k, row in enumerate(rows())]
    archive, report = imported(tmp_path, lines, f"{HEADER},fps", fps=given)
    assert report.skipped == {}
    assert archive.clip(0).fps == fps


def test_two_frame_rates_in_a_clip(tmp_path: Path) -> None:
    lines = [f"{row},{25 + k % 2}" for k, row in enumerate(rows("z"))]
    lines += [f"{row}," for row in rows("k")]
    archive, report = imported(tmp_path, lines, f"{HEADER},fps")
    assert (report.skipped, archive.names) == ({"bad fps": ["z"]}, ("k",))
    assert report.details == {"bad fps": "fps is 25.0 and 26.0"}


@pytest.mark.parametrize(
    ("numbers", "base", "first"),
    [
        ((1, 2), None, 0),  # joint 0 is never seen
        ((1, 3), None, 1),
        ((2, 3), None, 1),
        ((0, 1), None, 0),
        ((1, 2), 1, 1),
        ((2, 2), 0, 0),
    ],
)
def test_where_joints_begin(
    tmp_path: Path, numbers: tuple[int, int], base: int | None, first: int
) -> None:
    lines = [f"k,{t}.0,{j}.0,{j},0,1,l" for t in range(2) for j in sorted(set(numbers))]
    header = "clip,frame,joint,x,y,score,label"
    archive, _ = imported(tmp_path, lines, header, joint_base=base)
    seen = np.flatnonzero(archive.keypoints(0)[0, 0, :, 2])
    assert (seen + first).tolist() == sorted(set(numbers))
    assert archive.keypoints(0)[0, 0, seen, 0].tolist() == sorted(set(numbers))


def test_where_joints_begin_is_asked(tmp_path: Path) -> None:
    lines = ["k,0,1,1,1,1,l"]
    with pytest.raises(
        SourceError, match=r"from number 1 to 1: .*--joint-base 0 or --joint-base 1"
    ):
        imported(tmp_path, lines)
    with pytest.raises(SourceError, match="joint 0, expected a name or a number from 1"):
        imported(tmp_path, ["k,0,0,1,1,1,l"], joint_base=1)
    with pytest.raises(SourceError, match="joint_base is 2"):
        imported(tmp_path, lines, joint_base=2)


def test_frames_in_seconds(tmp_path: Path) -> None:
    lines = [f"k,{t / 30:.3f},{joint},1,1,1,l" for t in range(7) for joint in JOINTS]
    archive, report = imported(tmp_path, lines)
    assert (archive.keypoints(0).shape[0], report.repaired) == (7, {})
    _, report = imported(tmp_path, lines[:6] + lines[9:])
    assert report.repaired == {"gaps in the frame numbers closed": ["k"]}


def test_persons_by_number_and_further_joints(tmp_path: Path) -> None:
    lines = [f"{row},{person}" for person in (10, 9) for row in rows(frames=(0, 1))]
    lines = [row.replace(",0,a,", ",0,spare,") if row.endswith("10") else row for row in lines]
    archive, _ = imported(tmp_path, lines, f"{HEADER},person")
    assert archive.keypoints(0).shape == (2, 2, 3, 3)
    assert archive.keypoints(0)[0, 0, :, 0].tolist() == [0, 1, 2]  # person 9
    assert archive.keypoints(0)[0, 1, :, 0].tolist() == [100, 1, 2]  # person 10: a is missing


def test_ids_with_names(tmp_path: Path) -> None:
    lines = rows("k", "1") + rows("m", "2")
    archive, _ = imported(tmp_path, lines, class_names="sit,stand", label_base=1)
    assert (archive.info.class_names, archive.labels.tolist()) == (("sit", "stand"), [0, 1])


BAD_CLIPS: dict[str, tuple[list[str], str]] = {
    "two labels": ([*rows("z"), "z,2,a,1,1,1,other"], "several labels"),
    "no label": (rows("z", ""), "no label"),
    "text": ([*rows("z"), "z,2,a,one,1,1,l"], "no number in column 'x'"),
    "decimal comma": ([*rows("z"), 'z,2,a,"1,5",1,1,l'], "no number in column 'x'"),
    "no frame": ([*rows("z"), "z,,a,1,1,1,l"], "no frame"),
    "frame is text": ([*rows("z"), "z,last,a,1,1,1,l"], "no number in column 'frame'"),
    "repeated row": ([*rows("z"), "z,1,a,1,1,1,l"], "duplicate rows"),
    "infinite": ([*rows("z"), "z,2,a,1,inf,1,l"], "not finite"),
    "overflow": ([*rows("z"), "z,2,a,1,1e99,1,l"], "not finite"),
    "nothing": (["z,0,a,,,,l", "z,0,b,nan,,,l"], "no body"),
}


@pytest.mark.parametrize(("lines", "reason"), BAD_CLIPS.values(), ids=BAD_CLIPS)
def test_bad_clips_are_skipped(tmp_path: Path, lines: list[str], reason: str) -> None:
    archive, report = imported(tmp_path, [*rows("k"), *lines, *rows("m")])
    assert report.skipped == {reason: ["z"]}
    assert archive.names == ("k", "m")


def test_details_name_frame_joint_and_value(tmp_path: Path) -> None:
    for line, message in (
        ("z,1,a,1,1,1,l", r"frame 1, joint 'a' has several rows \(is a column person missing"),
        ('z,2,a,"1,5",1,1,l', "column 'x' has '1,5', no number; decimals have a point"),
    ):
        (tmp_path / "abc.yaml").write_text(YAML)
        (tmp_path / "t.csv").write_text("\n".join([HEADER, *rows("z"), line]))
        options = Options(layout=str(tmp_path / "abc.yaml"))
        with pytest.raises(SourceError, match=message):
            run_import("table", tmp_path / "t.csv", tmp_path / "a.arrow", options, strict=True)


def test_metadata_that_changes_within_a_clip(tmp_path: Path) -> None:
    clips = "klmnop"
    lines = [f"{row},{k}" for clip in clips for k, row in enumerate(rows(clip))]
    archive, report = imported(tmp_path, lines, f"{HEADER},time")
    assert (len(archive), dict(archive.metadata)) == (6, {})
    assert list(report.repaired) == ["column 'time' left out: it changes within clips"]
    assert imported(tmp_path, lines, f"{HEADER},time", drop="time")[1].repaired == {}
    for few in ("k", "km", "kmo"):  # mistakes in some clips do not cost the column
        lines = [f"{r},{n * (c in few)}" for c in clips for n, r in enumerate(rows(c))]
        archive, report = imported(tmp_path, lines, f"{HEADER},time")
        reason = "column 'time' changes within a clip (--drop time leaves it out)"
        assert report.skipped == {reason: list(few)}
        assert archive.metadata["time"].tolist() == [0] * (6 - len(few))


def test_a_clip_that_would_be_huge_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_clips, "MOST_VALUES", 1000)
    lines = [f"z,{k},a,1,1,1,l,{k}" for k in range(20)]
    _, report = imported(tmp_path, [*(f"{r},1" for r in rows()), *lines], f"{HEADER},person")
    assert report.skipped == {"too large": ["z"]}
    monkeypatch.setattr(table, "MAX_CLIP_BYTES", 300)
    monkeypatch.setattr(table_survey, "UNIT_BYTES", 300)
    _, report = imported(tmp_path, [*(f"{r},1" for r in rows()), *lines], f"{HEADER},person")
    assert report.skipped == {"too large": ["z"]}


# ---- tables that cannot be used


@pytest.mark.parametrize(
    ("lines", "header", "options", "message"),
    [
        ([], HEADER, {}, "no row below its header"),
        ([], "", {}, "the first line is empty"),
        (rows(), "clip,frame,joint,x,x,z,label", {}, "two columns 'x'"),
        (rows(), "clip,frame,joint,x,y,z,labels", {}, "no column 'label'.*--rename labels=label"),
        (rows(), HEADER, {"rename": "clip"}, "rename is 'clip', expected such as"),
        (rows(), HEADER, {"rename": "vid=clip"}, "no column 'vid' to rename"),
        (rows(), HEADER, {"drop": "x"}, "column 'x' cannot be dropped"),
        (rows(), HEADER, {"drop": "zz"}, "no column 'zz' to drop"),
        ([*rows(), "k,3,a"], HEADER, {}, "line 8: Expected 7 columns, got 3"),
        ([*rows("k"), *rows("m"), *rows("k")], HEADER, {}, "clip 'k' are not together; sort"),
        ([",0,a,1,1,1,l"], HEADER, {}, "a row has no value in the column clip"),
        (["k,0,,1,1,1,l"], HEADER, {}, "a row has no value in the column joint"),
        (["k,0,-1,1,1,1,l"], HEADER, {}, "joint -1, expected"),
        (rows("k", "a|b"), HEADER, {}, r"'label' has 'a\|b'; a clip has one class"),
        (rows(), HEADER, {"layout": None}, "3 joints, which are no layout of .*mine.yaml"),
        (rows(), HEADER, {"layout": "coco17"}, "no joint 'nose'"),
        (rows(), HEADER, {"class_names": "one,two"}, "label 'l' is none of the 2 class names"),
        (["k,0,l,1,2,3"], "clip,frame,label,a_x,a_y,b_x", {}, "columns 'joint', 'x', 'y'.* nose_x"),
        (
            ["k,0,l,1,2,3,4,5"],
            "clip,frame,label,a_x,a_y,a_z,b_x,b_y",
            {},
            "has a_x, a_y, a_z, but of 'b' it has b_x, b_y",
        ),
        (rows(), "video,frame,joint,x,y,z,labels", {}, "'clip', 'label'.*NAME=clip,labels=label"),
        (["k,0,99999999999999999,1,1,1,l"], HEADER, {"layout": None}, "joints, as none of"),
    ],
)
def test_errors_say_what_to_do(
    tmp_path: Path, lines: list[str], header: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceError, match=rf"(?s){message}"):
        imported(tmp_path, lines, header, **options)


def test_the_nearest_layout_is_named(source: Path) -> None:
    source.write_text(source.read_text().replace("nose", "snout"))
    with pytest.raises(
        SourceError, match=r"nearest is coco17, of which it lacks nose and has snou"
    ):
        run_import("table", source, source.with_suffix(".arrow"))
    with pytest.raises(SourceError, match="has no joint 'nose'"):
        run_import("table", source, source.with_suffix(".arrow"), Options(layout="coco17"))


def test_spellings_of_joints(source: Path) -> None:
    clips = expected(source)
    text = source.read_text()
    for joint in COCO:
        text = text.replace(f",{joint},", f",{joint.title().replace('_', '')},")
    source.write_text(text)
    run_import("table", source, source.with_suffix(".arrow"))
    check(Archive(source.with_suffix(".arrow")), clips)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first line is empty"),
        ("clip,frame".encode("utf-16"), "not UTF-8"),
        (HEADER.encode() + b"\nk,0,\xff,1,1,1,l\n", "line 2: not UTF-8 text; .*encoding="),
        ("\r".join([HEADER, *rows()]).encode(), "lines end as on old Macs"),
        ("\n".join([HEADER, '"k', 'x",0,a,1,1,1,l']).encode(), "line 2: Expected 7 columns"),
        (
            "\n".join([HEADER, *rows(), "k,9,a,1,1,1,l\r" * 2]).encode(),
            "line 8 or after: expected a row",
        ),
    ],
)
def test_damaged_text(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        run_import("table", tmp_path / "t.csv", tmp_path / "a.arrow")


def test_damaged_parquet(source: Path) -> None:
    path = as_parquet(source)
    content = path.read_bytes()
    for bad in (b"", b"PAR1", content[:-9], content[: len(content) // 2]):
        path.write_bytes(bad)
        with pytest.raises(SourceError, match="cannot read the header"):
            run_import("table", path, source.with_suffix(".arrow"))
    labels = pa.array([["a", "b"]] * 2)
    columns = {name: ["1", "2"] for name in HEADER.split(",")} | {"label": labels}
    parquet.write_table(pa.table(columns), path)
    with pytest.raises(SourceError, match="column 'label' holds list"):
        run_import("table", path, source.with_suffix(".arrow"))


def test_sources_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no \.csv, \.tsv, \.parquet file"):
        run_import("table", tmp_path, tmp_path / "a.arrow")
    (tmp_path / "t.csv.gz").write_bytes(b"")
    with pytest.raises(SourceError, match="unpack it if compressed"):
        run_import("table", tmp_path / "t.csv.gz", tmp_path / "a.arrow")


def test_the_example_of_own_skeletons(tmp_path: Path) -> None:
    """It is the same at every run, imports without a complaint, and has the promised long tail."""
    main = runpy.run_path(str(EXAMPLE))["main"]
    for name in ("a.csv", "b.csv"):
        main(tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    report = run_import("table", tmp_path / "a.csv", tmp_path / "a.arrow", strict=True)
    assert (report.read, report.repaired) == (213, {})
    archive = Archive(tmp_path / "a.arrow")
    training = archive.labels[archive.metadata["subject"] <= 4]
    counts = dict(zip(archive.info.class_names, np.bincount(training).tolist(), strict=True))
    assert counts == {"wave": 60, "squat": 38, "clap": 24, "kick": 15, "bow": 10, "jump": 6}
    assert set(archive.metadata["camera"].tolist()) == {1, 2}


def test_recognise(source: Path, tmp_path: Path) -> None:
    assert "columns clip, frame" in str(table.recognise(Peek(source)))
    assert "columns clip, frame" in str(table.recognise(Peek(tmp_path)))
    source.write_text("a,b\n1,2\n")
    assert table.recognise(Peek(source)) is None


def test_order_of_rows_within_a_clip_is_free(tmp_path: Path) -> None:
    lines = rows(frames=(0, 1, 2, 3))
    straight, _ = imported(tmp_path, lines)
    values = straight.keypoints(0).copy()
    random.Random(0).shuffle(lines)
    np.testing.assert_array_equal(imported(tmp_path, lines)[0].keypoints(0), values)
