"""Archives of made-up clips with the lengths and persons of NTU RGB+D."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.longtail import Counts, long_tail_counts
from shapmix.layouts import get_layout

LENGTHS, PAIRS = (40, 150), 26 / 120  # frames; share of clips with two persons
LT_NTU60 = long_tail_counts(np.full(60, 600), 600, 100)  # training clips of each class: 7 892


def write_archive(path: Path, labels: Sequence[int], num_classes: int) -> Archive:
    """One clip for each label, cut from a long random walk around two places: cheap to make."""
    rng = np.random.default_rng(0)
    walk = rng.normal(0, 0.01, (4096, 2, 25, 3)).cumsum(0) + rng.normal(0, 1, (2, 25, 3))
    walk = walk.astype(np.float32)
    names = tuple(f"action {k}" for k in range(num_classes))
    with ArchiveWriter(path, ArchiveInfo(get_layout("ntu25"), names)) as writer:
        for i, label in enumerate(labels):
            length, persons = int(rng.integers(*LENGTHS)), 1 + int(rng.random() < PAIRS)
            start = int(rng.integers(len(walk) - length))
            writer.write(Clip(f"clip{i}", label, walk[start : start + length, :persons], 30.0))
    return Archive(path)


def long_tailed_labels(clips: int, counts: Counts = LT_NTU60) -> list[int]:
    """Labels of clips in a random order, in the proportions of a long tail; each class at least
    once where there are enough clips."""
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    first = np.random.default_rng(1).permutation(len(counts))
    return np.concatenate([first, np.resize(order, clips)])[:clips].tolist()


def batch_of_bodies(clips: int, persons: float, frames: int = 64) -> torch.Tensor:
    """Model inputs `(N, 3, T, 25, 2)`, of which the share `persons` has a second body."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(clips, 3, frames, 25, 2, generator=generator)
    x[round(persons * clips) :, ..., 1] = 0
    return x
