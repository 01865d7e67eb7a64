"""Sequences worth showing: clips that are confused, clips that are recognised, and mixes.

A run writes them once, at its end, into `examples.arrow`, so that a report needs neither the data
nor the model. The form of the file is told in `shapmix.reporting.examples`, which reads it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shapmix.data.archive import Archive
from shapmix.data.clip import ArchiveInfo
from shapmix.layouts import Layout
from shapmix.layouts.upright import Up, guess_up
from shapmix.writing import atomic_file

FORMAT = 1
PAIRS, SINGLES = 24, 60  # most pairs of classes, and most classes, of which clips are shown
MOST_FRAMES, LEAST_FRAMES = 48, 8  # of a sequence
MOST_PERSONS = 4  # of a clip, the first ones
MOST_BYTES = 3_000_000  # of all keypoints together
LARGEST = float(np.finfo(np.float16).max)

Floats = NDArray[np.floating[Any]]
Kind = Literal["clip", "mix"]
Role = Literal["", "receiver", "partner", "mixed"]
Window = tuple[int, int]  # first frame, number of frames
NOWHERE: Window = (-1, -1)

SCHEMA = pa.schema(
    {
        "group": pa.int32(),
        "kind": pa.string(),
        "role": pa.string(),
        "name": pa.string(),
        "label": pa.int32(),
        "predicted": pa.int32(),
        "target": pa.list_(pa.struct({"class": pa.int32(), "weight": pa.float32()})),
        **dict.fromkeys(("frames", "persons", "joints", "channels"), pa.int32()),
        "keypoints": pa.binary(),
        "pasted": pa.list_(pa.bool_()),
        "start": pa.int32(),
        "length": pa.int32(),
        "lam": pa.float32(),
    }
)


@dataclass(frozen=True, eq=False)
class Shown:
    """One sequence of a scene.

    Attributes:
        kind: "clip", a test clip, or "mix", one of three sequences of a mix.
        role: in a mix.
        name: of the clip.
        label: class of the clip; -1 for a mixed one.
        keypoints: `(T, M, V, C)` float32, centred for display.
        target: class -> weight of the label.
        predicted: the class that the model gives a test clip; -1 in a mix.
        window: the paste window, for the partner the source window.
        pasted: the joints of a mixed clip that are the partner's.
        lam: the receiver's weight in the label of a mixed clip.
    """

    kind: Kind
    role: Role
    name: str
    label: int
    keypoints: Floats
    target: Mapping[int, float]
    predicted: int = -1
    window: Window = NOWHERE
    pasted: Sequence[bool] = ()
    lam: float = float("nan")


Scene = Sequence[Shown]


# ---- which test clips


def confused_pairs(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], most: int = PAIRS
) -> list[tuple[int, int]]:
    """The ordered pairs (class, class it is taken for) of most test clips, the worst first.

    Of pairs with equally many clips the one that is the larger share of its class comes first, then
    that of the lower class.
    """
    wrong = labels != predictions
    pairs, counts = np.unique(
        np.stack([labels[wrong], predictions[wrong]], 1), axis=0, return_counts=True
    )
    clips = np.bincount(labels)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], clips[pairs[:, 0]], -counts))
    return [(int(true), int(said)) for true, said in pairs[order[:most]]]


def shown_classes(
    candidates: Sequence[int], class_counts: NDArray[np.int64], most: int = SINGLES
) -> list[int]:
    """Up to so many classes, at equal distances along the long tail, the most frequent first."""
    ranked = sorted(candidates, key=lambda k: (-class_counts[k], k))
    if len(ranked) <= most:
        return ranked
    return [ranked[i] for i in np.linspace(0, len(ranked) - 1, most).round().astype(int)]


def choose_clips(
    logits: Floats, labels: NDArray[np.int64], class_counts: NDArray[np.int64]
) -> list[list[int]]:
    """Which test clips are shown: their positions, a list for each scene.

    For each of the most confused pairs (a, b) the clip of a that is taken for b, and a clip of b
    that is recognised, if there is one; then a recognised clip of each of up to 60 classes. Of
    several the one is shown that the model is surest about.

    Args:
        logits: `(n, K)` of the test clips. labels: `(n,)` int64. class_counts: `(K,)` training
            clips of each class.
    """
    shifted = logits - logits.max(1, keepdims=True).astype(np.float64)
    surest = -np.log(np.exp(shifted).sum(1))  # the log-probability of the predicted class
    predictions = logits.argmax(1)
    best: dict[tuple[int, int], int] = {}
    for i in np.argsort(-surest, kind="stable").tolist():
        best.setdefault((int(labels[i]), int(predictions[i])), i)
    right = {k: i for (k, said), i in best.items() if k == said}
    pairs = [
        [best[pair], *([right[pair[1]]] if pair[1] in right else [])]
        for pair in confused_pairs(labels, predictions)
    ]
    return [*pairs, *([right[k]] for k in shown_classes(list(right), class_counts))]


def clip_scenes(
    archive: Archive, names: Sequence[str], logits: Floats, class_counts: NDArray[np.int64]
) -> list[Scene]:
    """Scenes of test clips, with the archive's own keypoints.

    Args:
        names: `(n,)` names of the test clips. logits: `(n, K)` of them.
        class_counts: `(K,)` training clips of each class.
    """
    positions = np.array([archive.index(name) for name in names], dtype=np.int64)
    labels, predictions = archive.labels[positions], logits.argmax(1)
    D, center = len(archive.info.channels.removesuffix("c")), archive.info.layout.center

    def shown(i: int) -> Shown:
        keypoints = archive.read(int(positions[i]))
        label = int(labels[i])
        return Shown(
            "clip",
            "",
            names[i],
            label,
            centred(keypoints, D, find_origin(keypoints, D, center)),
            {label: 1.0},
            int(predictions[i]),
        )

    return [[shown(i) for i in scene] for scene in choose_clips(logits, labels, class_counts)]


# ---- how they are laid for display


def valid_joints(keypoints: Floats, D: int) -> NDArray[np.bool_]:
    """Which joints of `(T, M, V, C)` are there: `(T, M, V)`.

    Those of a body with any coordinate but zero in that frame and, where a confidence follows the D
    coordinates, with one above zero.
    """
    bodies = (keypoints[..., :D] != 0).any((2, 3))
    valid: NDArray[np.bool_] = np.broadcast_to(bodies[..., None], keypoints.shape[:3])
    return valid & (keypoints[..., D] > 0) if keypoints.shape[-1] > D else valid


def find_origin(keypoints: Floats, D: int, center: int) -> Floats:
    """Where the first person's centre joint is first seen: `(D,)`; zeros if it never is."""
    valid = valid_joints(keypoints, D)[:, :, center]
    for person, seen in enumerate(valid.T):
        if seen.any():
            return keypoints[int(seen.argmax()), person, center, :D].astype(np.float64)
    return np.zeros(D)


