"""Parts, worker processes, resuming: the same archive whatever happened on the way."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from line_source import Lines, keypoints

from shapmix.data.archive import Archive
from shapmix.data.importers import engine
from shapmix.data.importers.base import EnoughClipsError, ImportReport, SourceError, Unit
from shapmix.data.importers.engine import import_source

LINES = tuple(f"clip{i:02},{i % 2},{i % 5 + 1}" for i in range(20))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PART_UNITS", 3)


def imported(lines: tuple[str, ...], out: Path, **options: object) -> ImportReport:
    return import_source(Lines(lines), out, recipe={}, **options)  # type: ignore[arg-type]


def assert_is(archive: Path, lines: tuple[str, ...]) -> None:
    opened = Archive(archive)
    assert opened.names == tuple(line.split(",")[0] for line in lines)
    for i, line in enumerate(lines):
        name, label, frames = line.split(",")
        assert opened.labels[i] == int(label)
        np.testing.assert_array_equal(opened.keypoints(i), keypoints(name, int(frames)))
    opened.verify()


@given(
    sizes=st.lists(st.integers(0, 50), max_size=40),
    most_bytes=st.integers(1, 60),
    most_units=st.integers(1, 7),
)
def test_units_are_dealt_out_in_order_and_within_bounds(sizes, most_bytes, most_units):
    units = [Unit(str(i), size) for i, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "PART_BYTES", most_bytes)
        patch.setattr(engine, "PART_UNITS", most_units)
        parts = list(engine._deal_out(units))
    assert [unit for part in parts for unit in part] == units
    for part in parts:
        assert 1 <= len(part) <= most_units
        assert len(part) == 1 or sum(unit.size for unit in part) <= most_bytes


@pytest.mark.usefixtures("small_parts")
def test_parts_are_joined_in_order(tmp_path: Path) -> None:
    report = imported(LINES, tmp_path / "a.arrow")
    assert (report.read, report.units, report.bytes) == (20, 20, 200)
    assert report.repaired == {"numbered": [line.split(",")[0] for line in LINES]}
    assert_is(tmp_path / "a.arrow", LINES)
    assert [path.name for path in tmp_path.iterdir()] == ["a.arrow"]


def test_processes_make_the_same_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PART_UNITS", 7)
    lines = (*LINES[:5], "bad,skip,1", *LINES[5:])
    one = imported(lines, tmp_path / "one.arrow")
    two = imported(lines, tmp_path / "two.arrow", workers=2)
    assert one == two
    assert one.skipped == {"damaged": ["bad"]}
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()


def stop_after(parts: int) -> Callable[[ImportReport], None]:
    """What ends an import as Ctrl-C does, once some parts are done."""
    seen = []

    def progress(report: ImportReport) -> None:
        seen.append(report.units)
        if len(seen) == parts:
            raise KeyboardInterrupt

    return progress


@pytest.mark.usefixtures("small_parts")
def test_a_stopped_import_goes_on_without_redoing_parts(tmp_path: Path) -> None:
    source, out = Lines(LINES, log=tmp_path / "log"), tmp_path / "a.arrow"
    assert source.log is not None
    with pytest.raises(KeyboardInterrupt):
        import_source(source, out, recipe={}, on_progress=stop_after(4))
    assert not out.exists()
    assert source.log.read_text().split() == list(LINES[:12])
    report = import_source(source, out, recipe={})
    assert source.log.read_text().split() == list(LINES)  # each line once
    assert report.read == 20
    assert_is(out, LINES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.arrow", "log"]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "change", [{"recipe": {"option": 2}}, {"stamp": "2"}, {"strict": True}, {"lines": LINES[:-1]}]
)
def test_parts_of_another_import_are_not_taken_up(tmp_path: Path, change: dict) -> None:
    source, out = Lines(LINES, log=tmp_path / "log"), tmp_path / "a.arrow"
    assert source.log is not None
    with pytest.raises(KeyboardInterrupt):
        import_source(source, out, recipe={}, on_progress=stop_after(4))
    lines = change.get("lines", LINES)
    source = Lines(lines, log=source.log, stamp=change.get("stamp", "1"))
    import_source(source, out, recipe=change.get("recipe", {}), strict=change.get("strict", False))
    assert source.log.read_text().split() == [*LINES[:12], *lines]
    assert_is(out, lines)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("damage", ["archive", "report", "cut"])
def test_a_damaged_part_is_read_again(tmp_path: Path, damage: str) -> None:
    source, out = Lines(LINES, log=tmp_path / "log"), tmp_path / "a.arrow"
    assert source.log is not None
    with pytest.raises(KeyboardInterrupt):
        import_source(source, out, recipe={}, on_progress=stop_after(4))
    part = tmp_path / ".a.arrow.parts" / "000001"
    if damage == "archive":
        part.with_suffix(".arrow").unlink()
    elif damage == "cut":
        content = part.with_suffix(".arrow").read_bytes()
        part.with_suffix(".arrow").write_bytes(content[: len(content) // 2])
    else:
        part.with_suffix(".json").write_text("{")
    import_source(source, out, recipe={})
    assert source.log.read_text().split() == [*LINES[:12], *LINES[3:6], *LINES[12:]]
    assert_is(out, LINES)


@pytest.mark.usefixtures("small_parts")
def test_a_killed_worker_leaves_no_archive_and_the_import_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "a.arrow"
    out.write_bytes(b"what was there before")
    with pytest.raises(ChildProcessError, match="same import again"):
        import_source(Lines(LINES, trap=LINES[15]), out, recipe={}, workers=2)
    assert out.read_bytes() == b"what was there before"
    import_source(Lines(LINES), out, recipe={}, workers=2)
    assert_is(out, LINES)


@pytest.mark.usefixtures("small_parts")
def test_of_several_clips_of_one_name_the_first_stays(tmp_path: Path) -> None:
    lines = ("a,0,1", "b,1,2", "c,0,3", "d,1,4", "a,1,2", "e,0,1")
    report = imported(lines, tmp_path / "a.arrow")
    assert (report.read, report.skipped) == (5, {"duplicate name": ["a"]})
    assert_is(tmp_path / "a.arrow", (*lines[:4], lines[5]))
    with pytest.raises(SourceError, match="clip 'a': an earlier clip has the same name"):
        imported(lines, tmp_path / "b.arrow", strict=True)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("workers", [1, 2])
def test_strict_ends_at_the_first_damaged_clip(tmp_path: Path, workers: int) -> None:
    lines = (*LINES[:7], "bad,skip,1", *LINES[7:])
    out = tmp_path / "a.arrow"
    with pytest.raises(SourceError, match="clip 'bad': damaged on purpose"):
        imported(lines, out, strict=True, workers=workers)
    assert list(tmp_path.iterdir()) == []


def test_parts_without_a_sound_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PART_UNITS", 2)
    lines = ("x,skip,1", "y,skip,1", *LINES[:3])
    assert imported(lines, tmp_path / "a.arrow").skipped == {"damaged": ["x", "y"]}
    assert_is(tmp_path / "a.arrow", LINES[:3])
    with pytest.raises(SourceError, match=r"no clip could be imported:\n0 clips.*\n2 skipped"):
        imported(lines[:2], tmp_path / "b.arrow")
    with pytest.raises(SourceError, match="holds no clip"):
        imported((), tmp_path / "b.arrow")


def test_two_imports_to_one_file_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / ".a.arrow.parts").mkdir()
    with (
        FileLock(tmp_path / ".a.arrow.parts" / "lock"),
        pytest.raises(BlockingIOError, match="another import"),
    ):
        imported(LINES, tmp_path / "a.arrow")
    imported(LINES, tmp_path / "a.arrow")


def read(source: Lines, report: ImportReport) -> None:
    for _ in source.read(source.units, report):
        report.read += 1


def test_reading_ends_where_no_more_clips_are_wanted() -> None:
    source = Lines(("a,0,2", "b,skip,0", "c,0,3", "d,skip,0", "e,0,2"))
    for most, first in ((3, "d"), (1, "b")):
        report = ImportReport(most_clips=most)
        with pytest.raises(EnoughClipsError, match=f"more than {most} clips") as raised:
            read(source, report)
        assert raised.value.clip == first
        assert report.read + report.num_skipped == most


def test_reports_survive_json() -> None:
    report = ImportReport(read=2, units=3, skipped={"damaged": ["x"]}, repaired={"mended": ["y"]})
    assert ImportReport(**json.loads(json.dumps(report.to_dict()))) == report
    names = ImportReport(skipped={"damaged": ["a", "b", "c", "d"], "bad name": ["\x1b[2J"]})
    assert str(names).splitlines()[1:] == [
        r"1 skipped: bad name ('\x1b[2J')",
        "4 skipped: damaged (a, b, c, ...)",
    ]
    assert pickle.loads(pickle.dumps(report)) == report
