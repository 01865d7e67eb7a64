"""Folders of one JSON file a frame, as OpenPose writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def people(bodies: np.ndarray, ids: list[int] | None = None) -> dict[str, Any]:
    """A frame with bodies (N, V, 3)."""
    entries = [
        {
            "person_id": [-1 if ids is None else ids[number]],
            "pose_keypoints_2d": body.ravel().tolist(),
            "face_keypoints_2d": [],
        }
        for number, body in enumerate(bodies)
    ]
    return {"version": 1.3, "people": entries}


def write_clip(folder: Path, frames: dict[int, dict[str, Any]], name: str | None = None) -> Path:
    """The files of one clip folder: frame number -> its content."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in frames.items():
        path = folder / f"{name or folder.name}_{number:012}_keypoints.json"
        path.write_text(json.dumps(content))
    return folder


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """`clips` clips of 2 classes with 25 joints and one body, walking to the right."""
    rng = np.random.default_rng(seed)
    source = folder / "openpose"
    for number in range(clips):
        frames = {}
        for t in range(3 + number % 3):
            body = rng.uniform(100, 200, (1, 25, 3)).round(2)
            body[..., 0] += 5 * t
            body[..., 2] /= 200
            frames[t] = people(body)
        write_clip(source / ("wave", "jump")[number % 2] / f"clip{number}", frames)
    return source