def centred(keypoints: Floats, D: int, origin: Floats) -> Floats:
    """A copy `(T, M, V, C)` float32 about an origin `(D,)`; what is not there is zero."""
    out = keypoints.astype(np.float32)
    moved = keypoints[..., :D] - origin
    out[..., :D] = np.where(valid_joints(keypoints, D)[..., None], moved, 0)
    return out


def shown_frames(num_frames: int, most: int) -> NDArray[np.int64]:
    """Up to so many frames at equal distances, the first and the last among them."""
    return np.linspace(0, num_frames - 1, min(most, num_frames)).round().astype(np.int64)


def shown_window(window: Window, frames: NDArray[np.int64]) -> Window:
    """A window of frames among those that are shown; one at least, if there was one."""
    start, length = window
    if length <= 0:
        return NOWHERE
    first, end = np.searchsorted(frames, [start, start + length]).tolist()
    first = min(first, len(frames) - 1)
    return first, max(end - first, 1)


def most_frames(scenes: Sequence[Scene]) -> int:
    """Frames of a sequence with which all of them together have `MOST_BYTES`."""
    frame = sum(2 * s.keypoints[0, :MOST_PERSONS].size for scene in scenes for s in scene)
    return max(LEAST_FRAMES, min(MOST_FRAMES, MOST_BYTES // max(frame, 1)))


def usual_up(scenes: Sequence[Scene], layout: Layout, D: int) -> Up:
    """Which axis points up in the shown clips."""
    poses = []
    for shown in (shown for scene in scenes for shown in scene):
        first = shown.keypoints[:, 0, :, :D]
        there = first.any((1, 2))
        if there.any():
            poses.append(np.median(first[there], axis=0))
    return guess_up(np.mean(poses, axis=0) if poses else np.zeros((layout.num_joints, D)), layout)


_TO_Y = {  # rotations that turn an axis to +y
    "y": np.eye(3),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-y": np.diag([1.0, -1, -1]),
}


def turned(scenes: Sequence[Scene], up: Up, wanted: Up) -> list[Scene]:
    """Three-dimensional scenes turned so that the wanted axis points up."""
    turn = _TO_Y[wanted].T @ _TO_Y[up]

    def one(shown: Shown) -> Shown:
        return replace(shown, keypoints=(shown.keypoints @ turn.T).astype(np.float32))

    return [[one(shown) for shown in scene] for scene in scenes]


# ---- the file


def write_examples(path: Path, scenes: Sequence[Scene], info: ArchiveInfo, up: Up) -> None:
    """Write scenes, atomically, in at most about 3 MB.

    Args:
        path: the file. info: what all clips of the archive share. up: the axis that points up.
    """
    most = most_frames(scenes)
    rows = [_row(group, shown, most) for group, scene in enumerate(scenes) for shown in scene]
    about = {
        "format": FORMAT,
        "layout": _layout(info.layout),
        "channels": info.channels,
        "units": info.units,
        "up": up,
    }
    schema = SCHEMA.with_metadata({key: json.dumps(value) for key, value in about.items()})
    table = pa.RecordBatch.from_pylist(rows, schema=schema)
    with atomic_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(table)


def _row(group: int, shown: Shown, most: int) -> dict[str, Any]:
    frames = shown_frames(len(shown.keypoints), most)
    keypoints = np.nan_to_num(shown.keypoints[frames, :MOST_PERSONS], posinf=0, neginf=0)
    T, M, V, C = keypoints.shape
    start, length = shown_window(shown.window, frames)
    return {
        "group": group,
        "kind": shown.kind,
        "role": shown.role,
        "name": shown.name,
        "label": shown.label,
        "predicted": shown.predicted,
        "target": [{"class": k, "weight": weight} for k, weight in shown.target.items()],
        "frames": T,
        "persons": M,
        "joints": V,
        "channels": C,
        "keypoints": keypoints.clip(-LARGEST, LARGEST).astype("<f2").tobytes(),
        "pasted": list(shown.pasted),
        "start": start,
        "length": length,
        "lam": shown.lam,
    }


def _layout(layout: Layout) -> dict[str, Any]:
    return {
        "name": layout.name,
        "joints": layout.joints,
        "bones": layout.bones,
        "parts": dict(layout.parts),
        "center": layout.center,
    }
