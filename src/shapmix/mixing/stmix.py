"""ST-Mix: paste some parts of one clip into a window of another, without guidance."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.layouts import Layout, get_layout
from shapmix.mixing import functional
from shapmix.mixing.batch import Boundary, MixedBatch, Mixer
from shapmix.mixing.bodies import paste_with_newcomers, share_with_newcomers
from shapmix.mixing.coalitions import joint_masks, list_coalitions, part_masks
from shapmix.mixing.draws import (
    Window,
    draw_rarer,
    draw_shift,
    draw_window,
    draw_windows,
    given_or_own,
    integer,
    integers,
    on_device,
    uniform,
)
from shapmix.mixing.functional import Paste
from shapmix.mixing.options import Partners, PasteOptions, whole_sizes


@dataclass(frozen=True)
class Draws:
    """Random parameters of one batch.

    Attributes:
        shift: clip i is mixed with clip `(i + shift) mod N`; 0 means that nothing is mixed.
        mixup: the partner's weight in a Mixup batch; None in a pasted batch.
        window: windows of a pasted batch.
        pasted: `(N, P)` bool, the parts that come from the partner in a pasted batch.
        partner: `(N,)` int64, index of each clip's partner, in place of `shift`.
        share: `(N,)`, what the pasted parts count in the label, in place of their share of joints.
    """

    shift: int
    mixup: float | None = None
    window: Window | None = None
    pasted: Tensor | None = None
    partner: Tensor | None = None
    share: Tensor | None = None

    def partners(self, clips: int, device: torch.device) -> Tensor:
        """Index of the partner of each of N clips: `(N,)` int64."""
        if self.partner is not None:
            return self.partner
        return (torch.arange(clips, device=device) + self.shift) % clips


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
    mixup_confidence: bool = False,
    move_bodies: bool = False,
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
        confidence_channel: a channel that is a confidence and no coordinate.
        mixup_confidence: let Mixup average the confidence like a coordinate.
        move_bodies: let a body that only the partner has appear in the window; with `presence`.
    """
    if draws.shift == 0 and draws.partner is None:
        return unmixed(x, y, num_classes)
    partner = draws.partners(len(x), x.device)
    here = functional.presence(x) if presence else None
    bodies = None if here is None else here & here[partner]
    shared = 1.0 if here is None else functional.shared_bodies(here, partner)
    params = None
    if draws.mixup is not None:
        weight = torch.full_like(partner, draws.mixup, dtype=torch.float32)
        confidence = None if mixup_confidence else confidence_channel
        mixed = functional.mixup(x, partner, weight, bodies, confidence)
        given = weight * shared
    elif draws.window is not None and draws.pasted is not None:
        params = _windows(draws.window, partner, joint_masks(draws.pasted, parts))
        if move_bodies and here is not None:
            mixed = paste_with_newcomers(x, partner, params, here)
            given = share_with_newcomers(params, x.shape[2], here, partner, draws.share)
        else:
            mixed = functional.paste(x, partner, params, bodies)
            given = functional.paste_share(params, x.shape[2], shared, draws.share)
    else:
        raise ValueError("draws of a pasted batch need both a window and the pasted parts")
    lam = 1 - given
    target = functional.soft_targets(y, partner, lam, num_classes)
    return MixedBatch(mixed, target, partner, lam, params)


def _windows(window: Window, partner: Tensor, joints: Tensor) -> Paste:
    """Windows of a batch, or of its clips, for every clip."""
    start, length, source_start, source_length = (
        torch.zeros_like(partner)
        + (frames if isinstance(frames, int) else on_device(frames, partner))
        for frames in (window.start, window.length, window.source_start, window.source_length)
    )
    return Paste(start, length, source_start, source_length, joints)


