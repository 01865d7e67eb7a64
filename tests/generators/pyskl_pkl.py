"""Annotation pickles as PYSKL describes them: NTU in 3D and 2D, Kinetics with separate files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

Content = dict[str, Any]


def ntu(*, clips: int = 6, seed: int = 0, two_d: bool = False) -> Content:
    """ntu60_3danno.pkl, or ntu60_hrnet.pkl: persons 1 or 2, 3 to 8 frames."""
    rng = np.random.default_rng(seed)
    names = [
        f"S001C{i % 3 + 1:03}P{i % 9 + 1:03}R{i // 4 + 1:03}A{i % 4 + 1:03}" for i in range(clips)
    ]
    annotations = []
    for i, name in enumerate(names):
        M, T = 1 + i % 2, int(rng.integers(3, 9))
        annotation: Content = {"frame_dir": name, "label": i % 4, "total_frames": T}
        if two_d:
            size = (1080, 1920)
            annotation |= {"img_shape": size, "original_shape": size}
            annotation["keypoint"] = rng.uniform(1, 1000, (M, T, 17, 2)).astype(np.float16)
            annotation["keypoint_score"] = rng.uniform(0.1, 1, (M, T, 17)).astype(np.float16)
        else:
            annotation["keypoint"] = rng.normal(size=(M, T, 25, 3)).astype(np.float32)
        annotations.append(annotation)
    split = {}
    for protocol, step in (("xsub", 2), ("xview", 3)):
        split[f"{protocol}_train"] = [name for i, name in enumerate(names) if i % step]
        split[f"{protocol}_val"] = names[::step]
    return {"split": split, "annotations": annotations}


def kinetics(
    *, clips: int = 6, seed: int = 0, files: int = 2
) -> tuple[Content, dict[str, Content]]:
    """k400_hrnet.pkl, and the contents of its files of detections."""
    rng = np.random.default_rng(seed)
    annotations = []
    kpfiles: dict[str, Content] = {f"k400_{i}.pkl": {} for i in range(files)}
    for i in range(clips):
        N, T, file = int(rng.integers(4, 12)), 6, f"k400_{i % files}.pkl"
        scores = rng.permutation(np.linspace(0.3, 0.99, N)).astype(np.float32)
        annotations.append(
            {
                "frame_dir": f"video{i}",
                "label": i % 3,
                "img_shape": (340, 480),
                "original_shape": (340, 480),
                "total_frames": T,
                "raw_file": f"data/k400/{file}",
                "frame_inds": np.sort(rng.integers(0, T, N)).astype(np.int16),
                "box_score": scores,
                "valid": {0.5: int((scores > 0.5).sum())},
            }
        )
        keypoint = rng.uniform(0.1, 300, (N, 17, 3)).astype(np.float16)
        kpfiles[file][f"video{i}"] = {"keypoint": keypoint}
    names = [annotation["frame_dir"] for annotation in annotations]
    split = {"train": names[::2], "val": names[1::2]}
    return {"split": split, "annotations": annotations}, kpfiles


def dump(path: Path, content: Any, protocol: int = 4) -> Path:
    """A pickle of `content`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """ntu60_hrnet.pkl."""
    return dump(folder / "ntu60_hrnet.pkl", ntu(clips=clips, seed=seed, two_d=True))
