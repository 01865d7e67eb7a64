"""The SBU importer; the published files and Python's csv reader are the oracles."""

import csv
import io
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from generators import sbu as generator
from shapmix.data.archive import Archive
from shapmix.data.importers import run_import, sbu
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.sbu import FOLDS, Options
from shapmix.data.splits import make_split

importer: Importer = sbu  # the interface, checked by mypy


@pytest.fixture(scope="module")
def source(real_data):
    path = real_data / "sbu.zip"
    if not path.is_file():
        pytest.skip(f"SBU not found at {path}")
    return path


def imported(source, out, options=None):
    report = run_import("sbu", source, out, options, strict=True)
    assert (report.read, report.ignored, report.repaired) == (282, 0, {})
    return Archive(out)


@pytest.fixture(scope="module")
def published(source, tmp_path_factory):
    return imported(source, tmp_path_factory.mktemp("published") / "sbu.arrow")


@pytest.fixture(scope="module")
def metric(source, tmp_path_factory):
    """All clips in metres."""
    archive = imported(source, tmp_path_factory.mktemp("metric") / "sbu.arrow", Options(True))
    return archive, [archive.clip(i) for i in range(len(archive))]


def test_published_files(published):
    assert np.bincount(published.labels).tolist() == [42, 43, 40, 41, 18, 21, 39, 38]
    assert published.num_frames.sum() == 6822
    assert set(published.num_persons.tolist()) == {2}
    assert (published.info.layout.name, published.info.units) == ("sbu15", "normalised")
    published.verify()


def test_published_values(published, source):
    with zipfile.ZipFile(source) as files:
        for name in ("s01s02_01_001", "s04s06_05_001", "s07s03_08_002"):
            content = files.read(f"{name.replace('_', '/')}/skeleton_pos.txt").decode()
            rows = [[float(field) for field in row] for row in csv.reader(io.StringIO(content))]
            clip = published.clip(published.index(name))
            for t, row in enumerate(rows):
                expected = np.array(row[1:], dtype=np.float32).reshape(2, 15, 3)
                np.testing.assert_array_equal(clip.keypoints[t], expected)
            pair, action, take = name.split("_")
            assert clip.label == int(action) - 1
            assert (clip.metadata["pair"], clip.metadata["take"]) == (pair, int(take))


def test_folds_are_a_partition_of_the_published_pairs(published, source):
    with zipfile.ZipFile(source) as files:
        pairs = {name.split("/")[0] for name in files.namelist()}
    assert sorted(pair for fold in FOLDS for pair in fold) == sorted(pairs)
    sizes = []
    for number in range(1, 6):
        split = make_split(published, protocol=f"fold{number}", val_fraction=0)
        assert len(split.train) + len(split.test) == 282
        sizes.append(len(split.test))
    assert sizes == [55, 52, 56, 54, 65]


def test_bones_keep_their_lengths_in_metres(metric):
    """The constants of the conversion are right: bones are rigid and as long as a body's."""
    archive, clips = metric
    assert archive.info.units == "m"
    joints = archive.info.layout.joints
    expected = {("neck", "torso"): 0.22, ("left_shoulder", "right_shoulder"): 0.30}
    expected |= {("left_hip", "left_knee"): 0.43, ("left_knee", "left_foot"): 0.41}
    for (start, end), length in expected.items():
        i, j = joints.index(start), joints.index(end)
        lengths = [
            np.linalg.norm(c.keypoints[:, :, i] - c.keypoints[:, :, j], axis=-1) for c in clips
        ]
        assert np.median([x.mean() for x in lengths]) == pytest.approx(length, abs=0.02)
        assert np.median([x.std(0).mean() / x.mean() for x in lengths]) < 0.015


