"""One training step: CTR-GCN against a straightforward one, and what Shap-Mix adds to a step.

    python benchmarks/step.py [--quick] [--threads N] [--json FILE]

CTR-GCN at full width on 16 clips of two persons, 64 frames, 25 joints, in float32: training and
inference against `StraightforwardCTRGCN`, which computes the same to rounding; and training where
four of five clips have one person, absent bodies passed over against computed. Then a Shap-Mix step
(N clips mixed with one another, 2N trained on) beside a plain step on 2N clips. What the step adds
is taken apart: mixing with targets and the reservoir, timed on its own; and the evaluation forwards
of a refresh, timed for one and multiplied by how many an epoch of each data set really makes, which
is counted by running the mixer through epochs with a model that costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from harness import Figure, Report, figure, in_turn, ratio, run, speedup
from ntu_like import LT_NTU60, batch_of_bodies
from straightforward import StraightforwardCTRGCN, copy_weights
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from shapmix import BalancedSoftmaxLoss, ShapMix, create_model
from shapmix.data.longtail import Counts, long_tail_counts
from shapmix.layouts import get_layout
from shapmix.losses import two_term_loss

EPOCHS = 6  # that are counted; the mixer saves forwards from one to the next
REFRESHED = 64  # evaluations of a refresh that is timed, about


@dataclass(frozen=True)
class DataSet:
    """A data set as far as the cost of a step goes.

    Attributes:
        name, layout, persons, counts: of the data set. clips: N that is timed.
        budgets: saliency budgets to report. goal: for the first of them.
    """

    name: str
    layout: str
    persons: int
    counts: Counts
    clips: int
    budgets: tuple[float, ...]
    goal: float | None = None


DATA_SETS = (
    DataSet("LT-NTU60", "ntu25", 2, LT_NTU60, 8, (0.05,), goal=1.05),
    DataSet("NW-UCLA", "kinect20", 1, long_tail_counts(np.full(10, 100), 100, 10), 16, (0.05, 0.2)),
    DataSet("UTD-MHAD", "utd20", 1, long_tail_counts(np.full(27, 16), 16, 15), 16, (0.05, 0.2)),
)


def trainer(model: nn.Module) -> Callable[[Callable[[], Tensor]], None]:
    """What makes an optimiser's step of a loss."""
    optimizer = SGD(model.parameters(), 0.01, 0.9, nesterov=True)

    def step(loss: Callable[[], Tensor]) -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def against_straightforward(quick: bool) -> list[Figure]:
    """Goal: training at least 1.5 times and inference at least 1.3 times as fast."""
    clips, width, rounds = (2, 4, 1) if quick else (16, 64, 15)
    x, y = batch_of_bodies(clips, persons=1.0), torch.arange(clips)
    torch.manual_seed(0)
    ours = create_model("ctrgcn", "ntu25", 60, num_persons=2, width=width)
    theirs = StraightforwardCTRGCN("ntu25", 60, num_persons=2, width=width)
    copy_weights(ours, theirs)

    def inference(model: nn.Module) -> Callable[[], object]:
        return torch.no_grad()(lambda: model(x))

    def training(model: nn.Module) -> Callable[[], object]:
        step = trainer(model)
        return lambda: step(lambda: F.cross_entropy(model(x), y))

    figures = []
    for what, work, goal in (("inference", inference, 1.3), ("training", training, 1.5)):
        for model in (ours, theirs):
            model.train(what == "training")
        taken = in_turn({"ours": work(ours), "theirs": work(theirs)}, rounds)
        name = f"CTR-GCN, {what}"
        figures += [
            figure(f"{name}: straightforward", taken["theirs"], "s"),
            figure(f"{name}: ours", taken["ours"], "s"),
            speedup(name, taken["theirs"], taken["ours"], goal),
        ]
    return figures


def absent_persons(quick: bool) -> list[Figure]:
    """Goal: at least 1.6 times as fast where four of five clips have one person."""
    clips, width, rounds = (5, 4, 1) if quick else (20, 64, 4)
    x, y = batch_of_bodies(clips, persons=0.2), torch.arange(clips)
    works = {}
    for absent in ("learned", "zero"):
        options = {"num_persons": 2, "width": width, "absent": absent}
        model = create_model("ctrgcn", "ntu25", 60, **options).train()
        step = trainer(model)
        works[absent] = lambda step=step, model=model: step(lambda: F.cross_entropy(model(x), y))
    taken = in_turn(works, rounds)
    name = "80 % clips of one person, training"
    return [
        figure(f"{name}: absent bodies computed", taken["zero"], "s"),
        figure(f"{name}: absent bodies passed over", taken["learned"], "s"),
        speedup(name, taken["zero"], taken["learned"], 1.6),
    ]


class Counting(nn.Module):
    """A model, or one that costs nothing, that counts the clips it sees."""

    def __init__(self, model: nn.Module | None, num_classes: int) -> None:
        super().__init__()
        self.model, self.num_classes, self.seen = model, num_classes, 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return x.new_zeros(len(x), self.num_classes) if self.model is None else self.model(x)


