"""Run folders with clips, mixes and explanations, written by hand as the contracts have them."""

import json
from itertools import combinations

import numpy as np
import pyarrow as pa
from run_folders import PARTS, write_run

from shapmix.layouts import get_layout

T = 24
WINDOW, SOURCE = (6, 10), (4, 14)  # first frame, number of frames
PASTED_PARTS = ("right_arm", "trunk")
LAYOUT = get_layout("ntu25")

_NUMBERS = ("group", "label", "predicted", "frames", "persons", "joints", "channels")
_SCHEMA = pa.schema(
    [
        *((name, pa.int32()) for name in (*_NUMBERS, "start", "length")),
        *((name, pa.string()) for name in ("kind", "role", "name")),
        ("target", pa.list_(pa.struct({"class": pa.int32(), "weight": pa.float32()}))),
        ("keypoints", pa.binary()),
        ("pasted", pa.list_(pa.bool_())),
        ("lam", pa.float32()),
    ]
)


def make_clip(rng, layout=LAYOUT, persons=1, channels="xyz"):
    """A body that sways: `(T, M, V, C)`, with a confidence in [0.5, 1] where there is one."""
    V = layout.num_joints
    body = rng.normal(scale=[0.2, 0.5, 0.2], size=(1, persons, V, 3))
    sway = 0.2 * np.sin(np.linspace(0, 6, T))[:, None, None, None] * rng.normal(size=(V, 3))
    clip = body + sway
    if channels != "xyz":
        clip = clip[..., :2]
    if channels == "xyc":
        clip = np.concatenate([clip, rng.uniform(0.5, 1, (*clip.shape[:3], 1))], axis=3)
    return clip.astype(np.float16)


def make_mix(rng, layout=LAYOUT, persons=1, channels="xyz"):
    """Receiver, partner and mixed clip, and the pasted joints `(V,)`."""
    receiver, partner = (make_clip(rng, layout, persons, channels) for _ in range(2))
    pasted = np.isin(
        np.arange(layout.num_joints), [j for part in PASTED_PARTS for j in layout.parts[part]]
    )
    mixed = receiver.copy()
    frames = np.linspace(SOURCE[0], sum(SOURCE) - 1, WINDOW[1]).round().astype(int)
    mixed[WINDOW[0] : sum(WINDOW)][:, :, pasted] = partner[frames][:, :, pasted]
    return receiver, partner, mixed, pasted


def write_examples(folder, *, layout=LAYOUT, persons=1, channels="xyz", up="y", mixes=2):
    """Write `examples.arrow`: a confused pair, and mixes of classes 6 and 0, 5 and 1, ..."""
    rng = np.random.default_rng(7)
    rows = []

    def add(group, kind, role, label, clip, target, **rest):
        rows.append(
            {
                "group": group,
                "kind": kind,
                "role": role,
                "name": f"clip-{group}-{role}",
                "label": label,
                "predicted": -1,
                "target": [{"class": k, "weight": w} for k, w in target],
                **dict(zip(("frames", "persons", "joints", "channels"), clip.shape, strict=True)),
                "keypoints": clip.tobytes(),
                "pasted": [],
                "start": -1,
                "length": -1,
                "lam": float("nan"),
            }
            | rest
        )

    def clip():
        return make_clip(rng, layout, persons, channels)

    add(0, "clip", "", 2, clip(), [(2, 1)], predicted=1)
    add(0, "clip", "", 1, clip(), [(1, 1)], predicted=1)
    for i in range(mixes):
        *clips, pasted = make_mix(rng, layout, persons, channels)
        rare, frequent, windows = 6 - i, i, (WINDOW, SOURCE, WINDOW)
        targets = ([(rare, 1)], [(frequent, 1)], [(rare, 0.62), (frequent, 0.38)])
        labels, roles = (rare, frequent, -1), ("receiver", "partner", "mixed")
        for label, role, each, target, window in zip(
            labels, roles, clips, targets, windows, strict=True
        ):
            more = {"pasted": pasted.tolist(), "lam": 0.62} if role == "mixed" else {}
            start, length = window
            add(1 + i, "mix", role, label, each, target, start=start, length=length, **more)
    about = {
        "format": 1,
        "layout": {
            "name": layout.name,
            "joints": layout.joints,
            "bones": layout.bones,
            "parts": dict(layout.parts),
            "center": layout.center,
        },
        "channels": channels,
        "units": "m",
        "up": up,
    }
    schema = _SCHEMA.with_metadata({key: json.dumps(value) for key, value in about.items()})
    with pa.ipc.new_file(folder / "examples.arrow", schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
    return folder


def write_explanation(folder, num_classes=7):
    """Write `explanation.npz` of random games; class k was explained on `min(k + 1, 4)` clips."""
    rng = np.random.default_rng(3)
    rows = [c for size in range(1, 6) for c in combinations(range(5), size)]
    coalitions = np.array([[part in row for part in range(5)] for row in rows])
    parts = rng.normal(0.08, 0.12, (num_classes, 5))
    values = parts @ coalitions.T.astype(float) + rng.normal(0, 0.01, (num_classes, len(rows)))
    values[:, :5] = parts
    pairs = rng.normal(0, 0.05, (num_classes, 5, 5))
    pairs = pairs + pairs.transpose(0, 2, 1)
    pairs[:, range(5), range(5)] = 0
    clips = np.minimum(np.arange(num_classes) + 1, 4)
    errors = {
        name: np.where((clips == 1).reshape(-1, *[1] * (array.ndim - 1)), np.nan, 0.02 + array**2)
        for name, array in (("part", parts), ("coalition", values), ("interaction", pairs))
    }
    np.savez(
        folder / "explanation.npz",
        part_names=np.array(PARTS),
        clips=clips,
        parts=parts,
        coalitions=coalitions,
        coalition_values=values,
        interactions=pairs,
        **{f"{name}_errors": array for name, array in errors.items()},
    )
    return folder


def write_shown_run(path, *, examples=None, layout=LAYOUT, **options):
    """A run folder with everything that reports show."""
    write_run(path, **options)
    write_examples(path, layout=layout, **(examples or {}))
    write_explanation(path)
    (path / "data_profile.json").write_text(json.dumps({"layout": layout.to_dict()}))
    (path / "history.csv").write_text(
        "epoch,lr,train_loss,val_top1,val_mean_class\n"
        "0,0.1,3.2,,\n1,0.1,2.4,0.3,0.2\n2,0.01,1.9,,\n3,0.01,1.5,0.5,0.45\n"
    )
    return path
