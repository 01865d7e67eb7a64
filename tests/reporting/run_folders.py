"""Run folders written by hand, as the contract in `shapmix.reporting.runs` has them."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from shapmix.metrics import evaluate

NAMES = ("drink", "eat meal", "brush teeth", "wave", "clap", "kick", "jump")
COUNTS = (300, 150, 80, 40, 25, 12, 6)
PARTS = ("trunk", "right_arm", "left_arm", "right_leg", "left_leg")


def make_logits(labels, num_classes, signal, rng):
    logits = rng.normal(size=(len(labels), num_classes)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += signal
    return logits


def write_run(
    path,
    *,
    signal=2.0,
    counts=COUNTS,
    labels=None,
    best=True,
    saliency=True,
    clip_prefix="clip",
    last_epoch=65,
    reverse=False,
    **config,
):
    """A run folder; a larger `signal` is a better model, `config` overrides settings."""
    path = Path(path)
    path.mkdir(parents=True)
    K = len(counts)
    settings = {
        "archive": "ucla.arrow",
        "split": "lt.json",
        "mixer": "shapmix",
        "mixer_options": {},
        "loss": "balanced-softmax",
        "model": "ctrgcn",
        "seed": 0,
        "epochs": 65,
        "batch_size": 64,
        "out": str(path),
    } | config
    rng = np.random.default_rng([int(settings["seed"]), len(settings["mixer"])])
    labels = np.arange(210) % K if labels is None else np.asarray(labels)
    logits = {"last": make_logits(labels, K, signal, rng)}
    if best:
        logits["best"] = make_logits(labels, K, signal + 0.2, rng)
    results = {
        which: {
            "epoch": last_epoch if which == "last" else 60,
            "test": evaluate(scores, labels, counts, resamples=50),
            "validation": evaluate(scores[::3], labels[::3], counts, resamples=0),
        }
        for which, scores in logits.items()
    }
    metrics = {
        "format": 1,
        "class_names": list(NAMES[:K]),
        "class_counts": list(counts),
        "last": results["last"],
        "best": results.get("best"),
        "cost": {"train_seconds": 754.2, "clips_per_second": 812.5, "parameters": 1448172},
    }
    (path / "metrics.json").write_text(json.dumps(metrics))
    (path / "config.yaml").write_text(yaml.safe_dump(settings))
    (path / "environment.json").write_text(json.dumps({"torch": "2.13"}))
    order = slice(None, None, -1) if reverse else slice(None)
    names = np.array([f"{clip_prefix}{i:04d}" for i in range(len(labels))])
    np.savez(
        path / "scores.npz",
        names=names[order],
        labels=labels[order],
        class_counts=np.array(counts),
        **{f"logits_{which}": scores[order] for which, scores in logits.items()},
    )
    if saliency:
        write_saliency(path, K, rng)
    return path


def write_saliency(path, num_classes, rng):
    rows = [c for size in (2, 3) for c in combinations(range(5), size)]
    coalitions = np.array([[part in row for part in range(5)] for row in rows])
    gain = rng.random((num_classes, 5)) * [0.3, 1, 1, 0.4, 0.4]
    scores = np.stack([gain @ coalitions.T * share for share in (0.2, 0.6, 1.0)])
    np.savez(
        path / "saliency.npz",
        epochs=np.array([0, 30, 64]),
        scores=scores.astype(np.float32),
        values=rng.random((3, num_classes, 32), dtype=np.float32),
        coalitions=coalitions,
        part_names=np.array(PARTS),
    )
