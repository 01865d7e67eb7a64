"""Context-rich minority oversampling: CutMix that pastes clips of rare classes into any clip."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.layouts import Layout, get_layout
from shapmix.mixing import functional
from shapmix.mixing.batch import Boundary, MixedBatch, Mixer
from shapmix.mixing.cutmix import Box, body_walk, draw_box, paste_box
from shapmix.mixing.draws import draw_row, given_or_own, on_device
from shapmix.mixing.stmix import unmixed

NOT_IN_BATCH = -1  # the partner of a clip that was mixed with one from the memory


class RecentClips(nn.Module):
    """The last clips of every class that were offered, as they were offered.

    State of checkpoints, but no buffers: their shape is known with the first batch, and
    DistributedDataParallel would overwrite every process's clips with those of the first.
    """

    def __init__(self, num_classes: int, per_class: int) -> None:
        super().__init__()
        self.per_class = per_class
        self.clips: Tensor | None = None
        self.seen = torch.zeros(num_classes, dtype=torch.int64)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Offer a batch `x (N, C, T, V, M)` of classes `y (N,)`; other shapes start anew."""
        rows = len(self.seen) * self.per_class
        held = self.on(x.device)
        if held is None or held.shape[1:] != x.shape[1:]:
            held = x.new_zeros(rows + 1, *x.shape[1:])  # the last row takes the outdated
            self.clips, self.seen = held, torch.zeros_like(self.seen)
        same = y[:, None] == y
        position = self.seen[y] + same.tril(-1).sum(1)
        outdated = same.triu(1).sum(1) >= self.per_class
        row = torch.where(outdated, rows, y * self.per_class + position % self.per_class)
        held.index_copy_(0, row, x.detach().to(held))
        held[-1] = 0
        self.seen.index_add_(0, y, torch.ones_like(y))

    def on(self, device: torch.device) -> Tensor | None:
        """What is held, moved to a device: a checkpoint is read to the CPU."""
        self.seen = self.seen.to(device)
        self.clips = None if self.clips is None else self.clips.to(device)
        return self.clips

    def available(self) -> Tensor:
        """Clips held per class: `(K,)`."""
        return self.seen.clamp(max=self.per_class)

    def take(self, classes: Tensor, slot: Tensor) -> Tensor:
        """Clips `(B, C, T, V, M)` of classes `(B,)` in slots `(B,)` of those available."""
        if self.clips is None:
            raise RuntimeError("no clip was offered yet")
        return self.clips[classes * self.per_class + slot]

    def get_extra_state(self) -> dict[str, Tensor | None]:
        """For the checkpoint."""
        return {"clips": self.clips, "seen": self.seen}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        """From the checkpoint."""
        clips, seen = state["clips"], state["seen"]
        assert seen is not None
        self.clips, self.seen = None if clips is None else clips.clone(), seen.clone()


@dataclass(frozen=True)
class Foreground:
    """What is pasted into a batch.

    Attributes:
        classes: `(N,)` int64, class of the clip pasted into each receiver.
        slot: `(N,)` int64, which of the remembered clips of that class.
        box: the joints and frames that are taken.
    """

    classes: Tensor
    slot: Tensor
    box: Box


class CMO(nn.Module, Mixer):
    """A box of a clip drawn by inverse class frequency is pasted into each clip of the batch.

    The pasted clips come from a memory of the last clips of each class (see `RecentClips`), which
    every batch enters after it was mixed; the first batch is not mixed. They are not in the batch,
    so `MixedBatch.partner` is -1.

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class.
        power: class k is drawn with probability proportional to `class_counts[k] ** -power`; 1 as
            published.
        alpha: the kept share is drawn from Beta(alpha, alpha); 1 is uniform, as published.
        memory: remembered clips of each class.
        presence: paste only bodies that both clips have.
        dims: order of the axes of `x`.
        generator: source of randomness; its own, seeded as torch is, when not given.

    State: the memory. Each process of a process group has its own, and resumes with the one that
    was saved.

    Source: Park et al., The majority can help the minority: context-rich minority oversampling for
    long-tailed classification, CVPR 2022. Deviations: docs/methods/mixers.md.
    """

    weights: Tensor
    walk: Tensor

    def __init__(
        self,
        layout: Layout | str,
        class_counts: ClassCounts,
        *,
        power: float = 1.0,
        alpha: float = 1.0,
        memory: int = 8,
        presence: bool = True,
        dims: str = "NCTVM",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if not (alpha > 0 and power >= 0 and memory >= 1):
            raise ValueError(
                f"alpha is {alpha}, power {power} and memory {memory}; expected a positive number, "
                "a number of at least 0, and at least 1 clip of each class"
            )
        layout = get_layout(layout)
        counts = torch.from_numpy(check_counts(class_counts))
        self.num_classes = len(counts)
        self.boundary = Boundary(layout, self.num_classes, dims)
        self.alpha = alpha
        self.presence = presence
        self.generator = given_or_own(generator)
        self.memory = RecentClips(self.num_classes, memory)
        weights = (counts.min() / counts.double()) ** power
        self.register_buffer("weights", weights.float(), persistent=False)
        self.register_buffer("walk", body_walk(layout), persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        clips = self.boundary.enter(x, y)
        held = self.memory.on(clips.device)
        if held is None or held.shape[1:] != clips.shape[1:]:
            mixed = unmixed(clips, y, self.num_classes)
        else:
            mixed = self.mix(clips, y, self.draw(clips))
        self.memory.add(clips, y)
        return self.boundary.leave(mixed)

    def draw(self, x: Tensor) -> Foreground:
        """Random parameters for a batch `(N, C, T, V, M)`: remembered clips and a box."""
        available = self.memory.available()
        weights = self.weights * (available > 0)
        classes = draw_row(self.generator, weights.expand(len(x), -1))
        u = torch.rand(len(x), generator=self.generator, device=self.generator.device)
        slot = (on_device(u, x) * available[classes]).long()
        box = draw_box(self.generator, x.shape[2], self.walk, self.alpha)
        return Foreground(classes, slot, box)

    def mix(self, x: Tensor, y: Tensor, foreground: Foreground) -> MixedBatch:
        """Apply random parameters to a batch `(N, C, T, V, M)`."""
        other = self.memory.take(foreground.classes, foreground.slot).to(x)
        mixed, lam, params = paste_box(x, other, foreground.box, presence=self.presence)
        own = functional.one_hot(y, self.num_classes)
        theirs = functional.one_hot(foreground.classes, self.num_classes)
        target = lam[:, None] * own + (1 - lam)[:, None] * theirs
        partner = torch.full_like(y, NOT_IN_BATCH)
        return MixedBatch(mixed, target, partner, lam, params)
