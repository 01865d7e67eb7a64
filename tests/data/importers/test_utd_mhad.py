"""The UTD-MHAD importer, and .mat files not to be trusted; SciPy is the oracle."""

import io
import pickle
import random
import shutil
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from generators import utd_mhad as generator
from shapmix.data.archive import Archive
from shapmix.data.importers import run_import, utd_mhad
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.matlab_files import MatlabError, read_array
from shapmix.data.importers.peek import Peek
from shapmix.data.splits import make_split

importer: Importer = utd_mhad  # the interface, checked by mypy
LIMIT = 2**20


@pytest.fixture(scope="module")
def published(real_data, tmp_path_factory):
    source = real_data / "utd_mhad.zip"
    if not source.is_file():
        pytest.skip(f"UTD-MHAD not found at {source}")
    out = tmp_path_factory.mktemp("published") / "utd_mhad.arrow"
    report = run_import("utd-mhad", source, out, strict=True)
    assert (report.read, report.ignored, report.repaired) == (861, 1, {})
    return source, Archive(out)


def test_published_files(published):
    _, archive = published
    counts = [32] * 27
    counts[7] = counts[22] = counts[26] = 31
    assert np.bincount(archive.labels).tolist() == counts
    assert archive.num_frames.sum() == 58299
    assert (archive.num_frames.min(), archive.num_frames.max()) == (41, 125)
    assert (archive.info.layout.name, archive.info.units) == ("utd20", "m")
    archive.verify()


def test_published_protocol(published):
    split = make_split(published[1], protocol="xsub", val_fraction=0)
    assert (len(split.train), len(split.test)) == (431, 430)


def test_published_values_are_those_that_scipy_reads(published):
    source, archive = published
    with zipfile.ZipFile(source) as files:
        for i in range(0, len(archive), 43):
            clip = archive.clip(i)
            found = loadmat(io.BytesIO(files.read(f"{clip.name}_skeleton.mat")))["d_skel"]
            expected = np.moveaxis(found, 2, 0)[:, None].astype(np.float32)
            np.testing.assert_array_equal(clip.keypoints, expected)
            action, subject, trial = (int(word[1:]) for word in clip.name.split("_"))
            assert dict(clip.metadata) == {"action": action, "subject": subject, "trial": trial}
            assert (clip.label, clip.fps) == (action - 1, 30.0)


def test_published_bodies_stand_upright(published):
    """Heads are above hips, and hips above feet: the order of the joints and axes is right."""
    _, archive = published
    joints = archive.info.layout.joints
    up = np.stack([archive.clip(i).keypoints[0, 0, :, 1] for i in range(0, len(archive), 20)])
    head, hips, foot = (joints.index(name) for name in ("head", "hip_center", "left_foot"))
    assert (up[:, head] > up[:, hips]).all()
    assert (up[:, hips] > up[:, foot]).all()


def test_folder_and_zip_at_any_depth(tmp_path):
    source = generator.write(tmp_path, clips=8)
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "utd_mhad"))
    outs = []
    for number, place in enumerate((source, source / "Skeleton", packed)):
        report = run_import("utd-mhad", place, tmp_path / f"{number}.arrow")
        assert (report.read, report.ignored, report.skipped) == (8, 1, {})
        outs.append((tmp_path / f"{number}.arrow").read_bytes())
        assert "a10_s1_t1_skeleton.mat" in str(utd_mhad.recognise(Peek(place)))
    assert outs[0] == outs[1] == outs[2]
    assert pickle.loads(pickle.dumps(utd_mhad.open_source(source, utd_mhad.Options()))).units


def imported(tmp_path, content):
    """Report and clips of a good file and one with this content."""
    good = generator.mat(np.ones((20, 3, 2)))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a1_s1_t1_skeleton.mat").write_bytes(good)
    (tmp_path / "x" / "a2_s1_t1_skeleton.mat").write_bytes(content)
    report = run_import("utd-mhad", tmp_path / "x", tmp_path / "a.arrow")
    return report, Archive(tmp_path / "a.arrow")


def test_one_frame_is_a_matrix(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 3))
    _, archive = imported(tmp_path, generator.mat(values))
    np.testing.assert_array_equal(archive.clip(1).keypoints[0, 0], values.astype(np.float32))


