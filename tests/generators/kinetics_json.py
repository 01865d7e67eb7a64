"""Writes folders as ST-GCN's Kinetics-Skeleton has them, from the description of the format.

A scene is what OpenPose finds in a video: in each frame a list of bodies. The kinds of scene are
what real videos have: one body, two, more than are looked at, listed in another order in every
frame; bodies that come and go, joints that are not found, frames and whole videos without anybody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Scene = list[list[Array]]  # of each frame the bodies (18, 3): x, y in 0..1 (y down), score

# x, y of the 18 joints of somebody who stands upright and faces the camera, from the neck.
STANDING = np.fromstring(
    """
    0 -.08   0 0   -.06 0   -.08 .14   -.09 .26   .06 0   .08 .14   .09 .26   -.04 .27
    -.045 .43   -.05 .58   .04 .27   .045 .43   .05 .58   -.015 -.1   .015 -.1
    -.03 -.09   .03 -.09
    """,
    sep=" ",
).reshape(18, 2)

LONGEST = 300  # frames of a file
PLACES = (0.3, 0.6, 0.12, 0.45, 0.75, 0.88)  # x of the bodies
KINDS = ("one", "two", "swapped", "crowd", "coming", "unscored", "gaps", "nobody")


def body(rng: np.random.Generator, frames: int, action: int, place: float) -> Array:
    """(frames, 18, 3): somebody at `place` who moves as the action has it, and drifts a little."""
    time = np.linspace(0, 1, frames)[:, None]
    own = np.random.default_rng(action)
    swing = own.normal(scale=0.15, size=(2, 18)) * np.abs(STANDING).sum(1)
    rate, phase = own.uniform(2, 12, 18), rng.uniform(0, 0.6)
    size, drift = rng.uniform(0.7, 1.1), rng.normal(scale=0.05, size=2)
    scored = np.empty((frames, 18, 3))
    for axis, origin in enumerate((place, 0.3)):
        moved = STANDING[:, axis] + swing[axis] * np.sin(rate * time + phase)
        scored[..., axis] = origin + drift[axis] * time + size * moved
    scored[..., :2] += rng.normal(scale=0.002, size=(frames, 18, 2))
    scored[..., 2] = rng.uniform(0.2, 1, (frames, 18))
    return scored.clip(0.001, 1).round(3)


def scene(kind: str, action: int, frames: int, rng: np.random.Generator) -> Scene:
    """A scene of one of the `KINDS`, of 4 frames or more."""
    number = {"one": 1, "crowd": 6, "nobody": 0}.get(kind, 2)
    found = np.empty((frames, number, 18, 3))
    for n, place in enumerate(PLACES[:number]):
        found[:, n] = body(rng, frames, action + 7 * n, place)
    there = np.ones((frames, number), bool)
    if kind == "unscored":  # OpenPose writes zeros
        found[rng.random(found.shape[:3]) < 0.3] = 0
    elif kind == "coming":
        there[: frames // 3, 1] = there[-(frames // 3) :, 0] = False
    elif kind == "gaps":
        there[[0, -1]] = there[frames // 2 : frames - frames // 3] = False
    elif kind in ("swapped", "crowd"):
        found = np.stack([bodies[rng.permutation(number)] for bodies in found])
    return [list(bodies[here]) for bodies, here in zip(found, there, strict=True)]


def record(scene: Scene, label: int) -> dict[str, Any]:
    """The file of a video."""
    data = [
        {
            "frame_index": number,
            "skeleton": [
                {"pose": found[:, :2].ravel().tolist(), "score": found[:, 2].tolist()}
                for found in bodies
            ],
        }
        for number, bodies in enumerate(scene, 1)
    ]
    return {"data": data, "label": f"action {label}", "label_index": label}


def write_dataset(
    source: Path,
    videos: Iterable[tuple[str, int]],
    *,
    frames: int = 20,
    seed: int = 0,
    kinds: tuple[str, ...] = KINDS,
) -> dict[str, Scene]:
    """Write video-0_, video-1_, ... and the label files into the folder `source`.

    Args:
        videos: part ("train" or "val") and label of each.
        frames: of each, give or take a quarter, at least 4 and at most 300.
        kinds: of scene, in turn.

    Returns:
        what each video shows.
    """
    rng = np.random.default_rng(seed)
    labels: dict[str, dict[str, Any]] = {}
    truth = {}
    for number, ((part, label), kind) in enumerate(zip(videos, cycle(kinds), strict=False)):
        name = f"video-{number}_"
        length = min(max(4, int(frames * rng.uniform(0.75, 1.25))), LONGEST)
        truth[name] = scene(kind, label, length, rng)
        content = record(truth[name], label)
        path = source / f"kinetics_{part}" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        entry = {key: content[key] for key in ("label", "label_index")}
        labels.setdefault(part, {})[name] = {"has_skeleton": any(truth[name]), **entry}
    for part, entries in labels.items():
        (source / f"kinetics_{part}_label.json").write_text(json.dumps(entries))
    return truth


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """`clips` short videos of 3 classes, two thirds of them in kinetics_train."""
    source = folder / "kinetics-skeleton"
    videos = [("val" if n % 3 == 2 else "train", n % 2 + n // 3 % 2) for n in range(clips)]
    kinds = ("two", "swapped", "unscored", "gaps", "crowd", "coming")
    write_dataset(source, videos, frames=5, seed=seed, kinds=kinds)
    return source
