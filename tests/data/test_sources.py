"""Clips of sources of every kind: labelled or not, many or one, and nothing written beside them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from generators import bvh, mediapipe, ntu_raw, openpose
from shapmix.data.archive import Archive, ArchiveError, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.importers import IMPORTERS, load_importer, run_import
from shapmix.data.importers.base import SourceError
from shapmix.data.sources import (
    MOST_BYTES,
    Recording,
    Recordings,
    find_formats,
    is_archive,
    read_archive,
    read_source,
)
from shapmix.data.splits import make_split
from shapmix.layouts import CATALOG, Layout

FORMATS = list(IMPORTERS)
STICK = Layout.from_dict(
    {
        "name": "stick15",
        "joints": [f"j{n}" for n in range(15)],
        "bones": [[f"j{n}", f"j{n - 1}"] for n in range(1, 15)],
        "center": "j0",
        "parts": {"upper": [f"j{n}" for n in range(7)], "lower": [f"j{n}" for n in range(7, 15)]},
    }
)


def written(name: str, folder: Path, clips: int = 6) -> Path:
    source: Path = import_module(f"generators.{IMPORTERS[name].module}").write(
        folder, clips=clips, seed=3
    )
    return source


def files_of(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def read(source: Path, name: str, options: object = None, **expected) -> list[Recording]:
    with read_source(source, name, options, **expected) as recordings:
        return list(recordings)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_what_its_import_gives(name, tmp_path):
    source = written(name, tmp_path / "source")
    before = files_of(tmp_path / "source")
    run_import(name, source, tmp_path / "a.arrow")
    archive = Archive(tmp_path / "a.arrow")
    with read_source(source, name) as recordings:
        found = {recording.name: recording for recording in recordings}
    assert set(found) == set(archive.names)
    assert recordings.report.read == len(archive)
    for i, clip_name in enumerate(archive.names):
        clip, recording = archive.clip(i), found[clip_name]
        np.testing.assert_array_equal(recording.keypoints, clip.keypoints)
        assert recording.fps == clip.fps
        assert recording.label == archive.info.class_names[clip.label]
    assert files_of(tmp_path / "source") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.arrow", "source"]


def without_folders(source: Path, name: str) -> Path:
    """All clips of a source by folders at the top of one folder, so that nothing tells labels."""
    flat = source.with_name("flat")
    flat.mkdir()
    for path in source.rglob("*"):
        is_clip = path.is_dir() and name == "openpose" and not any(map(Path.is_dir, path.iterdir()))
        if is_clip:
            shutil.copytree(path, flat / path.name)
        elif path.is_file() and name != "openpose":
            shutil.copy(path, flat / path.name)
    return flat


@pytest.mark.parametrize("name", ["arrays", "bvh", "mediapipe", "openpose"])
def test_sources_by_folders_need_none(name, tmp_path):
    source = written(name, tmp_path / "source")
    labelled = read(source, name, layout=STICK if name == "arrays" else None)
    layout = STICK if name == "arrays" else None
    plain = read(without_folders(source, name), name, layout=layout)
    assert {r.label for r in plain} == {None}
    assert len(plain) == len(labelled) >= 6
    known = {r.name: r.keypoints for r in labelled}
    for recording in plain:
        np.testing.assert_array_equal(recording.keypoints, known[recording.name])


def test_a_table_without_the_column_label(tmp_path):
    source = written("table", tmp_path)
    lines = [line.split(",") for line in source.read_text().splitlines()]
    at = lines[0].index("label")
    plain = tmp_path / "plain.csv"
    plain.write_text("\n".join(",".join(v for i, v in enumerate(r) if i != at) for r in lines))
    found = read(plain, "table")
    assert {r.label for r in found} == {None}
    assert len(found) == 6


def test_coco_without_labels(tmp_path):
    pose = np.tile([10.0, 20.0, 0.9], 17).tolist()
    results = [{"image_id": f"{t:04}.jpg", "keypoints": pose, "score": 0.9} for t in range(4)]
    source = tmp_path / "poses.json"
    source.write_text(json.dumps(results))
    assert next(iter(find_formats(source))) == "coco"
    (recording,) = read(source, "coco")
    assert (recording.name, recording.label) == ("poses", None)
    assert recording.keypoints.shape == (4, 1, 17, 3)


@pytest.mark.parametrize("lacking", ["all", "one"])
def test_pyskl_without_labels(lacking, tmp_path):
    source = written("pyskl-pkl", tmp_path)
    content = pickle.loads(source.read_bytes())
    annotations = content["annotations"] if isinstance(content, dict) else content
    labels = {}
    for number, annotation in enumerate(annotations):
        labels[annotation["frame_dir"]] = annotation["label"]
        if lacking == "all" or number == 1:
            del annotation["label"]
    source.write_bytes(pickle.dumps(content))
    found = read(source, "pyskl-pkl")
    assert {r.name for r in found} == set(labels)
    unknown = [r.name for r in found if r.label is None]
    assert len(unknown) == (len(labels) if lacking == "all" else 1)


def test_single_clips_without_a_label_are_read_too(tmp_path):
    source = written("arrays", tmp_path)
    clip = np.ones((5, 15, 3), np.float32)
    np.save(source / "loose.npy", clip)
    with read_source(source, "arrays", layout=STICK) as recordings:
        found = {r.name: r.label for r in recordings}
    assert found.pop("loose") is None
    assert set(found.values()) == {"walk", "wave"}
    assert recordings.report.read == 7
    assert not recordings.report.skipped


def test_what_else_is_wrong_with_clips_without_a_label_is_noted(tmp_path):
    """Once each, and beside what is wrong with clips that have a label."""
    source = written("arrays", tmp_path)
    clip = np.ones((5, 15, 3), np.float32)
    labelled = next(path.parent for path in source.rglob("*.npy"))
    np.save(source / "loose.npy", clip)
    for folder in (source, labelled):
        np.save(folder / f"{folder.name}-zero.npy", 0 * clip)
        clip[2, 3] = np.nan
        np.save(folder / f"{folder.name}-gap.npy", clip)
    with read_source(source, "arrays", layout=STICK) as recordings:
        assert "loose" in {r.name for r in recordings}
    report, names = recordings.report, (labelled.name, source.name)
    assert report.skipped == {"no body": [f"{name}-zero" for name in names]}
    (gaps,) = report.repaired.values()
    assert gaps == [f"{name}-gap" for name in names]
    assert report.read == 6 + 3


def test_a_labels_file_of_the_user_counts(tmp_path):
    source = written("arrays", tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text("clip,label\nclip00,jump\nclip01,run\n")
    options = load_importer("arrays").Options(labels=str(labels))
    found = {r.name: r.label for r in read(source, "arrays", options, layout=STICK)}
    assert (found["clip00"], found["clip01"], found["clip02"]) == ("jump", "run", None)
    options = load_importer("arrays").Options(labels=str(tmp_path / "missing.csv"))
    with pytest.raises(SourceError, match=r"missing\.csv"):
        read(source, "arrays", options, layout=STICK)


# One file of each format that has one a clip; the name of its folder is its label.


def lone(name: str, folder: Path) -> Path:
    source = written(name, folder)
    endings = (".npy", ".npz", ".bvh", ".json", ".csv", ".skeleton", ".mat", ".txt")
    others = ("Skeleton_joint_order.txt", "files_used_in_cvpr12_paper.txt")
    files = [p for p in sorted(source.rglob("*")) if p.is_file() and p.name not in others]
    return next(p for p in files if p.suffix in endings)


LONE = ["arrays", "bvh", "mediapipe", "nw-ucla", "utd-mhad", "msr-action3d", "sbu"]


@pytest.mark.parametrize("name", LONE)
def test_one_file_is_one_clip(name, tmp_path):
    path = lone(name, tmp_path / "source")
    before = files_of(tmp_path)
    assert next(iter(find_formats(path))) == name
    layout = STICK if name == "arrays" else None
    (recording,) = read(path, name, layout=layout)
    assert recording.keypoints.ndim == 4
    assert recording.label is not None
    if name in ("arrays", "bvh", "mediapipe"):
        assert recording.label == path.parent.name
    assert files_of(tmp_path) == before


def test_one_skeleton_file(tmp_path):
    folder = ntu_raw.write(tmp_path / "ntu", clips=4, seed=1)
    path = next(p for p in sorted(folder.rglob("*.skeleton")))
    assert next(iter(find_formats(path))) == "ntu-raw"
    (recording,) = read(path, "ntu-raw")
    assert recording.name == path.stem
    assert recording.keypoints.shape[2:] == (25, 3)


def test_one_npz_is_no_zip_of_clips(tmp_path):
    path = tmp_path / "clip.npz"
    scores = np.full((6, 17), 0.5, np.float32)
    np.savez(path, keypoints=np.ones((6, 17, 2), np.float32), keypoint_scores=scores)
    (recording,) = read(path, "arrays", layout=CATALOG["coco17"], channels="xyc", units="px")
    assert recording.keypoints.shape == (6, 1, 17, 3)
    np.testing.assert_array_equal(recording.keypoints[..., 2], 0.5)


def test_one_file_in_a_hidden_folder(tmp_path):
    path = tmp_path / ".cache" / "wave" / "clip.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.ones((4, 15, 3), np.float32))
    (recording,) = read(path, "arrays", layout=STICK)
    assert recording.label == "wave"


def test_a_folder_of_openpose_frames_is_one_clip(tmp_path):
    body = np.random.default_rng(0).uniform(1, 9, (1, 25, 3))
    folder = openpose.write_clip(tmp_path / "clip", {t: openpose.people(body) for t in range(4)})
    (recording,) = read(folder, "openpose")
    assert recording.keypoints.shape == (4, 1, 25, 3)


# What the model expects tells what plain arrays are.


def test_bare_arrays_are_what_is_expected(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    np.save(folder / "a.npy", np.ones((6, 20, 3), np.float32))  # three layouts have 20 joints
    with read_source(folder, "arrays", layout=CATALOG["utd20"], units="mm") as recordings:
        assert recordings.info.layout == CATALOG["utd20"]
        assert recordings.info.units == "mm"
        assert len(list(recordings)) == 1
    with pytest.raises(SourceError, match=r"shape \(6, 20, 3\), expected .* 25 joints of ntu25"):
        read(folder, "arrays", layout=CATALOG["ntu25"])
    options = load_importer("arrays").Options(layout="msr20")
    with read_source(folder, "arrays", options, CATALOG["utd20"]) as recordings:
        assert recordings.info.layout == CATALOG["msr20"]


def test_a_table_of_joints_that_only_the_model_knows(tmp_path):
    lines = ["clip,frame,joint,x,y,z"]
    lines += [f"c,{t},j{n},{n},{t},1" for t in range(3) for n in reversed(range(15))]
    source = tmp_path / "poses.csv"
    source.write_text("\n".join(lines))
    with pytest.raises(SourceError, match="no layout of the catalog"):
        read(source, "table")
    (recording,) = read(source, "table", layout=STICK)
    np.testing.assert_array_equal(recording.keypoints[0, 0, :, 0], np.arange(15))


# Archives.


@pytest.fixture
def archive(tmp_path) -> Path:
    protocol = {"xsub": ("subject < 3", "subject >= 3")}
    info = ArchiveInfo(STICK, ("wave", "walk"), splits=protocol)
    with ArchiveWriter(tmp_path / "a.arrow", info) as writer:
        for i in range(8):
            keypoints = np.full((5, 1, 15, 3), i + 1.0, np.float32)
            writer.write(Clip(f"clip{i}", i % 2, keypoints, None, {"subject": i // 2}))
    return tmp_path / "a.arrow"


def test_an_archive_and_its_parts(archive, tmp_path):
    whole = Archive(archive)
    assert is_archive(archive)
    everything = list(read_archive(archive))
    assert [r.name for r in everything] == list(whole.names)
    split = make_split(whole, val_per_class=0)
    split.save(tmp_path / "split.json")
    for part in ("train", "test"):
        names = [r.name for r in read_archive(archive, tmp_path / "split.json", part)]
        assert sorted(names) == sorted(split.parts[part])
    (one,) = read_archive(archive, clip=whole.names[3])
    assert one.name == whole.names[3]
    with pytest.raises(ArchiveError, match="did you mean"):
        read_archive(archive, clip=whole.names[3] + "x")
    with pytest.raises(ValueError, match="not in the test part"):
        read_archive(archive, tmp_path / "split.json", "test", split.train[0])
    with pytest.raises(ValueError, match="part is 'tests'"):
        read_archive(archive, tmp_path / "split.json", "tests")


def test_the_one_clip_of_a_name(tmp_path):
    source = written("bvh", tmp_path)

    def only(name: str) -> list[Recording]:
        with read_source(source, "bvh") as recordings:
            return list(recordings.only(name))

    assert [r.name for r in only("take02")] == ["take02"]
    with pytest.raises(SourceError, match=r"no clip 'take2' \(did you mean 'take"):
        only("take2")


# Damage and nonsense.


def test_damaged_clips_are_skipped_and_counted(tmp_path):
    source = written("bvh", tmp_path)
    bad = sorted(source.rglob("*.bvh"))[1]
    bad.write_text("HIERARCHY nonsense")
    with read_source(source, "bvh") as recordings:
        assert len(list(recordings)) == 5
    assert recordings.report.num_skipped == 1


NOISE = bytes(range(5, 256, 4))


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"\x93NUMPY\x01\x00", NOISE],
    ids=["empty", "nonsense", "a torn header", "noise"],
)
@pytest.mark.parametrize("suffix", [".npy", ".bvh", ".json", ".csv", ".skeleton", ".zip", ".pkl"])
def test_hostile_files_are_refused_by_name(content, suffix, tmp_path):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read(path, next(iter(find_formats(path))), layout=STICK)
    assert path.name in str(caught.value)
    assert "shapmix-" not in str(caught.value), "no temporary folder is named"


def test_what_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="no file or folder"):
        find_formats(tmp_path / "nothing")
    with pytest.raises(SourceError, match="no file or folder"):
        read(tmp_path / "nothing", "arrays")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="not recognised; name it by --format"):
        find_formats(tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="no file or folder"):
        find_formats(tmp_path / "pipe")
    assert not is_archive(tmp_path / "pipe")
    assert not is_archive(tmp_path / "empty")


def test_a_lone_file_that_is_too_large_is_not_copied(tmp_path):
    path = tmp_path / "long.npy"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for look in (find_formats, lambda source: read(source, "arrays")):
        with pytest.raises(SourceError, match="has 64 MiB, a file of one clip at most 64; cut"):
            look(path)


def test_bvh_joints_and_mediapipe_landmarks_keep_their_names(tmp_path):
    """What a model of another skeleton would be told."""
    with read_source(bvh.write(tmp_path), "bvh", layout=STICK) as recordings:
        assert "Hips" in recordings.info.layout.joints
    with read_source(mediapipe.write(tmp_path), "mediapipe", layout=STICK) as recordings:
        assert isinstance(recordings, Recordings)
        assert recordings.info.layout.name == "mediapipe33"


def test_skeleton_files_of_any_name_are_clips_without_labels(tmp_path):
    """One file, or a folder of them; the names of NTU RGB+D go on telling labels."""
    name = ntu_raw.sample_names(1)[0]
    ntu_raw.write_dataset(tmp_path / "ntu", [name], frames=6, seed=0)
    (known,) = read(tmp_path / "ntu", "ntu-raw")
    mine = tmp_path / "mine"
    mine.mkdir()
    content = next((tmp_path / "ntu").rglob("*.skeleton")).read_bytes()
    for stem in ("kitchen", "S1"):
        (mine / f"{stem}.skeleton").write_bytes(content)
    assert known.label is not None
    for source, names in ((mine / "kitchen.skeleton", ["kitchen"]), (mine, ["S1", "kitchen"])):
        assert list(find_formats(source)) == ["ntu-raw"]
        found = read(source, "ntu-raw")
        assert [(r.name, r.label, r.fps) for r in found] == [(n, None, 30) for n in names]
        for recording in found:
            np.testing.assert_array_equal(recording.keypoints, known.keypoints)
    with pytest.raises(SourceError, match="--labels none"):
        run_import("ntu-raw", mine, tmp_path / "a.arrow")
    options = load_importer("ntu-raw").Options(labels="none")
    run_import("ntu-raw", mine, tmp_path / "a.arrow", options)
    assert Archive(tmp_path / "a.arrow").info.class_names == ("unlabelled",)


def test_videos_of_kinetics_without_label_files(tmp_path):
    """One file where the data set has it, one elsewhere, a folder."""
    source = written("kinetics-json", tmp_path / "source")
    labelled = {r.name: r for r in read(source, "kinetics-json")}
    folder = next(source.rglob("kinetics_val"))
    plain = tmp_path / "videos"
    shutil.copytree(folder, plain)
    shutil.copytree(folder, tmp_path / "bare" / "kinetics_val")
    inside = sorted(folder.glob("*.json"))
    names = [p.stem for p in inside if p.stem in labelled]
    elsewhere = tmp_path / "x.json"
    shutil.copy(folder / f"{names[0]}.json", elsewhere)
    cases = [
        (folder / f"{names[0]}.json", names[:1]),
        (plain, names),
        (tmp_path / "bare", names),
        (elsewhere, ["x"]),
    ]
    for path, expected in cases:
        assert next(iter(find_formats(path))) == "kinetics-json"
        found = read(path, "kinetics-json")
        assert [(r.name, r.label) for r in found] == [(name, None) for name in expected]
        known = labelled[names[0]].keypoints
        np.testing.assert_array_equal(found[0].keypoints, known)
    with pytest.raises(SourceError, match="--labels none"):
        run_import("kinetics-json", plain, tmp_path / "a.arrow")
