"""A folder as ST-GCN's Kinetics-Skeleton has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def record(rng: np.random.Generator, frames: int, label: int, bodies: int = 3) -> dict[str, Any]:
    """One video; each body has its score above 0 throughout, each frame has 1 to `bodies`."""
    data = []
    for t in range(1, frames + 1):
        skeleton = [
            {
                "pose": rng.uniform(0.1, 0.9, 36).round(3).tolist(),
                "score": rng.uniform(0.1, 1.0, 18).round(3).tolist(),
            }
            for _ in range(1 + t % bodies)
        ]
        data.append({"frame_index": t, "skeleton": skeleton})
    return {"data": data, "label": f"action {label}", "label_index": label}


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """`clips` videos of 3 classes, two thirds of them in kinetics_train."""
    rng = np.random.default_rng(seed)
    source = folder / "kinetics-skeleton"
    labels: dict[str, dict[str, Any]] = {"train": {}, "val": {}}
    for number in range(clips):
        part = "val" if number % 3 == 2 else "train"
        content = record(rng, 3 + number % 4, number % 2 + number // 3 % 2)
        path = source / f"kinetics_{part}" / f"video-{number}_.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        entry = {key: content[key] for key in ("label", "label_index")}
        labels[part][path.stem] = {"has_skeleton": True, **entry}
    for part, entries in labels.items():
        if entries:
            (source / f"kinetics_{part}_label.json").write_text(json.dumps(entries))
    return source
