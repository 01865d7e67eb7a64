"""Remix: Mixup whose label may lean wholly towards the rarer class."""

from dataclasses import replace

import torch
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.layouts import Layout
from shapmix.mixing import functional
from shapmix.mixing.baselines import Mixup
from shapmix.mixing.batch import MixedBatch, Mixer
from shapmix.mixing.stmix import Draws


def rebalance(lam: Tensor, own: Tensor, other: Tensor, kappa: float, tau: float) -> Tensor:
    """The receiver's weight in the label: none or all of it when the classes differ much in size.

    With n_i clips of the receiver's class and n_j of the partner's: 0 where `n_i / n_j >= kappa`
    and `lam < tau`; 1 where `n_i / n_j <= 1 / kappa` and `1 - lam < tau`; `lam` elsewhere
    (Chou et al. 2020, equation 8).

    Args:
        lam: `(N,)` weight of the receiver in the mixed clip.
        own: `(N,)` training clips of the receiver's class.
        other: `(N,)` training clips of the partner's class.
        kappa: ratio of clips from which on a class counts as a majority.
        tau: largest share of the majority that is left out of the label.
    """
    to_partner = (own >= kappa * other) & (lam < tau)
    to_receiver = (kappa * own <= other) & (1 - lam < tau)
    return lam.masked_fill(to_partner, 0.0).masked_fill(to_receiver, 1.0)


class Remix(nn.Module, Mixer):
    """Mixup of whole clips with labels rebalanced towards the rarer class.

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class.
        kappa: ratio of clips from which on a class counts as a majority; 3 as published.
        tau: largest share of the majority that is left out of the label; 0.5 as published.
        alpha: the partner's weight is drawn from Beta(alpha, alpha); 1 is uniform.
        presence: mix only bodies that both clips have (see `apply_draws`).
        confidence_channel: a channel of `x` that is a confidence and no coordinate.
        dims: order of the axes of `x`.
        generator: source of randomness; its own, seeded as torch is, when not given.

    Source: Chou et al., Remix: Rebalanced Mixup, ECCV workshops 2020. Card: docs/methods/mixers.md.
    """

    class_counts: Tensor

    def __init__(
        self,
        layout: Layout | str,
        class_counts: ClassCounts,
        *,
        kappa: float = 3.0,
        tau: float = 0.5,
        alpha: float = 1.0,
        presence: bool = True,
        confidence_channel: int | None = None,
        dims: str = "NCTVM",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if not (kappa >= 1 and 0 <= tau <= 1):
            raise ValueError(
                f"kappa is {kappa} and tau {tau}; expected a ratio of at least 1 and a share in "
                "[0, 1]"
            )
        counts = torch.from_numpy(check_counts(class_counts))
        self.kappa = kappa
        self.tau = tau
        self.mixup = Mixup(
            layout,
            counts,
            alpha=alpha,
            presence=presence,
            confidence_channel=confidence_channel,
            dims=dims,
            generator=generator,
        )
        self.register_buffer("class_counts", counts.clone(), persistent=False)

    @property
    def generator(self) -> Generator:
        """The source of randomness."""
        return self.mixup.generator

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        boundary = self.mixup.boundary
        clips = boundary.enter(x, y)
        return boundary.leave(self.mix(clips, y, self.mixup.draw(clips)))

    def mix(self, x: Tensor, y: Tensor, draws: Draws) -> MixedBatch:
        """Apply random parameters to a batch `(N, C, T, V, M)`."""
        mixed = self.mixup.mix(x, y, draws)
        sizes = self.class_counts[y]
        lam = rebalance(mixed.lam, sizes, sizes[mixed.partner], self.kappa, self.tau)
        target = functional.soft_targets(y, mixed.partner, lam, self.mixup.num_classes)
        return replace(mixed, lam=lam, target=target)
