"""A few SBU files."""

from pathlib import Path

import numpy as np

PAIRS = ("s01s02", "s02s03", "s07s01")


def text(joints, first=1):
    """Of (T, 2, 15, 3): a line a frame, its number and the coordinates."""
    frames = np.asarray(joints).reshape(len(joints), 90)
    rows = [
        ",".join([str(first + t), *(f"{value:.5g}" for value in frame)])
        for t, frame in enumerate(frames)
    ]
    return "".join(f"{row}\r\n" for row in rows)


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """The folder `sbu`: three pairs and the eight classes in turn."""
    random = np.random.default_rng(seed)
    for number in range(clips):
        pair, action, take = PAIRS[number % 3], 1 + number % 8, 1 + number // 24
        target = folder / "sbu" / pair / f"{action:02}" / f"{take:03}"
        target.mkdir(parents=True, exist_ok=True)
        joints = random.uniform(0.1, 1.0, size=(3 + number % 4, 2, 15, 3))
        (target / "skeleton_pos.txt").write_text(text(joints, first=1 + 40 * number))
    return folder / "sbu"
