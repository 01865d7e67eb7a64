"""The ST-GCN importer: generated files against the arrays they were made of, and broken ones."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators import stgcn_npy as generator
from shapmix.data.archive import Archive
from shapmix.data.importers import recognise, run_import, stgcn_npy
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.ntu_names import CLASS_NAMES
from shapmix.data.importers.stgcn_npy import Options

importer: Importer = stgcn_npy  # the interface, checked by mypy


def imported(source: Path, **options: Any) -> Archive:
    out = source.parent / "out.arrow"
    run_import("stgcn-npy", source, out, Options(**options), strict=True)
    archive = Archive(out)
    archive.verify()
    return archive


@pytest.mark.parametrize("unit_bytes", [1, 5000, 10**9])
def test_clips_are_the_real_frames_and_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit_bytes: int
) -> None:
    monkeypatch.setattr(stgcn_npy, "UNIT_BYTES", unit_bytes)
    source = generator.write(tmp_path / "made", clips=7)
    archive = imported(source)
    at = 0
    for part in ("train", "val"):
        x = np.load(source / f"{part}_data.npy")
        names, labels = pickle.loads((source / f"{part}_label.pkl").read_bytes())
        for clip, name, label in zip(x, names, labels, strict=True):
            found = archive.clip(at)
            assert (found.name, found.label) == (name.removesuffix(".skeleton"), label)
            assert found.metadata["part"] == part
            assert found.metadata["action"] == label + 1
            assert found.fps == 30
            frames = [t for t in range(x.shape[2]) if clip[:, t].any()]
            persons = [m for m in range(2) if clip[..., m].any()]
            assert found.keypoints.shape == (len(frames), len(persons), 25, 3)
            for t, frame in enumerate(frames):
                for m, person in enumerate(persons):
                    for c in range(3):
                        expected = clip[c, frame, :, person]
                        np.testing.assert_array_equal(found.keypoints[t, m, :, c], expected)
            at += 1
    assert at == len(archive) == 10
    assert archive.info.class_names == CLASS_NAMES[:60]
    assert (archive.info.layout.name, archive.info.channels) == ("ntu25", "xyz")
    assert dict(archive.info.splits) == {"xsub": ("part == 'train'", "part == 'val'")}


def test_repetitions_are_left_out(tmp_path: Path) -> None:
    """2s-AGCN fills a clip up to its 300 frames by repeating it."""
    clip = np.random.default_rng(0).normal(size=(1, 3, 8, 25, 2)).astype(np.float32)
    still = np.ones((1, 3, 8, 25, 2), np.float32)
    x = np.concatenate(
        [np.concatenate([clip] * 3, 2)[:, :, :21], np.tile(still, (1, 1, 3, 1, 1))[:, :, :21]]
    )
    generator.write_part(tmp_path / "a", "train", x, ["one", "still"], [0, 1], joint="_joint")
    archive = imported(tmp_path / "a", class_names="walk,stand")
    np.testing.assert_array_equal(archive.keypoints(0), clip[0].transpose(1, 3, 2, 0))
    assert archive.num_frames.tolist() == [8, 21]
    assert archive.info.class_names == ("walk", "stand")
    assert list(archive.metadata) == ["part"]
    assert list(archive.info.splits) == ["given"]


@pytest.mark.parametrize(("joint", "sign"), [("", 1), ("_joint", -1)])
def test_kinetics_goes_back_into_the_picture(tmp_path: Path, joint: str, sign: int) -> None:
    """ST-GCN subtracts a half; 2s-AGCN then turns y; what has no score is zero."""
    truth = np.random.default_rng(0).uniform(0.1, 0.9, (3, 5, 18, 1)).astype(np.float32)
    truth[:, 2, 4] = 0
    x = truth.copy()
    x[:2] -= 0.5
    x[1] *= sign
    x[:2, 2, 4] = 0
    generator.write_part(tmp_path / "k", "val", x[None], ["---x.json"], [3], joint=joint)
    archive = imported(tmp_path / "k")
    assert archive.names == ("---x",)
    np.testing.assert_allclose(archive.keypoints(0), truth.transpose(1, 3, 2, 0), atol=1e-6)
    assert (archive.info.layout.name, archive.info.channels) == ("openpose18", "xyc")
    assert (archive.info.units, archive.info.class_names) == ("normalised", ("0", "1", "2", "3"))


def test_a_folder_above_is_enough_and_several_are_told(tmp_path: Path) -> None:
    generator.write(tmp_path / "ntu", name="xview")
    assert next(iter(recognise(tmp_path))) == "stgcn-npy"
    assert list(imported(tmp_path / "ntu").info.splits) == ["xview"]
    generator.write(tmp_path / "ntu", name="xsub")
    with pytest.raises(SourceError, match="several folders of arrays: ntu/xsub, ntu/xview"):
        run_import("stgcn-npy", tmp_path, tmp_path / "a.arrow")


def label_file(names: object, labels: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "train_label.pkl").write_bytes(pickle.dumps((names, labels)))


SIX = [f"c{n}" for n in range(6)]


class Trap:
    """What a pickle may ask for."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("trap",)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no labels": (lambda folder: (folder / "train_label.pkl").unlink(), "train_label.pkl"),
    "trap": (label_file(SIX, Trap()), "mkdir"),
    "one list": (
        lambda folder: (folder / "train_label.pkl").write_bytes(pickle.dumps(SIX)),
        "holds no names and labels",
    ),
    "fewer": (label_file(SIX[:5], [0] * 5), "has 6 clips, but train_label.pkl 5 names and 5"),
    "numbers": (label_file([1] * 6, [0] * 6), "clip called '1', expected text"),
    "cut": (lambda folder: os.truncate(folder / "train_data.npy", 5000), "is the file complete"),
    "objects": (
        lambda folder: np.save(folder / "train_data.npy", np.array([None] * 6)),
        "cannot be read",
    ),
    "shape": (
        lambda folder: np.save(folder / "train_data.npy", np.ones((6, 3, 4, 20, 2))),
        r"shape \(6, 3, 4, 20, 2\)",
    ),
    "joints": (
        lambda folder: np.save(folder / "train_data.npy", np.ones((6, 3, 4, 18, 2))),
        r"\[18, 25\] joints",
    ),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = generator.write(tmp_path / "made")
    damage(source)
    with pytest.raises(SourceError, match=message):
        run_import("stgcn-npy", source, tmp_path / "a.arrow")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_sources_of_other_kinds(tmp_path: Path) -> None:
    source = generator.write(tmp_path / "made")
    with pytest.raises(SourceError, match="is a file: give the folder"):
        run_import("stgcn-npy", source / "train_data.npy", tmp_path / "a.arrow")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="has no arrays of ST-GCN"):
        run_import("stgcn-npy", tmp_path / "empty", tmp_path / "a.arrow")
    (source / "train_label.pkl").rename(tmp_path / "x.pkl")
    (source / "train_label.pkl").symlink_to(tmp_path / "x.pkl")
    with pytest.raises(SourceError, match="leads out of the folder"):
        run_import("stgcn-npy", source, tmp_path / "a.arrow")


def test_labels_that_are_none_are_skipped_and_arrays_of_them_read(tmp_path: Path) -> None:
    source = generator.write(tmp_path / "made")
    label_file(SIX, [0, -1, 2, True, "x", 5])(source)
    report = run_import("stgcn-npy", source, tmp_path / "a.arrow")
    assert report.skipped == {"no label": ["c1", "c3", "c4"]}
    assert Archive(tmp_path / "a.arrow").info.class_names == tuple("012345")
    label_file(SIX, np.arange(6))(source)
    run_import("stgcn-npy", source, tmp_path / "a.arrow", strict=True)
    assert Archive(tmp_path / "a.arrow").labels.tolist()[:6] == [0, 1, 2, 3, 4, 5]
