"""A few UTD-MHAD files: .mat, compressed and not, written by SciPy."""

from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import savemat


def mat(d_skel, *, compressed=True, name="d_skel"):
    """A file that holds one variable; its header without the date, so that it can be repeated."""
    file = BytesIO()
    savemat(file, {name: d_skel}, do_compression=compressed)
    return b"MATLAB 5.0 MAT-file".ljust(116) + file.getvalue()[116:]


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """The folder `utd_mhad`: actions 1, 10 and 27 in turn, subjects 1 and 2."""
    random = np.random.default_rng(seed)
    target = folder / "utd_mhad" / "Skeleton"
    target.mkdir(parents=True, exist_ok=True)
    (target / "Skeleton_joint_order.txt").write_text("1. head;\n")
    for number in range(clips):
        name = f"a{(1, 10, 27)[number % 3]}_s{1 + number % 2}_t{1 + number // 6}_skeleton.mat"
        values = random.normal(size=(20, 3, 3 + number % 4))
        (target / name).write_bytes(mat(values, compressed=number % 4 > 0))
    return folder / "utd_mhad"
