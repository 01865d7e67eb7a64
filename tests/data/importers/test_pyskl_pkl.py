"""The PYSKL importer: generated pickles against the arrays they were made of, and hostile ones."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from generators import pyskl_pkl as generator
from generators.pyskl_pkl import Content, dump
from shapmix.data.archive import Archive
from shapmix.data.importers import pyskl_pkl, run_import
from shapmix.data.importers.base import Importer, ImportReport, SourceError
from shapmix.data.importers.ntu_names import CLASS_NAMES
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.pyskl_pkl import Options

importer: Importer = pyskl_pkl  # the interface, checked by mypy


def imported(
    folder: Path, content: Any, options: Options | None = None, **flags: Any
) -> tuple[Archive, ImportReport]:
    source = dump(folder / "source.pkl", content)
    report = run_import("pyskl-pkl", source, folder / "out.arrow", options, **flags)
    return Archive(folder / "out.arrow"), report


def opened(folder: Path, content: Any, options: Options | None = None) -> pyskl_pkl.PysklPkl:
    return pyskl_pkl.open_source(dump(folder / "source.pkl", content), options or Options())


# ---- the published forms


@pytest.mark.parametrize("protocol", range(6))
def test_ntu_in_3d(tmp_path: Path, protocol: int) -> None:
    content = generator.ntu()
    source = dump(tmp_path / "ntu60_3danno.pkl", content, protocol)
    report = run_import("pyskl-pkl", source, tmp_path / "a.arrow", strict=True)
    assert (report.read, report.repaired) == (6, {})
    archive = Archive(tmp_path / "a.arrow")
    info = archive.info
    assert (info.layout.name, info.channels, info.units) == ("ntu25", "xyz", "m")
    assert info.class_names == CLASS_NAMES[:60]
    for i, annotation in enumerate(content["annotations"]):
        clip = archive.clip(i)
        assert (clip.name, clip.label) == (annotation["frame_dir"], annotation["label"])
        np.testing.assert_array_equal(clip.keypoints, annotation["keypoint"].transpose(1, 0, 2, 3))
        assert clip.metadata["camera"] == int(clip.name[5:8])
        assert clip.metadata["action"] == clip.label + 1
        assert clip.fps == 30
    assert dict(info.splits) == {
        "xsub": ('xsub == "train"', 'xsub == "val"'),
        "xview": ('xview == "train"', 'xview == "val"'),
    }
    for name in ("xsub", "xview"):
        for i in range(6):
            part = archive.clip(i).metadata[name]
            assert archive.names[i] in content["split"][f"{name}_{part}"]


def test_ntu_in_2d(tmp_path: Path) -> None:
    content = generator.ntu(two_d=True)
    content["annotations"][1]["keypoint_score"][0, 1, 5] = 0  # a joint that was not found
    archive, report = imported(tmp_path, content)
    assert (archive.info.layout.name, archive.info.channels, archive.info.units) == (
        "coco17",
        "xyc",
        "px",
    )
    for i, annotation in enumerate(content["annotations"]):
        scores = annotation["keypoint_score"][..., None]
        expected = np.concatenate([annotation["keypoint"], scores], 3).astype(np.float32)
        if i == 1:
            expected[0, 1, 5] = 0
        clip = archive.clip(i)
        np.testing.assert_array_equal(clip.keypoints, expected.transpose(1, 0, 2, 3))
        assert (clip.metadata["width"], clip.metadata["height"]) == (1920, 1080)
    assert report.num_skipped == 0


def expected_detections(
    annotation: Content, keypoint: npt.NDArray[Any], above: float, persons: int
) -> list[list[npt.NDArray[Any]]]:
    """Frames of bodies, in the words of the format."""
    frames = []
    for t in range(annotation["total_frames"]):
        found = [n for n, frame in enumerate(annotation["frame_inds"]) if frame == t]
        found = [n for n in found if annotation["box_score"][n] > above]
        found.sort(key=lambda n: -annotation["box_score"][n])
        if found:
            frames.append([keypoint[n] for n in found[:persons]])
    return frames


@pytest.mark.parametrize(("above", "persons", "files"), [(0.5, 2, 2), (0.0, 1, 1), (0.8, 5, 3)])
def test_kinetics(tmp_path: Path, above: float, persons: int, files: int) -> None:
    content, kpfiles = generator.kinetics(clips=8, files=files)
    for name, keypoints in kpfiles.items():
        dump(tmp_path / "kpfiles" / name, keypoints)
    options = Options(kpfiles=str(tmp_path / "kpfiles"), box_score=above, max_persons=persons)
    archive, report = imported(tmp_path, content, options, strict=True)
    assert (archive.info.layout.name, archive.info.channels) == ("coco17", "xyc")
    assert dict(archive.info.splits) == {"given": ('part == "train"', 'part == "val"')}
    assert report.read == 8
    for i, annotation in enumerate(content["annotations"]):
        file = Path(annotation["raw_file"]).name
        keypoint = kpfiles[file][annotation["frame_dir"]]["keypoint"]
        expected = expected_detections(annotation, keypoint, above, persons)
        found = archive.clip(i)
        assert found.keypoints.shape[:2] == (len(expected), max(map(len, expected)))
        for frame, bodies in zip(found.keypoints, expected, strict=True):
            np.testing.assert_array_equal(frame[: len(bodies)], bodies)
            assert not frame[len(bodies) :].any()
        assert found.metadata["part"] == ("val" if i % 2 else "train")


def test_keypoint_files_beside_the_annotations(tmp_path: Path) -> None:
    content, kpfiles = generator.kinetics()
    bare = {name: {k: v["keypoint"] for k, v in file.items()} for name, file in kpfiles.items()}
    for name, keypoints in bare.items():
        dump(tmp_path / name, keypoints)
    archive, _ = imported(tmp_path, content, strict=True)
    assert len(archive) == 6


def test_another_process_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyskl_pkl, "UNIT_BYTES", 1)
    source = opened(tmp_path, generator.ntu())
    expected = [clip.keypoints.tobytes() for clip in source.read(source.units, ImportReport())]
    sent = pickle.loads(pickle.dumps(source))
    assert (sent.info, sent.units, len(sent.units)) == (source.info, source.units, 6)
    found = []
    for unit in sent.units:
        found += [clip.keypoints.tobytes() for clip in sent.read([unit], ImportReport())]
    assert found == expected


# ---- splits, classes, options


def test_splits_of_all_kinds_become_columns(tmp_path: Path) -> None:
    content = generator.ntu()
    names = [annotation["frame_dir"] for annotation in content["annotations"]]
    content["split"] = {
        "train1": names[:3],
        "test1": names[3:],
        "train": names[:2],
        "val": names[2:3],
        "test": names[3:],
        "camera_train": names[:1],
        "camera_val": names[1:],
        "2d_train": names[:1],
        "2d_val": names[1:],
        "lonely_train": names,
        "else": names,
        5: names,
        "odd_val": "text",
    }
    source = opened(tmp_path, content)
    assert dict(source.info.splits) == {
        "given1": ('part1 == "train"', 'part1 == "test"'),
        "given": ('part == "train"', 'part == "test"'),
        "camera": ('split_camera == "train"', 'split_camera == "val"'),
        "2d": ('split_2d == "train"', 'split_2d == "val"'),
    }
    clips = list(source.read(source.units, ImportReport(strict=True)))
    assert [clip.metadata["part"] for clip in clips] == ["train"] * 2 + ["val"] + ["test"] * 3
    assert [*clips[0].metadata] == [*source.columns]


@pytest.mark.parametrize("kind", [str, bytes, ">U30"])
def test_splits_may_be_arrays_of_text(tmp_path: Path, kind: Any) -> None:
    content = generator.ntu()
    expected = opened(tmp_path, content).splits
    content["split"] = {name: np.array(clips, kind) for name, clips in content["split"].items()}
    assert opened(tmp_path, content).splits == expected


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(3), "the split xsub_val has int64, expected frame_dirs"),
        (np.array([b"caf\xe9"]), "the split xsub_val cannot be read: 'ascii' codec"),
        (np.array([0x7FFFFFF], "i4").view("U1"), "the split xsub_val cannot be read: "),
    ],
)
def test_splits_that_are_other_arrays(
    tmp_path: Path, array: npt.NDArray[Any], message: str
) -> None:
    content = generator.ntu()
    content["split"]["xsub_val"] = array
    with pytest.raises(SourceError, match=message):
        opened(tmp_path, content)


def test_a_clip_in_both_halves_is_skipped_and_one_in_none_kept(tmp_path: Path) -> None:
    content = generator.ntu()
    names = [annotation["frame_dir"] for annotation in content["annotations"]]
    content["split"] = {"xsub_train": names[:3], "xsub_val": names[2:5]}
    archive, report = imported(tmp_path, content)
    assert report.skipped == {"in two parts of a split": [names[2]]}
    assert archive.clip(4).metadata["xsub"] == "none"


def test_a_list_alone(tmp_path: Path) -> None:
    archive, _ = imported(tmp_path, generator.ntu()["annotations"], strict=True)
    assert dict(archive.info.splits) == {}


def test_class_names(tmp_path: Path) -> None:
    content = generator.ntu()
    for annotation in content["annotations"]:
        annotation["frame_dir"] += "x"
    assert opened(tmp_path, content).info.class_names == ("0", "1", "2", "3")
    assert "camera" not in opened(tmp_path, content).columns
    source = opened(tmp_path, content, Options(class_names="a,b,c,d,e"))
    assert source.info.class_names == ("a", "b", "c", "d", "e")
    content = generator.ntu()
    content["annotations"][0]["label"] = np.int64(119)
    assert opened(tmp_path, content).info.class_names == CLASS_NAMES


def test_channels_and_layouts(tmp_path: Path) -> None:
    flat, solid = generator.ntu(two_d=True), generator.ntu()
    assert opened(tmp_path, flat, Options(channels="xy")).info.channels == "xy"
    assert opened(tmp_path, solid, Options(channels="xyc")).info.channels == "xyc"
    for annotation in flat["annotations"]:
        del annotation["keypoint_score"], annotation["img_shape"]
    archive, _ = imported(tmp_path, flat, strict=True)
    assert archive.info.channels == "xy"
    with pytest.raises(SourceError, match="2 values: channels are xy, not xyz"):
        opened(tmp_path, flat, Options(channels="xyz"))
    with pytest.raises(SourceError, match="have 25 joints, but the layout kinect20 has 20"):
        opened(tmp_path, solid, Options(layout="kinect20"))
    with pytest.raises(SourceError, match="unknown layout"):
        opened(tmp_path, solid, Options(layout="ntu26"))
    with pytest.raises(SourceError, match="max_persons is 0"):
        opened(tmp_path, solid, Options(max_persons=0))
    for annotation in flat["annotations"]:
        annotation["keypoint"] = annotation["keypoint"][:, :, :9]
    with pytest.raises(SourceError, match="skeletons of 9 joints: say with --layout"):
        opened(tmp_path, flat)


# ---- damaged clips

K = np.ones((1, 4, 25, 3), np.float32)
ZEROS, NAN, INF = np.zeros_like(K), K.copy(), K.copy()
NAN[0, 1, 3] = np.nan
INF[0, 1, 3] = np.inf

DAMAGED: dict[str, tuple[Content, str]] = {
    "no keypoint": ({"keypoint": None}, "no keypoints"),
    "keypoint as list": ({"keypoint": K.tolist()}, "no keypoints"),
    "other joints": ({"keypoint": K[:, :, :20]}, "wrong shape"),
    "other values": ({"keypoint": K[..., :2]}, "wrong shape"),
    "flat": ({"keypoint": K[0]}, "wrong shape"),
    "booleans": ({"keypoint": K > 0}, "wrong type"),
    "texts": ({"keypoint": K.astype("U3")}, "wrong type"),
    "infinite": ({"keypoint": INF}, "not finite"),
    "overflow": ({"keypoint": K.astype(np.float64) * 1e300}, "not finite"),
    "zeros": ({"keypoint": ZEROS}, "no body"),
    "no persons": ({"keypoint": K[:0]}, "no body"),
    "no frames": ({"keypoint": K[:, :0], "total_frames": 0}, "no body"),
    "more frames": ({"keypoint": K, "total_frames": 5}, "contradictory number of frames"),
    "no label": ({"label": None}, "unknown label"),
    "negative label": ({"label": -1}, "unknown label"),
    "huge label": ({"label": 10**15}, "unknown label"),
    "label as bool": ({"label": True}, "unknown label"),
    "several labels": ({"label": [1, 2]}, "several labels"),
    "labels as array": ({"label": np.array([1, 2])}, "several labels"),
    "repeated": ({"frame_dir": "clip0"}, "duplicate name"),
    "no name": ({"frame_dir": 5}, "bad name"),
    "bad name": ({"frame_dir": "\ud800"}, "bad name"),
}


def clips(**changes: Any) -> list[Content]:
    """Four annotations, the last one changed."""
    annotations: list[Content] = [
        {"frame_dir": f"clip{i}", "label": i % 2, "total_frames": 4, "keypoint": K}
        for i in range(4)
    ]
    annotations[-1] |= changes
    return annotations


@pytest.mark.parametrize(("changes", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_clip_is_skipped(tmp_path: Path, changes: Content, reason: str) -> None:
    archive, report = imported(tmp_path, clips(**changes))
    assert list(report.skipped) == [reason]
    assert list(archive.names) == ["clip0", "clip1", "clip2"]
    with pytest.raises(SourceError, match="strict"):
        imported(tmp_path, clips(**changes), strict=True)


def test_items_that_are_no_annotations_are_skipped(tmp_path: Path) -> None:
    _, report = imported(tmp_path, [*clips(), None, {}, []])
    assert report.skipped == {"no keypoints": ["item 4", "item 5", "item 6"]}


def test_clips_are_mended(tmp_path: Path) -> None:
    gap = K.copy()
    gap[0, 2] = 0
    archive, report = imported(
        tmp_path, [*clips(keypoint=NAN), *clips(keypoint=gap, frame_dir="gap")[3:]]
    )
    assert report.repaired == {
        "missing joints filled in": ["clip3"],
        "frames without a body left out": ["gap"],
    }
    assert archive.num_frames.tolist() == [4, 4, 4, 4, 3]


DETECTIONS: dict[str, tuple[Content, str]] = {
    "other number": ({"box_score": np.ones(2)}, "wrong shape"),
    "frames in two dimensions": ({"frame_inds": np.zeros((2, 2))}, "wrong shape"),
    "no scores": ({"box_score": None}, "other fields"),
    "frame beyond": ({"frame_inds": np.array([0, 1, 99])}, "contradictory number of frames"),
    "frame before": ({"frame_inds": np.array([-1, 1, 2])}, "contradictory number of frames"),
    "low scores": ({"box_score": np.full(3, 0.5)}, "no body"),
    "scores of nan": ({"box_score": np.full(3, np.nan)}, "no body"),
    "no file": ({"raw_file": "else.pkl"}, "no keypoint file"),
    "file outside": ({"raw_file": "../outside/secret.pkl"}, "no keypoint file"),
    "absolute": ({"raw_file": "/etc/passwd"}, "no keypoint file"),
    "parent": ({"raw_file": "..\\.."}, "no keypoint file"),
    "strange": ({"raw_file": "\ud800\0" * 100}, "no keypoint file"),
    "not in the file": ({"frame_dir": "else"}, "no keypoints"),
    "program": ({"raw_file": "program.pkl"}, "unreadable keypoint file"),
    "list": ({"raw_file": "list.pkl"}, "unreadable keypoint file"),
}


@pytest.mark.parametrize(("changes", "reason"), DETECTIONS.values(), ids=DETECTIONS)
def test_damaged_detections_are_skipped(tmp_path: Path, changes: Content, reason: str) -> None:
    annotations = [
        {"frame_dir": f"clip{i}", "label": i % 2, "total_frames": 4, "raw_file": "x/kp.pkl"}
        | {"frame_inds": np.arange(3), "box_score": np.ones(3, np.float32)}
        for i in range(3)
    ]
    annotations[-1] |= changes
    keypoint = {"keypoint": np.ones((3, 17, 3), np.float16)}
    dump(tmp_path / "kp.pkl", {f"clip{i}": keypoint for i in range(3)})
    dump(tmp_path.parent / "outside" / "secret.pkl", {"clip2": keypoint})
    dump(tmp_path / "list.pkl", [1])
    (tmp_path / "program.pkl").write_bytes(PROGRAM)
    archive, report = imported(tmp_path, annotations)
    assert list(report.skipped) == [reason]
    assert list(archive.names) == ["clip0", "clip1"]
    assert not (tmp_path / "ran").exists()


# ---- useless and hostile sources

PROGRAM = b"cposix\nsystem\n(S'touch ran'\ntR."


def program_in_an_annotation() -> bytes:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("touch ran",)

    return pickle.dumps({"annotations": clips(keypoint=Evil())})


SOURCES: dict[str, tuple[bytes, str]] = {
    "program": (PROGRAM, "refuses to build posix.system"),
    "program in an annotation": (program_in_an_annotation(), "refuses to build posix.system"),
    "empty": (b"", "cannot be read"),
    "text": (b"hello", "no opcode|cut off"),
    "cut": (pickle.dumps(generator.ntu())[:-50], "cut off|damaged|opcode"),
    "number": (pickle.dumps(5), "holds no annotations: expected"),
    "nothing": (pickle.dumps([]), "holds no annotations"),
    "other dictionary": (pickle.dumps({"a": 1}), "holds no annotations"),
    "no keypoints": (pickle.dumps([{"frame_dir": "a", "label": 1}]), "no annotation has keypoints"),
    "no labels": (pickle.dumps([{"frame_dir": "a", "keypoint": K}]), "no clip .* has a label"),
    "four values": (
        pickle.dumps([{"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 1, 17, 4))}]),
        "4 values, expected 2 or 3",
    ),
}


@pytest.mark.parametrize(("content", "message"), SOURCES.values(), ids=SOURCES)
def test_useless_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        run_import("pyskl-pkl", tmp_path / "a.pkl", tmp_path / "out.arrow")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pkl"]


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        run_import("pyskl-pkl", tmp_path, tmp_path / "out.arrow")
    content, _ = generator.kinetics()
    with pytest.raises(SourceError, match=r"no keypoint file: k400_0\.pkl is not in .*--kpfiles"):
        opened(tmp_path, content)
    with pytest.raises(SourceError, match=r"no folder of keypoint files \(--kpfiles\)"):
        opened(tmp_path, content, Options(kpfiles=str(tmp_path / "nothing")))


def test_an_array_that_lies_about_its_size_is_skipped(tmp_path: Path) -> None:
    content = pickle.dumps(clips(keypoint=K[:, :3].copy(), total_frames=None), 2)
    changed = content.replace(b"K\x01K\x03K\x19K\x03t", b"K\x01K\xffK\x19K\x03t")
    assert changed != content
    (tmp_path / "a.pkl").write_bytes(changed)
    report = run_import("pyskl-pkl", tmp_path / "a.pkl", tmp_path / "a.arrow")
    assert report.skipped == {"unreadable array": ["clip3"]}


@pytest.mark.parametrize("kinetics", [False, True])
def test_any_change_of_bytes_is_survived(tmp_path: Path, kinetics: bool) -> None:
    rng = np.random.default_rng(0)
    content, kpfiles = generator.kinetics(files=1)
    for name, keypoints in kpfiles.items():
        dump(tmp_path / name, keypoints)
    source = dump(tmp_path / "k.pkl", content) if kinetics else generator.write(tmp_path)
    changed = tmp_path / ("k400_0.pkl" if kinetics else source.name)
    good = {path: path.read_bytes() for path in (source, changed)}
    for round_ in range(200):
        path = (source, changed)[round_ % 2]
        mutated = bytearray(good[path])
        for position in rng.integers(0, len(mutated), 2):
            mutated[position] = rng.integers(256)
        path.write_bytes(mutated)
        try:
            found = pyskl_pkl.open_source(source, Options())
            list(found.read(found.units, ImportReport()))
        except SourceError:
            pass
        path.write_bytes(good[path])


def test_recognise(tmp_path: Path) -> None:
    for protocol in range(6):
        for content in (generator.ntu(), generator.ntu()["annotations"], generator.kinetics()[0]):
            assert pyskl_pkl.recognise(Peek(dump(tmp_path / "a.pkl", content, protocol)))
        assert not pyskl_pkl.recognise(Peek(dump(tmp_path / "b.pkl", [1, 2], protocol)))
    assert not pyskl_pkl.recognise(Peek(tmp_path))
    (tmp_path / "c.pkl").write_text("annotations")
    assert not pyskl_pkl.recognise(Peek(tmp_path / "c.pkl"))
