"""An .npz as the CTR-GCN family of projects writes it: padded rows, one-hot labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 12  # 300 in the published files


def write(
    folder: Path, *, clips: int = 6, seed: int = 0, name: str = "NTU60_CS", compressed: bool = False
) -> Path:
    """`clips` training clips and half as many test clips; every other one has two persons."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for part, count in (("train", clips), ("test", max(1, clips // 2))):
        x = np.zeros((count, FRAMES, 2, 25, 3), np.float32)
        y = np.zeros((count, 60))
        for i in range(count):
            length = int(rng.integers(3, FRAMES + 1))
            x[i, :length, : 1 + i % 2] = rng.normal(size=(length, 1 + i % 2, 25, 3))
            x[i, :length] -= x[i, 0, 0, 1] * (x[i, :length] != 0)
            y[i, i % 4] = 1
        arrays[f"x_{part}"] = x.reshape(count, FRAMES, 150)
        arrays[f"y_{part}"] = y
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path
