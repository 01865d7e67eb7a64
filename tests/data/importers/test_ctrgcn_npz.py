"""The CTR-GCN importer: generated files against the arrays they were made of, and broken ones."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from generators import ctrgcn_npz as generator
from shapmix.data.archive import Archive
from shapmix.data.importers import ctrgcn_npz, run_import
from shapmix.data.importers.base import Importer, ImportReport, SourceError
from shapmix.data.importers.ctrgcn_npz import Options
from shapmix.data.importers.npz_rows import NpzRows
from shapmix.data.importers.ntu_names import CLASS_NAMES
from shapmix.data.importers.peek import Peek

importer: Importer = ctrgcn_npz  # the interface, checked by mypy

Arrays = dict[str, Any]


def arrays(folder: Path, **changes: Any) -> Arrays:
    """Of a generated file."""
    with np.load(generator.write(folder, **changes)) as file:
        return dict(file)


def write(path: Path, content: Arrays, compressed: bool = False) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **content)
    return path


def expected_clips(content: Arrays) -> dict[str, tuple[int, npt.NDArray[np.float32]]]:
    """Name -> label and keypoints, one value after the other."""
    clips = {}
    for part in ("train", "test"):
        for i, row in enumerate(content[f"x_{part}"]):
            frames = [frame for frame in row if np.any(frame)]
            bodies = [m for m in (0, 1) if any(np.any(f[75 * m : 75 * m + 75]) for f in frames)]
            keypoints = [
                [[frame[75 * m + 3 * v :][:3] for v in range(25)] for m in bodies]
                for frame in frames
            ]
            label = next(k for k, y in enumerate(content[f"y_{part}"][i]) if y == 1)
            clips[f"{part}-{i:06}"] = label, np.array(keypoints, np.float32)
    return clips


@pytest.mark.parametrize("compressed", [False, True])
def test_clips_are_the_real_frames_and_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    monkeypatch.setattr(ctrgcn_npz, "UNIT_BYTES", 20_000)  # two rows
    source = generator.write(tmp_path, clips=7, compressed=compressed)
    report = run_import("ctrgcn-npz", source, tmp_path / "a.arrow", strict=True)
    assert (report.read, report.units, report.repaired) == (10, 6, {})
    archive = Archive(tmp_path / "a.arrow")
    with np.load(source) as file:
        expected = expected_clips(dict(file))
    assert list(archive.names) == list(expected)
    for i, (name, (label, keypoints)) in enumerate(expected.items()):
        clip = archive.clip(i)
        assert clip.label == label
        assert dict(clip.metadata) == {"part": name.split("-")[0]}
        assert clip.fps == 30
        np.testing.assert_array_equal(clip.keypoints, keypoints)
    assert set(archive.num_persons.tolist()) == {1, 2}
    assert archive.info.layout.name == "ntu25"
    assert (archive.info.channels, archive.info.units) == ("xyz", "m")
    assert archive.info.class_names == CLASS_NAMES[:60]


@pytest.mark.parametrize("compressed", [False, True])
def test_another_process_reads_the_same(tmp_path: Path, compressed: bool) -> None:
    opened = ctrgcn_npz.open_source(generator.write(tmp_path, compressed=compressed), Options())
    expected = [clip.keypoints.tobytes() for clip in opened.read(opened.units, ImportReport())]
    sent = pickle.loads(pickle.dumps(opened))  # after it was read from
    found = [clip.keypoints.tobytes() for clip in sent.read(sent.units, ImportReport())]
    assert len(found) == 9
    assert found == expected


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("NTU60_CS", "xsub"),
        ("NTU60_CV", "xview"),
        ("NTU120_CSub", "xsub"),
        ("NTU120_CSet", "xset"),
        ("ntu120_xset_aligned", "xset"),
        ("mine", "given"),
        ("ncsu", "given"),
    ],
)
def test_the_protocol_follows_the_name(tmp_path: Path, name: str, protocol: str) -> None:
    source = ctrgcn_npz.open_source(generator.write(tmp_path, name=name), Options())
    assert dict(source.info.splits) == {protocol: ('part == "train"', 'part == "test"')}


def test_labels_may_be_ids_and_classes_named(tmp_path: Path) -> None:
    content = arrays(tmp_path)
    for part in ("train", "test"):
        content[f"y_{part}"] = content[f"y_{part}"].argmax(1)
    source = write(tmp_path / "ids.npz", content)
    opened = ctrgcn_npz.open_source(source, Options())
    assert opened.info.class_names == ("0", "1", "2", "3")
    opened = ctrgcn_npz.open_source(source, Options(class_names="a,b,c,d"))
    assert opened.info.class_names == ("a", "b", "c", "d")
    clips = list(opened.read(opened.units, ImportReport()))
    assert [clip.label for clip in clips][:5] == [0, 1, 2, 3, 0]
    assert {clip.fps for clip in clips} == {None}  # not the classes of NTU RGB+D
    with pytest.raises(SourceError, match="3 class names were given"):
        ctrgcn_npz.open_source(source, Options(class_names="a,b,c"))


@pytest.mark.parametrize("classes", [60, 120, 7])
def test_class_names_follow_the_width_of_y(tmp_path: Path, classes: int) -> None:
    content = arrays(tmp_path)
    for part in ("train", "test"):
        content[f"y_{part}"] = np.eye(classes)[content[f"y_{part}"].argmax(1)]
    opened = ctrgcn_npz.open_source(write(tmp_path / "a.npz", content), Options())
    expected = CLASS_NAMES[:classes] if classes > 7 else tuple("0123456")
    assert opened.info.class_names == expected


def test_damaged_clips_are_skipped_and_others_mended(tmp_path: Path) -> None:
    content = arrays(tmp_path, clips=8)
    x, y = content["x_train"], content["y_train"]
    x[0] = 0
    y[1] = 0
    y[2, :2] = 1
    y[3] *= 0.5
    x[4, 1] = 0
    x[5, 1, 5] = np.nan
    x[6, 1, 5] = np.inf
    report = run_import("ctrgcn-npz", write(tmp_path / "a.npz", content), tmp_path / "a.arrow")
    assert report.skipped == {
        "no body": ["train-000000"],
        "no label": ["train-000001", "train-000003"],
        "several labels": ["train-000002"],
        "not finite": ["train-000006"],
    }
    assert report.repaired == {
        "frames without a body left out": ["train-000004"],
        "missing joints filled in": ["train-000005"],
    }
    with pytest.raises(SourceError, match="train-000000"):
        run_import("ctrgcn-npz", tmp_path / "a.npz", tmp_path / "b.arrow", strict=True)


@pytest.mark.parametrize("kind", ["f2", "f8", ">f4"])
def test_other_types_of_floats(tmp_path: Path, kind: str) -> None:
    content = arrays(tmp_path)
    changed = content | {
        f"x_{part}": content[f"x_{part}"].astype(kind) for part in ("train", "test")
    }
    run_import("ctrgcn-npz", write(tmp_path / "a.npz", changed), tmp_path / "a.arrow")
    found = Archive(tmp_path / "a.arrow").clip(0).keypoints
    expected = expected_clips(content)["train-000000"][1].astype(kind)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


# ---- broken files


def npy(array: npt.NDArray[Any], **header: Any) -> bytes:
    """A .npy file that may lie in its header."""
    file = io.BytesIO()
    fields = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | header
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue() + array.tobytes()


def with_member(path: Path, content: Arrays, member: str, replaced: bytes | None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in content.items():
            if name != member:
                archive.writestr(f"{name}.npy", npy(array))
            elif replaced is not None:
                archive.writestr(f"{name}.npy", replaced)
    return path


X = np.ones((6, 3, 150), np.float32)
BROKEN: dict[str, tuple[str, bytes | None, str]] = {
    "missing": ("x_train", None, r"x_train\.npy cannot be read"),
    "empty": ("x_train", b"", r"x_train\.npy cannot be read"),
    "text": ("y_test", b"hello" * 100, r"y_test\.npy cannot be read"),
    "huge shape": ("x_train", npy(X, shape=(10**9, 300, 150)), "is the file complete"),
    "overflowing shape": ("x_train", npy(X, shape=(2**62, 2**62, 150)), "is the file complete"),
    "negative shape": ("x_train", npy(X, shape=(-6, 3, 150)), "no tuple of sizes"),
    "shape of texts": ("x_train", npy(X, shape=("a",)), "cannot be read"),
    "too short": ("x_train", npy(X)[:-1], "is the file complete"),
    "too long": ("x_train", npy(X) + b"0", "is the file complete"),
    "objects": ("x_train", npy(X, descr="|O"), "expected numbers in C order"),
    "pickled": ("x_train", pickle.dumps(X), "cannot be read"),
    "texts": ("y_train", npy(np.array(["a"] * 6)), "expected numbers"),
    "Fortran": ("x_train", npy(X, fortran_order=True), "Fortran order"),
    "integers": ("x_train", npy(X.astype(int)), "expected floats of shape"),
    "other joints": ("x_train", npy(X[..., :60].copy()), r"\(clips, frames, 150\)"),
    "no joints": ("x_train", npy(X[..., :0].copy()), "expected floats of shape"),
    "no frames": ("x_train", npy(X[:, :0].copy()), "0 bytes a clip"),
    "flat": ("x_train", npy(X[0]), "expected floats of shape"),
    "scalar": ("y_train", npy(np.array(1.0)), "cannot be read"),
    "fewer labels": ("y_train", npy(np.ones(5)), "expected as many clips"),
    "no classes": ("y_train", npy(np.ones((6, 0))), "expected one-hot rows"),
    "cube": ("y_train", npy(np.ones((6, 2, 2))), "expected one-hot rows"),
    "no label": ("y_train", npy(np.full((6, 60), np.nan)), "no clip|cannot"),
}


@pytest.mark.parametrize(("member", "replaced", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_sources(tmp_path: Path, member: str, replaced: bytes | None, message: str) -> None:
    content = arrays(tmp_path)
    source = with_member(tmp_path / "broken.npz", content, member, replaced)
    if member == "y_train" and "no clip" in message:
        report = run_import("ctrgcn-npz", source, tmp_path / "out.arrow")
        assert report.skipped == {"no label": [f"train-{i:06}" for i in range(6)]}
        return
    with pytest.raises(SourceError, match=message):
        run_import("ctrgcn-npz", source, tmp_path / "out.arrow")
    assert not list(tmp_path.glob("*out.arrow*"))


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path / "text.npz"])
def test_sources_that_are_no_npz(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(SourceError, match="cannot be read"):
        run_import("ctrgcn-npz", make(tmp_path), tmp_path / "out.arrow")


def test_what_a_source_is_instead_of_an_npz_is_said(tmp_path: Path) -> None:
    good = generator.write(tmp_path / "made").read_bytes()
    (tmp_path / "cut.npz").write_bytes(good[:5000])
    (tmp_path / "labels.pkl").write_bytes(pickle.dumps((["a"], [0])))
    for name, message in (
        ("made", "it is a folder; give the .npz file itself"),
        ("cut.npz", r"cut off\? Get it again"),
        ("labels.pkl", "no .npz file, .*; pyskl-pkl and stgcn-npy read pickles"),
    ):
        with pytest.raises(SourceError, match=message):
            run_import("ctrgcn-npz", tmp_path / name, tmp_path / "out.arrow")


@pytest.mark.parametrize("compressed", [False, True])
def test_any_change_of_bytes_is_survived(tmp_path: Path, compressed: bool) -> None:
    rng = np.random.default_rng(0)
    good = generator.write(tmp_path, clips=2, compressed=compressed).read_bytes()
    source = tmp_path / "changed.npz"
    for round_ in range(60):
        content = bytearray(good if round_ % 4 else good[: rng.integers(len(good))])
        start = 0 if round_ % 2 else max(0, len(content) - 600)  # the directory is at the end
        for position in rng.integers(start, max(len(content), start + 1), 3):
            content[position : position + 1] = bytes([rng.integers(256)])
        source.write_bytes(content)
        try:
            opened = ctrgcn_npz.open_source(source, Options())
            list(opened.read(opened.units, ImportReport()))
        except SourceError:
            pass


# ---- memory and reading


def test_rows_are_read_without_the_array(tmp_path: Path) -> None:
    x = np.zeros((500, 300, 150), np.float32)  # 90 MB
    x[:, 0, 0] = np.arange(500)
    for compressed in (False, True):
        source = write(tmp_path / "x.npz", {"x_train": x}, compressed)
        tracemalloc.start()
        rows = pickle.loads(pickle.dumps(NpzRows.of(source, "x_train.npy")))
        assert (rows.shape, rows.stored, rows.row_bytes) == (x.shape, not compressed, 180_000)
        for first in (0, 3, 490, 5):  # also backwards
            np.testing.assert_array_equal(rows.rows(first, 3), x[first : first + 3])
        assert tracemalloc.get_traced_memory()[1] < 40e6
        tracemalloc.stop()


def test_a_compressed_member_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counting(zipfile.ZipFile):
        def __init__(self, *args: Any) -> None:
            opened.append(args)
            super().__init__(*args)

    source = write(tmp_path / "x.npz", {"x": np.arange(50.0)}, compressed=True)
    rows = NpzRows.of(source, "x.npy")
    monkeypatch.setattr(zipfile, "ZipFile", Counting)
    assert [float(rows.rows(i, 5).sum()) for i in range(0, 50, 5)] == list(range(10, 250, 25))
    assert len(opened) == 1


def test_damage_within_a_compressed_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctrgcn_npz, "UNIT_BYTES", 1)
    source = generator.write(tmp_path, clips=8, compressed=True)
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        info = archive.getinfo("x_train.npy")
    middle = info.header_offset + info.compress_size // 2
    content[middle : middle + 100] = b"\xff" * 100
    source.write_bytes(content)
    report = run_import("ctrgcn-npz", source, tmp_path / "a.arrow")
    assert 0 < report.read < 12
    assert report.skipped.keys() <= {"unreadable file", "not finite", "no body"}
    assert report.read + report.num_skipped == 12


def test_recognise(tmp_path: Path) -> None:
    reason = ctrgcn_npz.recognise(Peek(generator.write(tmp_path)))
    assert reason == "the arrays x_train, y_train, x_test and y_test"
    assert ctrgcn_npz.recognise(Peek(tmp_path)) is None
    assert ctrgcn_npz.recognise(Peek(write(tmp_path / "a.npz", {"x_train": X}))) is None
