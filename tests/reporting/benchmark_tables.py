"""Tables of benchmark results, simulated with known effects, as the benchmark writes them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Added to the chance of a right answer: in the class with the most training clips, with the fewest.
METHODS = {
    "balanced-softmax": (0.0, 0.0),
    "mixup": (0.02, -0.03),
    "st-mix": (0.0, 0.04),
    "shap-mix": (0.0, 0.13),
}
DATASETS = {"ucla": (10, 46), "utd": (27, 8)}  # classes, test clips of each
SPEED = {"balanced-softmax": 800, "mixup": 780, "st-mix": 610, "shap-mix": 540}


def make_row(method, dataset, seed, *, fold="", permute=True, backbone="ctrgcn", effects=METHODS):
    """A row of a task that went well."""
    K, clips = DATASETS[dataset]
    shape = np.random.default_rng([7, seed if permute else 0])
    rank = shape.permutation(K)  # of each class, by training clips
    counts = np.rint(np.geomspace(150, 5, K)).astype(int)[rank]
    common = np.random.default_rng([K, len(fold), *fold.encode()])
    labels = np.repeat(np.arange(K), clips)
    easy = common.normal(0, 0.15, len(labels))
    rng = np.random.default_rng([seed, K, *method.encode(), *fold.encode()])
    share = rank / (K - 1)  # 0 with the most training clips, 1 with the fewest
    head, tail = effects[method]
    chance = 0.92 - 0.4 * share + head * (1 - share) + tail * share
    chance = np.clip(chance + rng.normal(0, 0.02), 0, 1)
    right = rng.random(len(labels)) < np.clip(chance[labels] + easy, 0, 1)
    wrong = (labels + rng.integers(1, K, len(labels))) % K
    return {
        "key": f"{method}/{dataset}/{backbone}/{seed}/{fold}",
        "suite": "small",
        "method": method,
        "dataset": dataset,
        "backbone": backbone,
        "seed": seed,
        "fold": fold,
        "status": "ok",
        "error": "",
        "config": json.dumps({"seed": seed}),
        "class_names": [f"action {k}" for k in range(K)],
        "class_counts": counts.tolist(),
        "test_names_hash": f"{dataset}{fold}",
        "labels": labels.tolist(),
        "predictions": np.where(right, labels, wrong).tolist(),
        "predictions_best": [],
        "train_seconds": 40_000 / SPEED[method] * (1 + 0.05 * rng.random()),
        "clips_per_second": SPEED[method] * (1 + 0.02 * rng.random()),
        "peak_memory_mb": 900.0,
        "parameters": 1_448_172,
        "commit": "0a1b2c3d",
        "torch": "2.13.0",
        "machine": "2 cores",
        "finished": "2026-01-01T00:00:00+00:00",
    }


def failed(row, error="RuntimeError: the loss is NaN at epoch 3"):
    empty = {"predictions": [], "labels": [], "class_counts": [], "class_names": []}
    nothing = dict.fromkeys(("train_seconds", "clips_per_second", "peak_memory_mb", "parameters"))
    return row | empty | nothing | {"status": "failed", "error": error}


def make_rows(seeds=6, methods=tuple(METHODS), datasets=tuple(DATASETS), **options):
    return [
        make_row(method, dataset, seed, **options)
        for method in methods
        for dataset in datasets
        for seed in range(seeds)
    ]


def write_table(path, rows):
    schema = pa.schema(
        [
            *((name, pa.list_(pa.int16())) for name in ("labels", "predictions")),
            ("predictions_best", pa.list_(pa.int16())),
            ("class_counts", pa.list_(pa.int32())),
            ("class_names", pa.list_(pa.string())),
            *((n, pa.float64()) for n in ("train_seconds", "clips_per_second", "peak_memory_mb")),
            *((n, pa.int64()) for n in ("seed", "parameters")),
        ]
    )
    words = [(name, pa.string()) for name in rows[0] if name not in schema.names]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([*schema, *words])), path)
    return path
