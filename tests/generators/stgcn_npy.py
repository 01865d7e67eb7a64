"""Arrays and label pickles as the scripts of ST-GCN and 2s-AGCN write them.

Shape (clips, 3, frames, joints, persons), zero after the last frame; the pickle is a pair of lists,
written with `pickle.dump((names, labels), file)`.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

FRAMES = 14  # 300 in the published files


def write_part(
    folder: Path, part: str, x: np.ndarray, names: list[str], labels: list[int], *, joint: str = ""
) -> None:
    """One part: `x`, and its pickle."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{part}_data{joint}.npy", x)
    with (folder / f"{part}_label.pkl").open("wb") as file:
        pickle.dump((names, labels), file)


def write(folder: Path, *, clips: int = 6, seed: int = 0, name: str = "xsub") -> Path:
    """`clips` training clips and half as many others of NTU RGB+D; every other has two persons."""
    rng = np.random.default_rng(seed)
    for part, count, camera in (("train", clips, 2), ("val", max(1, clips // 2), 1)):
        x = np.zeros((count, 3, FRAMES, 25, 2), np.float32)
        names, labels = [], []
        for i in range(count):
            length = int(rng.integers(3, FRAMES + 1))
            x[i, :, :length, :, : 1 + i % 2] = rng.normal(size=(3, length, 25, 1 + i % 2))
            names.append(f"S001C00{camera}P{i + 1:03}R001A{i % 4 + 1:03}.skeleton")
            labels.append(i % 4)
        write_part(folder / name, part, x, names, labels)
    return folder / name
