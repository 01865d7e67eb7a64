"""The MediaPipe importer: JSON as users dump it, and both forms of CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators import mediapipe as generator
from generators.mediapipe import frame, pose, write_long, write_wide
from shapmix.data.archive import Archive
from shapmix.data.importers import mediapipe, recognise, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.mediapipe import Options

importer: Importer = mediapipe


def random_clip(T: int = 4, M: int = 1, seed: int = 0) -> np.ndarray:
    """(T, M, 33, 4); the second person is to the right and less visible."""
    clip = np.random.default_rng(seed).uniform(0.6, 0.9, (T, M, 33, 4)).round(3)
    clip[:, 1:, :, 0] += 5
    clip[:, 1:, :, 3] -= 0.5
    return clip


def put(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def imported(source: Path, tmp_path: Path, options: Options | None = None) -> Archive:
    run_import("mediapipe", source, tmp_path / "a.arrow", options, strict=True)
    return Archive(tmp_path / "a.arrow")


def one(tmp_path: Path, content: Any, options: Options | None = None) -> np.ndarray:
    """Keypoints of a source of one JSON file."""
    put(tmp_path / "x" / "a" / "c.json", content)
    return imported(tmp_path / "x", tmp_path, options).keypoints(0)


XYC, XYZ = [0, 1, 3], [0, 1, 2]


def test_round_trip(tmp_path: Path) -> None:
    archive = imported(generator.write(tmp_path), tmp_path)
    assert sorted(archive.names) == [f"clip{n}" for n in range(6)]
    info = archive.info
    assert (info.layout.name, info.channels, info.units) == ("mediapipe33", "xyc", "normalised")
    rng = np.random.default_rng(0)
    for number in range(6):
        clip = archive.clip(archive.index(f"clip{number}"))
        expected = rng.uniform(0.1, 0.9, (2 + number % 3, 1, 33, 4)).round(3)
        np.testing.assert_array_equal(clip.keypoints, expected[..., XYC].astype(np.float32))
        assert info.class_names[clip.label] == ("wave", "jump")[number % 2]
        assert clip.fps == (25.0, None, 20.0)[number % 3]


def test_forms_of_json(tmp_path: Path) -> None:
    clip = random_clip()
    expected = clip[..., XYC].astype(np.float32)
    frames = [frame(bodies, t) for t, bodies in enumerate(clip)]
    forms = [
        frames,
        {"frames": frames, "model": "heavy"},
        [{"pose_landmarks": pose(bodies[0])} for bodies in clip],
        [{"landmarks": bodies.tolist()} for bodies in clip],
        [{"landmarks": bodies[0].tolist()} for bodies in clip],
        [{"pose_landmarks": {"landmark": pose(bodies[0])}} for bodies in clip],
        [{"landmarks": [{"landmark": pose(body)} for body in bodies]} for bodies in clip],
        [None, {"pose_landmarks": {"landmark": None}}, *frames],
        [None, {}, *frames, {"pose_landmarks": []}, {"pose_landmarks": None}],
    ]
    for form in forms:
        np.testing.assert_array_equal(one(tmp_path, form), expected)


def test_depth_and_visibility_that_is_not_told(tmp_path: Path) -> None:
    clip = random_clip()
    frames = [frame(bodies, t) for t, bodies in enumerate(clip)]
    depth = one(tmp_path, frames, Options(depth=True))
    np.testing.assert_array_equal(depth, clip[..., XYZ].astype(np.float32))
    assert Archive(tmp_path / "a.arrow").info.channels == "xyz"
    for landmark in (mark for f in frames for mark in f["pose_landmarks"][0]):
        del landmark["visibility"]
    assert (one(tmp_path, frames)[..., 2] == 1).all()


def test_bodies_are_followed_in_the_picture(tmp_path: Path) -> None:
    clip = random_clip(T=12, M=2)
    world = random_clip(T=12, M=2, seed=1) - 0.7
    frames = []
    for t in range(12):
        turn = slice(None, None, 1 - 2 * (t % 2))
        shown = frame(clip[t, turn], t)
        shown["pose_world_landmarks"] = [pose(body) for body in world[t, turn]]
        frames.append(shown)
    expected = clip[..., XYC].astype(np.float32)
    np.testing.assert_array_equal(one(tmp_path, frames), expected)
    found = one(tmp_path, frames, Options(landmarks="world"))
    info = Archive(tmp_path / "a.arrow").info
    assert (info.channels, info.units) == ("xyz", "m")
    assert "hips" in info.source
    by_visibility = np.argsort(-world[..., 3].sum((0, 2)))
    np.testing.assert_array_equal(found, world[:, by_visibility][..., XYZ].astype(np.float32))


def test_world_landmarks_alone_keep_their_places(tmp_path: Path) -> None:
    world = random_clip(M=2)
    frames = [{"pose_world_landmarks": [pose(body) for body in bodies]} for bodies in world]
    found = one(tmp_path, frames, Options(landmarks="world"))
    np.testing.assert_array_equal(found, world[..., XYZ].astype(np.float32))


def test_csv_with_gaps_persons_and_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "x" / "a").mkdir(parents=True)
    clip = random_clip(M=2)
    path = write_long(tmp_path / "x" / "a" / "c.csv", clip)
    rows = list(csv.reader(path.read_text().splitlines()))
    header, body = rows[0], rows[1:][::-1]  # in any order
    lines = [";".join(row) for row in [header, *body]]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8-sig")
    wide = write_wide(tmp_path / "x" / "a" / "d.csv", clip[:, 0])
    text = wide.read_text().splitlines()
    wide.write_text("\n".join([text[0], text[1], "1" + "," * 132, *text[3:]]))
    archive = imported(tmp_path / "x", tmp_path)
    expected = clip[..., XYC].astype(np.float32)
    np.testing.assert_array_equal(archive.keypoints(0), expected)
    np.testing.assert_array_equal(archive.keypoints(1), expected[[0, 2, 3], :1])
    assert archive.clip(0).fps == 20


@pytest.mark.parametrize("write", [write_wide, write_long])
def test_csv_with_columns_of_text(tmp_path: Path, write: Any) -> None:
    clip = random_clip()
    (tmp_path / "x" / "a").mkdir(parents=True)
    path = write(tmp_path / "x" / "a" / "c.csv", clip[:, 0] if write is write_wide else clip)
    first, *rows = path.read_text().splitlines()
    lines = [f"label,{first},note,note", *(f"wave,{row},café,é" for row in rows)]
    path.write_text("\n".join(lines))
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)
    np.testing.assert_array_equal(keypoints, clip[..., XYC].astype(np.float32))


def test_labels_from_a_csv_in_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "x" / "c.json", [frame(bodies, t) for t, bodies in enumerate(random_clip())])
    table = tmp_path / "x" / "labels.csv"
    table.write_text("clip,label,camera\nc,wave,left\n")
    archive = imported(tmp_path / "x", tmp_path, Options(labels=str(table), fps=10))
    assert archive.clip(0).metadata == {"camera": "left"}
    assert archive.clip(0).fps == 25


def test_missing_joints_of_xyz_are_given_a_place(tmp_path: Path) -> None:
    frames = [frame(bodies, t) for t, bodies in enumerate(random_clip())]
    frames[1]["pose_landmarks"][0][4]["x"] = None
    put(tmp_path / "x" / "a" / "c.json", frames)
    report = run_import("mediapipe", tmp_path / "x", tmp_path / "a.arrow", Options(depth=True))
    assert report.repaired == {"missing joints given a place": ["c"]}
    assert not one(tmp_path, frames)[1, 0, 4].any()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}", "other fields"),
        ("[3]", "other fields"),
        ('[{"landmarks": 3}]', "other fields"),
        ('[{"landmarks": [[{"x": 1}]]}]', "wrong number of joints"),
        ('[{"landmarks": [3]}]', "wrong number of joints"),
        (json.dumps([{"landmarks": [[{"x": 1, "y": 2}] * 33]}]), "other fields"),
        (json.dumps([{"landmarks": [[["x"] * 4] * 33]}]), "not numbers"),
        (json.dumps([{"landmarks": [[[10**400] * 4] * 33]}]), "not numbers"),
        (json.dumps([{"landmarks": [[[1e999] * 4] * 33]}]), "not finite"),
        ("[]", "no body"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_damaged_json_is_skipped(tmp_path: Path, content: str, reason: str) -> None:
    source = generator.write(tmp_path)
    (source / "wave" / "bad.json").write_text(content)
    report = run_import("mediapipe", source, tmp_path / "a.arrow")
    assert (report.read, report.skipped) == (6, {reason: ["bad"]})


LONG = "frame,landmark,x,y,z\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "other columns"),
        (b"\xff\xfe", "not CSV"),
        (b"a,b\n1,2\n", "other columns"),
        (b"frame,x0,y0,z0\n1,2,3,4\n", "other columns"),
        ((LONG.strip() + ",x\n1,0,2,3,4,5,6\n").encode(), "other columns"),
        ((LONG + "1,0,2\n").encode(), "other columns"),
        ((LONG + "1.5,0,2,3,4\n").encode(), "other columns"),
        ((LONG + "x,0,2,3,4\n").encode(), "not numbers"),
        ((LONG + "0,0,2,3,4\n").encode(), "wrong number of joints"),
        ((LONG + "0,0,2,3,4\n" * 33).encode(), "wrong number of joints"),
        (LONG.encode(), "no body"),
        ((LONG + '"' + "x" * 200_000).encode(), "not CSV"),
    ],
)
def test_damaged_csv_is_skipped(tmp_path: Path, content: bytes, reason: str) -> None:
    source = generator.write(tmp_path)
    (source / "wave" / "bad.csv").write_bytes(content)
    report = run_import("mediapipe", source, tmp_path / "a.arrow")
    assert (report.read, report.skipped) == (6, {reason: ["bad"]})


def test_useless_sources(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(SourceError, match=r"has no \.json or \.csv file"):
        run_import("mediapipe", tmp_path / "x", tmp_path / "a.arrow")
    path = put(tmp_path / "c.json", [])
    with pytest.raises(SourceError, match="is one file; give a folder"):
        run_import("mediapipe", path, tmp_path / "a.arrow")


def test_recognise(tmp_path: Path) -> None:
    source = generator.write(tmp_path)
    assert next(iter(recognise(source))) == "mediapipe"
    for path in source.rglob("*.csv"):
        path.unlink()
    assert next(iter(recognise(source))) == "mediapipe"
