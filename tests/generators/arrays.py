"""A folder of arrays, in folders named after their classes, half of them .npy and half .npz."""

from pathlib import Path

import numpy as np


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """The folder `arrays`: 15 joints, classes "walk" and "wave", one or two persons."""
    random = np.random.default_rng(seed)
    for number in range(clips):
        target = folder / "arrays" / ("walk", "wave")[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        values = random.normal(size=(4 + number, 1 + number % 2, 15, 3))
        if number % 4 < 2:
            np.save(target / f"clip{number:02}.npy", values.astype(np.float32))
        else:
            np.savez_compressed(target / f"clip{number:02}.npz", keypoints=values)
    return folder / "arrays"