class STMix(nn.Module, Mixer):
    """Unguided spatial-temporal mixing with a share of plain Mixup.

    Each batch draws one cyclic shift that pairs its clips, and either (with `mixup_prob`) one Mixup
    weight uniform in [0, 1], or one window and one coalition of parts to paste.

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class; beside K only `partners` heeds them.
        mixup_prob: share of the batches that get plain Mixup.
        window: shortest and longest paste window as a share of the frames; (0.52, 0.8) for the
            paper's Kinetics.
        coalition_sizes: how many parts are pasted, from 1 to P - 1; about half of them when not
            given.
        presence: heed which bodies are there (see `apply_draws`).
        confidence_channel: a channel of `x` that is a confidence and no coordinate.
        mixup_confidence: let Mixup average the confidence like a coordinate.
        per_clip, partners, move_bodies: beyond the paper, see `PasteOptions`.
        dims: order of the axes of `x`, such as `"NMTVC"`.
        generator: source of randomness; its own, seeded as torch is, when not given.

    Source: Zhang, Lin and Liu, Shap-Mix, IJCAI 2024, section on spatial-temporal mixing.
    """

    class_counts: Tensor
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
        mixup_confidence: bool = False,
        per_clip: bool = False,
        partners: Partners = "shift",
        move_bodies: bool = False,
        dims: str = "NCTVM",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= mixup_prob <= 1 or not 0 < window[0] <= window[1] <= 1:
            raise ValueError(
                f"mixup_prob is {mixup_prob} and window {tuple(window)}; expected a probability, "
                "and shares of the frames in (0, 1], the shortest first"
            )
        self.options = PasteOptions(per_clip, partners, move_bodies)
        if move_bodies and not presence:
            raise ValueError("move_bodies without presence: only present bodies move, set both")
        self.layout = get_layout(layout)
        counts = torch.from_numpy(check_counts(class_counts))
        self.num_classes = len(counts)
        self.boundary = Boundary(self.layout, self.num_classes, dims, confidence_channel)
        self.mixup_prob = mixup_prob
        self.window = window
        self.presence = presence
        self.confidence_channel = confidence_channel
        self.mixup_confidence = mixup_confidence
        self.generator = given_or_own(generator)
        coalitions = list_coalitions(self.layout.num_parts, whole_sizes(coalition_sizes))
        self.register_buffer("class_counts", counts.clone(), persistent=False)
        self.register_buffer("parts", part_masks(self.layout), persistent=False)
        self.register_buffer("coalitions", coalitions, persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        clips = self.boundary.enter(x, y)
        return self.boundary.leave(self.mix(clips, y, self.draw(clips, y)))

    def draw(self, x: Tensor, y: Tensor) -> Draws:
        """Random parameters for a batch `(N, C, T, V, M)` of classes `(N,)`."""
        shift, partner = self._draw_partners(y)
        if shift == 0:
            return Draws(0)
        if uniform(self.generator) < self.mixup_prob:
            return Draws(shift, mixup=uniform(self.generator), partner=partner)
        window, pasted = self._draw_windows(x)
        return Draws(shift, window=window, pasted=pasted, partner=partner)

    def _draw_partners(self, y: Tensor) -> tuple[int, Tensor | None]:
        """A cyclic shift, or partners of rarer classes beside a shift of 1; 0 to mix nothing."""
        if self.options.partners == "shift" or len(y) == 1:
            return draw_shift(self.generator, len(y)), None
        return 1, draw_rarer(self.generator, self.class_counts[y])

    def _draw_windows(self, x: Tensor) -> tuple[Window, Tensor]:
        """Windows and coalitions `(N, P)`: one for the batch, or one for each clip."""
        last = len(self.coalitions) - 1
        if not self.options.per_clip:
            window = draw_window(self.generator, x.shape[2], self.window)
            row = integer(self.generator, 0, last)
            return window, self.coalitions[row].expand(len(x), -1)
        windows = draw_windows(self.generator, len(x), x.shape[2], self.window)
        none = torch.zeros(len(x), dtype=torch.int64, device=self.generator.device)
        rows = on_device(integers(self.generator, none, none + last), self.coalitions)
        return windows, self.coalitions[rows]

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
            mixup_confidence=self.mixup_confidence,
            move_bodies=self.options.move_bodies,
        )
