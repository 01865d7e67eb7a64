"""The Kinetics-Skeleton importer, on files in the documented format."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators import kinetics_json as generator
from shapmix.data.archive import Archive
from shapmix.data.importers import kinetics_json, recognise, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.kinetics_json import Options

importer: Importer = kinetics_json


def expected(record: dict[str, Any], persons_in: int = 5, most: int = 2) -> np.ndarray:
    """The slow reading: frame by frame, body by body, joint by joint."""
    frames = []
    for frame in sorted(record["data"], key=lambda frame: frame["frame_index"]):
        bodies = frame["skeleton"][:persons_in]
        bodies = sorted(bodies, key=lambda body: -np.float32(body["score"]).sum(dtype=float))[:most]
        out = np.zeros((most, 18, 3), dtype=np.float32)
        for m, body in enumerate(bodies):
            for v in range(18):
                if body["score"][v] > 0:
                    out[m, v] = (*body["pose"][2 * v : 2 * v + 2], body["score"][v])
        if out.any():
            frames.append(out)
    keypoints = np.stack(frames)
    return keypoints[:, keypoints.any((0, 2, 3))]


def change(source: Path, video: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = next(source.rglob(f"{video}.json"))
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return generator.write(tmp_path)


def test_clips_are_those_of_the_slow_reading(source: Path, tmp_path: Path) -> None:
    change(source, "video-1_", lambda r: r["data"].reverse())
    report = run_import("kinetics-json", source, tmp_path / "a.arrow", strict=True)
    assert (report.read, report.ignored) == (6, 0)
    archive = Archive(tmp_path / "a.arrow")
    assert archive.names == tuple(f"video-{n}_" for n in (0, 1, 3, 4, 2, 5))
    assert archive.metadata["part"].tolist() == ["train"] * 4 + ["val"] * 2
    info = archive.info
    assert (info.layout.name, info.channels, info.units) == ("openpose18", "xyc", "normalised")
    assert info.class_names == ("action 0", "action 1", "action 2")
    assert info.splits == {"given": ("part == 'train'", "part == 'val'")}
    for i, name in enumerate(archive.names):
        record = json.loads(next(source.rglob(f"{name}.json")).read_text())
        clip = archive.clip(i)
        assert (clip.label, clip.fps) == (record["label_index"], 30.0)
        np.testing.assert_array_equal(clip.keypoints, expected(record))


def test_every_kind_of_scene_at_its_real_length(tmp_path: Path) -> None:
    videos = [("train", n % 2) for n in range(len(generator.KINDS))]
    truth = generator.write_dataset(tmp_path / "source", videos, frames=300)
    report = run_import("kinetics-json", tmp_path / "source", tmp_path / "a.arrow", strict=True)
    assert (report.read, report.ignored) == (7, 1)  # "nobody" has no skeleton
    archive = Archive(tmp_path / "a.arrow")
    assert archive.num_frames.max() == 300
    for i, name in enumerate(archive.names):
        record = generator.record(truth[name], 0)
        np.testing.assert_array_equal(archive.keypoints(i), expected(record))


def test_a_zip_gives_the_same(source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in source.rglob("*.json"):
            archive.write(path, path.relative_to(tmp_path))
        archive.writestr("__MACOSX/kinetics_train/._video-0_.json", b"junk")
    outs = [tmp_path / "folder.arrow", tmp_path / "zip.arrow"]
    for path, out in zip((source, tmp_path / "a.zip"), outs, strict=True):
        report = run_import("kinetics-json", path, out)
    assert (report.read, report.ignored, report.skipped) == (6, 0, {})
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.parametrize(
    ("options", "persons_in", "most"),
    [(Options(max_persons=1), 5, 1), (Options(max_persons=3), 5, 3), (Options(2, 2), 2, 2)],
)
def test_number_of_persons(
    tmp_path: Path, source: Path, options: Options, persons_in: int, most: int
) -> None:
    run_import("kinetics-json", source, tmp_path / "a.arrow", options)
    archive = Archive(tmp_path / "a.arrow")
    record = json.loads(next(source.rglob("video-4_.json")).read_text())
    found = archive.keypoints(archive.index("video-4_"))
    np.testing.assert_array_equal(found, expected(record, persons_in, most))


def test_persons_in_the_order_listed(tmp_path: Path, source: Path) -> None:
    run_import("kinetics-json", source, tmp_path / "a.arrow", Options(persons="order"))
    archive = Archive(tmp_path / "a.arrow")
    frames = json.loads(next(source.rglob("video-4_.json")).read_text())["data"]
    found = archive.keypoints(archive.index("video-4_"))
    for t, frame in enumerate(frames):
        for m, body in enumerate(frame["skeleton"][:2]):
            np.testing.assert_array_equal(found[t, m, :, 2], np.float32(body["score"]))


def test_one_part_is_enough_and_labels_may_have_gaps(tmp_path: Path, source: Path) -> None:
    shutil.rmtree(source / "kinetics_val")
    labels = source / "kinetics_train_label.json"
    entries = json.loads(labels.read_text())
    for name, entry in entries.items():
        change(source, name, lambda r: r.update(label="far", label_index=4))
        entry.update(label="far", label_index=4)
    labels.write_text(json.dumps(entries))
    assert run_import("kinetics-json", source, tmp_path / "a.arrow").read == 4
    assert Archive(tmp_path / "a.arrow").info.class_names == ("0", "1", "2", "3", "far")


Edit = Callable[[dict[str, Any]], Any]
DAMAGED: dict[str, tuple[Edit, str]] = {
    "no data": (lambda r: r.pop("data"), "other fields"),
    "no frame index": (lambda r: r["data"][0].pop("frame_index"), "other fields"),
    "frame index is true": (lambda r: r["data"][0].update(frame_index=True), "other fields"),
    "skeleton is text": (lambda r: r["data"][0].update(skeleton="x"), "other fields"),
    "body is a list": (lambda r: r["data"][0].update(skeleton=[[]]), "other fields"),
    "25 joints": (
        lambda r: r["data"][0]["skeleton"][0].update(pose=[0.5] * 50),
        "wrong number of joints",
    ),
    "17 scores": (
        lambda r: r["data"][0]["skeleton"][0]["score"].pop(),
        "wrong number of joints",
    ),
    "text": (lambda r: r["data"][0]["skeleton"][0]["pose"].__setitem__(0, "x"), "not numbers"),
    "object": (lambda r: r["data"][0]["skeleton"][0]["pose"].__setitem__(0, {}), "not numbers"),
    "lists": (lambda r: r["data"][0]["skeleton"][0].update(pose=[[1]] * 36), "not numbers"),
    "huge int": (
        lambda r: r["data"][0]["skeleton"][0]["pose"].__setitem__(0, 10**400),
        "not numbers",
    ),
    "infinite": (
        lambda r: r["data"][0]["skeleton"][0]["pose"].__setitem__(0, float("inf")),
        "not finite",
    ),
    "no body": (lambda r: r.update(data=[]), "no body"),
    "no score": (
        lambda r: r.update(data=[{"frame_index": 1, "skeleton": []}]),
        "no body",
    ),
    "another label": (lambda r: r.update(label="action 1"), "contradictory label"),
    "another index": (lambda r: r.update(label_index=1), "contradictory label"),
}


@pytest.mark.parametrize(("edit", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_clips_are_skipped(tmp_path: Path, source: Path, edit: Edit, reason: str) -> None:
    change(source, "video-0_", edit)
    report = run_import("kinetics-json", source, tmp_path / "a.arrow")
    assert (report.read, report.skipped) == (5, {reason: ["video-0_"]})


def test_null_joints_are_hidden(tmp_path: Path, source: Path) -> None:
    change(source, "video-0_", lambda r: r["data"][0]["skeleton"][0]["pose"].__setitem__(0, None))
    run_import("kinetics-json", source, tmp_path / "a.arrow", strict=True)
    archive = Archive(tmp_path / "a.arrow")
    first = archive.keypoints(archive.index("video-0_"))[0, :, 0]
    assert sorted(first.any(1).tolist()) == [False, True]


def test_entries_of_the_label_file(tmp_path: Path, source: Path) -> None:
    path = source / "kinetics_train_label.json"
    entries = json.loads(path.read_text())
    entries["video-0_"]["has_skeleton"] = False
    entries["video-1_"] = 3
    del entries["video-3_"]
    path.write_text(json.dumps(entries))
    report = run_import("kinetics-json", source, tmp_path / "a.arrow")
    assert report.ignored == 1
    assert report.skipped == {
        "bad entry in the label file": ["video-1_"],
        "not in the label file": ["video-3_"],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "cannot read .*recursion"),
        ("[]", "holds no object"),
        ('{"a": {"label": "x", "label_index": 0}, "b": {"label": "y", "label_index": 0}}', "both"),
        ('{"a": {"label": "x", "label_index": 7}, "b": {"label": "x", "label_index": 8}}', "two"),
    ],
)
def test_bad_label_files(tmp_path: Path, source: Path, content: str, message: str) -> None:
    (source / "kinetics_train_label.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        run_import("kinetics-json", source, tmp_path / "a.arrow")


def test_useless_sources(tmp_path: Path, source: Path) -> None:
    (source / "kinetics_val_label.json").unlink()
    with pytest.raises(SourceError, match=r"no kinetics_val_label\.json; put it beside"):
        run_import("kinetics-json", source, tmp_path / "a.arrow")
    with pytest.raises(SourceError, match="expected 1 to persons_in"):
        run_import("kinetics-json", source, tmp_path / "a.arrow", Options(max_persons=6))
    with pytest.raises(SourceError, match="no Kinetics-Skeleton clips: expected"):
        run_import("kinetics-json", source / "kinetics_train", tmp_path / "a.arrow")


def test_recognise(source: Path) -> None:
    assert next(iter(recognise(source))) == "kinetics-json"
