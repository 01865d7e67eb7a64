"""The archive: what goes in comes out, and a file from anyone is either sound or refused."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapmix.data import archive_format
from shapmix.data.archive import Archive, ArchiveError, ArchiveInfo, ArchiveWriter, Clip, ClipError
from shapmix.data.archive_format import header_json, record_batch
from shapmix.data.clip import known
from shapmix.layouts import get_layout

SBU = get_layout("sbu15")
INFO = ArchiveInfo(
    SBU,
    ("push", "hug", "punch"),
    "xyz",
    "m",
    "made here",
    "7",
    {"xview": ("view != 3", "view == 3")},
)

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def make_clip(name: str = "a", label: int = 0, T: int = 2, M: int = 1, **metadata: Any) -> Clip:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    keypoints = rng.normal(size=(T, M, 15, 3)).astype(np.float32)
    return Clip(name, label, keypoints, 30.0, metadata)


def write(path: Path, clips: Sequence[Clip], info: ArchiveInfo = INFO, **options: Any) -> Archive:
    with ArchiveWriter(path, info, **options) as writer:
        for clip in clips:
            writer.write(clip)
    return Archive(path)


def facts(clip: Clip) -> tuple[Any, ...]:
    """Everything about a clip, its values bit by bit."""
    keypoints = clip.keypoints
    described = (keypoints.shape, keypoints.dtype, keypoints.tobytes())
    return clip.name, clip.label, clip.fps, dict(clip.metadata), described


# ---- round trip

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(
    lambda text: unicodedata.normalize("NFC", text)
)
metadata_kinds = st.dictionaries(
    st.sampled_from(["subject", "camera", "view", "größe", "x_1"]), st.sampled_from([int, str])
)
VALUES = {int: st.integers(-(2**63), 2**63 - 1), str: texts.filter(bool)}
floats = st.sampled_from([0.0, -0.0, 1.5, -3e38, 1e-45, 3.4028235e38])


@st.composite
def archives(draw: st.DrawFn) -> tuple[ArchiveInfo, list[Clip], dict[str, type]]:
    channels = draw(st.sampled_from(["xyz", "xy", "xyc"]))
    names = draw(st.lists(texts.filter(bool), min_size=1, max_size=8, unique=True))
    kinds = draw(metadata_kinds)
    clips = []
    for name in names:
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 3)), 15, len(channels))
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        keypoints = rng.normal(size=shape).astype(np.float32)
        keypoints[0, 0, 0] = draw(floats)
        clip = Clip(
            name,
            draw(st.integers(0, 2)),
            keypoints,
            draw(st.none() | st.floats(0.1, 1000)),
            {key: draw(st.none() | VALUES[kind]) for key, kind in kinds.items()},
        )
        clips.append(clip)
    return replace(INFO, channels=channels, source=draw(texts)), clips, kinds


@given(archives(), st.sampled_from([1, 1000, 10**6]))
@settings(same_folder, max_examples=60)
def test_round_trip(
    tmp_path: Path, made: tuple[ArchiveInfo, list[Clip], dict[str, type]], batch_bytes: int
) -> None:
    info, clips, columns = made
    path = tmp_path / "a.arrow"
    archive = write(path, clips, info, batch_bytes=batch_bytes, columns=columns)
    assert archive.info == info
    assert archive.names == tuple(clip.name for clip in clips)
    assert archive.labels.tolist() == [clip.label for clip in clips]
    assert archive.num_frames.tolist() == [len(clip.keypoints) for clip in clips]
    assert archive.num_persons.tolist() == [clip.keypoints.shape[1] for clip in clips]
    assert archive.metadata.keys() == clips[0].metadata.keys()
    assert [facts(archive.clip(i)) for i in range(len(archive))] == [facts(clip) for clip in clips]
    assert [archive.index(clip.name) for clip in clips] == list(range(len(clips)))
    for key, column in archive.metadata.items():
        told = [value for clip in clips if (value := clip.metadata[key]) is not None]
        assert column[known(column)].tolist() == told
    archive.verify()


def test_the_unknown_is_none_masked_and_null(tmp_path: Path) -> None:
    clips = [make_clip("a", subject=7, camera=""), make_clip("b", subject=None, camera=None)]
    archive = write(tmp_path / "a.arrow", clips)
    assert [archive.clip(i).metadata["subject"] for i in (0, 1)] == [7, None]
    assert [archive.clip(i).metadata["camera"] for i in (0, 1)] == [None, None]
    assert archive.metadata["subject"].tolist() == [7, None]
    assert archive.metadata["camera"].tolist() == ["", ""]
    with pytest.raises(ValueError, match="read-only"):
        archive.metadata["subject"][1] = 3
    table = pa.ipc.open_file(tmp_path / "a.arrow").read_all()
    assert table["subject"].to_pylist() == [7, None]
    parts = write(tmp_path / "b.arrow", [make_clip("c", subject=1, camera="left")])
    with ArchiveWriter(tmp_path / "joined.arrow", INFO) as writer:
        writer.append(archive)
        writer.append(parts)
    assert Archive(tmp_path / "joined.arrow").metadata["subject"].tolist() == [7, None, 1]


def test_a_first_clip_that_does_not_know_needs_types(tmp_path: Path) -> None:
    clip = make_clip("a", subject=None)
    with pytest.raises(ClipError, match=r"subject is None in the first clip: give its type"):
        write(tmp_path / "a.arrow", [clip])
    archive = write(tmp_path / "a.arrow", [clip], columns={"subject": int})
    assert archive.clip(0).metadata == {"subject": None}


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    clips = [make_clip("a", 1, view=3), make_clip("b", 2, T=3, M=2, view=1)]
    write(tmp_path / "a.arrow", clips)
    table = pa.ipc.open_file(tmp_path / "a.arrow").read_all()
    assert table.drop_columns("keypoints").to_pylist() == [
        {"name": "a", "label": 1, "num_frames": 2, "num_persons": 1, "fps": 30.0, "view": 3},
        {"name": "b", "label": 2, "num_frames": 3, "num_persons": 2, "fps": 30.0, "view": 1},
    ]
    assert table["keypoints"].to_pylist() == [c.keypoints.ravel().tolist() for c in clips]


def test_a_clip_is_a_read_only_view_of_the_file(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.arrow", [make_clip("a"), make_clip("b")])
    keypoints = archive.keypoints(1)
    assert np.shares_memory(keypoints, archive.keypoints(1))  # not made anew
    assert np.shares_memory(keypoints, archive.clip(1).keypoints)
    assert not keypoints.flags.writeable
    for column in (archive.labels, archive.num_frames, archive.num_persons):
        assert not column.flags.writeable


def test_writer_copies_and_streams(tmp_path: Path) -> None:
    one = make_clip("one")
    expected = one.keypoints.copy()
    with ArchiveWriter(tmp_path / "a.arrow", INFO, batch_bytes=3 * expected.nbytes) as writer:
        for i in range(10):
            writer.write(replace(one, name=f"clip {i}"))
        one.keypoints[:] = 0  # the caller's buffer is the caller's
    assert pa.ipc.open_file(tmp_path / "a.arrow").num_record_batches == 4
    archive = Archive(tmp_path / "a.arrow")
    for i in range(10):
        np.testing.assert_array_equal(archive.keypoints(i), expected)


def test_other_float_types_and_memory_orders_are_converted(tmp_path: Path) -> None:
    keypoints = np.arange(2 * 15 * 3, dtype=np.float64).reshape(3, 15, 1, 2).transpose(3, 2, 1, 0)
    archive = write(tmp_path / "a.arrow", [Clip("a", 0, keypoints)])  # type: ignore[arg-type]
    assert archive.keypoints(0).dtype == np.float32
    np.testing.assert_array_equal(archive.keypoints(0), keypoints)


def test_pickle_reopens_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    archive = write(Path("a.arrow"), [make_clip("a"), make_clip("b", 2, view=1)][1:])
    pickled = pickle.dumps(archive)
    monkeypatch.chdir("/")
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert facts(again.clip(0)) == facts(archive.clip(0))
    assert again.info == archive.info


def test_unknown_clips(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.arrow", [make_clip("S001C001"), make_clip("S002C001")])
    with pytest.raises(ArchiveError, match=r"no clip 'S003C001' in a\.arrow \(did you mean 'S00"):
        archive.index("S003C001")
    with pytest.raises(IndexError):
        archive.keypoints(2)
    with pytest.raises(IndexError):
        archive.clip(2)


def test_fingerprint_is_of_the_clips_whatever_their_order(tmp_path: Path) -> None:
    a, b = make_clip("a"), make_clip("b", 1)
    prints = [
        write(tmp_path / "a.arrow", clips).fingerprint
        for clips in ([a, b], [b, a], [a, replace(b, label=2)], [a, replace(b, name="c")], [a])
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_reading_needs_no_torch() -> None:
    rooms = ["archive", "importers", "importers.nw_ucla", "longtail", "splits"]
    code = "import sys\n" + "".join(f"import shapmix.data.{room}\n" for room in rooms)
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


# ---- what the writer refuses


def with_values(**values: Any) -> Clip:
    return replace(make_clip("x"), **values)


def with_nan() -> Clip:
    clip = make_clip("x", T=5, M=2)
    clip.keypoints[3, 1, 7, 2] = np.nan
    return clip


BAD_CLIPS: dict[str, tuple[Clip, str]] = {
    "nan": (with_nan(), rf"z is nan at frame 3, person 1, joint '{SBU.joints[7]}' \(7\)"),
    "overflow": (with_values(keypoints=np.full((1, 1, 15, 3), 1e300)), "x is inf at frame 0"),
    "joints": (with_values(keypoints=np.zeros((2, 1, 20, 3), np.float32)), r"\(2, 1, 20, 3\), exp"),
    "channels": (with_values(keypoints=np.zeros((2, 1, 15, 2), np.float32)), "3 channels 'xyz'"),
    "axes": (with_values(keypoints=np.zeros((2, 15, 3), np.float32)), "expected .frames >= 1"),
    "no frame": (with_values(keypoints=np.zeros((0, 1, 15, 3), np.float32)), "frames >= 1"),
    "no person": (with_values(keypoints=np.zeros((2, 0, 15, 3), np.float32)), "persons >= 1"),
    "ints": (with_values(keypoints=np.zeros((2, 1, 15, 3), int)), "int64, expected an array of fl"),
    "list": (with_values(keypoints=[[[[0.0]]]]), "are list, expected an array of floats"),
    "label too large": (with_values(label=3), "label is 3, expected an int from 0 to 2"),
    "label negative": (with_values(label=-1), "label is -1"),
    "label bool": (with_values(label=True), "label is True"),
    "label float": (with_values(label=1.0), "label is 1.0"),
    "fps zero": (with_values(fps=0.0), "fps is 0.0, expected a positive number"),
    "fps nan": (with_values(fps=float("nan")), "fps is nan"),
    "fps text": (with_values(fps="30"), "fps is '30'"),
    "no name": (with_values(name=""), "non-empty text"),
    "surrogate": (with_values(name="a\ud800"), "name must be"),
    "built-in": (make_clip("x", num_frames=3), "'num_frames' is the name of a built-in column"),
    "keyword": (make_clip("x", **{"class": 3}), "'class' must be an identifier"),
    "space": (make_clip("x", **{"a b": 3}), "'a b' must be an identifier"),
    "float": (make_clip("x", view=1.5), "metadata view is 1.5, expected text, a 64-bit int or"),
    "bool": (make_clip("x", view=True), "metadata view is True"),
    "big": (make_clip("x", view=2**63), "64-bit"),
    "repeated": (make_clip("first", view=1), "an earlier clip has the same name"),
    "column missing": (make_clip("x"), "columns are none; expected view: int, as in all clips"),
    "column added": (make_clip("x", view=1, subject=2), "view: int, subject: int; expected view"),
    "column type": (make_clip("x", view="1"), "view: str; expected view: int"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_CLIPS.values(), ids=BAD_CLIPS)
def test_writer_refuses_a_bad_clip_and_goes_on(tmp_path: Path, bad: Clip, message: str) -> None:
    good = [make_clip("first", view=1), make_clip("last", view=np.int32(2))]
    with ArchiveWriter(tmp_path / "a.arrow", INFO) as writer:
        writer.write(good[0])
        with pytest.raises(ClipError, match=message) as caught:
            writer.write(bad)
        writer.write(good[1])
    assert repr(bad.name) in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    archive = Archive(tmp_path / "a.arrow")
    assert [facts(archive.clip(i)) for i in range(len(archive))] == [facts(clip) for clip in good]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": "zyx"}, r"channels are 'zyx', expected one of \('xyz', "),
        ({"class_names": ("a", "b", "a")}, "'a' occurs twice"),
        ({"class_names": ()}, "at least one"),
        ({"class_names": ["a"]}, "tuple"),
        ({"layout": "sbu15"}, "expected a Layout"),
        ({"units": None}, "units is None"),
        ({"splits": {"xsub": "subject == 1"}}, "split 'xsub' is 'subject == 1', expected two"),
    ],
)
def test_info_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        replace(INFO, **values)


# ---- a file is complete, or it is not there


class DeliberateError(Exception):
    pass


@pytest.mark.parametrize("existed", [False, True])
def test_an_error_leaves_nothing_behind(tmp_path: Path, existed: bool) -> None:
    path = tmp_path / "new" / "a.arrow"
    before = facts(write(path, [make_clip("before")]).clip(0)) if existed else None

    def fail_half_way() -> None:
        with ArchiveWriter(path, INFO, batch_bytes=1) as writer:
            writer.write(make_clip("a"))
            writer.write(make_clip("b"))
            raise DeliberateError

    with pytest.raises(DeliberateError):
        fail_half_way()
    assert sorted(path.parent.iterdir()) == ([path] if existed else [])
    if existed:
        assert facts(Archive(path).clip(0)) == before


def test_an_empty_archive_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ArchiveError, match="no clip was written"),
        ArchiveWriter(tmp_path / "a.arrow", INFO),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_archive import *
with ArchiveWriter({str(tmp_path / "a.arrow")!r}, INFO, batch_bytes=1) as writer:
    for name in "abcdef":
        writer.write(make_clip(name))
    writer._file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".a.arrow.")
    assert partial.name.endswith(".partial")
    assert partial.stat().st_size > 1000
    with pytest.raises(ArchiveError, match="cut short: its end is missing; make or copy"):
        Archive(partial)


# ---- damaged files


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ArchiveInfo, list[Any]]:
    """The bytes of a small archive, its info, and all facts of its clips."""
    path = tmp_path_factory.mktemp("sound") / "a.arrow"
    clips = [make_clip(f"clip {i}", i % 3, T=1 + i % 2, view=i, cam="x" * i) for i in range(4)]
    archive = write(path, clips, batch_bytes=500)
    return path.read_bytes(), archive.info, [facts(archive.clip(i)) for i in range(4)]


def open_bytes(folder: Path, content: bytes) -> Archive:
    path = folder / "damaged.arrow"
    path.unlink(missing_ok=True)  # never cut a file short while it is mapped
    path.write_bytes(content)
    return Archive(path)


@given(st.data())
@settings(same_folder, max_examples=300)
def test_altered_bytes_are_noticed_or_harmless(
    tmp_path: Path, sound: tuple[bytes, ArchiveInfo, list[Any]], data: st.DataObject
) -> None:
    content, info, expected = sound
    altered = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        altered[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        archive = open_bytes(tmp_path, bytes(altered))
    except ArchiveError:
        return
    assert archive.info == info
    found = [facts(archive.clip(i)) for i in range(len(archive))]
    if found != expected:  # then only values of keypoints are other
        assert [f[:4] + f[4][:2] for f in found] == [f[:4] + f[4][:2] for f in expected]
        with pytest.raises(ArchiveError, match=r"keypoints of record batch .* are damaged"):
            archive.verify()


@given(st.floats(0, 1, exclude_max=True))
@settings(same_folder, max_examples=100)
def test_a_truncated_file_is_refused(
    tmp_path: Path, sound: tuple[bytes, ArchiveInfo, list[Any]], share: float
) -> None:
    content = sound[0]
    with pytest.raises(ArchiveError):
        open_bytes(tmp_path, content[: int(share * len(content))])


def test_what_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"nothing\.arrow: no such file"):
        Archive(tmp_path / "nothing.arrow")
    with pytest.raises(ArchiveError, match="cannot be opened: it is a folder"):
        Archive(tmp_path)
    for content in (b"", b"x" * 5000):
        with pytest.raises(ArchiveError, match="not an Arrow file, so not an archive; make one"):
            open_bytes(tmp_path, content)
    table = pa.table({"name": ["a"]})
    with pa.ipc.new_file(tmp_path / "other.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ArchiveError, match="an Arrow file, but not an archive"):
        Archive(tmp_path / "other.arrow")


# ---- forged files: whole, with the right sums, and hostile


def forge(
    path: Path,
    clips: Sequence[Clip] = (make_clip("a"), make_clip("b")),
    columns: dict[str, type] | None = None,
    change: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch,
    header: bytes = header_json(INFO),
    repeat: int = 1,
    compression: str | None = None,
) -> Path:
    """Write `clips` unchecked, changed by `change`."""
    batch, sums = record_batch(clips, columns or {}, header)
    batch = change(batch)
    with suppress(TypeError, ValueError):  # what cannot be summed is refused before its sum
        sums = {**sums, b"index_crc32": archive_format._index_sum(batch, header)}
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(path, batch.schema, options=options) as writer:
        for _ in range(repeat):
            writer.write_batch(batch, custom_metadata=sums)
    return path


def put(name: str, values: Any) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        array = values(batch) if callable(values) else pa.array(values)
        place = batch.schema.get_field_index(name)
        columns = batch.columns
        columns[place] = array
        fields = list(batch.schema)
        fields[place] = pa.field(name, array.type)
        return pa.record_batch(columns, schema=pa.schema(fields, batch.schema.metadata))

    return change


SIZE = 2 * 15 * 3  # values of each forged clip
HUGE = 2**32  # HUGE * HUGE is 0 in 64 bits
FORGERIES: dict[str, tuple[Callable[[pa.RecordBatch], pa.RecordBatch], str]] = {
    "more frames": (put("num_frames", [2, 3]), "clip 'b' has a shape that does not fit"),
    "fewer frames": (put("num_frames", [1, 2]), "clip 'a' has a shape that does not fit"),
    "no frame": (put("num_frames", [0, 2]), "shape that does not fit"),
    "negative": (put("num_frames", [-2, 2]), "shape that does not fit"),
    "no person": (put("num_persons", [1, 0]), "shape that does not fit"),
    "label": (put("label", [0, 3]), r"clip 'b' has a label outside 0\.\.2"),
    "negative label": (put("label", [-1, 0]), "clip 'a' has a label"),
    "fps": (put("fps", [-1.0, None]), "clip 'a' has a frame rate"),
    "same name": (put("name", ["a", "a"]), "two clips have the same name"),
    "null name": (put("name", ["a", None]), "column 'name' has missing values"),
    "null label": (put("label", [None, 1]), "column 'label' has missing values"),
    "label type": (put("label", ["0", "1"]), "column 'label' is string, expected int64"),
    "name type": (put("name", [b"a", b"\xff"]), "column 'name' is binary, expected string"),
    "keypoints type": (put("keypoints", [[0.0], [1.0]]), "expected large_list<float>"),
    "not utf-8": (
        put("name", lambda _: pa.array([b"a", b"\xff"]).view(pa.string())),
        "cannot be read",
    ),
}


@pytest.mark.parametrize(("change", "message"), FORGERIES.values(), ids=FORGERIES)
def test_a_forged_index_is_refused(
    tmp_path: Path, change: Callable[[pa.RecordBatch], pa.RecordBatch], message: str
) -> None:
    with pytest.raises(ArchiveError, match=message):
        Archive(forge(tmp_path / "a.arrow", change=change))


def test_a_null_that_was_filled_is_seen(tmp_path: Path) -> None:
    clips = [make_clip("a", subject=None), make_clip("b", subject=3)]
    columns, header = {"subject": int}, header_json(INFO)
    batch, sums = record_batch(clips, columns, header)
    filled = put("subject", [0, 3])(batch)
    with pa.ipc.new_file(tmp_path / "a.arrow", filled.schema) as writer:
        writer.write_batch(filled, custom_metadata=sums)
    with pytest.raises(ArchiveError, match="the index of record batch 0 was altered"):
        Archive(tmp_path / "a.arrow")


@pytest.mark.parametrize(
    ("offsets", "shape_of_a", "message"),
    [
        ([SIZE, 2 * SIZE, 3 * SIZE], (2, 1), "keypoints that belong to no clip"),
        ([0, SIZE, 2 * SIZE], (2, 1), "keypoints that belong to no clip"),
        ([0, SIZE, 2 * SIZE + 1], (2, 1), "clip 'b' has a shape that does not fit"),
        ([2 * SIZE, 3 * SIZE, 4 * SIZE], (2, 1), "cannot be read"),
        ([-SIZE, 0, SIZE], (2, 1), "cannot be read"),
        ([0, 4 * SIZE, 3 * SIZE], (8, 1), "cannot be read"),
        ([-(2**63), 2**63 - 1, 0], (2, 1), "cannot be read"),
        ([0, 0, 3 * SIZE], (HUGE, HUGE), "clip 'a' has a shape that does not fit"),
        ([0, 3 * SIZE, 3 * SIZE], (6, 1), "clip 'b' has a shape that does not fit"),
    ],
)
def test_forged_offsets_are_refused(
    tmp_path: Path, offsets: list[int], shape_of_a: tuple[int, int], message: str
) -> None:
    """The offsets of two clips, a and b, are overwritten in the file; b says it has 2 frames."""
    clips = [make_clip("a", T=2), make_clip("b", T=4)]
    frames = put("num_frames", [shape_of_a[0], 2])
    persons = put("num_persons", [shape_of_a[1], 1])
    path = forge(tmp_path / "a.arrow", clips, change=lambda batch: frames(persons(batch)))
    content = path.read_bytes()
    true = np.array([0, SIZE, 3 * SIZE]).tobytes()
    assert content.count(true) == 1
    with pytest.raises(ArchiveError, match=message):
        open_bytes(tmp_path, content.replace(true, np.array(offsets).tobytes()))


def test_the_forger_itself_is_sound(tmp_path: Path) -> None:
    Archive(forge(tmp_path / "a.arrow")).verify()


def test_compressed_and_repeated_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is compressed or overlaps"):
        Archive(forge(tmp_path / "a.arrow", compression="zstd"))
    with pytest.raises(ArchiveError, match="two clips have the same name"):
        Archive(forge(tmp_path / "b.arrow", repeat=2))
    with pytest.raises(ArchiveError, match="holds no clip"):
        Archive(forge(tmp_path / "c.arrow", repeat=0))


def test_values_that_are_not_finite_are_found_by_verify(tmp_path: Path) -> None:
    archive = Archive(forge(tmp_path / "a.arrow", [make_clip("a"), replace(with_nan(), name="b")]))
    with pytest.raises(ArchiveError, match=r"record batch 0 \(from clip 'a'\) are damaged"):
        archive.verify()


def test_forged_metadata_columns_are_refused(tmp_path: Path) -> None:
    clips = [make_clip("a", **{"a b": 1})]
    with pytest.raises(ArchiveError, match="metadata column 'a b' is int64, expected an identif"):
        Archive(forge(tmp_path / "a.arrow", clips, {"a b": int}))
    clips = [make_clip("a", view=1)]
    with pytest.raises(ArchiveError, match="metadata column 'view' is double"):
        Archive(forge(tmp_path / "a.arrow", clips, {"view": int}, put("view", [1.5])))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"format_version": 1', b'"format_version": 2', "version 2, but this program reads ver"),
        (b"shapmix archive", b"something else", "does not say 'shapmix archive'"),
        (b'{"format"', b'["format"', "is not JSON"),
        (b'"units"', b'"unit"', "description is incomplete: KeyError.'units'."),
        (b'"channels": "xyz"', b'"channels": 3', "channels are 3"),
        (b'"class_names": ["push"', b'"class_names": [7', "class_names must be"),
        (b'"class_names": ["push", "hug", "punch"]', b'"class_names": 3', "incomplete"),
        (b'"layout": {', b'"layout": {"colour": 1, ', "layout is invalid"),
        (b'"splits": {"xview"', b'"splits": {"xview": 1, "b"', "incomplete"),
        (b"{", b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_forged_header_is_refused(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    header = header_json(INFO)
    assert old in header
    with pytest.raises(ArchiveError, match=message):
        Archive(forge(tmp_path / "a.arrow", header=header.replace(old, new, 1)))
