"""MediaPipe landmarks: JSON and CSV files, one a clip."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np


def pose(landmarks: np.ndarray) -> list[dict[str, float]]:
    """A body of (33, 4) as the landmarker returns it."""
    return [
        dict(zip(("x", "y", "z", "visibility"), row, strict=True)) for row in landmarks.tolist()
    ]


def frame(bodies: np.ndarray, t: int, step: float = 40.0) -> dict[str, Any]:
    """A frame of (M, 33, 4)."""
    return {"timestamp_ms": t * step, "pose_landmarks": [pose(body) for body in bodies]}


def write_wide(path: Path, landmarks: np.ndarray) -> Path:
    """(T, 33, 4) with one row a frame."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", *(f"{axis}{joint}" for joint in range(33) for axis in "xyzv")])
        rows.writerows([t, *body.ravel().tolist()] for t, body in enumerate(landmarks))
    return path


def write_long(path: Path, landmarks: np.ndarray) -> Path:
    """(T, M, 33, 4) with one row a landmark."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", "person", "timestamp_ms", "landmark", "x", "y", "z", "visibility"])
        for t, m, joint in np.ndindex(landmarks.shape[:3]):
            rows.writerow([t, m, t * 50, joint, *landmarks[t, m, joint].tolist()])
    return path


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """`clips` files of 2 classes, by folder: JSON, wide CSV, long CSV in turn."""
    rng = np.random.default_rng(seed)
    source = folder / "mediapipe"
    for number in range(clips):
        landmarks = rng.uniform(0.1, 0.9, (2 + number % 3, 1, 33, 4)).round(3)
        path = source / ("wave", "jump")[number % 2] / f"clip{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 3 == 0:
            frames = [frame(bodies, t) for t, bodies in enumerate(landmarks)]
            path.with_suffix(".json").write_text(json.dumps(frames))
        elif number % 3 == 1:
            write_wide(path.with_suffix(".csv"), landmarks[:, 0])
        else:
            write_long(path.with_suffix(".csv"), landmarks)
    return source
