"""The OpenPose importer, and which bodies become which person."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from generators import openpose as generator
from generators.openpose import people, write_clip
from shapmix.data.archive import Archive
from shapmix.data.importers import openpose, recognise, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.openpose import Options

importer: Importer = openpose


def bodies_at(*xs: float, joints: int = 18, score: float = 0.5) -> np.ndarray:
    """(N, V, 3) bodies 100 px high, upright at x, each of another score (0.5, 0.51, ...)."""
    out = np.zeros((len(xs), joints, 3))
    out[..., 0] = np.array(xs)[:, None]
    out[..., 1] = np.linspace(50, 150, joints)
    out[..., 2] = score + 0.01 * np.arange(len(xs))[:, None]
    return out


def imported(source: Path, tmp_path: Path, options: Options | None = None) -> Archive:
    run_import("openpose", source, tmp_path / "a.arrow", options, strict=True)
    return Archive(tmp_path / "a.arrow")


def test_round_trip(tmp_path: Path) -> None:
    source = generator.write(tmp_path)
    archive = imported(source, tmp_path, Options(fps=25))
    assert sorted(archive.names) == [f"clip{n}" for n in range(6)]
    info = archive.info
    assert (info.layout.name, info.channels, info.units) == ("openpose25", "xyc", "px")
    assert info.class_names == ("jump", "wave")
    for i, name in enumerate(archive.names):
        clip = archive.clip(i)
        files = sorted(source.rglob(f"{name}_*.json"))
        assert info.class_names[clip.label] == files[0].parts[-3]
        assert clip.fps == 25
        poses = [json.loads(f.read_text())["people"][0]["pose_keypoints_2d"] for f in files]
        expected = np.array(poses, dtype=np.float32).reshape(-1, 1, 25, 3)
        np.testing.assert_array_equal(clip.keypoints, expected)


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "wave" / "c"
    frames = {t: people(bodies_at(float(t + 1))) for t in (2, 10, 1)}
    frames[5] = people(bodies_at())  # nobody
    write_clip(folder, frames)
    for path in folder.iterdir():  # without leading zeros, so that the names sort otherwise
        number = int(path.name.split("_")[1])
        path.rename(folder / f"{number}_keypoints.json")
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)
    assert keypoints[:, 0, 0, 0].tolist() == [2.0, 3.0, 11.0]


def test_unscored_joints_and_bodies_are_zero(tmp_path: Path) -> None:
    bodies = bodies_at(100.0, 300.0)
    bodies[0, 3, 2] = 0
    bodies[1] = 0
    write_clip(tmp_path / "x" / "wave" / "c", {0: people(bodies)})
    keypoints = imported(tmp_path / "x", tmp_path).keypoints(0)
    assert keypoints.shape == (1, 1, 18, 3)
    assert not keypoints[0, 0, 3].any()


def columns(source: Path, tmp_path: Path, most: int = 2) -> list[list[float]]:
    """x of each person in each frame; 0 for an absent one."""
    keypoints = imported(source, tmp_path, Options(max_persons=most)).keypoints(0)
    rows: list[list[float]] = keypoints[:, :, 0, 0].tolist()
    return rows


def test_persons_are_followed_whatever_their_order_in_a_frame(tmp_path: Path) -> None:
    paths = [(100.0 + 8 * t, 400.0 - 9 * t) for t in range(12)]
    frames = {
        t: people(bodies_at(*path)[::-1] if t % 3 == 1 else bodies_at(*path))
        for t, path in enumerate(paths)
    }
    write_clip(tmp_path / "x" / "wave" / "c", frames)
    # the second body of bodies_at has the higher score: it is the first person
    assert columns(tmp_path / "x", tmp_path) == [[b, a] for a, b in paths]


def test_person_ids_are_believed_even_across_the_picture(tmp_path: Path) -> None:
    frames = {t: people(bodies_at(*(100.0, 900.0)[:: 1 - 2 * (t % 2)]), [3, 7]) for t in range(4)}
    write_clip(tmp_path / "x" / "wave" / "c", frames)
    assert columns(tmp_path / "x", tmp_path) == [[900, 100], [100, 900]] * 2


def test_ids_that_repeat_in_a_frame_are_not_believed(tmp_path: Path) -> None:
    frames = {t: people(bodies_at(100.0, 900.0), [0, 0]) for t in range(3)}
    write_clip(tmp_path / "x" / "wave" / "c", frames)
    assert columns(tmp_path / "x", tmp_path) == [[900, 100]] * 3


def test_a_person_who_is_lost_and_found_again_stays_in_one_column(tmp_path: Path) -> None:
    xs = [(100.0, 500.0)] * 4 + [(100.0,)] * 2 + [(100.0, 800.0)] * 3
    frames = {t: people(bodies_at(*at)) for t, at in enumerate(xs)}
    write_clip(tmp_path / "x" / "wave" / "c", frames)
    found = columns(tmp_path / "x", tmp_path)
    assert found == [[100, 500]] * 4 + [[100, 0]] * 2 + [[100, 800]] * 3
    assert columns(tmp_path / "x", tmp_path, most=1) == [[100]] * 9


def test_short_lived_bodies_give_way(tmp_path: Path) -> None:
    frames = {t: people(bodies_at(100.0, 400.0)) for t in range(6)}
    frames[3] = people(np.concatenate([bodies_at(900.0, score=0.99), bodies_at(100.0, 400.0)]))
    write_clip(tmp_path / "x" / "wave" / "c", frames)
    assert columns(tmp_path / "x", tmp_path) == [[400, 100]] * 6


def test_labels_from_a_csv(tmp_path: Path) -> None:
    source = tmp_path / "x"
    for name in ("a", "b.2", "c"):
        write_clip(source / name, {0: people(bodies_at(9.0))})
    table = tmp_path / "labels.csv"
    table.write_text("clip,label,subject\na,wave,1\nb.2,jump,2\n")
    report = run_import("openpose", source, tmp_path / "a.arrow", Options(labels=str(table)))
    assert (report.read, report.skipped) == (2, {"no label": ["c"]})
    archive = Archive(tmp_path / "a.arrow")
    assert [archive.info.class_names[k] for k in archive.labels] == ["wave", "jump"]
    assert archive.metadata["subject"].tolist() == [1, 2]


def test_several_videos_in_the_folder_of_a_class(tmp_path: Path) -> None:
    for label, names in (("wave", ("a", "b")), ("jump", ("a", "c-2")), ("sit", ("d",))):
        for x, name in enumerate(names, 1):
            frames = {t: people(bodies_at(10.0 * x + t)) for t in range(3)}
            write_clip(tmp_path / "x" / label, frames, name=name)
    archive = imported(tmp_path / "x", tmp_path)
    assert archive.names == ("jump/a", "jump/c-2", "sit/d", "wave/a", "wave/b")
    assert [archive.info.class_names[k] for k in archive.labels] == [
        *("jump", "jump", "sit", "wave", "wave")
    ]
    assert archive.keypoints(1)[:, 0, 0, 0].tolist() == [20, 21, 22]
    table = tmp_path / "labels.csv"
    table.write_text("clip,label\na,wave\nb,jump\n")
    archive = imported(tmp_path / "x" / "wave", tmp_path, Options(labels=str(table)))
    assert archive.names == ("a", "b")


def test_the_field_of_openpose_1_0(tmp_path: Path) -> None:
    content = people(bodies_at(9.0))
    body = content["people"][0]
    write_clip(tmp_path / "x" / "wave" / "c", {0: content})
    expected = imported(tmp_path / "x", tmp_path).keypoints(0)
    body["pose_keypoints"] = body.pop("pose_keypoints_2d")
    write_clip(tmp_path / "x" / "wave" / "c", {0: content})
    np.testing.assert_array_equal(imported(tmp_path / "x", tmp_path).keypoints(0), expected)


def test_one_name_in_two_folders(tmp_path: Path) -> None:
    for label in ("wave", "jump"):
        write_clip(tmp_path / "x" / label / "1", {0: people(bodies_at(9.0))})
    assert imported(tmp_path / "x", tmp_path).names == ("jump/1", "wave/1")


def test_damaged_clips_are_skipped(tmp_path: Path) -> None:
    good = people(bodies_at(9.0))
    for name in ("good", "two", "twice", "cut", "count", "fields"):
        write_clip(tmp_path / "x" / "wave" / name, {0: good})
    folder = tmp_path / "x" / "wave"
    write_clip(folder / "two", {1: good}, name="other")
    (folder / "twice" / "twice_0_keypoints.json").write_text(json.dumps(good))
    (folder / "cut" / "cut_000000000001_keypoints.json").write_text(json.dumps(good)[:50])
    write_clip(folder / "count", {1: people(bodies_at(9.0, joints=25))})
    write_clip(folder / "fields", {1: {"people": [{"pose": []}]}})
    report = run_import("openpose", tmp_path / "x", tmp_path / "a.arrow", Options("openpose18"))
    assert report.skipped == {
        "several videos in a folder": ["two"],
        "repeated frame": ["twice"],
        "not JSON": ["cut"],
        "wrong number of joints": ["count"],
        "other fields": ["fields"],
    }
    for name in ("two", "twice", "cut"):
        shutil.rmtree(folder / name)
    with pytest.raises(SourceError, match=r"75 numbers, not 54 \(18 joints"):
        run_import(
            "openpose", tmp_path / "x", tmp_path / "b.arrow", Options("openpose18"), strict=True
        )


def test_useless_sources(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(SourceError, match="no OpenPose frames: expected files such as"):
        run_import("openpose", tmp_path / "x", tmp_path / "a.arrow")
    write_clip(tmp_path / "x" / "wave" / "c", {0: people(bodies_at(1.0, joints=21))})
    with pytest.raises(SourceError, match="bodies of 63 numbers, expected 54"):
        run_import("openpose", tmp_path / "x", tmp_path / "a.arrow")
    with pytest.raises(SourceError, match="max_persons is 0, expected 1 to 10"):
        run_import("openpose", tmp_path / "x", tmp_path / "a.arrow", Options(max_persons=0))
    with pytest.raises(SourceError, match="the clips have no labels"):
        run_import("openpose", tmp_path / "x" / "wave" / "c", tmp_path / "a.arrow")


def test_recognise(tmp_path: Path) -> None:
    assert next(iter(recognise(generator.write(tmp_path)))) == "openpose"
