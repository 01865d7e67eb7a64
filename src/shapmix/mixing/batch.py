"""What goes into a mixer and what comes out: the boundary where a user's tensors are checked."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from shapmix.layouts import Layout
from shapmix.mixing.functional import CANONICAL, Paste, check_dims, kind
from shapmix.mixing.values import Model

MIN_FRAMES = 8


@dataclass(frozen=True)
class MixedBatch:
    """The outcome of mixing.

    Attributes:
        x: mixed clips, shaped as the input (`(N, C, T, V, M)` unless `dims` says otherwise).
        target: `(N, K)` float32 soft targets, rows sum to 1.
        partner: `(N,)` int64, index in the batch of the clip mixed into each receiver; -1 where
            that clip is not of the batch (`CMO`).
        lam: `(N,)` float32, weight of the receiver in the target; `1 - lam` is the partner's.
        paste: windows and joints that were pasted; None when nothing was.
    """

    x: Tensor
    target: Tensor
    partner: Tensor
    lam: Tensor
    paste: Paste | None = None


class Mixer(Protocol):
    """What a training loop may ask of any mixer; one that learns nothing inherits that."""

    def __call__(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch."""
        ...

    def observe(self, model: Model, x: Tensor, y: Tensor) -> None:
        """Learn from a step; call it each step (estimators that need no steps ignore it)."""
        return

    def refresh(self, model: Model) -> None:
        """End an epoch: learn from its clips; call it once an epoch."""
        return


@dataclass(frozen=True)
class Boundary:
    """Checks batches and turns foreign axis orders into `(N, C, T, V, M)` and back.

    Attributes:
        layout: the skeleton of the clips.
        num_classes: K.
        dims: the order of the user's axes, a permutation of `"NCTVM"` that starts with N.
        confidence_channel: the channel that is a confidence, if one is.
    """

    layout: Layout
    num_classes: int
    dims: str = CANONICAL
    confidence_channel: int | None = None

    def __post_init__(self) -> None:
        check_dims(self.dims)

    def enter(self, x: Tensor, y: Tensor) -> Tensor:
        """Check a batch and return its clips as `(N, C, T, V, M)`.

        Values (finite clips, labels in range) are checked on the CPU only; on an accelerator that
        would stall it.

        Raises:
            ValueError: saying what was found, what was expected and what to do.
        """
        if not isinstance(x, Tensor) or x.dim() != 5 or not x.is_floating_point():
            raise ValueError(
                f"x is {kind(x)}; expected a tensor of floating point clips with the five axes "
                f"{self.dims}"
            )
        x = self.to_canonical(x)
        frames, joints = x.shape[2], x.shape[3]
        if joints != self.layout.num_joints:
            raise ValueError(
                f"x has {joints} joints where layout {self.layout.name!r} has "
                f"{self.layout.num_joints}: pass the layout of this data, or set dims= to the "
                f"order of your axes (now {self.dims})"
            )
        if self.confidence_channel not in (None, *range(x.shape[1])):
            raise ValueError(
                f"confidence_channel is {self.confidence_channel} and x has {x.shape[1]} channels; "
                "expected a channel from 0 on, or None where all are coordinates"
            )
        if frames < MIN_FRAMES:
            raise ValueError(f"x has {frames} frames; mixing needs at least {MIN_FRAMES}")
        if len(x) == 0:
            raise ValueError("x is an empty batch; leave it out")
        if not isinstance(y, Tensor) or y.shape != (len(x),) or y.dtype != torch.int64:
            raise ValueError(
                f"y is {kind(y)}; expected a tensor of int64 class indices of shape ({len(x)},)"
            )
        if x.device.type == "cpu":
            self._check_values(x, y)
        return x

    def _check_values(self, x: Tensor, y: Tensor) -> None:
        finite = torch.isfinite(x).flatten(1).all(1)
        if not finite.all():
            bad = (~finite).nonzero().squeeze(1).tolist()
            raise ValueError(
                f"x has NaN or infinite values in clips {bad[:10]} of the batch: clean the data "
                "before training (mark missing joints by zeros, not NaN)"
            )
        if bool(((y < 0) | (y >= self.num_classes)).any()):
            raise ValueError(
                f"y has labels from {int(y.min())} to {int(y.max())}; expected 0 to "
                f"{self.num_classes - 1}, one for each entry of class_counts"
            )

    def to_canonical(self, x: Tensor) -> Tensor:
        """A batch in the user's axis order as `(N, C, T, V, M)`."""
        return x.permute([self.dims.index(axis) for axis in CANONICAL])

    def from_canonical(self, x: Tensor) -> Tensor:
        """A batch `(N, C, T, V, M)` in the user's axis order."""
        return x.permute([CANONICAL.index(axis) for axis in self.dims])

    def leave(self, mixed: MixedBatch) -> MixedBatch:
        """A mixed batch with its clips in the user's axis order."""
        return replace(mixed, x=self.from_canonical(mixed.x))

    def adapt(self, model: Model) -> Model:
        """The user's model as one that takes `(N, C, T, V, M)`."""
        if self.dims == CANONICAL:
            return model
        return lambda x: model(self.from_canonical(x))
