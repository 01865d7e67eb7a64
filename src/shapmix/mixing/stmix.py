"""ST-Mix: paste some parts of one clip into a window of another, without guidance."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.layouts import Layout, get_layout
from shapmix.mixing import functional
from shapmix.mixing.batch import Boundary, MixedBatch
from shapmix.mixing.coalitions import joint_masks, list_coalitions, part_masks
from shapmix.mixing.draws import Window, draw_shift, draw_window, integer, own_generator, uniform
from shapmix.mixing.functional import Paste
from shapmix.mixing.values import Model


@dataclass(frozen=True)
class Draws:
    """Random parameters of one batch.

    Attributes:
        shift: clip i is mixed with clip `(i + shift) mod N`; 0 means that nothing is mixed.
        mixup: the partner's weight in a Mixup batch; None in a pasted batch.
        window: windows of a pasted batch.
        pasted: `(N, P)` bool, the parts that come from the partner in a pasted batch.
    """

    shift: int
    mixup: float | None = None
    window: Window | None = None
    pasted: Tensor | None = None


def unmixed(x: Tensor, y: Tensor, num_classes: int) -> MixedBatch:
    """A batch as it came, with hard targets; every clip is its own partner."""
    partner = torch.arange(len(x), device=x.device)
    lam = torch.ones_like(partner, dtype=torch.float32)
    return MixedBatch(x, functional.one_hot(y, num_classes), partner, lam)


def apply_draws(
    x: Tensor,
    y: Tensor,
    draws: Draws,
    *,
    parts: Tensor,
    num_classes: int,
    presence: bool = True,
    confidence_channel: int | None = None,
) -> MixedBatch:
    """Mix a batch with given random parameters.

    With `presence`, a person slot is mixed only where receiver and partner both have a body, and
    the partner's weight is its share of the receiver's present bodies. Without, every slot is mixed
    alike, empty ones included (as published).

    Args:
        x: `(N, C, T, V, M)` clips.
        y: `(N,)` int64 classes.
        draws: the random parameters.
        parts: `(P, V)` bool, joints of each part.
        num_classes: K.
        presence: heed which bodies are there.
        confidence_channel: a channel that Mixup must not average.
    """
    if draws.shift == 0:
        return unmixed(x, y, num_classes)
    index = torch.arange(len(x), device=x.device)
    partner = (index + draws.shift) % len(x)
    bodies, share = None, torch.ones_like(index, dtype=torch.float32)
    if presence:
        here = functional.presence(x)
        bodies = here & here[partner]
        share = bodies.sum(1) / here.sum(1).clamp(min=1)
    params = None
    if draws.mixup is not None:
        weight = torch.full_like(share, draws.mixup)
        mixed = functional.mixup(x, partner, weight, bodies, confidence_channel)
        given = weight * share
    elif draws.window is not None and draws.pasted is not None:
        params = _one_window(draws.window, index, joint_masks(draws.pasted, parts))
        mixed = functional.paste(x, partner, params, bodies)
        given = functional.paste_share(params, x.shape[2], share)
    else:
        raise ValueError("draws of a pasted batch need both a window and the pasted parts")
    lam = 1 - given
    target = functional.soft_targets(y, partner, lam, num_classes)
    return MixedBatch(mixed, target, partner, lam, params)


def _one_window(window: Window, index: Tensor, joints: Tensor) -> Paste:
    """The same windows for every clip of a batch."""
    start, length, source_start, source_length = (
        torch.full_like(index, frames)
        for frames in (window.start, window.length, window.source_start, window.source_length)
    )
    return Paste(start, length, source_start, source_length, joints)


class STMix(nn.Module):
    """Unguided spatial-temporal mixing with a share of plain Mixup.

    Each batch draws one cyclic shift that pairs its clips, and either (with `mixup_prob`) one Mixup
    weight uniform in [0, 1], or one window and one coalition of parts to paste.

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class (here only K matters).
        mixup_prob: share of the batches that get plain Mixup.
        window: shortest and longest paste window as a share of the frames.
        coalition_sizes: how many parts are pasted; about half of them when not given.
        presence: heed which bodies are there (see `apply_draws`).
        confidence_channel: a channel of `x` that is a confidence and no coordinate.
        dims: order of the axes of `x`, such as `"NMTVC"`.
        generator: source of randomness; its own, seeded as torch is, when not given.

    Source: Zhang, Lin and Liu, Shap-Mix, IJCAI 2024, section on spatial-temporal mixing.
    """

    parts: Tensor
    coalitions: Tensor

    def __init__(
        self,
        layout: Layout | str,
        class_counts: ClassCounts,
        *,
        mixup_prob: float = 0.25,
        window: tuple[float, float] = (7 / 16, 11 / 16),
        coalition_sizes: tuple[int, ...] | None = None,
        presence: bool = True,
        confidence_channel: int | None = None,
        dims: str = "NCTVM",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= mixup_prob <= 1 or not 0 < window[0] <= window[1] <= 1:
            raise ValueError(
                f"mixup_prob is {mixup_prob} and window {tuple(window)}; expected a probability, "
                "and shares of the frames in (0, 1], the shortest first"
            )
        self.layout = get_layout(layout)
        self.num_classes = len(check_counts(class_counts))
        self.boundary = Boundary(self.layout, self.num_classes, dims)
        self.mixup_prob = mixup_prob
        self.window = window
        self.presence = presence
        self.confidence_channel = confidence_channel
        self.generator = own_generator() if generator is None else generator
        coalitions = list_coalitions(self.layout.num_parts, coalition_sizes)
        self.register_buffer("parts", part_masks(self.layout), persistent=False)
        self.register_buffer("coalitions", coalitions, persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        clips = self.boundary.enter(x, y)
        return self.boundary.leave(self.mix(clips, y, self.draw(clips)))

    def draw(self, x: Tensor) -> Draws:
        """Random parameters for a batch `(N, C, T, V, M)`."""
        shift = draw_shift(self.generator, len(x))
        if shift == 0:
            return Draws(0)
        if uniform(self.generator) < self.mixup_prob:
            return Draws(shift, mixup=uniform(self.generator))
        window = draw_window(self.generator, x.shape[2], self.window)
        row = integer(self.generator, 0, len(self.coalitions) - 1)
        return Draws(shift, window=window, pasted=self.coalitions[row].expand(len(x), -1))

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

    def observe(self, model: Model, x: Tensor, y: Tensor) -> None:
        """Nothing to learn."""

    def refresh(self, model: Model) -> None:
        """Nothing to learn."""