def test_what_the_sensor_missed_is_mended(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 3, 5))
    values[:, :, 0] = 0
    values[3, 1, 2] = np.nan
    report, archive = imported(tmp_path, generator.mat(values))
    assert set(report.repaired) == {
        "frames without a body left out",
        "missing joints given a place",
    }
    expected = (values[3, :, 1] + values[3, :, 3]) / 2
    np.testing.assert_allclose(archive.clip(1).keypoints[1, 0, 3], expected, rtol=1e-6)


BOMB = (
    generator.mat(np.zeros(1))[:128]
    + struct.pack("<II", 15, len(z := zlib.compress(bytes(10**8))))
    + z
)
DAMAGED = {
    "empty": (b"", "unreadable .mat"),
    "text": (b"1 2 3\n" * 100, "unreadable .mat"),
    "cut": (generator.mat(np.ones((20, 3, 9)))[:-9], "unreadable .mat"),
    "bomb": (BOMB, "unreadable .mat"),
    "another name": (generator.mat(np.ones((20, 3, 2)), name="skel"), "unreadable .mat"),
    "text inside": (generator.mat("d_skel"), "unreadable .mat"),
    "structure": (generator.mat({"a": 1}), "unreadable .mat"),
    "complex": (generator.mat(np.ones((20, 3, 2)) * 1j), "unreadable .mat"),
    "25 joints": (generator.mat(np.ones((25, 3, 2))), "wrong shape"),
    "no frame": (generator.mat(np.ones((20, 3, 0))), "wrong shape"),
    "4 dimensions": (generator.mat(np.ones((20, 3, 2, 2))), "wrong shape"),
    "infinite": (generator.mat(np.full((20, 3, 2), np.inf)), "not finite"),
    "overflow": (generator.mat(np.full((20, 3, 2), 1e300)), "not finite"),
    "nobody": (generator.mat(np.zeros((20, 3, 2))), "no body"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_clip_is_skipped(tmp_path, content, reason):
    report, _ = imported(tmp_path, content)
    assert (report.read, report.skipped) == (1, {reason: ["a2_s1_t1"]})


def test_unknown_actions_and_empty_sources(tmp_path):
    (tmp_path / "a28_s1_t1_skeleton.mat").write_bytes(generator.mat(np.ones((20, 3, 2))))
    with pytest.raises(SourceError, match="action 28, expected 1 to 27"):
        run_import("utd-mhad", tmp_path, tmp_path / "a.arrow", strict=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no UTD-MHAD clips"):
        run_import("utd-mhad", tmp_path / "empty", tmp_path / "a.arrow")
    assert utd_mhad.recognise(Peek(tmp_path / "empty")) is None


# ---- .mat files in general


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_arrays_of_every_type(dtype, compressed):
    values = (np.random.default_rng(0).normal(size=(3, 5, 2)) * 50 + 100).astype(dtype)
    content = generator.mat(values, compressed=compressed, name="v")
    found = read_array(content, "v", max_bytes=LIMIT)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_a_small_element_and_big_endian_bytes():
    """By hand, from the description of the format: a 1 x 3 double, kept in three bytes."""
    for order, mark in (("<", b"\x00\x01IM"), (">", b"\x01\x00MI")):
        word = struct.Struct(order + "I").pack
        matrix = b"".join(
            [
                *(word(6), word(8), word(6), word(0)),
                *(word(5), word(8), word(1), word(3)),
                *(word(1 << 16 | 1), b"v\0\0\0"),
                *(word(3 << 16 | 2), bytes([7, 8, 9, 0])),
            ]
        )
        content = bytes(124) + mark + word(14) + word(len(matrix)) + matrix
        assert read_array(content, "v", max_bytes=LIMIT).tolist() == [[7, 8, 9]]


def test_the_limit_holds_for_all_elements_together():
    one = generator.mat(np.zeros((100, 100)), name="a")
    content = one + one[128:] + generator.mat(np.zeros(3), name="b")[128:]
    assert read_array(content, "b", max_bytes=200_000).size == 3
    with pytest.raises(MatlabError, match="grow beyond"):
        read_array(content, "b", max_bytes=120_000)


def test_no_mutation_raises_anything_else():
    draw = random.Random(0)
    seeds = [generator.mat(np.ones((4, 3, 2)), compressed=packed) for packed in (False, True)]
    for _ in range(2000):
        content = bytearray(draw.choice(seeds))
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(100, len(content))] = draw.choice([0, 1, 14, 15, 127, 255])
        with suppress(MatlabError):
            read_array(bytes(content[: draw.randint(100, 400)]), "d_skel", max_bytes=LIMIT)