def make_mixer(data: DataSet, frames: int, budget: float) -> ShapMix:
    """Shap-Mix for a data set, guided from the start, that pastes in every batch."""
    background = torch.randn(3, frames, get_layout(data.layout).num_joints, data.persons)
    options = {"saliency_budget": budget, "warmup_epochs": 0, "mixup_prob": 0.0}
    return ShapMix(data.layout, data.counts, background, **options)


def evaluations_per_clip(data: DataSet, budget: float) -> float:
    """Evaluation forwards of an epoch for each of its clips, counted over some epochs."""
    mixer, model = make_mixer(data, 8, budget), Counting(None, len(data.counts))
    labels = torch.from_numpy(np.repeat(np.arange(len(data.counts)), data.counts))
    for epoch in range(EPOCHS):
        generator = torch.Generator().manual_seed(epoch)
        for y in labels[torch.randperm(len(labels), generator=generator)].split(64):
            mixer(torch.ones(len(y), *mixer.background.shape), y)
        mixer.refresh(model)
    return model.seen / (EPOCHS * len(labels))


def time_pieces(data: DataSet, quick: bool) -> dict[str, list[float]]:
    """Seconds for each clip: "plain" and "mixed" steps, "mixing" alone; and of one "evaluation"."""
    N, width, rounds = (3, 4, 1) if quick else (data.clips, 64, 4)
    K, repetitions = len(data.counts), 10
    torch.manual_seed(0)
    x = torch.randn(2 * N, 3, 64, get_layout(data.layout).num_joints, data.persons)
    y = torch.arange(2 * N) % K
    clean, labels, hard = x[:N], y[:N], F.one_hot(y[N:], K).float()
    model = create_model("ctrgcn", data.layout, K, num_persons=data.persons, width=width).train()
    criterion, step, counting = BalancedSoftmaxLoss(data.counts), trainer(model), Counting(model, K)
    mixer = make_mixer(data, 64, REFRESHED / (6 * N))
    evaluations = []

    def loss(other: Tensor, target: Tensor) -> Tensor:
        first, second = model(torch.cat([clean, other])).chunk(2)
        return two_term_loss(criterion, first, labels, second, target)

    def mixed() -> None:
        mix = mixer(clean, labels)
        step(lambda: loss(mix.x, mix.target))

    def refresh() -> None:
        before = counting.seen
        mixer.refresh(counting)
        evaluations.append(counting.seen - before)

    works = {
        "plain": lambda: step(lambda: loss(x[N:], hard)),
        "mixed": mixed,
        "mixing": lambda: [mixer(clean, labels) for _ in range(repetitions)],
        "evaluation": refresh,
    }
    taken = in_turn(works, rounds)
    per = {"plain": N, "mixed": N, "mixing": repetitions * N}
    found = {name: [s / clips for s in taken[name]] for name, clips in per.items()}
    pairs = zip(taken["evaluation"], evaluations[1:], strict=True)  # the first was to warm up
    return found | {"evaluation": [seconds / number for seconds, number in pairs]}


def added_by_shapmix(data: DataSet, quick: bool) -> list[Figure]:
    """What a step costs with all that Shap-Mix adds, as a multiple of a plain step on 2N clips."""
    pieces = time_pieces(data, quick)
    plain, mixing, evaluation = pieces["plain"], pieces["mixing"], pieces["evaluation"]

    def whole(per_clip: float) -> list[float]:
        rounds = zip(plain, mixing, evaluation, strict=True)
        return [1 + (m + per_clip * e) / p for p, m, e in rounds]

    figures = [
        figure(f"{data.name}: plain step, a clip and its second", plain, "ms", 1000),
        figure(f"{data.name}: mixing, targets, reservoir, a clip", mixing, "ms", 1000),
        figure(f"{data.name}: one evaluation", evaluation, "ms", 1000),
        ratio(f"{data.name}: Shap-Mix step without the refresh", pieces["mixed"], plain),
    ]
    for i, budget in enumerate(data.budgets):
        per_clip, name = evaluations_per_clip(data, budget), f"{data.name}, budget {budget:g}"
        goal = data.goal if i == 0 else None
        figures += [
            Figure(f"{name}: evaluations for each clip of an epoch", per_clip, ""),
            figure(f"{name}: Shap-Mix step, everything", whole(per_clip), "x", goal=goal),
        ]
    sampled = figure(f"{data.name}: as published, 2N evaluations a step", whole(2.0), "x")
    return [*figures, sampled]


def measure(quick: bool) -> Report:
    """All of it."""
    report = Report({"clips": 16, "persons": 2, "frames": 64, "threads": torch.get_num_threads()})
    report.figures += against_straightforward(quick) + absent_persons(quick)
    for data in DATA_SETS[1:] if quick else DATA_SETS:
        report.figures += added_by_shapmix(data, quick)
    return report


if __name__ == "__main__":
    run("step", measure, __doc__)
