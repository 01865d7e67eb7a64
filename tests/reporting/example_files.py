"""`examples.arrow`, `explanation.npz` and `history.csv` by hand, as the contract has them."""

import json
from itertools import combinations

import numpy as np
import pyarrow as pa

from shapmix.layouts import get_layout

LAYOUT = get_layout("kinect20")
TYPES = {
    "group": pa.int32(),
    "kind": pa.string(),
    "role": pa.string(),
    "name": pa.string(),
    "label": pa.int32(),
    "predicted": pa.int32(),
    "target": pa.list_(pa.struct({"class": pa.int32(), "weight": pa.float32()})),
    "frames": pa.int32(),
    "persons": pa.int32(),
    "joints": pa.int32(),
    "channels": pa.int32(),
    "keypoints": pa.binary(),
    "pasted": pa.list_(pa.bool_()),
    "start": pa.int32(),
    "length": pa.int32(),
    "lam": pa.float32(),
}
ABOUT = {
    "format": 1,
    "layout": {
        "name": LAYOUT.name,
        "joints": list(LAYOUT.joints),
        "bones": [list(bone) for bone in LAYOUT.bones],
        "parts": {part: list(joints) for part, joints in LAYOUT.parts.items()},
        "center": LAYOUT.center,
    },
    "channels": "xyz",
    "units": "m",
    "up": "y",
}


def make_row(group, kind="clip", role="", label=0, frames=6, **changes):
    """A row whose keypoints count up by quarters from its group on."""
    shape = (frames, 2, 20, 3)
    keypoints = (np.arange(np.prod(shape)) / 4 + group).astype("<f2")
    return {
        "group": group,
        "kind": kind,
        "role": role,
        "name": f"{kind}{group}{role}",
        "label": label,
        "predicted": label if kind == "clip" else -1,
        "target": [{"class": label, "weight": 1.0}],
        **dict(zip(("frames", "persons", "joints", "channels"), shape, strict=True)),
        "keypoints": keypoints.tobytes(),
        "pasted": [],
        "start": -1,
        "length": -1,
        "lam": float("nan"),
    } | changes


def make_mix(group):
    pasted = [joint in LAYOUT.parts["left_arm"] for joint in range(20)]
    target = [{"class": 1, "weight": 0.75}, {"class": 6, "weight": 0.25}]
    return [
        make_row(group, "mix", "receiver", 1, start=2, length=3),
        make_row(group, "mix", "partner", 6, start=0, length=6),
        make_row(
            group,
            "mix",
            "mixed",
            -1,
            target=target,
            start=2,
            length=3,
            pasted=pasted,
            lam=0.75,
        ),
    ]


def make_rows():
    """A confused pair, one without a recognised clip, a recognised clip, and a mix."""
    return [
        make_row(0, label=3, predicted=5),
        make_row(0, label=5, frames=4),
        make_row(1, label=2, predicted=0),
        make_row(2, label=4),
        *make_mix(3),
    ]


def write_examples(folder, rows=None, about=ABOUT, types=TYPES, batches=1, **options):
    """The file; `options` are those of Arrow's writer."""
    metadata = {key: json.dumps(value) for key, value in about.items()}
    schema = pa.schema(types, metadata=metadata)
    batch = pa.RecordBatch.from_pylist(make_rows() if rows is None else rows, schema=schema)
    path = folder / "examples.arrow"
    with pa.ipc.new_file(path, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    return path


def make_explanation(num_classes, part_names, seed=0):
    """Arrays of random numbers of the right form; the last class has one clip."""
    rng, P = np.random.default_rng(seed), len(part_names)
    rows = [c for size in range(1, P + 1) for c in combinations(range(P), size)]
    coalitions = np.array([[part in row for part in range(P)] for row in rows])
    clips = np.full(num_classes, 4)
    clips[-1] = 1
    interactions = rng.normal(0, 0.1, (num_classes, P, P))
    interactions += interactions.transpose(0, 2, 1)
    interactions[:, range(P), range(P)] = 0
    values = {
        "part": rng.normal(0.1, 0.1, (num_classes, P)),
        "coalition": rng.normal(0.3, 0.1, (num_classes, len(rows))),
        "interaction": interactions,
    }
    errors = {name: rng.uniform(0, 0.05, value.shape) for name, value in values.items()}
    for error in errors.values():
        error[-1] = np.nan
    return {
        "part_names": np.array(part_names),
        "clips": clips,
        "coalitions": coalitions,
        "parts": values["part"].astype(np.float32),
        "coalition_values": values["coalition"].astype(np.float32),
        "interactions": interactions.astype(np.float32),
        **{f"{name}_errors": error.astype(np.float32) for name, error in errors.items()},
    }
