"""COCO keypoint files with tracks, one a clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
JOINTS += [f"{side}_{limb}" for limb in LIMBS for side in ("left", "right")]


def video(keypoints: np.ndarray) -> dict[str, Any]:
    """A file of (T, M, 17, 3); a person's track is its place, from 1."""
    images, annotations = [], []
    for t, bodies in enumerate(keypoints):
        images.append({"id": 100 + t, "file_name": f"{t:06}.jpg", "frame_index": t})
        for m, body in enumerate(bodies):
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": 100 + t,
                    "category_id": 1,
                    "track_id": m + 1,
                    "keypoints": body.ravel().tolist(),
                    "score": float(body[:, 2].mean()),
                }
            )
    categories = [{"id": 1, "name": "person", "keypoints": [*JOINTS]}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """`clips` files of 2 classes, by folder, with one or two persons."""
    rng = np.random.default_rng(seed)
    for number in range(clips):
        keypoints = rng.uniform(0.1, 0.9, (3 + number % 3, 1 + number % 2, 17, 3)).round(3)
        keypoints[..., :2] *= 500
        path = folder / "coco" / ("wave", "jump")[number % 2] / f"clip{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(video(keypoints)))
    return folder / "coco"
