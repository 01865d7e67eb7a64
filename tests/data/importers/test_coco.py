"""The COCO importer: annotation files, detections, videos, labels from four places."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators import coco as generator
from generators.coco import video
from shapmix.data.archive import Archive
from shapmix.data.importers import coco, coco_videos, json_files, recognise, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.coco import Options
from shapmix.data.importers.json_files import SingleFile

importer: Importer = coco


def random_clip(T: int = 4, M: int = 1, seed: int = 0) -> np.ndarray:
    """(T, M, 17, 3); the second person is 600 px to the right and has the lower scores."""
    clip = np.random.default_rng(seed).uniform(0.6, 0.9, (T, M, 17, 3)).round(3)
    clip[..., :2] *= 300
    clip[:, 1:, :, 0] += 600
    clip[:, 1:, :, 2] -= 0.5
    return clip


def put(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def imported(source: Path, tmp_path: Path, options: Options | None = None) -> Archive:
    run_import("coco", source, tmp_path / "a.arrow", options, strict=True)
    return Archive(tmp_path / "a.arrow")


def test_round_trip(tmp_path: Path) -> None:
    source = generator.write(tmp_path)
    archive = imported(source, tmp_path)
    info = archive.info
    assert (info.layout.name, info.channels, info.units) == ("coco17", "xyc", "px")
    assert info.class_names == ("jump", "wave")
    assert sorted(archive.names) == [f"clip{n}" for n in range(6)]
    for i, name in enumerate(archive.names):
        path = next(source.rglob(f"{name}.json"))
        clip = archive.clip(i)
        assert info.class_names[clip.label] == path.parent.name
        tracks: dict[int, dict[int, list[float]]] = {}
        for a in json.loads(path.read_text())["annotations"]:
            tracks.setdefault(a["track_id"], {})[a["image_id"] - 100] = a["keypoints"]

        def score(track: dict[int, list[float]]) -> float:
            return -sum(sum(row[2::3]) for row in track.values())

        for m, track in enumerate(sorted(tracks.values(), key=score)):
            for t, row in track.items():
                found = clip.keypoints[t, m].ravel()
                np.testing.assert_array_equal(found, np.array(row, dtype=np.float32))


def test_visibilities_become_scores_and_scores_stay(tmp_path: Path) -> None:
    clip = random_clip()
    clip[..., 2] = np.arange(17) % 3
    put(tmp_path / "x" / "a" / "flags.json", video(clip))
    clip[..., 2] = np.arange(17) % 2
    put(tmp_path / "x" / "a" / "zero-one.json", video(clip))
    archive = imported(tmp_path / "x", tmp_path)
    flags, zero_one = (archive.keypoints(i)[0, 0, :, 2] for i in range(2))
    assert flags.tolist() == [0.5 * (v % 3) for v in range(17)]
    assert zero_one.tolist() == [v % 2 for v in range(17)]


def test_alphapose_results(tmp_path: Path) -> None:
    clip = random_clip(T=12, M=2)
    results = [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": body.ravel().tolist(), "idx": 0}
        for t in range(12)
        for body in clip[t, :: 1 - 2 * (t % 2)]
    ]
    put(tmp_path / "x" / "a" / "c.json", results)
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)  # idx repeats: no tracks
    np.testing.assert_array_equal(keypoints, clip.astype(np.float32))
    for number, result in enumerate(results):
        result |= {"idx": float(number % 2 != number // 2 % 2), "image_id": number // 2}
    put(tmp_path / "x" / "a" / "c.json", results)
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)
    np.testing.assert_array_equal(keypoints, clip.astype(np.float32))


def several(key: str = "video_id") -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """A file of two videos, called one and two, whose images alternate."""
    one, two = random_clip(seed=1), random_clip(seed=2)
    content = video(np.stack([one, two], 1).reshape(8, 1, 17, 3))
    for i, image in enumerate(content["images"]):
        del image["frame_index"]
        image |= {key: 5 + i % 2, "file_name": f"{i:04}.jpg"}
    content["videos"] = [{"id": 5, "name": "one.mp4"}, {"id": 6, "name": "two.mp4"}]
    return content, one, two


@pytest.mark.parametrize("key", ["video_id", "vid_id"])
def test_several_videos_in_a_file(tmp_path: Path, key: str) -> None:
    content, one, two = several(key)
    path = put(tmp_path / "poses.json", content)
    table = tmp_path / "labels.csv"
    table.write_text("clip,label\none,wave\ntwo,jump\n")
    archive = imported(path, tmp_path, Options(labels=str(table), fps=30))
    assert archive.names == ("one", "two")
    np.testing.assert_array_equal(archive.keypoints(0), one.astype(np.float32))
    np.testing.assert_array_equal(archive.keypoints(1), two.astype(np.float32))
    assert [archive.info.class_names[k] for k in archive.labels] == ["wave", "jump"]
    assert archive.clip(0).fps == 30


def test_videos_are_told_by_the_folders_of_images(tmp_path: Path) -> None:
    content, one, _ = several()
    del content["videos"]
    for i, image in enumerate(content["images"]):
        del image["video_id"]
        image["file_name"] = f"images\\{'ba'[i % 2]}/{i}.jpg"
    put(tmp_path / "x" / "wave" / "p.json", content)
    put(tmp_path / "x" / "jump" / "q.json", video(random_clip()))
    archive = imported(tmp_path / "x", tmp_path)
    assert archive.names == ("q", "p/images/a", "p/images/b")
    np.testing.assert_array_equal(archive.keypoints(2), one.astype(np.float32))
    assert archive.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("field", ["label", "action"])
def test_labels_of_videos(tmp_path: Path, field: str) -> None:
    content, *_ = several()
    for entry, label in zip(content["videos"], ("wave", "jump"), strict=True):
        entry[field] = label
    archive = imported(put(tmp_path / "poses.json", content), tmp_path)
    assert [archive.info.class_names[k] for k in archive.labels] == ["wave", "jump"]


def test_labels_of_images(tmp_path: Path) -> None:
    content, *_ = several()
    for image in content["images"]:
        image["label"] = image["video_id"] - 4
    options = Options(class_names="wave, jump", label_base=1)
    path = put(tmp_path / "poses.json", content)
    assert imported(path, tmp_path, options).labels.tolist() == [0, 1]
    content["images"][0]["label"] = 2
    put(path, content)
    report = run_import("coco", path, tmp_path / "b.arrow", options)
    assert report.skipped == {"several labels": ["one"]}


def test_the_siblings_of_a_single_file_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, *_ = several()
    for entry in content["videos"]:
        entry["label"] = "wave"
    path = put(tmp_path / "poses.json", content)
    put(tmp_path / "other.json", 3)
    report = run_import("coco", path, tmp_path / "a.arrow", workers=2)
    assert (report.read, report.ignored, report.skipped) == (2, 0, {})
    monkeypatch.setattr(coco, "MAX_BYTES", 100)
    table = tmp_path / "labels.csv"
    table.write_text("clip,label\none,wave\n")
    with pytest.raises(SourceError, match=r"1 skipped: too large \(poses\)"):
        run_import("coco", path, tmp_path / "b.arrow", Options(labels=str(table)))


def test_files_of_very_many_objects_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "MOST_OBJECTS", 20)
    put(tmp_path / "x" / "a" / "good.json", video(random_clip()))
    put(tmp_path / "x" / "a" / "bad.json", [[]] * 20)
    report = run_import("coco", tmp_path / "x", tmp_path / "a.arrow")
    assert report.skipped == {"too large": ["bad"]}


def test_numbers_are_packed_while_a_file_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "c.json", video(np.random.default_rng(0).normal(size=(500, 1, 17, 3))))
    tracemalloc.start()
    record = json_files.read_json(SingleFile(path, 2**30), "c.json", "c", coco_videos.compact)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(record["annotations"]) == 500
    assert held < path.stat().st_size


def test_another_layout(tmp_path: Path) -> None:
    clip = np.random.default_rng(0).uniform(0.1, 9, (3, 1, 18, 3))
    content = video(clip)
    content["categories"][0]["keypoints"] = [f"j{v}" for v in range(18)]
    put(tmp_path / "x" / "a" / "c.json", content)
    assert imported(tmp_path / "x", tmp_path, Options("openpose18")).info.layout.num_joints == 18
    with pytest.raises(SourceError, match="unknown layout 'coco18'"):
        imported(tmp_path / "x", tmp_path, Options("coco18"))


Edit = Callable[[dict[str, Any]], Any]
DAMAGED: dict[str, tuple[Edit, str]] = {
    "16 joints": (lambda r: r["annotations"][0].update(keypoints=[1.5] * 48), "wrong number"),
    "object": (lambda r: r["annotations"][0].update(keypoints={"a": 1}), "other fields"),
    "text": (lambda r: r["annotations"][0].update(keypoints=["x"] * 51), "not numbers"),
    "huge": (lambda r: r["annotations"][0].update(keypoints=[10**400] * 51), "not numbers"),
    "infinite": (lambda r: r["annotations"][0].update(keypoints=[1e999] * 51), "not finite"),
    "unknown image": (lambda r: r["annotations"][0].update(image_id=7), "unknown image"),
    "id is a list": (lambda r: r["images"][0].update(id=[1]), "other fields"),
    "no images": (lambda r: r.pop("images"), "other fields"),
    "annotations is text": (lambda r: r.update(annotations="x"), "other fields"),
    "annotation is a number": (lambda r: r["annotations"].append(3), "other fields"),
    "no annotation": (lambda r: r["annotations"].clear(), "no body"),
    "nothing": (lambda r: (r["annotations"].clear(), r["images"].clear()), "no body"),
    "PoseTrack's joints": (
        lambda r: r["categories"][0]["keypoints"].__setitem__(1, "head_bottom"),
        "other joints",
    ),
    "annotations is null": (lambda r: r.update(annotations=None), "other fields"),
    "no keypoints": (lambda r: [a.update(keypoints=[]) for a in r["annotations"]], "no body"),
    "text for a number": (
        lambda r: (
            r["images"][0].update(id="x", file_name="x.jpg", frame_index=None),
            r["annotations"][0].update(image_id="x"),
        ),
        "no frame number",
    ),
    "one number twice": (lambda r: r["images"][0].update(frame_index=1), "repeated frame"),
}


@pytest.mark.parametrize(("edit", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_skipped(tmp_path: Path, edit: Edit, reason: str) -> None:
    content = video(random_clip())
    put(tmp_path / "x" / "a" / "good.json", content)
    edit(content)
    put(tmp_path / "x" / "a" / "bad.json", content)
    report = run_import("coco", tmp_path / "x", tmp_path / "a.arrow")
    (found,) = report.skipped
    assert found.startswith(reason)
    assert (report.read, report.skipped[found]) == (1, ["bad"])


def images_named(names: list[str], clip: np.ndarray) -> dict[str, Any]:
    """A file of a clip whose images have ids that count down, and no frame_index."""
    content = video(clip)
    for t, (image, name) in enumerate(zip(content["images"], names, strict=True)):
        del image["frame_index"]
        image |= {"id": -t, "file_name": name}
        for annotation in content["annotations"]:
            if annotation["image_id"] == 100 + t:
                annotation["image_id"] = -t
    return content


@pytest.mark.parametrize(
    "name",
    [
        "frame_{:04}_720p.jpg",
        "{}_rgb2.png",
        "cam1/{:06}_cam1",
        "v2_{}.mp4.jpg",
        "{:03}_jpg.rf.7{}a",
        "{1}-{0}",
    ],
)
def test_frames_follow_the_number_that_varies(tmp_path: Path, name: str) -> None:
    clip = random_clip(T=12)
    names = [name.format(8 + t, 100 * (7 * t % 12)) for t in range(12)]
    put(tmp_path / "x" / "a" / "c.json", images_named(names, clip))
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)
    np.testing.assert_array_equal(keypoints, clip.astype(np.float32))


def test_frames_follow_the_ids_where_no_number_varies(tmp_path: Path) -> None:
    clip = random_clip()
    put(tmp_path / "x" / "a" / "c.json", images_named([f"{x}_720p.jpg" for x in "dbac"], clip))
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)
    np.testing.assert_array_equal(keypoints, clip[::-1].astype(np.float32))


def test_images_of_several_videos_that_nothing_tells_apart_are_skipped(tmp_path: Path) -> None:
    put(tmp_path / "x" / "a" / "good.json", video(random_clip()))
    names = [f"{clip}_{t}.jpg" for clip in ("a", "b") for t in range(2)]
    put(tmp_path / "x" / "a" / "bad.json", images_named(names, random_clip()))
    report = run_import("coco", tmp_path / "x", tmp_path / "a.arrow")
    assert report.skipped == {"repeated frame": ["bad"]}
    message = "the images 'a_0' and 'b_0' are frame 0; give frame_index"
    with pytest.raises(SourceError, match=message):
        run_import("coco", tmp_path / "x", tmp_path / "a.arrow", strict=True)


def test_null_joints_are_hidden(tmp_path: Path) -> None:
    clip = random_clip()
    content = video(clip)
    content["annotations"][1]["keypoints"][6:9] = [None, 2.0, None]
    clip[1, 0, 2] = 0
    put(tmp_path / "x" / "a" / "c.json", content)
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)
    np.testing.assert_array_equal(keypoints, clip.astype(np.float32))


def test_annotations_without_keypoints_are_passed_over(tmp_path: Path) -> None:
    content = video(random_clip())
    content["annotations"] += [{"image_id": 100, "bbox": [1]}, {"image_id": 101, "keypoints": []}]
    content["videos"], content["categories"] = 3, [None, {"keypoints": [1]}]
    put(tmp_path / "x" / "a" / "c.json", content)
    assert imported(tmp_path / "x", tmp_path).num_frames.tolist() == [4]


def test_useless_sources(tmp_path: Path) -> None:
    path = put(tmp_path / "poses.json", video(random_clip()))
    with pytest.raises(SourceError, match="the clips have no labels"):
        run_import("coco", path, tmp_path / "a.arrow")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"has no \.json file"):
        run_import("coco", tmp_path / "empty", tmp_path / "a.arrow")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": None}, '"annotations": a list; found null'),
        ({"annotations": 3}, '"annotations": a list; found a whole number'),
        ({"annotations": []}, r"1 skipped: no body \(poses\)"),
        ({"images": "x"}, '"images": a list; found text'),
    ],
)
def test_a_single_file_of_another_form(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content, *_ = several()
    content = {"images": [content["images"][0] | {"label": "wave"}], "annotations": [], **change}
    with pytest.raises(SourceError, match=message):
        run_import("coco", put(tmp_path / "poses.json", content), tmp_path / "a.arrow")
    no_keypoints = content | {"annotations": [{"image_id": 100, "bbox": [1, 2]}]}
    if "images" not in change:
        path = put(tmp_path / "poses.json", no_keypoints)
        with pytest.raises(SourceError, match="no annotation with keypoints, for 1 images"):
            run_import("coco", path, tmp_path / "a.arrow", strict=True)


def test_recognise(tmp_path: Path) -> None:
    assert next(iter(recognise(generator.write(tmp_path)))) == "coco"
    results = put(tmp_path / "r.json", [{"image_id": "1.jpg", "keypoints": [1.0] * 51}])
    assert "coco" in recognise(results)
