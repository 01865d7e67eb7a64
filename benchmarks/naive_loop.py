"""Shap-Mix training built as the released program is: the other side of `end_to_end.py`.

In our own words, from the description of what that program does (docs/methods/shapmix.md): the
whole data set in memory, padded to 300 frames; clips cut, resized and turned one by one
(`loading.PaddedClips`); every body computed, the empty ones too; at each step the saliency of one
coalition from two evaluation forwards of the whole batch, folded into the table clip after clip;
clips mixed one by one; a plain CTR-GCN (`StraightforwardCTRGCN`) on the batch of 2N. Nothing was
added to slow it down. tests/benchmarks holds every piece against the package.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from loading import PADDED, PaddedClips
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.utils.data import DataLoader

from shapmix.data.archive import Archive
from shapmix.data.transforms import DEFAULT_ROTATION
from shapmix.layouts import get_layout

LAYOUT = get_layout("ntu25")
PARTS = [list(joints) for joints in LAYOUT.parts.values()]
COALITIONS = [c for size in (2, 3) for c in combinations(range(len(PARTS)), size)]
TAU, MOMENTUM, MIXUP_PROB, GRID = 0.2, 0.9, 0.25, 4


@dataclass(frozen=True)
class Draws:
    """Random parameters of one batch: the partner of clip i is clip i + shift; the weight of a
    Mixup batch; windows in frames; and the parts that each clip takes from its partner."""

    shift: int
    mixup: float | None
    start: int
    length: int
    source_start: int
    source_length: int
    pasted: list[tuple[int, ...]]


def joints_of(coalition: tuple[int, ...]) -> list[int]:
    """The joints of some parts."""
    return [joint for part in coalition for joint in PARTS[part]]


def draw(
    rng: np.random.Generator, y: list[int], frames: int, table: Tensor, counts: Tensor
) -> Draws:
    """Everything that mixing draws, in the guided phase."""
    n, units = len(y), frames // GRID
    length = int(rng.integers(7, 12))
    source = int(rng.integers(length, units + 1))
    shift = int(rng.integers(1, n - 1))
    return Draws(
        shift=shift,
        mixup=float(rng.random()) if rng.random() < MIXUP_PROB else None,
        start=GRID * int(rng.integers(0, units - length + 1)),
        length=GRID * length,
        source_start=GRID * int(rng.integers(0, units - source + 1)),
        source_length=GRID * source,
        pasted=[draw_parts(rng, y[i], y[(i + shift) % n], table, counts) for i in range(n)],
    )


def draw_parts(
    rng: np.random.Generator, label: int, other: int, table: Tensor, counts: Tensor
) -> tuple[int, ...]:
    """Parts to paste into a clip of one class from a clip of the other: the rarer one's salient
    parts survive."""
    partner_rarer = bool(counts[other] < counts[label])
    weights = torch.softmax(table[other if partner_rarer else label] / TAU, 0).double().numpy()
    coalition = COALITIONS[rng.choice(len(COALITIONS), p=weights / weights.sum())]
    if partner_rarer:
        return coalition
    return tuple(part for part in range(len(PARTS)) if part not in coalition)


def mix(x: Tensor, y: Tensor, draws: Draws, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mixed clips and their soft labels, one clip after the other."""
    clips, targets = [], []
    for i in range(len(x)):
        j = (i + draws.shift) % len(x)
        if draws.mixup is None:
            clip, weight = paste(x[i], x[j], draws, joints_of(draws.pasted[i]))
        else:
            clip, weight = x[i] + draws.mixup * (x[j] - x[i]), draws.mixup
        target = torch.zeros(num_classes, device=x.device)
        target[y[i]] += 1 - weight
        target[y[j]] += weight
        clips.append(clip)
        targets.append(target)
    return torch.stack(clips), torch.stack(targets)


