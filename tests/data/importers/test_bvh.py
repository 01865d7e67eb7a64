"""BVH: forward kinematics against matrices one frame at a time, hierarchies, labels, bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from generators import bvh as written
from shapmix.data.archive import Archive
from shapmix.data.clip import ClipError
from shapmix.data.importers import bvh, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.bvh import Options
from shapmix.data.importers.bvh_motion import Joint, parse, positions, read_frames
from shapmix.data.importers.peek import Peek

importer: Importer = bvh  # the interface, checked by mypy

ZXY = ("zrotation", "xrotation", "yrotation")
ARM = """HIERARCHY
ROOT Hip {
 OFFSET 1 2 3
 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
 JOINT Upper arm
 {
  OFFSET 10 0 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  End Site
  { OFFSET 5 0 0 }
 }
}
"""


def place(joints: tuple[Joint, ...], row: np.ndarray) -> list[np.ndarray]:
    """Positions in one frame, joint by joint, with 4x4 matrices."""
    column, world = 0, []
    for joint in joints:
        local = np.eye(4)
        translation = np.array(joint.offset)
        if joint.parent >= 0 and any("position" in channel for channel in joint.channels):
            translation = np.zeros(3)
        angles, axes = [], ""
        for channel in joint.channels:
            if "position" in channel:
                translation["xyz".index(channel[0])] += row[column]
            else:
                angles, axes = [*angles, row[column]], axes + channel[0].upper()
            column += 1
        if axes:
            turns = [
                Rotation.from_euler(a, v, degrees=True) for a, v in zip(axes, angles, strict=True)
            ]
            for turn in turns:
                local[:3, :3] = local[:3, :3] @ turn.as_matrix()
        local[:3, 3] = translation
        world.append(local if joint.parent < 0 else world[joint.parent] @ local)
    return [matrix[:3, 3] for matrix in world]


@pytest.mark.parametrize("seed", range(5))
def test_forward_kinematics_is_the_product_of_matrices(seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = [f"{axis}{kind}" for kind in ("position", "rotation") for axis in "xyz"]
    joints = []
    for number in range(12):
        channels = random.permutation(kinds)[: random.integers(0, 7)]
        parent = int(random.integers(0, number)) if number else -1
        offset = tuple(random.normal(size=3).tolist())
        joints.append(Joint(f"j{number}", parent, False, offset, tuple(map(str, channels))))
    width = sum(len(joint.channels) for joint in joints)
    values = random.normal(scale=90, size=(7, width))
    expected = np.array([place(tuple(joints), row) for row in values])
    np.testing.assert_allclose(positions(tuple(joints), values), expected, rtol=1e-5, atol=1e-4)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    motion = parse((written.SKELETON + "MOTION\n").encode(), "a")
    values = np.random.default_rng(0).normal(size=(10, 36))
    whole = positions(motion.joints, values)
    monkeypatch.setattr("shapmix.data.importers.bvh_motion.CHUNK_PLACES", 40)
    np.testing.assert_array_equal(positions(motion.joints, values), whole)


def test_known_poses() -> None:
    text = (
        ARM
        + "MOTION\nFrames: 3\nFrame Time: 0.01\n"
        + (
            "0 0 0  0 0 0  0 0 0\n"
            "0 0 0  90 0 0  0 0 0\n"  # about z: x becomes y
            "1 1 1  0 0 90  90 0 0\n"  # about y: x becomes -z; then, within, about z
        )
    )
    motion = parse(text.encode(), "a")
    assert motion.skeleton == (
        ("Hip", -1, False),
        ("Upper arm", 0, False),
        ("Upper arm_end", 1, True),
    )
    values, fps, _ = read_frames(motion, "a")
    assert fps == 100
    expected = [
        [(1, 2, 3), (11, 2, 3), (16, 2, 3)],
        [(1, 2, 3), (1, 12, 3), (1, 17, 3)],
        [(2, 3, 4), (2, 3, -6), (2, 8, -6)],
    ]
    np.testing.assert_allclose(positions(motion.joints, values), expected, atol=1e-5)


def test_archive_of_generated_files(tmp_path: Path) -> None:
    source = written.write(tmp_path, clips=4)
    (source / "readme.txt").write_text("x")
    report = run_import("bvh", source, tmp_path / "a.arrow")
    assert (report.read, report.ignored, report.skipped, report.repaired) == (4, 1, {}, {})
    archive = Archive(tmp_path / "a.arrow")
    info = archive.info
    assert (info.class_names, info.units, info.channels) == (("walk", "wave"), "cm", "xyz")
    assert archive.names == ("take00", "take02", "take01", "take03")
    assert archive.labels.tolist() == [0, 0, 1, 1]
    clip = archive.clip(1)
    assert (clip.fps, clip.keypoints.shape) == (30, (7, 1, 11, 3))
    assert list(info.layout.parts) == ["trunk", "right_arm", "left_arm", "right_leg", "left_leg"]
    motion = parse((source / "walk" / "take02.bvh").read_bytes(), "a")
    rows = (source / "walk" / "take02.bvh").read_text().split("0.0333333\n")[1].splitlines()
    values = np.array([list(map(float, row.split())) for row in rows])
    joints = [joint.name for joint in motion.joints]
    used = [joints.index(joint) for joint in info.layout.joints]
    expected = np.array([place(motion.joints, row) for row in values])[:, used]
    np.testing.assert_allclose(clip.keypoints[:, 0], expected, rtol=1e-5, atol=1e-3)


def test_end_sites_scale_and_labels_from_a_csv(tmp_path: Path) -> None:
    source = written.write(tmp_path, clips=3)
    run_import("bvh", source, tmp_path / "a.arrow")
    labels = tmp_path / "labels.csv"
    labels.write_text("clip;label;actor\ntake00;run;7\nwave/take01.bvh;sit;8\ntake02.bvh;run;9\n")
    options = Options(labels=str(labels), end_sites=True, scale=0.01, units="m")
    run_import("bvh", source, tmp_path / "b.arrow", options)
    small, large = Archive(tmp_path / "b.arrow"), Archive(tmp_path / "a.arrow")
    assert small.info.layout.num_joints == 13
    assert small.info.class_names == ("run", "sit")
    assert small.metadata["actor"].tolist() == [7, 9, 8]
    at = [small.info.layout.joints.index(joint) for joint in large.info.layout.joints]
    for i in range(3):
        np.testing.assert_allclose(
            small.keypoints(i)[:, :, at], large.keypoints(i) / 100, rtol=1e-5, atol=1e-5
        )


YAML = """name: upper
joints: [head, chest, left_arm, right_arm]
bones: [[head, chest], [left_arm, chest], [right_arm, chest]]
center: chest
parts: {trunk: [head, chest], arms: [left_arm, right_arm]}
"""


def test_a_layout_picks_joints_by_name(tmp_path: Path) -> None:
    source = written.write(tmp_path, clips=2)
    layout = tmp_path / "upper.yaml"
    layout.write_text(YAML)
    run_import("bvh", source, tmp_path / "a.arrow")
    run_import("bvh", source, tmp_path / "b.arrow", Options(layout=str(layout)))
    whole, upper = Archive(tmp_path / "a.arrow"), Archive(tmp_path / "b.arrow")
    names = ["Head", "Chest", "LeftArm", "RightArm"]
    at = [whole.info.layout.joints.index(joint) for joint in names]
    np.testing.assert_array_equal(upper.keypoints(0), whole.keypoints(0)[:, :, at])
    layout.write_text(YAML.replace("left_arm", "left_amr"))
    with pytest.raises(SourceError, match=r"no joint 'left_amr'.*'LeftArm'.*layout upper"):
        run_import("bvh", source, tmp_path / "c.arrow", Options(layout=str(layout)))


GOOD = written.SKELETON + written.motion(np.zeros((2, 36)) + 1)
BAD = {
    "empty": ("", "not BVH"),
    "cut hierarchy": (GOOD[:300] + "\nMOTION\n", "bad hierarchy"),
    "unknown word": (GOOD.replace("OFFSET", "OFSET", 1), "bad hierarchy"),
    "no number": (GOOD.replace("20.0", "x", 1), "bad hierarchy"),
    "unknown channel": (GOOD.replace("Yrotation", "Yrot", 1), "bad hierarchy"),
    "many channels": (GOOD.replace("CHANNELS 6", "CHANNELS 99999999", 1), "bad hierarchy"),
    "repeated name": (GOOD.replace("LeftHand", "Head", 1), "bad hierarchy"),
    "another joint": (GOOD.replace("LeftHand", "LeftFist", 1), "another skeleton"),
    "cut motion": (GOOD[:-20], "bad motion"),
    "frames cut": (GOOD.rstrip().rpartition("\n")[0] + "\n", "frames are missing"),
    "huge count": (GOOD.replace("Frames: 2", "Frames: 999999999"), "frames are missing"),
    "many lines": (GOOD + "\n" * 200_000, "too large"),
    "text": (GOOD.replace("1.00000", "one", 1), "bad motion"),
    "nan": (GOOD.replace("1.00000", "nan", 1), "not finite"),
    "overflow": (GOOD.replace("1.00000", "1e300", 1), "not finite"),
    "no frame time": (GOOD.replace("Frame Time", "Time"), "bad motion"),
    "zero frame time": (GOOD.replace("0.0333333", "0"), "bad frame time"),
    "no frames": (written.SKELETON + "MOTION\nFrames: 0\nFrame Time: 0.1\n", "no frames"),
    "deep": ("HIERARCHY ROOT a { " + "JOINT b { " * 100_000 + "\nMOTION\n", "bad hierarchy"),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_bad_files_are_skipped(tmp_path: Path, text: str, reason: str) -> None:
    source = written.write(tmp_path, clips=2)
    (source / "wave" / "zz.bvh").write_text(text)
    report = run_import("bvh", source, tmp_path / "a.arrow")
    assert report.skipped == {reason: ["zz"]}
    assert report.read == 2


def test_more_frames_than_declared(tmp_path: Path) -> None:
    source = written.write(tmp_path, clips=2)
    (source / "wave" / "zz.bvh").write_text(GOOD.replace("Frames: 2", "Frames: 1"))
    report = run_import("bvh", source, tmp_path / "a.arrow")
    assert report.repaired == {"more frames than declared": ["zz"]}


def test_what_differs_is_said(tmp_path: Path) -> None:
    source = written.write(tmp_path, clips=2)
    (source / "wave" / "zz.bvh").write_text(GOOD.replace("LeftHand", "LeftFist", 1))
    with pytest.raises(SourceError, match=r"lacks LeftHand, .* and adds LeftFist"):
        run_import("bvh", source, tmp_path / "a.arrow", strict=True)
    with pytest.raises(ClipError, match=r"'Hips' has the unknown channel 'yrot'.*'yrotation'"):
        parse(GOOD.replace("Yrotation", "Yrot", 1).encode(), "a")


def test_sources_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no \.bvh file"):
        run_import("bvh", tmp_path, tmp_path / "a.arrow")
    (tmp_path / "a.bvh").write_text(GOOD)
    with pytest.raises(SourceError, match="no labels; put each clip into a folder"):
        run_import("bvh", tmp_path, tmp_path / "a.arrow")
    with pytest.raises(SourceError, match="scale is 0"):
        run_import("bvh", tmp_path, tmp_path / "a.arrow", Options(scale=0))


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("clip,labels\na,b\n", r"no column 'label'; .*did you mean 'labels'"),
        ("clip,label\na\n", "line 2: 1 values, 2 columns"),
        ("clip,label\na,\n", "line 2: clip or label is empty"),
        ("clip,label\na,b\na,c\n", "labels the clip 'a' twice, 'b' and 'c'"),
        ("clip,label\n", "no row"),
        ("clip,label,the view,the_view\na,b,1,2\n", "two columns would be called 'the_view'"),
        ("clip,label\na,b\n", "clips such as 'a', none of which is there; the first .*take00"),
        ("", "no column 'clip'"),
    ],
)
def test_bad_labels(tmp_path: Path, csv: str, message: str) -> None:
    source = written.write(tmp_path, clips=2)
    labels = tmp_path / "labels.csv"
    labels.write_text(csv)
    with pytest.raises(SourceError, match=message):
        run_import("bvh", source, tmp_path / "a.arrow", Options(labels=str(labels)))


def test_a_clip_without_label_is_skipped(tmp_path: Path) -> None:
    source = written.write(tmp_path, clips=2)
    labels = tmp_path / "labels.csv"
    labels.write_text("clip,label\ntake00,run\n")
    report = run_import("bvh", source, tmp_path / "a.arrow", Options(labels=str(labels)))
    assert report.skipped == {"no label": ["wave/take01.bvh"]}


def test_names_that_repeat_have_their_folders(tmp_path: Path) -> None:
    for label in ("walk", "run"):
        (tmp_path / "x" / label).mkdir(parents=True)
        (tmp_path / "x" / label / "01.bvh").write_text(GOOD)
    run_import("bvh", tmp_path / "x", tmp_path / "a.arrow")
    assert Archive(tmp_path / "a.arrow").names == ("run/01", "walk/01")


def test_recognise(tmp_path: Path) -> None:
    assert "take00" in str(bvh.recognise(Peek(written.write(tmp_path))))
    assert bvh.recognise(Peek(tmp_path / "mocap" / "nothing")) is None
