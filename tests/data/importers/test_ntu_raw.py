"""The NTU RGB+D importer: its two readers, all forms of a source, and files not to be trusted."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import ntu_raw as generator
from shapmix.data.archive import Archive
from shapmix.data.clip import ClipError
from shapmix.data.importers import ntu_raw, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.ntu_names import CLASS_NAMES
from shapmix.data.importers.ntu_parser import Recording, parse, parse_lines, parse_regular
from shapmix.data.importers.ntu_raw import Options
from shapmix.data.importers.peek import Peek

importer: Importer = ntu_raw  # the interface, checked by mypy

NAMES = generator.sample_names(4)
MISSING = "S001C002P005R002A008"


def scene(kind: str, frames: int = 6, action: int = 8) -> generator.Scene:
    return generator.scene(kind, action, frames, np.random.default_rng(1))


def same(ours: Recording, other: Recording) -> bool:
    return (
        ours.num_frames == other.num_frames
        and ours.ids == other.ids
        and ours.frames.tolist() == other.frames.tolist()
        and ours.joints.shape == other.joints.shape
        and ours.joints.tobytes() == other.joints.tobytes()
        and ours.surplus == other.surplus
    )


# ---- the two readers


@pytest.mark.parametrize("kind", generator.KINDS)
def test_both_readers_find_what_was_written(kind: str) -> None:
    truth = scene(kind)
    content = generator.text(truth)
    regular = parse_regular(content)
    assert regular is not None
    assert same(regular, parse_lines("x", content))
    assert regular.num_frames == truth.num_frames
    assert len(regular.ids) == sum(len(track.frames) for track in truth.tracks)
    for track in truth.tracks:
        mine = [i for i, body_id in enumerate(regular.ids) if int(body_id) == track.body_id]
        assert regular.frames[mine].tolist() == track.frames.tolist()
        np.testing.assert_array_equal(regular.joints[mine], track.joints.astype(np.float32))


@given(
    st.lists(st.floats(width=64), min_size=75, max_size=75), st.sampled_from(["r", ".7g", ".3e"])
)
@settings(max_examples=50)
def test_numbers_are_those_that_float_finds(values: list[float], form: str) -> None:
    texts = [repr(value) if form == "r" else format(value, form) for value in values]
    lines = [" ".join(texts[i : i + 3]) + 9 * " 0.5" for i in range(0, 75, 3)]
    content = "\n".join(["1", "1", "7 0 0 0 0 0 0 0 0 2", "25", *lines]).encode()
    found = parse_regular(content)
    assert found is not None
    with np.errstate(over="ignore"):
        expected = np.array([float(text) for text in texts]).astype(np.float32)
    np.testing.assert_array_equal(found.joints.ravel(), expected)


GOOD = generator.text(scene("two", 2))


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(GOOD) - 1),
            st.integers(0, 3),
            st.sampled_from([b"", b" ", b"\n", b"\r\n", b"1", b"-", b"25", b"e", b"\0", b"nan"]),
        ),
        max_size=3,
    )
)
@settings(max_examples=200)
def test_a_changed_file_is_read_alike_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    content = GOOD
    for at, length, new in changes:
        content = content[:at] + new + content[at + length :]
    fast = parse_regular(content)
    try:
        slow = parse_lines("x", content)
    except ClipError:
        assert fast is None
        return
    assert fast is None or same(fast, slow)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b" \n"),
        lambda text: text.replace(b" ", b"  "),
        lambda text: text.replace(b" ", b"\t"),
        lambda text: text.replace(b"\n", b"\n\n"),
        lambda text: text.rstrip(),
        lambda text: b"\n" + text + b"\n \n",
    ],
)
def test_white_space_may_differ(change: Any) -> None:
    assert same(parse("x", change(GOOD)), parse("x", GOOD))


def test_ids_are_exact() -> None:
    huge, near = 2**64 - 1, 2**64 - 2
    track = scene("plain").tracks[0]
    tracks = [track._replace(body_id=huge), track._replace(body_id=near)]
    found = parse("x", generator.text(generator.Scene(6, tracks)))
    assert set(found.ids) == {str(huge).encode(), str(near).encode()}


def test_more_bodies_than_one_digit_counts() -> None:
    track = scene("plain").tracks[0]
    crowd = [track._replace(body_id=n) for n in range(12)]
    content = generator.text(generator.Scene(6, crowd))
    assert parse_regular(content) is None
    found = parse("x", content)
    assert found.ids == [str(n).encode() for _ in range(6) for n in range(12)]
    np.testing.assert_array_equal(found.joints[::12], track.joints.astype(np.float32))
    assert found.frames.tolist() == [frame for frame in range(6) for _ in range(12)]


# ---- damaged clips

LINES = GOOD.split(b"\n")


def with_line(number: int, line: bytes) -> bytes:
    """GOOD with another line, counted from 1."""
    return b"\n".join([*LINES[: number - 1], line, *LINES[number:]])


DAMAGED: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "cut off", "ends before the number of frames"),
    "binary": (bytes(range(256)), "not a number", "expected the number of frames"),
    "cut": (b"\n".join(LINES[:40]), "cut off", "before joint 9 of frame 0"),
    "cut within a line": (GOOD[:-40], "wrong number of fields", "expected 12: joint 24 of frame 1"),
    "more frames than there are": (with_line(1, b"3"), "cut off", "number of bodies of frame 2"),
    "endless frames": (with_line(1, b"999999999"), "too many frames", "expected at most 100000"),
    "frames beyond a number": (with_line(1, b"9" * 400), "not a number", "expected the number"),
    "negative frames": (with_line(1, b"-2"), "not a number", "line 1: '-2'"),
    "endless bodies": (with_line(2, b"99999999"), "wrong number of fields", "a body of frame 0"),
    "24 joints": (with_line(4, b"24"), "wrong number of joints", "line 4: 24 joints, expected 25"),
    "endless joints": (with_line(4, b"99999999"), "wrong number of joints", "expected 25"),
    "a field too few": (with_line(6, b"1 2 3"), "wrong number of fields", "line 6 has 3 fields"),
    "fields": (with_line(6, b"1 " * 5000), "wrong number of fields", "has 14 or more fields"),
    "text": (with_line(6, b"x y z" + b" 0" * 9), "not a number", "line 6: 'x y z'"),
    "infinite": (with_line(6, b"inf 0 0" + b" 0" * 9), "not finite", "infinite"),
    "overflow": (with_line(6, b"1e300 0 0" + b" 0" * 9), "not finite", "infinite"),
    "nobody": (generator.text(scene("nobody")), "no body", "6 frames without any body"),
    "no frames": (b"0\n", "no body", "0 frames"),
    "all zero": (
        generator.text(
            generator.Scene(2, [generator.Track(1, np.arange(2), np.ones((2, 25, 3)))])
        ).replace(b"\n1 1 1", b"\n0 0 0"),
        "no body",
        "every coordinate is zero",
    ),
}


@pytest.mark.parametrize(("content", "reason", "detail"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_clip_is_skipped_and_reported(
    tmp_path: Path, content: bytes, reason: str, detail: str
) -> None:
    source = generator.write(tmp_path, clips=2)
    (source / f"{NAMES[3]}.skeleton").write_bytes(content)
    report = run_import("ntu-raw", source, tmp_path / "a.arrow")
    assert report.skipped == {reason: [NAMES[3]]}
    assert report.read == 2
    with pytest.raises(SourceError, match=detail):
        run_import("ntu-raw", source, tmp_path / "b.arrow", strict=True)


def test_what_was_mended_is_reported(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    contents = {
        "gap": generator.text(scene("gap", 40)),
        "surplus": GOOD + b"1\n2\n",
        "nan": with_line(6, b"nan 0 0" + b" 0" * 9),
        "wide ghost": generator.text(scene("wide ghost", 40)),
    }
    for name, content in zip(NAMES, contents.values(), strict=True):
        (source / f"{name}.skeleton").write_bytes(content)
    report = run_import("ntu-raw", source, tmp_path / "a.arrow")
    assert report.repaired == {
        "frames without a body left out": [NAMES[0]],
        "lines after the last frame ignored": [NAMES[1]],
        "joints without a value filled in": [NAMES[2]],
        "bodies that are mostly too wide removed": [NAMES[3]],
    }
    archive = Archive(tmp_path / "a.arrow")
    assert archive.num_frames.tolist() == [40 - 20 + 40 // 3, 2, 2, 40]
    assert archive.num_persons.tolist() == [1, 2, 2, 1]


# ---- sources


def contents(path: Path) -> list[Any]:
    archive = Archive(path)
    archive.verify()
    clips = [archive.clip(i) for i in range(len(archive))]
    return [(c.name, c.label, dict(c.metadata), c.keypoints.tobytes()) for c in clips]


def test_archive(tmp_path: Path) -> None:
    names = generator.sample_names(70)
    truth = generator.write_dataset(tmp_path / "source", names, frames=3)
    report = run_import("ntu-raw", tmp_path / "source", tmp_path / "a.arrow")
    assert (report.read, report.ignored, report.num_skipped) == (70, 0, 0)
    archive = Archive(tmp_path / "a.arrow")
    assert list(archive.names) == sorted(names)
    info = archive.info
    assert (info.layout.name, info.units, info.channels) == ("ntu25", "m", "xyz")
    assert info.class_names == CLASS_NAMES[:60]
    assert list(info.splits) == ["xsub", "xview"]
    for i, name in enumerate(archive.names):
        clip = archive.clip(i)
        assert (clip.label, clip.fps) == (int(name[-3:]) - 1, 30)
        assert clip.metadata == {
            "setup": int(name[1:4]),
            "camera": int(name[5:8]),
            "performer": int(name[9:12]),
            "replication": int(name[13:16]),
            "action": int(name[17:20]),
        }
        written = {track.joints.astype(np.float32).tobytes() for track in truth[name].tracks}
        persons = np.moveaxis(clip.keypoints, 1, 0)
        assert {np.ascontiguousarray(person).tobytes() for person in persons} == written


def test_every_kind_of_scene_at_its_real_length(tmp_path: Path) -> None:
    """300 frames, the longest of the data set: bodies="all" gives what was written."""
    names = sorted(generator.sample_names(len(generator.KINDS)))
    source = tmp_path / "source"
    truth = generator.write_dataset(source, names, frames=300, kinds=generator.KINDS)
    report = run_import("ntu-raw", source, tmp_path / "a.arrow", Options(bodies="all"))
    assert report.skipped == {"no body": [name for name in names if not truth[name].tracks]}
    archive = Archive(tmp_path / "a.arrow")
    assert archive.num_frames.max() == 300
    for i, name in enumerate(archive.names):
        tracks = sorted(truth[name].tracks, key=lambda track: track.frames[0])
        times = sorted({int(frame) for track in tracks for frame in track.frames})
        expected = np.zeros((len(times), len(tracks), 25, 3), np.float32)
        for m, track in enumerate(tracks):
            expected[np.searchsorted(times, track.frames), m] = track.joints
        np.testing.assert_array_equal(archive.keypoints(i), expected)


def test_folders_and_zips_give_the_same(tmp_path: Path) -> None:
    names = sorted(generator.sample_names(6))
    half = {"first": names[::2], "second": names[1::2]}
    texts = {name: generator.text(scene("two", 2 + n)) for n, name in enumerate(names)}
    files = {name: generator.member(text) for name, text in texts.items()}

    def chosen(part: list[str]) -> list[tuple[str, generator.Member]]:
        return [(f"{name}.skeleton", files[name]) for name in part]

    generator.write_folder(tmp_path / "folder", chosen(names))
    generator.write_zip(tmp_path / "one.zip", chosen(names[::-1]))
    for part, its_names in half.items():
        generator.write_folder(tmp_path / "folders" / part, chosen(its_names))
        generator.write_zip(tmp_path / "zips" / "below" / f"{part}.zip", chosen(its_names))
    generator.write_folder(tmp_path / "mixed", chosen(half["first"]))
    generator.write_zip(tmp_path / "mixed" / "rest.zip", chosen(half["second"]))
    found = []
    for source in ("folder", "one.zip", "folders", "zips", "mixed"):
        out = tmp_path / f"{source}.arrow"
        report = run_import("ntu-raw", tmp_path / source, out, strict=True)
        assert (report.read, report.ignored, report.repaired) == (6, 0, {})
        found.append(contents(out))
    assert [clip[0] for clip in found[0]] == names
    assert all(other == found[0] for other in found)


def test_a_source_goes_to_other_processes(tmp_path: Path) -> None:
    generator.write_zip(
        tmp_path / "x" / "a.zip", [(f"{NAMES[0]}.skeleton", generator.member(GOOD))]
    )
    opened = ntu_raw.open_source(tmp_path / "x", Options())
    again = pickle.loads(pickle.dumps(opened))
    assert (again.units, again.stamp) == (opened.units, opened.stamp)


def test_a_clip_in_a_folder_and_in_a_zip_is_taken_once(tmp_path: Path) -> None:
    source = generator.write(tmp_path, clips=2)
    files = [(f"{NAMES[0]}.skeleton", generator.member(GOOD))]
    generator.write_zip(source / "again.zip", files)
    report = run_import("ntu-raw", source, tmp_path / "a.arrow")
    assert (report.read, report.skipped) == (2, {"duplicate name": [NAMES[0]]})


def test_60_and_120(tmp_path: Path) -> None:
    names = [*generator.sample_names(3), "S018C001P045R001A061", "S018C001P045R001A003"]
    generator.write_dataset(tmp_path / "source", names, frames=3)

    def imported(**options: Any) -> tuple[Archive, int]:
        out = tmp_path / "a.arrow"
        report = run_import("ntu-raw", tmp_path / "source", out, Options(**options))
        return Archive(out), report.ignored

    archive, ignored = imported()
    assert (len(archive), ignored, archive.info.num_classes) == (5, 0, 120)
    assert list(archive.info.splits) == ["xsub", "xset"]
    archive, ignored = imported(dataset="60")
    assert (len(archive), ignored, archive.info.num_classes) == (3, 2, 60)
    archive, ignored = imported(dataset="120")
    assert (len(archive), ignored, archive.info.num_classes) == (5, 0, 120)


def test_missing_samples_are_left_out_unless_wanted(tmp_path: Path) -> None:
    generator.write_dataset(tmp_path / "source", [NAMES[0], MISSING], frames=3)
    out = tmp_path / "a.arrow"
    report = run_import("ntu-raw", tmp_path / "source", out)
    assert (report.read, report.ignored) == (1, 1)
    listed = "on the authors' list of missing and incomplete samples"
    assert f"1 other files ignored: 1 {listed}" in str(report)
    (tmp_path / "source" / "S018C001P045R001A061.skeleton").write_bytes(GOOD)
    (tmp_path / "source" / "notes.txt").write_bytes(b"")
    report = run_import("ntu-raw", tmp_path / "source", out, Options(dataset="60"))
    assert str(report).endswith(f"3 other files ignored: 1 {listed}, 1 of NTU RGB+D 120 only")
    (tmp_path / "source" / "S018C001P045R001A061.skeleton").unlink()
    (tmp_path / "source" / "notes.txt").unlink()
    report = run_import("ntu-raw", tmp_path / "source", out, Options(keep_missing=True))
    assert (report.read, report.ignored) == (2, 0)


def test_a_missing_sample_alone_is_told_with_the_option(tmp_path: Path) -> None:
    generator.write_dataset(tmp_path / "source", [MISSING], frames=3)
    with pytest.raises(SourceError, match=r"1 on the authors' list .*--keep-missing true"):
        run_import("ntu-raw", tmp_path / "source", tmp_path / "a.arrow")
    for labels in ("name", "none"):
        with pytest.raises(SourceError, match="--keep-missing true"):
            ntu_raw.open_source(tmp_path / "source", Options(labels=labels))  # type: ignore[arg-type]


def test_bodies_and_thresholds_are_options(tmp_path: Path) -> None:
    generator.write_dataset(tmp_path / "source", NAMES[:1], frames=40, kinds=("three",))

    def persons(**options: Any) -> int:
        run_import("ntu-raw", tmp_path / "source", tmp_path / "a.arrow", Options(**options))
        return int(Archive(tmp_path / "a.arrow").num_persons[0])

    assert (persons(), persons(bodies="pyskl"), persons(bodies="all")) == (2, 2, 3)
    assert (persons(max_persons=1), persons(max_persons=3), persons(wide_frame=0.01)) == (1, 3, 1)
    assert (persons(motion_low=50.0), persons(motion_high=1e-6)) == (1, 1)


def test_other_files_are_ignored_and_counted(tmp_path: Path) -> None:
    source = generator.write(tmp_path, clips=2)
    for name in (
        "readme.txt",
        f"._{NAMES[0]}.skeleton",
        f"{NAMES[0]}.skeleton.bak",
        "S1.skeleton",
        "notes.zip",
    ):
        (source / name).write_bytes(b"")
    with zipfile.ZipFile(source / "notes.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    report = run_import("ntu-raw", source, tmp_path / "a.arrow")
    assert (report.read, report.ignored) == (2, 4)  # a hidden file does not count


def test_unknown_actions_are_skipped(tmp_path: Path) -> None:
    source = generator.write(tmp_path, clips=2)
    for action in ("000", "121"):
        (source / f"S001C001P001R001A{action}.skeleton").write_bytes(GOOD)
    report = run_import("ntu-raw", source, tmp_path / "a.arrow")
    assert report.skipped == {"unknown action": ["S001C001P001R001A000", "S001C001P001R001A121"]}


# ---- useless and hostile sources


def test_useless_sources(tmp_path: Path) -> None:
    out = tmp_path / "a.arrow"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match="no NTU RGB\\+D clips: expected files such as S001C002"):
        run_import("ntu-raw", empty, out)
    (empty / "nturgbd_skeletons_s001_to_s017.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match="get it again or take it out of the folder"):
        run_import("ntu-raw", empty, out)
    generator.write_dataset(tmp_path / "missing", [MISSING], frames=3)
    with pytest.raises(SourceError, match="none of its 1 samples is left"):
        run_import("ntu-raw", tmp_path / "missing", out)
    source = generator.write(tmp_path)
    for options, message in (
        (Options(max_persons=0), "max_persons is 0, expected 1 or more"),
        (Options(wide_share=-1.0), "wide_share is -1.0, expected a positive number"),
        (Options(short_body=-1), "short_body is -1, expected 0 or more"),
        (Options(motion_low=-1.0), "motion_low is -1.0, expected 0 or more, or none"),
        (Options(motion_low=2.0, motion_high=1.0), "motion_high is 1.0, expected motion_low or"),
    ):
        with pytest.raises(SourceError, match=message):
            run_import("ntu-raw", source, out, options)
    assert not out.exists()


def test_a_zip_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    source = generator.write(tmp_path)
    files = [(f"{NAMES[0]}.skeleton", generator.member(GOOD))]
    generator.write_zip(tmp_path / "outside.zip", files)
    (source / "link.zip").symlink_to(tmp_path / "outside.zip")
    with pytest.raises(SourceError, match="leads out of the folder"):
        run_import("ntu-raw", source, tmp_path / "a.arrow")


def test_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntu_raw, "MAX_BYTES", 1000)
    generator.write_dataset(tmp_path / "a.zip", NAMES, frames=3, zipped=True)
    with pytest.raises(SourceError, match="4 skipped: too large"):
        run_import("ntu-raw", tmp_path / "a.zip", tmp_path / "a.arrow")


def reason_for(source: Path) -> str:
    reason = importer.recognise(Peek(source))
    assert reason is not None
    return reason


def test_sources_are_recognised(tmp_path: Path) -> None:
    source = generator.write(tmp_path)
    assert NAMES[0] in reason_for(source)
    generator.write_dataset(tmp_path / "a.zip", NAMES, frames=3, zipped=True)
    assert NAMES[0] in reason_for(tmp_path / "a.zip")
    zips = tmp_path / "zips"
    zips.mkdir()
    (zips / "nturgbd_skeletons_s001_to_s017.zip").write_bytes(b"")
    assert "official zips" in reason_for(zips)
    (tmp_path / "other.skeleton").write_bytes(b"")
    assert importer.recognise(Peek(tmp_path / "other.skeleton")) is None