def paste(clip: Tensor, other: Tensor, draws: Draws, joints: list[int]) -> tuple[Tensor, float]:
    """Paste joints of the other clip's source window, resampled, into the window of the clip."""
    C, T, V, M = clip.shape
    source = other[:, draws.source_start : draws.source_start + draws.source_length, joints]
    rows = source.permute(0, 2, 3, 1).reshape(1, -1, draws.source_length)
    rows = F.interpolate(rows, size=draws.length, mode="nearest")
    mixed = clip.clone()
    piece = rows.view(C, len(joints), M, draws.length).permute(0, 3, 1, 2)
    mixed[:, draws.start : draws.start + draws.length, joints] = piece
    return mixed, draws.length * len(joints) / (T * V)


def masked(x: Tensor, kept: tuple[int, ...], background: Tensor) -> Tensor:
    """Clips of which only some parts are left; the background stands in for the others."""
    joints = joints_of(kept)
    result = background.expand_as(x).clone()
    result[:, :, :, joints] = x[:, :, :, joints]
    return result


def marginal_scores(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    coalition: tuple[int, ...],
    context: tuple[int, ...],
    background: Tensor,
) -> Tensor:
    """What a coalition adds to its context for each clip's own class: two forwards of the batch."""
    model.eval()
    with torch.no_grad():
        own = torch.arange(len(x), device=x.device), y
        with_it = model(masked(x, coalition + context, background)).softmax(1)[own]
        without = model(masked(x, context, background)).softmax(1)[own]
    model.train()
    return 10 * F.relu(with_it - without) / len(joints_of(coalition))


def fold(table: Tensor, y: Tensor, column: int, scores: Tensor) -> None:
    """Exponential moving average of one column, clip after clip."""
    for label, score in zip(y.tolist(), scores.tolist(), strict=True):
        table[label, column] = MOMENTUM * table[label, column] + (1 - MOMENTUM) * score


class NaiveLoop:
    """A training run in the guided phase."""

    def __init__(self, archive: Archive, counts: Tensor, model: nn.Module, batch_size: int) -> None:
        self.counts, self.model = counts, model
        self.log_prior = (counts / counts.sum()).log()
        train = PaddedClips(archive, (0.5, 1.0), DEFAULT_ROTATION)
        self.background = mean_of_first_frames(train.data)
        self.loader = DataLoader(train, batch_size, shuffle=True, drop_last=True)
        self.optimizer = SGD(model.parameters(), 0.1, 0.9, weight_decay=4e-4, nesterov=True)
        self.table = torch.full((len(counts), len(COALITIONS)), 1e-6)
        self.rng = np.random.default_rng(0)
        self.model.train()

    def epoch(self) -> Iterator[float]:
        """Train on every batch; yields the loss after each step."""
        for x, y, _ in self.loader:
            yield self.step(x, y)

    def step(self, x: Tensor, y: Tensor) -> float:
        """Saliency, mixing, and a step on the clean and the mixed clips."""
        column = int(self.rng.integers(len(COALITIONS)))
        coalition = COALITIONS[column]
        rest = [part for part in range(len(PARTS)) if part not in coalition]
        size = int(self.rng.integers(len(rest) + 1))
        context = tuple(sorted(self.rng.permutation(rest)[:size].tolist()))
        scores = marginal_scores(self.model, x, y, coalition, context, self.background)
        fold(self.table, y, column, scores)
        draws = draw(self.rng, y.tolist(), x.shape[2], self.table, self.counts)
        mixed, target = mix(x, y, draws, len(self.counts))
        clean, of_mixed = (self.model(torch.cat([x, mixed])) + self.log_prior).chunk(2)
        soft = -(target * of_mixed.log_softmax(1)).sum(1).mean()
        loss = F.cross_entropy(clean, y) + soft
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def accuracy(self, archive: Archive) -> float:
        """Share of the clips of another archive that are recognised."""
        test = DataLoader(PaddedClips(archive, (0.95, 0.95), 0.0), self.loader.batch_size)
        self.model.eval()
        with torch.no_grad():
            right = [int((self.model(x).argmax(1) == y).sum()) for x, y, _ in test]
        self.model.train()
        return sum(right) / len(archive)


def mean_of_first_frames(data: np.ndarray, frames: int = 64) -> Tensor:
    """The mean of the padded clips as they are stored: `(C, T, V, M)`."""
    assert data.shape[2] == PADDED
    return torch.from_numpy(data[:, :, :frames].mean(0))
