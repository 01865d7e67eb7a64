"""Mixers to compare with, which speak the same protocol."""

import torch
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.layouts import Layout, get_layout
from shapmix.mixing.batch import Boundary, MixedBatch, Mixer
from shapmix.mixing.coalitions import part_masks
from shapmix.mixing.draws import draw_shift, given_or_own
from shapmix.mixing.stmix import Draws, apply_draws, unmixed


def draw_beta(generator: Generator, alpha: float) -> float:
    """One number from Beta(alpha, alpha), as the ratio of two gamma variables."""
    shape = torch.full((2,), alpha, device=generator.device)
    gamma = torch._standard_gamma(shape, generator=generator)
    return float(gamma[0] / gamma.sum().clamp(min=torch.finfo(gamma.dtype).tiny))


class NoMix(nn.Module, Mixer):
    """Mixes nothing: the clips as they came with hard targets.

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class (here only K matters).
        dims: order of the axes of `x`.
    """

    def __init__(
        self, layout: Layout | str, class_counts: ClassCounts, *, dims: str = "NCTVM"
    ) -> None:
        super().__init__()
        self.num_classes = len(check_counts(class_counts))
        self.boundary = Boundary(get_layout(layout), self.num_classes, dims)

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Wrap a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        return self.boundary.leave(unmixed(self.boundary.enter(x, y), y, self.num_classes))


class Mixup(nn.Module, Mixer):
    """Mixup of whole clips (Zhang et al., ICLR 2018), one weight a batch.

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class (here only K matters).
        alpha: the partner's weight is drawn from Beta(alpha, alpha); 1 is uniform.
        presence: mix only bodies that both clips have (see `apply_draws`).
        confidence_channel: a channel of `x` that is a confidence and no coordinate.
        dims: order of the axes of `x`.
        generator: source of randomness; its own, seeded as torch is, when not given.
    """

    parts: Tensor

    def __init__(
        self,
        layout: Layout | str,
        class_counts: ClassCounts,
        *,
        alpha: float = 1.0,
        presence: bool = True,
        confidence_channel: int | None = None,
        dims: str = "NCTVM",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha is {alpha}; expected a positive number")
        layout = get_layout(layout)
        self.num_classes = len(check_counts(class_counts))
        self.boundary = Boundary(layout, self.num_classes, dims, confidence_channel)
        self.alpha = alpha
        self.presence = presence
        self.confidence_channel = confidence_channel
        self.generator = given_or_own(generator)
        self.register_buffer("parts", part_masks(layout), persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        clips = self.boundary.enter(x, y)
        return self.boundary.leave(self.mix(clips, y, self.draw(clips)))

    def draw(self, x: Tensor) -> Draws:
        """Random parameters for a batch `(N, C, T, V, M)`."""
        shift = draw_shift(self.generator, len(x))
        return Draws(shift, mixup=draw_beta(self.generator, self.alpha))

    def mix(self, x: Tensor, y: Tensor, draws: Draws) -> MixedBatch:
        """Apply random parameters to a batch `(N, C, T, V, M)`."""
        return apply_draws(
            x,
            y,
            draws,
            parts=self.parts,
            num_classes=self.num_classes,
            presence=self.presence,
            confidence_channel=self.confidence_channel,
        )
