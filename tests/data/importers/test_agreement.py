"""The same skeletons through several formats give the same keypoints and labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shapmix.data.archive import Archive
from shapmix.data.importers import load_importer, run_import
from shapmix.layouts import get_layout

COCO = get_layout("coco17").joints
LABELS = {"a": "wave", "b": "jump", "c": "wave"}


def skeletons() -> dict[str, np.ndarray]:
    """Clip -> (T, 1, 17, 3): x, y and a score; some joints are not seen, and zero."""
    random = np.random.default_rng(0)
    clips = {}
    for number, clip in enumerate(LABELS):
        values = random.uniform((0, 0, 0.3), (640, 480, 1), size=(3 + number, 1, 17, 3))
        values[random.random(values.shape[:3]) < 0.1] = 0
        clips[clip] = values.astype(np.float32)
    return clips


def tidy(folder: Path, *, wide: bool) -> Path:
    columns = [f"{joint}_{part}" for joint in COCO for part in ("x", "y", "score")]
    header = ["clip", "frame", "label", *(columns if wide else ("joint", "x", "y", "score"))]
    lines = [",".join(header)]
    for clip, values in skeletons().items():
        for t, joints in enumerate(values[:, 0]):
            row = [clip, str(t), LABELS[clip]]
            if wide:
                lines.append(",".join([*row, *map(str, joints.ravel())]))
            else:
                lines += [
                    ",".join([*row, name, *map(str, joint)])
                    for name, joint in zip(COCO, joints, strict=True)
                ]
    path = folder / "poses.csv"
    path.write_text("\n".join(lines))
    return path


def arrays(folder: Path, *, apart: bool) -> Path:
    for clip, values in skeletons().items():
        path = folder / LABELS[clip] / clip
        path.parent.mkdir(exist_ok=True)
        if apart:
            np.savez(path, keypoints=values[..., :2], keypoint_scores=values[..., 2])
        else:
            np.save(path, values)
    return folder


def coco(folder: Path) -> Path:
    for clip, values in skeletons().items():
        content = {
            "images": [{"id": t, "file_name": f"{t}.jpg"} for t in range(len(values))],
            "annotations": [
                {"image_id": t, "track_id": 1, "keypoints": joints.ravel().astype(float).tolist()}
                for t, joints in enumerate(values[:, 0])
            ],
        }
        path = folder / LABELS[clip] / f"{clip}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


SOURCES = {
    "tidy table": ("table", lambda folder: tidy(folder, wide=False), {}),
    "wide table": ("table", lambda folder: tidy(folder, wide=True), {}),
    "arrays": ("arrays", lambda folder: arrays(folder, apart=False), {"channels": "xyc"}),
    "scores apart": ("arrays", lambda folder: arrays(folder, apart=True), {}),
    "coco": ("coco", coco, {}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_format_gives_the_same_clips(tmp_path: Path, source: str) -> None:
    name, write, options = SOURCES[source]
    (tmp_path / "source").mkdir()
    options = options if name == "table" else {"layout": "coco17"} | options
    report = run_import(
        name,
        write(tmp_path / "source"),
        tmp_path / "a.arrow",
        load_importer(name).Options(**options),
    )
    assert (report.skipped, report.repaired) == ({}, {})
    archive = Archive(tmp_path / "a.arrow")
    info, expected = archive.info, skeletons()
    assert (info.layout.name, info.channels, info.units) == ("coco17", "xyc", "px")
    assert sorted(archive.names) == sorted(expected)
    for i, clip in enumerate(archive.names):
        np.testing.assert_array_equal(archive.keypoints(i), expected[clip])
        assert info.class_names[archive.labels[i]] == LABELS[clip]
