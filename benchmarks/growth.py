"""How cost grows: with the data set, the frames, the batch, the joints and the classes.

    python benchmarks/growth.py [--quick] [--threads N] [--json FILE]

Loading with transforms and mixing, per clip, from archives of 1 000 to 100 000 NTU-like clips
(4 GB in the temporary folder); a training step of a narrow CTR-GCN (width 16, one person), per
clip, and mixing beside it, over T, N and V; a complete refresh of the saliency with a TCN over the
number of classes, and over the clips of the data set. Sizes are timed in turn. The exponent of a
growth is the slope of log time over log size, fitted to the medians: 1 is linear, 0 flat.
"""

import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from harness import Curve, Figure, Report, in_turn, run
from ntu_like import LT_NTU60, long_tailed_labels, write_archive
from torch import nn
from torch.nn import functional as F

from shapmix import Archive, ClipDataset, ShapMix, Transform, create_loader, create_model
from shapmix.layouts import Layout

ROUNDS = 5
MIXES = 20  # that are timed at once


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the line through the logarithms of sizes and values."""
    sizes, values = np.log(np.array(points, dtype=float)).T
    return float(np.polyfit(sizes, values, 1)[0])


def over_sizes(
    works: dict[int, Callable[[], object]], quick: bool, times: float = 1.0
) -> list[tuple[float, float]]:
    """Median seconds of each size's work, multiplied by `times`."""
    rounds = 1 if quick else ROUNDS
    taken = in_turn({str(size): work for size, work in works.items()}, rounds)
    return [(size, times * median(taken[str(size)])) for size in works]


def skeleton(joints: int) -> Layout:
    """Five chains of joints that meet at the centre, one a part."""
    parts = np.array_split(np.arange(joints), 5)
    starts = {int(part[0]) for part in parts}
    parents = {j: 0 if j in starts else j - 1 for j in range(1, joints)}
    return Layout(
        name=f"made-up {joints}",
        joints=tuple(f"joint {j}" for j in range(joints)),
        bones=tuple(parents.items()),
        center=0,
        parts={f"part {p}": tuple(map(int, part)) for p, part in enumerate(parts)},
    )


def loading(quick: bool) -> Curve:
    """Loading, transforms and mixing: milliseconds a clip over the size of the data set."""
    sizes, batches = ((64, 256), 2) if quick else ((1_000, 10_000, 100_000), 32)
    mixer = ShapMix("ntu25", LT_NTU60, torch.zeros(3, 64, 25, 2), warmup_epochs=0)
    transform, source = Transform("ntu25"), torch.Generator().manual_seed(0)

    def pass_over(archive: Archive) -> Callable[[], object]:
        loader = create_loader(ClipDataset(archive), 32, shuffle=True, drop_last=True)
        epochs = (batch for _ in iter(int, 1) for batch in loader)

        def work() -> None:
            for batch in islice(epochs, batches):
                mixer(transform(batch, source), batch.labels)

        return work

    with tempfile.TemporaryDirectory() as folder:
        works = {}
        for size in sizes:
            path = Path(folder) / f"{size}.arrow"
            works[size] = pass_over(write_archive(path, long_tailed_labels(size), 60))
        points = over_sizes(works, quick, 1000 / (32 * batches))
    return Curve("data", "load, transform, mix", "clips in the data set", "ms a clip", points)


def stepping(quick: bool) -> list[Curve]:
    """A training step and mixing over T, N and V."""
    usual = {"T": 64, "N": 8, "V": 25}
    grown = {
        "T": (16, 32) if quick else (32, 64, 128, 256),
        "N": (4, 8) if quick else (4, 8, 16, 32),
        "V": (10, 20) if quick else (10, 20, 40, 80),
    }
    names = {"T": "frames T", "N": "clips in a batch N", "V": "joints V"}
    curves = []
    for axis, sizes in grown.items():
        steps, mixes = {}, {}
        for size in sizes:
            steps[size], mixes[size] = step_and_mix(**(usual | {axis: size}), quick=quick)
        for line, works, times in (("training step", steps, 1), ("mixing", mixes, MIXES)):
            points = over_sizes(works, quick, 1000 / times)
            curves.append(Curve(axis, line, names[axis], "ms", points))
    return curves


def step_and_mix(
    T: int, N: int, V: int, quick: bool
) -> tuple[Callable[[], object], Callable[[], object]]:
    """A training step of CTR-GCN on a batch of this size; and `MIXES` mixes of it."""
    layout = skeleton(V)
    model = create_model("ctrgcn", layout, 10, width=4 if quick else 16).train()
    mixer = ShapMix(layout, [10] * 10, torch.zeros(3, T, V, 1), warmup_epochs=0, mixup_prob=0.0)
    x, y = torch.randn(N, 3, T, V, 1), torch.arange(N) % 10

    def step() -> None:
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()

    return step, lambda: [mixer(x, y) for _ in range(MIXES)]


def refreshing(quick: bool) -> list[Curve]:
    """A refresh that evaluates two clips of every class completely."""
    classes = (5, 10) if quick else (15, 30, 60, 120, 240)
    clips = (50, 100) if quick else (1_000, 4_000, 16_000)
    of_classes = {K: refresh(K, 4 * K) for K in classes}
    of_clips = {n: refresh(10, n) for n in clips}
    axes = (("classes", of_classes, "classes"), ("saliency", of_clips, "clips in the data set"))
    return [
        Curve(plot, "refresh", axis, "s", over_sizes(works, quick)) for plot, works, axis in axes
    ]


def refresh(num_classes: int, clips: int) -> Callable[[], object]:
    """A refresh after an epoch of so many clips."""
    counts = torch.full((num_classes,), clips // num_classes)
    model: nn.Module = create_model("tcn", "ntu25", num_classes, width=16)
    mixer = ShapMix("ntu25", counts, torch.zeros(3, 64, 25, 1), clips_per_class=2)
    x, y = torch.randn(num_classes, 3, 64, 25, 1), torch.arange(num_classes)
    for _ in range(clips // num_classes):
        mixer(x, y)
    seen = mixer.reservoir.seen.clone()

    def work() -> None:
        mixer.reservoir.seen.copy_(seen)  # the clips of this epoch once more
        mixer.credit.fill_(64 * num_classes + 4)  # pays for all of them
        mixer.refresh(model)

    return work


def measure(quick: bool) -> Report:
    """All curves, and their exponents."""
    curves = [loading(quick), *stepping(quick), *refreshing(quick)]
    goals = {"data": 0.05, "T": 1.1, "N": 1.1, "V": 2.0, "classes": 1.1, "saliency": 0.05}
    figures = [
        Figure(
            f"{each.line}, exponent over {each.x}",
            exponent(each.points),
            "",
            goal=None if quick else goals[each.plot],
        )
        for each in curves
    ]
    return Report({"threads": torch.get_num_threads(), "width": 16}, figures, curves)


if __name__ == "__main__":
    run("growth", measure, __doc__)
