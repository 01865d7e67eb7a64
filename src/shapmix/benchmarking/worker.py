"""What a worker process does: train one task after another, and make a row of the table of each."""

from __future__ import annotations

import os
import platform
import resource
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout

from shapmix.benchmarking.prepare import located, lock, log_file, prepare_split, run_folder
from shapmix.benchmarking.table import METRICS, SCHEMA, VALIDATION
from shapmix.benchmarking.tasks import Task, digest

Row = dict[str, Any]


def run_job(tasks: Sequence[Task], work: Path, source: Path) -> list[Row]:
    """Run tasks that share their weights, one after another; a row of each.

    Whatever goes wrong in one becomes its row. A task that another process works on has none.
    """
    rows = []
    for task in tasks:
        try:
            with lock(run_folder(work, task), timeout=0), _logged(log_file(work, task)):
                rows.append(_run(task, work, source))
        except Timeout:
            continue
    return rows


def _run(task: Task, work: Path, source: Path) -> Row:
    _reset_peak_memory()
    try:
        prepare_split(task, work, source)
        found = _train(task, work)
    except Exception as error:
        traceback.print_exc()
        found = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    return _identity(task) | found | {"peak_memory_mb": _peak_memory_mb()}


def _train(task: Task, work: Path) -> Row:
    from shapmix.training.run import finish

    config = located(task, work)
    folder = run_folder(work, task)
    if task.base is None:
        finish(config)
    else:
        from shapmix.training.second_stage import second_stage

        with lock(run_folder(work, task.base)):
            finish(config)
        if not (folder / "metrics.json").exists():
            options = dict(task.second_stage or {})
            kind, device = options.pop("kind"), _device(config.accelerator)
            second_stage(config.folder, folder, kind, options, device=device, model=config.model)
    return read_run(folder)


def _device(accelerator: str) -> str:
    """What torch calls it."""
    import torch

    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return {"gpu": "cuda"}.get(accelerator, accelerator)


def read_run(folder: Path) -> Row:
    """The columns that are read from a finished run folder."""
    from shapmix.training.files import read_json

    metrics = read_json(folder / "metrics.json")
    with np.load(folder / "scores.npz", allow_pickle=False) as scores:
        logits = scores["logits_last"].astype(np.float64)
        labels, names = scores["labels"], scores["names"].tolist()
        best = scores["logits_best"].argmax(1).tolist() if "logits_best" in scores else []
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    last, cost = metrics["last"], metrics["cost"]
    validation = last.get("validation") or {}
    return {
        "status": "ok",
        "class_names": metrics["class_names"],
        "class_counts": metrics["class_counts"],
        "test_names_hash": digest("\n".join(names)),
        "labels": labels.tolist(),
        "predictions": logits.argmax(1).tolist(),
        "predictions_best": best,
        "probability": (shifted.max(1) / shifted.sum(1)).tolist(),
        **{name: _number(last["test"].get(name)) for name in METRICS},
        **{name: _number(validation.get(name.removeprefix("val_"))) for name in VALIDATION},
        "train_seconds": _number(cost.get("train_seconds")),
        "clips_per_second": _number(cost.get("clips_per_second")),
        "parameters": int(cost.get("parameters", 0)),
    }


def failed_row(task: Task, error: str) -> Row:
    """The row of a task of which nothing but its failure is known."""
    return _identity(task) | {"status": "failed", "error": error}


def _identity(task: Task) -> Row:
    """A row without results: NaN, empty lists, empty texts."""
    empty: Row = {
        name: [] if kind.startswith("list") else {"double": float("nan"), "int64": 0}.get(kind, "")
        for name, kind in SCHEMA.items()
    }
    environment = _environment()
    return empty | {
        "key": task.key,
        "suite": task.suite,
        "method": task.method,
        "dataset": task.dataset,
        "backbone": task.backbone,
        "seed": task.seed,
        "fold": task.fold,
        "config": task.recipe,
        "commit": environment["commit"] or "",
        "torch": environment["packages"]["torch"],
        "machine": _machine(environment["gpu"] if task.config.accelerator != "cpu" else None),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _environment() -> dict[str, Any]:
    from shapmix.training.machine import environment

    return environment()


def _machine(gpu: str | None) -> str:
    """Such as "AMD EPYC 7B13, 8 cores"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return ", ".join(filter(None, (processor, f"{os.cpu_count()} cores", gpu)))


def _reset_peak_memory() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew
    except OSError:
        return


def _peak_memory_mb() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What is printed goes to a file."""
    with path.open("a") as file, redirect_stdout(file), redirect_stderr(file):
        yield
