"""A few MSR-Action3D files, with the list of those used."""

from pathlib import Path

import numpy as np


def text(joints, confidence=1.0):
    """Of (T, 20, 3): a line a joint, x y z confidence."""
    rows = np.asarray(joints).reshape(-1, 3)
    return "".join(f"{x:.6f} {y:.6f} {z:.6f} {confidence:.6f}\n" for x, y, z in rows)


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """The folder `msr_action3d`: actions 1, 13 and 20 in turn; the first clip begins with a frame
    without a body, and one more file is not in the list."""
    random = np.random.default_rng(seed)
    target = folder / "msr_action3d" / "real_world_coordinates"
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(clips + 1):
        action, subject = (1, 13, 20)[number % 3], 1 + number % 2
        names.append(f"a{action:02}_s{subject:02}_e{1 + number // 6:02}")
        joints = random.normal(size=(3 + number % 4, 20, 3))
        if number == 0:
            joints[0] = 0.0
        (target / f"{names[-1]}_skeleton3D.txt").write_text(text(joints, number % 2))
    (target / "files_used_in_cvpr12_paper.txt").write_text("\r\n".join(names[:clips]))
    return folder / "msr_action3d"