def test_classes_mean_what_their_names_say(metric):
    """Medians over the clips of a class, in metres."""
    archive, clips = metric
    joint = archive.info.layout.joints.index
    hands, torso = [joint("left_hand"), joint("right_hand")], joint("torso")
    values = {name: [] for name in archive.info.class_names}
    for clip in clips:
        left, right = clip.keypoints[:, 0], clip.keypoints[:, 1]
        apart = np.linalg.norm(left[:, torso] - right[:, torso], axis=-1)
        reach = np.linalg.norm(left[:, hands, None] - right[:, None, hands], axis=-1).min()
        lift = np.ptp(clip.keypoints[:, :, [joint("left_foot"), joint("right_foot")], 1], axis=0)
        row = (apart[-1] - apart[0], apart.min(), reach, lift.max())
        values[archive.info.class_names[clip.label]].append(row)
    change, nearest, reach, lift = (
        {name: float(np.median([row[k] for row in rows])) for name, rows in values.items()}
        for k in range(4)
    )
    assert change["approaching"] < -0.5
    assert change["departing"] > 0.5
    assert max(lift, key=lift.get) == "kicking"
    assert min(nearest, key=nearest.get) == "hugging"
    assert min(reach, key=reach.get) == "shaking hands"
    assert reach["exchanging object"] < 0.25 < reach["punching"]
    assert nearest["pushing"] < nearest["punching"]


def test_folder_and_zip_at_any_depth(tmp_path):
    source = generator.write(tmp_path, clips=9)
    (source / "s01s02" / "01" / "001" / "rgb_000001.png").write_bytes(b"")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "sbu"))
    outs = []
    for number, place in enumerate((source, packed)):
        report = run_import("sbu", place, tmp_path / f"{number}.arrow")
        assert (report.read, report.ignored, report.skipped) == (9, 1, {})
        outs.append((tmp_path / f"{number}.arrow").read_bytes())
        assert "s01s02/01/001/skeleton_pos.txt" in str(sbu.recognise(Peek(place)))
    assert outs[0] == outs[1]
    for options in (Options(), Options(metric=True)):
        opened = sbu.open_source(source, options)
        assert pickle.loads(pickle.dumps(opened)).info == opened.info


def written(tmp_path, content, place="s01s02/02/001"):
    """A source of a good clip and one with this content."""
    for name, text in (("s01s02/01/001", GOOD.encode()), (place, content)):
        (tmp_path / "x" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name / "skeleton_pos.txt").write_bytes(text)
    return tmp_path / "x"


def test_an_absent_body_stays_zero_in_metres(tmp_path):
    joints = np.full((3, 2, 15, 3), 0.5)
    joints[1, 1] = 0
    source = written(tmp_path, generator.text(joints).encode())
    run_import("sbu", source, tmp_path / "a.arrow", Options(metric=True))
    clip = Archive(tmp_path / "a.arrow").clip(1)
    assert not clip.keypoints[1, 1].any()
    np.testing.assert_allclose(clip.keypoints[0, 0, 0], [0.0, 0.0, 0.64], atol=1e-6)


GOOD = generator.text(np.full((2, 2, 15, 3), 0.5))
DAMAGED = {
    "empty": (b"", "wrong shape"),
    "one person": (",".join(["1"] * 46).encode(), "wrong shape"),
    "cut": (GOOD[:-200].encode(), "wrong shape"),
    "binary": (b",".join([b"\xff\x00"] * 91), "not numbers"),
    "empty fields": (b"," * 90, "not numbers"),
    "infinite": (b",".join([b"-inf"] * 91), "not finite"),
    "overflow": (b",".join([b"1e300"] * 91), "not finite"),
    "nobody": (b",".join([b"0"] * 91), "no body"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("metric", [False, True])
def test_a_damaged_clip_is_skipped(tmp_path, content, reason, metric):
    source = written(tmp_path, content)
    report = run_import("sbu", source, tmp_path / "a.arrow", Options(metric))
    assert (report.read, report.skipped) == (1, {reason: ["s01s02_02_001"]})


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("s01s09/01/001", "the pair is s01s09, expected one of s01s02"),
        ("s01s02/09/001", "class 9, expected 1 to 8"),
    ],
)
def test_unknown_pairs_and_actions(tmp_path, place, message):
    with pytest.raises(SourceError, match=message):
        run_import("sbu", written(tmp_path, GOOD.encode(), place), tmp_path / "a", strict=True)


def test_useless_sources(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "skeleton_pos.txt").write_text(GOOD)
    with pytest.raises(SourceError, match="no SBU clips: expected files such as s01s02/01/001"):
        run_import("sbu", tmp_path / "empty", tmp_path / "a.arrow")
    assert sbu.recognise(Peek(tmp_path / "empty")) is None


def test_a_file_that_is_too_large_is_named_after_its_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(sbu, "MAX_BYTES", len(GOOD) + 10)
    report = run_import("sbu", written(tmp_path, GOOD.encode() * 2), tmp_path / "a.arrow")
    assert report.skipped == {"too large": ["s01s02_02_001"]}
