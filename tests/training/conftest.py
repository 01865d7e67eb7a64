"""A small archive that can be learned, its split, and a configuration that trains in a second."""

import numpy as np
import pytest

from shapmix.data.archive import ArchiveWriter
from shapmix.data.clip import ArchiveInfo, Clip
from shapmix.data.splits import make_split
from shapmix.layouts import get_layout
from shapmix.training.config import TrainConfig

MOVING = (7, 11, 15, 19)  # the joint that moves, by class


@pytest.fixture(scope="session")
def archive_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "small.arrow"
    rng = np.random.default_rng(0)
    info = ArchiveInfo(
        layout=get_layout("kinect20"),
        class_names=("left hand", "right hand", "left foot", "right foot"),
        channels="xyz",
        units="m",
        source="made for tests",
        version="1",
        splits={"xsub": ("subject <= 4", "subject > 4")},
    )
    with ArchiveWriter(path, info) as writer:
        for i in range(96):
            label, subject = i % 4, i // 4 % 6 + 1
            frames = int(rng.integers(12, 30))
            keypoints = rng.normal(0, 0.1, (frames, 1, 20, 3)).astype(np.float32)
            keypoints[:, 0, MOVING[label], 1] += np.sin(np.arange(frames) / 2) * 1.5
            metadata = {"subject": subject}
            writer.write(Clip(f"clip{i:03d}", label, keypoints, 30.0, metadata))
    return path


@pytest.fixture(scope="session")
def split_path(archive_path):
    from shapmix.data.archive import Archive

    path = archive_path.with_name("small-lt4.json")
    make_split(Archive(archive_path), imbalance=4, n_max=12, val_per_class=3).save(path)
    return path


@pytest.fixture
def config(archive_path, split_path, tmp_path):
    def make(**changes):
        settings = {
            "archive": archive_path,
            "split": split_path,
            "out": tmp_path / "run",
            "model": "tiny:TinyModel",
            "num_frames": 16,
            "epochs": 3,
            "batch_size": 8,
            "lr": 0.05,
            "lr_warmup_epochs": 1,
            "mixer_options": {"warmup_epochs": 1, "saliency_budget": 2.0},
            "accelerator": "cpu",
            "threads": 1,
            "progress": False,
        }
        return TrainConfig(**(settings | changes))

    return make
