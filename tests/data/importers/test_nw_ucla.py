"""The NW-UCLA importer: the real files, both forms of source, and files not to be trusted."""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapmix.data.archive import Archive
from shapmix.data.importers import IMPORTERS, nw_ucla, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.files import SourceFiles

importer: Importer = nw_ucla  # the interface, checked by mypy

Files = dict[str, bytes]


def record(name: str, T: int = 2, **changes: Any) -> bytes:
    """A file as published."""
    labels = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 7, 9: 8, 11: 9, 12: 10}
    skeletons = np.random.default_rng(T).normal(size=(T, 20, 3)).tolist()
    fields = {"file_name": name, "skeletons": skeletons, "label": labels.get(int(name[1:3]), 0)}
    return json.dumps(fields | changes).encode()


def zipped(path: Path, files: Files, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def folder(path: Path, files: Files) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


GOOD = {
    f"all_sqe/{name}.json": record(name, T)
    for name, T in (("a12_s10_e02_v03", 1), ("a01_s01_e00_v01", 4), ("a08_s03_e01_v02", 2))
}


# ---- the published files


@pytest.fixture(scope="module")
def published(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    source = real_data / "nw_ucla.zip"
    if not source.is_file():
        pytest.skip(f"NW-UCLA not found at {source}")
    out = tmp_path_factory.mktemp("published") / "nw_ucla.arrow"
    report = run_import("nw-ucla", source, out, strict=True)
    assert (report.read, report.total_units, report.ignored, report.skipped) == (1484, 1484, 0, {})
    return Archive(out)


def test_published_files(published: Archive) -> None:
    assert len(published) == 1484
    assert list(published.names) == sorted(published.names)
    counts = np.bincount(published.labels).tolist()
    assert counts == [150, 152, 141, 173, 148, 149, 142, 142, 145, 142]
    assert published.info.layout.name == "kinect20"
    assert published.info.class_names[6:] == ("donning", "doffing", "throw", "carry")
    assert published.num_frames.sum() == 58534
    assert (published.num_frames.min(), published.num_frames.max()) == (1, 201)
    assert set(published.num_persons.tolist()) == {1}
    published.verify()


def test_published_values_and_metadata(published: Archive, real_data: Path) -> None:
    with zipfile.ZipFile(real_data / "nw_ucla.zip") as files:
        for i in range(0, len(published), 97):
            clip = published.clip(i)
            fields = json.loads(files.read(f"all_sqe/{clip.name}.json"))
            expected = np.array(fields["skeletons"], dtype=np.float32)
            np.testing.assert_array_equal(clip.keypoints[:, 0], expected)
            assert clip.label == fields["label"] - 1
            a, s, e, v = (int(x) for x in re.findall(r"\d+", clip.name))
            assert clip.metadata == {"action": a, "subject": s, "replication": e, "view": v}


def test_published_lists_name_these_clips(published: Archive, real_data: Path) -> None:
    for file in ("standard_train_v01v02_1020.json", "standard_val_v03_464.json"):
        for entry in json.loads((real_data / "nw_ucla_protocol" / file).read_text()):
            i = published.index(entry["file_name"])
            assert published.labels[i] == entry["label"] - 1
            assert published.num_frames[i] == entry["length"]


# ---- forms of a source


def contents(path: Path) -> list[Any]:
    archive = Archive(path)
    clips = [archive.clip(i) for i in range(len(archive))]
    return [(c.name, c.label, dict(c.metadata), c.keypoints.tobytes()) for c in clips]


def test_zip_and_folders_give_the_same(tmp_path: Path) -> None:
    flat = {Path(name).name: content for name, content in GOOD.items()}
    sources = [
        zipped(tmp_path / "a.zip", GOOD),
        zipped(tmp_path / "b.zip", dict(reversed(flat.items())), zipfile.ZIP_STORED),
        folder(tmp_path / "with", GOOD),
        folder(tmp_path / "without", flat),
        tmp_path / "with" / "all_sqe",
    ]
    outs = [tmp_path / f"{i}.arrow" for i in range(len(sources))]
    for source, out in zip(sources, outs, strict=True):
        report = run_import("nw-ucla", source, out)
        assert (report.read, report.ignored, report.num_skipped) == (3, 0, 0)
    found = [contents(out) for out in outs]
    assert [clip[0] for clip in found[0]] == [
        "a01_s01_e00_v01",
        "a08_s03_e01_v02",
        "a12_s10_e02_v03",
    ]
    assert [clip[1] for clip in found[0]] == [0, 6, 9]
    assert all(other == found[0] for other in found)
    assert len({out.read_bytes() for out in outs}) == 1


def test_other_files_are_ignored_and_counted(tmp_path: Path) -> None:
    others = {
        "readme.txt": b"",
        "__MACOSX/._a01_s01_e00_v01.json": b"",
        "a1_s1_e1_v1.json": b"",
        "a01_s01_e00_v01.json.bak": b"",
        "a٠١_s01_e00_v01.json": b"",
    }
    report = run_import("nw-ucla", zipped(tmp_path / "a.zip", GOOD | others), tmp_path / "a.arrow")
    assert (report.read, report.ignored) == (3, 4)
    assert str(report) == "3 clips imported\n4 other files ignored"


# ---- damaged clips

BAD_NAME = "a05_s02_e01_v02"
NAN = [[[float("nan")] * 3] * 20]
DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "binary": (b"\x80\x00\xff", "not JSON"),
    "cut": (record(BAD_NAME)[:100], "not JSON"),
    "deep": (b"[" * 200_000, "not JSON"),
    "list": (b"[]", "other fields"),
    "no label": (json.dumps({"skeletons": []}).encode(), "other fields"),
    "label of another class": (record(BAD_NAME, label=6), "contradictory label"),
    "label as text": (record(BAD_NAME, label="5"), "contradictory label"),
    "label as bool": (record(BAD_NAME, label=True), "contradictory label"),
    "nan": (record(BAD_NAME, skeletons=NAN), "not finite"),
    "overflow": (record(BAD_NAME, skeletons=[[[1e300] * 3] * 20]), "not finite"),
    "no frames": (record(BAD_NAME, skeletons=[]), "wrong shape"),
    "19 joints": (record(BAD_NAME, skeletons=[[[0.0] * 3] * 19]), "wrong shape"),
    "4 coordinates": (record(BAD_NAME, skeletons=[[[0.0] * 4] * 20]), "wrong shape"),
    "ragged": (record(BAD_NAME, skeletons=[[[0.0] * 3] * 20, [[0.0] * 3] * 19]), "wrong shape"),
    "text": (record(BAD_NAME, skeletons=[[["0.0"] * 3] * 20]), "wrong type"),
    "null": (record(BAD_NAME, skeletons=[[[None] * 3] * 20]), "wrong type"),
    "object": (record(BAD_NAME, skeletons={"a": 1}), "wrong type"),
    "huge int": (record(BAD_NAME, skeletons=[[[10**30] * 3] * 20]), "wrong type"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_clip_is_skipped_and_reported(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    source = zipped(tmp_path / "a.zip", GOOD | {f"all_sqe/{BAD_NAME}.json": content})
    report = run_import("nw-ucla", source, tmp_path / "a.arrow")
    assert report.skipped == {reason: [BAD_NAME]}
    assert (report.read, report.total_units) == (3, 4)
    assert f"1 skipped: {reason} ({BAD_NAME})" in str(report)
    assert len(Archive(tmp_path / "a.arrow")) == 3
    with pytest.raises(SourceError, match=rf"clip '{BAD_NAME}': .*strict"):
        run_import("nw-ucla", source, tmp_path / "strict.arrow", strict=True)
    assert not list(tmp_path.glob("*strict.arrow*"))


def test_unknown_actions_and_repeated_names_are_skipped(tmp_path: Path) -> None:
    more = {
        "all_sqe/a07_s01_e00_v01.json": record("a07_s01_e00_v01"),
        "copy/a01_s01_e00_v01.json": record("a01_s01_e00_v01"),
    }
    report = run_import("nw-ucla", folder(tmp_path / "x", GOOD | more), tmp_path / "a.arrow")
    assert report.skipped == {
        "unknown action": ["a07_s01_e00_v01"],
        "duplicate name": ["a01_s01_e00_v01"],
    }


def test_report_counts_by_reason_and_shows_the_first_names(tmp_path: Path) -> None:
    bad = {f"a05_s0{s}_e01_v02.json": b"" for s in range(1, 6)}
    report = run_import("nw-ucla", zipped(tmp_path / "a.zip", GOOD | bad), tmp_path / "a.arrow")
    assert str(report).splitlines()[1] == (
        "5 skipped: not JSON (a05_s01_e01_v02, a05_s02_e01_v02, a05_s03_e01_v02, ...)"
    )


# ---- hostile and useless sources


def test_zip_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nw_ucla, "MAX_BYTES", 1_000_000)
    bomb = b"[" + b" " * 2_000_000 + b"]"
    source = zipped(tmp_path / "a.zip", GOOD | {f"{BAD_NAME}.json": bomb})
    report = run_import("nw-ucla", source, tmp_path / "a.arrow")
    assert report.skipped == {"too large": [BAD_NAME]}
    report = run_import(
        "nw-ucla", folder(tmp_path / "x", GOOD | {f"{BAD_NAME}.json": bomb}), tmp_path / "a.arrow"
    )
    assert report.skipped == {"too large": [BAD_NAME]}


def test_a_zip_that_lies_about_sizes_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nw_ucla, "MAX_BYTES", 1_000_000)
    content = b"[" + b" " * 2_000_000 + b"]"
    source = zipped(tmp_path / "a.zip", GOOD | {f"{BAD_NAME}.json": content})
    true, lie = struct.pack("<L", len(content)), struct.pack("<L", 100)
    source.write_bytes(source.read_bytes().replace(true, lie))
    report = run_import("nw-ucla", source, tmp_path / "a.arrow")
    assert (report.read, report.num_skipped) == (3, 1)


def test_damaged_and_encrypted_members_are_skipped(tmp_path: Path) -> None:
    target = f"{BAD_NAME}.json"
    source = zipped(tmp_path / "a.zip", GOOD | {target: record(BAD_NAME, T=30)})
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        info = archive.getinfo(target)
    content[info.header_offset + 30 + len(target) + 500] ^= 0xFF
    source.write_bytes(content)
    report = run_import("nw-ucla", source, tmp_path / "a.arrow")
    assert report.skipped == {"unreadable file": [BAD_NAME]}
    content[info.header_offset + 6] |= 1  # the flags of the member, and in the directory
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    source.write_bytes(content)
    report = run_import("nw-ucla", source, tmp_path / "a.arrow")
    assert report.skipped == {"unreadable file": [BAD_NAME]}


def test_names_in_a_zip_cannot_leave_it(tmp_path: Path) -> None:
    outside = tmp_path / f"{BAD_NAME}.json"
    source = zipped(tmp_path / "a.zip", {f"../{BAD_NAME}.json": record(BAD_NAME)} | GOOD)
    run_import("nw-ucla", source, tmp_path / "out" / "a.arrow")
    assert not outside.exists()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.arrow", "a.zip", "out"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "nothing.zip", "no file or folder"),
        (lambda path: folder(path / "x", {"a.txt": b""}), "has no NW-UCLA clips: expected files"),
        (lambda path: zipped(path / "a.zip", {}), "has no NW-UCLA clips"),
        (
            lambda path: zipped(path / "a.zip", {f"{BAD_NAME}.json": b""}),
            r"no clip could be imported:\n0 clips imported\n1 skipped: not JSON",
        ),
        (lambda path: folder(path, {"a.zip": b"PK"}) / "a.zip", "neither a folder nor a zip file"),
    ],
)
def test_useless_sources(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        run_import("nw-ucla", make(tmp_path), tmp_path / "out.arrow")
    assert not list(tmp_path.glob("*out.arrow*"))


def test_formats_are_listed_and_complete() -> None:
    assert set(IMPORTERS) >= {"nw-ucla"}
    with pytest.raises(
        SourceError, match=r"unknown format 'nwucla' \(did you mean 'nw-ucla'\?\) \(known: "
    ):
        run_import("nwucla", "a", "b")


def test_source_files_are_sorted_whatever_the_source(tmp_path: Path) -> None:
    files = {"b/2": b"2", "a": b"1", "b/1": b"3"}
    for source in (folder(tmp_path / "x", files), zipped(tmp_path / "x.zip", files)):
        found = SourceFiles(source)
        assert found.names == sorted(files)
        assert Counter(found.read(name) for name in found.names) == Counter(files.values())
