"""A suite file, an engine with a small archive, and training that takes no time."""

import json
import os

import numpy as np
import pytest
import yaml
from tiny_suite import content

from shapmix.benchmarking.engine import Settings
from shapmix.metrics import evaluate


@pytest.fixture
def suite_file(tmp_path):
    def write(**changes):
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(content(**changes)))
        return path

    return write


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Where the archive of the suite is made once."""
    return tmp_path_factory.mktemp("archives") / "archives"


@pytest.fixture
def settings(tmp_path, archives):
    """Of an engine in an empty work folder that has the archive."""
    work = tmp_path / "work"
    work.mkdir()
    archives.mkdir(exist_ok=True)
    (work / "archives").symlink_to(archives)

    def make(**changes):
        given = {"work": work, "data": tmp_path, "results": work / "results.parquet"}
        return Settings(**(given | changes))

    return make


class FakeTraining:
    """In place of `finish`: leaves the files of a run behind; fails where it is told to."""

    def __init__(self):
        self.trained = []
        self.fails = lambda config: False

    def __call__(self, config):
        if (config.folder / "metrics.json").exists():
            return
        self.trained.append((config.mixer, config.seed))
        if self.fails(config):
            raise RuntimeError("no luck\nat all")
        rng = np.random.default_rng(config.seed)
        counts, labels = np.array([30, 20, 5]), np.repeat([0, 1, 2], 4)
        logits = rng.normal(size=(12, 3)).astype(np.float32)
        found = {"epoch": 1, "validation": None, "test": evaluate(logits, labels, counts)}
        config.folder.mkdir(parents=True)
        names = np.array([f"clip{i}" for i in range(12)])
        arrays = {"logits_last": logits, "labels": labels, "names": names, "class_counts": counts}
        np.savez(config.folder / "scores.npz", **arrays)
        metrics = {
            "class_names": ["a", "b", "c"],
            "class_counts": counts.tolist(),
            "last": found,
            "best": None,
            "cost": {"train_seconds": 60.0, "clips_per_second": 9.0, "parameters": 7},
        }
        (config.folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def training(monkeypatch):
    fake = FakeTraining()
    monkeypatch.setattr("shapmix.training.run.finish", fake)
    return fake


@pytest.fixture
def worker_environment():
    """Of processes that tests start: one thread each."""
    return os.environ | {"OMP_NUM_THREADS": "1"}
