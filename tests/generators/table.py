"""A tidy CSV of 17 joints with scores, in shuffled order within each clip."""

from pathlib import Path

import numpy as np

NAMES = """nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow
right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"""
JOINTS = NAMES.split()


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """The file `poses.csv`: classes "walk" and "wave", one or two persons, subjects as metadata."""
    random = np.random.default_rng(seed)
    lines = ["clip,frame,person,joint,x,y,score,label,subject"]
    for number in range(clips):
        rows = []
        for t in range(2 + number % 3):
            for person in range(1 + number % 2):
                for joint in JOINTS:
                    x, y, score = random.uniform((0, 0, 0.2), (640, 480, 1))
                    label = ("walk", "wave")[number % 2]
                    rows.append(
                        f"c{number:02},{t},{person},{joint},{x:.1f},{y:.1f},{score:.3f},"
                        f"{label},{number % 3}"
                    )
        lines += [rows[i] for i in random.permutation(len(rows))]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "poses.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
