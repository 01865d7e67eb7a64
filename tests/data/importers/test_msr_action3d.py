"""The MSR-Action3D importer; the published files and NumPy's text reader are the oracles."""

import io
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from generators import msr_action3d as generator
from shapmix.data.archive import Archive
from shapmix.data.importers import msr_action3d, run_import
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.msr_action3d import Options
from shapmix.data.importers.peek import Peek
from shapmix.data.splits import make_split

importer: Importer = msr_action3d  # the interface, checked by mypy


@pytest.fixture(scope="module")
def source(real_data):
    path = real_data / "msr_action3d.zip"
    if not path.is_file():
        pytest.skip(f"MSR-Action3D not found at {path}")
    return path


@pytest.fixture(scope="module")
def published(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "msr_action3d.arrow"
    report = run_import("msr-action3d", source, out, strict=True)
    assert (report.read, report.ignored) == (557, 15)
    assert [len(names) for names in report.repaired.values()] == [13]
    return Archive(out)


def test_published_files(published):
    counts = [27, 26, 27, 25, 26, 26, 27, 30, 30, 30, 30, 30, 27, 29, 20, 30, 30, 30, 30, 27]
    assert np.bincount(published.labels).tolist() == counts
    assert (published.info.layout.name, published.info.units) == ("msr20", "m")
    split = make_split(published, protocol="xsub", val_fraction=0)
    assert (len(split.train), len(split.test)) == (284, 273)
    published.verify()


def test_published_values(published, source):
    with zipfile.ZipFile(source) as files:
        for name in ["a01_s01_e01", "a08_s10_e02", "a13_s02_e02", "a20_s08_e03"]:
            content = files.read(f"real_world_coordinates/{name}_skeleton3D.txt")
            expected = np.loadtxt(io.BytesIO(content)).reshape(-1, 20, 4)[..., :3]
            expected = expected[(expected != 0).any((1, 2))].astype(np.float32)
            clip = published.clip(published.index(name))
            np.testing.assert_array_equal(clip.keypoints[:, 0], expected)
            action, subject, replication = (int(word[1:]) for word in name.split("_"))
            assert (clip.label, clip.fps) == (action - 1, 15.0)
            assert dict(clip.metadata) == {
                "action": action,
                "subject": subject,
                "replication": replication,
            }


def test_class_names_are_those_shipped_with_the_skeletons(source):
    with zipfile.ZipFile(source) as files:
        table = loadmat(io.BytesIO(files.read("action_names.mat")))["action_names"].ravel()
    letters = [re.sub("[^a-z]", "", str(name[0]).lower()) for name in table]
    names = [name.replace("&", "and") for name in msr_action3d.ACTIONS]
    assert [re.sub("[^a-z]", "", name) for name in names] == letters


def test_all_published_files(source, tmp_path):
    report = run_import("msr-action3d", source, tmp_path / "a.arrow", Options(all_clips=True))
    assert (report.read, report.skipped) == (566, {"no body": ["a13_s09_e02"]})
    assert [len(names) for names in report.repaired.values()] == [19]


def test_folder_and_zip_at_any_depth(tmp_path):
    source = generator.write(tmp_path, clips=8)
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "msr_action3d"))
    outs = []
    for number, place in enumerate((source, source / "real_world_coordinates", packed)):
        report = run_import("msr-action3d", place, tmp_path / f"{number}.arrow")
        assert (report.read, report.ignored, report.skipped) == (8, 2, {})
        assert report.repaired == {"frames without a body left out": ["a01_s01_e01"]}
        outs.append((tmp_path / f"{number}.arrow").read_bytes())
        assert "a01_s01_e01_skeleton3D.txt" in str(msr_action3d.recognise(Peek(place)))
    assert outs[0] == outs[1] == outs[2]
    opened = msr_action3d.open_source(source, Options())
    assert pickle.loads(pickle.dumps(opened)).units == opened.units


def test_the_list_of_clips(tmp_path):
    source = generator.write(tmp_path, clips=6)
    assert run_import("msr-action3d", source, tmp_path / "a", Options(all_clips=True)).read == 7
    listed = source / "real_world_coordinates" / "files_used_in_cvpr12_paper.txt"
    listed.write_bytes(b"a01_s01_e01 a99_s99_e99\xff\n")
    assert run_import("msr-action3d", source, tmp_path / "b").read == 1
    listed.write_text("")
    with pytest.raises(SourceError, match=r"names none of the clips .* --all-clips true"):
        run_import("msr-action3d", source, tmp_path / "c")
    listed.unlink()
    assert run_import("msr-action3d", source, tmp_path / "d").read == 7


GOOD = generator.text(np.ones((2, 20, 3)))
DAMAGED = {
    "empty": (b"", "wrong shape"),
    "a line too few": (GOOD.encode().rstrip().rpartition(b"\n")[0], "wrong shape"),
    "no confidence": (GOOD.replace(" 1.000000\n", "\n").encode(), "wrong shape"),
    "binary": (b"\x00\xff\x80 1 2 3\n" * 20, "not numbers"),
    "words": (b"a b c 1\n" * 20, "not numbers"),
    "infinite": (b"inf 1 1 1\n" * 20, "not finite"),
    "overflow": (b"1e300 1 1 1\n" * 20, "not finite"),
    "many digits": (b"9" * 5000 + b" 1 1 1\n" + b"1 1 1 1\n" * 19, "not finite"),
    "nobody": (b"0 0 0 0\n" * 20, "no body"),
    "nan": (b"nan nan nan 0\n" * 20, "no body"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_clip_is_skipped(tmp_path, content, reason):
    (tmp_path / "a01_s01_e01_skeleton3D.txt").write_text(GOOD)
    (tmp_path / "a02_s01_e01_skeleton3D.txt").write_bytes(content)
    report = run_import("msr-action3d", tmp_path, tmp_path / "out" / "a.arrow")
    assert (report.read, report.skipped) == (1, {reason: ["a02_s01_e01"]})


def test_missing_joints_get_a_place(tmp_path):
    joints = np.ones((3, 20, 3))
    joints[:, 4, 0] = [1.0, np.nan, 3.0]
    (tmp_path / "a01_s01_e01_skeleton3D.txt").write_text(generator.text(joints))
    report = run_import("msr-action3d", tmp_path, tmp_path / "a.arrow")
    assert report.repaired == {"missing joints given a place": ["a01_s01_e01"]}
    assert Archive(tmp_path / "a.arrow").clip(0).keypoints[1, 0, 4].tolist() == [2.0, 1.0, 1.0]


def test_unknown_actions_and_empty_sources(tmp_path):
    (tmp_path / "a21_s01_e01_skeleton3D.txt").write_text(GOOD)
    with pytest.raises(SourceError, match="action 21, expected 1 to 20"):
        run_import("msr-action3d", tmp_path, tmp_path / "a.arrow", strict=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no MSR-Action3D clips"):
        run_import("msr-action3d", tmp_path / "empty", tmp_path / "a.arrow")
    assert msr_action3d.recognise(Peek(tmp_path / "empty")) is None
