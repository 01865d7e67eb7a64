"""One epoch of Shap-Mix from the archive, against a loop built as the released program is.

    python benchmarks/end_to_end.py [--quick] [--threads N] [--json FILE]

Clips with the lengths and persons of NTU, classes with the tail of LT-NTU60, CTR-GCN at full width,
batches of 16, float32, in this process. Ours: ragged batches from the archive, transforms of whole
batches, Shap-Mix with its refresh, the model that passes over absent bodies, metrics. The other
side: `naive_loop.py`. The two take their steps in turn; an epoch is as many median steps as it has,
the median pass over the test clips and, for ours, a refresh. Of that we charge the whole budget of
the epoch, also where it was too small to pay for a class and something was saved for later.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from harness import Figure, Report, figure, in_turn, run, speedup, timed
from naive_loop import NaiveLoop
from ntu_like import LT_NTU60, long_tailed_labels, write_archive
from straightforward import StraightforwardCTRGCN
from torch import Tensor, nn
from torch.optim import SGD

from shapmix import (
    Archive,
    BalancedSoftmaxLoss,
    ClipDataset,
    ShapMix,
    Transform,
    create_loader,
    create_model,
    mean_clip,
)
from shapmix.losses import two_term_loss
from shapmix.metrics import evaluate

BUDGET, EVALUATIONS = 0.05, 32  # of the saliency; those that the price is measured with


class OurLoop:
    """Shap-Mix in a training loop, past its warm-up, as in the README."""

    def __init__(
        self, archive: Archive, model: nn.Module, batch_size: int, budget: float = BUDGET
    ) -> None:
        self.model = model.train()
        self.transform, self.source = Transform("ntu25"), torch.Generator().manual_seed(0)
        self.batch_size = batch_size
        clips = ClipDataset(archive, num_persons=2)
        self.loader = create_loader(clips, batch_size, shuffle=True, drop_last=True)
        background = mean_clip(self.transform(batch) for batch in create_loader(clips, batch_size))
        self.mixer = ShapMix("ntu25", LT_NTU60, background, warmup_epochs=0, saliency_budget=budget)
        self.criterion = BalancedSoftmaxLoss(LT_NTU60)
        self.optimizer = SGD(model.parameters(), 0.1, 0.9, weight_decay=4e-4, nesterov=True)

    def epoch(self) -> Iterator[float]:
        """Train on every batch; yields the loss after each step."""
        for batch in self.loader:
            yield self.step(self.transform(batch, self.source), batch.labels)

    def step(self, x: Tensor, y: Tensor) -> float:
        """Mixing, and a step on the clean and the mixed clips."""
        mixed = self.mixer(x, y)
        logits, logits_mixed = self.model(torch.cat([x, mixed.x])).chunk(2)
        loss = two_term_loss(self.criterion, logits, y, logits_mixed, mixed.target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def accuracy(self, archive: Archive) -> float:
        """Share of the clips of another archive that are recognised, and all other metrics."""
        clips = ClipDataset(archive, num_persons=2)
        self.model.eval()
        with torch.no_grad():
            loader = create_loader(clips, self.batch_size)
            logits = torch.cat([self.model(self.transform(batch)) for batch in loader])
        self.model.train()
        found = evaluate(logits.numpy(), clips.labels, LT_NTU60, resamples=0)
        return float(found["top1"])


def priced_refresh(loop: OurLoop, clips: int) -> float:
    """Seconds that the refresh of an epoch of so many clips takes when it spends all it may."""
    seen = 0

    def count(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    loop.mixer.credit.fill_(EVALUATIONS + 4)  # pays for a class
    handle = loop.model.register_forward_pre_hook(count)
    seconds = timed(lambda: loop.mixer.refresh(loop.model))
    handle.remove()
    return seconds / seen * loop.mixer.saliency_budget * 6 * clips


def measure(quick: bool) -> Report:
    """An epoch of both, step by step in turn."""
    clips, tested, batch, width = (12, 4, 4, 4) if quick else (96, 32, 16, 64)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        train = write_archive(Path(folder) / "train.arrow", long_tailed_labels(clips), 60)
        test = write_archive(Path(folder) / "test.arrow", long_tailed_labels(tested), 60)
        options: dict[str, Any] = {"num_persons": 2, "width": width}
        ours = OurLoop(train, create_model("ctrgcn", "ntu25", 60, **options), batch)
        counts = torch.from_numpy(np.asarray(LT_NTU60)).float()
        theirs = NaiveLoop(train, counts, StraightforwardCTRGCN("ntu25", 60, **options), batch)
        steps = take_turns(ours, theirs)
        refresh = priced_refresh(ours, clips)
        tests = in_turn(
            {"ours": lambda: ours.accuracy(test), "theirs": lambda: theirs.accuracy(test)}, 2
        )
    whole = [
        len(of_steps) * median(of_steps) + median(of_tests)
        for of_steps, of_tests in zip(steps, tests.values(), strict=True)
    ]
    whole[0] += refresh
    singles = float((train.num_persons == 1).mean())
    figures = [
        figure("a step: ours, without the refresh", steps[0], "s"),
        figure("a step: the naive loop", steps[1], "s"),
        speedup("a step", steps[1], steps[0]),
        Figure("refresh of the epoch: ours", refresh, "s"),
        figure("metrics on the test clips: ours", tests["ours"], "s"),
        figure("metrics on the test clips: the naive loop", tests["theirs"], "s"),
        figure("an epoch: ours", [clips / whole[0]], "clips/s", higher_is_better=True),
        figure("an epoch: the naive loop", [clips / whole[1]], "clips/s", higher_is_better=True),
        speedup("an epoch", [whole[1]], [whole[0]], 3.5),
    ]
    setting = {
        "clips": clips,
        "test clips": tested,
        "batch": batch,
        "clips of one person": round(singles, 2),
        "threads": torch.get_num_threads(),
        "median clip": f"{median(train.num_frames.tolist()):g} frames",
    }
    return Report(setting, figures)


def take_turns(ours: OurLoop, theirs: NaiveLoop) -> tuple[list[float], list[float]]:
    """Seconds of every step of an epoch of each; a step of another epoch was to warm up."""
    for loop in (ours, theirs):
        next(loop.epoch())
    epochs = ours.epoch(), theirs.epoch()
    steps = len(ours.loader)
    taken = [(timed(lambda: next(epochs[0])), timed(lambda: next(epochs[1]))) for _ in range(steps)]
    return [a for a, _ in taken], [b for _, b in taken]


if __name__ == "__main__":
    run("end_to_end", measure, __doc__)
