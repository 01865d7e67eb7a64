"""A few NW-UCLA files."""

import json
from pathlib import Path

import numpy as np

LABELS = {1: 1, 6: 6, 12: 10}  # action in the name -> label in the file


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """The folder `nw_ucla`: actions 1, 6 and 12 in turn, views 1 to 3."""
    random = np.random.default_rng(seed)
    target = folder / "nw_ucla" / "all_sqe"
    target.mkdir(parents=True, exist_ok=True)
    for number in range(clips):
        action = tuple(LABELS)[number % 3]
        name = f"a{action:02}_s{1 + number // 9:02}_e{number // 3 % 3:02}_v{1 + number % 3:02}"
        skeletons = random.normal(size=(3 + number % 4, 20, 3)).tolist()
        record = {"file_name": name, "skeletons": skeletons, "label": LABELS[action]}
        (target / f"{name}.json").write_text(json.dumps(record))
    return folder / "nw_ucla"
