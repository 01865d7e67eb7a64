"""How a loss is used in training: the two terms, and losses that change with the epoch."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class FollowsEpochs(Protocol):
    """A loss that changes in the course of a run; it depends on what it is told here alone."""

    def set_progress(self, epoch: int, epochs: int) -> None:
        """Called at the start of each epoch: `epoch` in `0..epochs-1`."""


def two_term_loss(
    criterion: nn.Module,
    logits: Tensor,
    y: Tensor,
    logits_mixed: Tensor,
    target: Tensor,
    features: Sequence[Tensor] | None = None,
) -> Tensor:
    """The objective of the paper: the mean over clean clips plus the mean over mixed clips.

    Two means, added: one mean over all 2N clips would halve the gradient.

    Args:
        criterion: a loss for hard and soft targets.
        logits: `(N, K)` of the clean clips. y: `(N,)` int64.
        logits_mixed: `(N, K)` of the mixed clips. target: `(N, K)`.
        features: `(N, L)` of the clean and of the mixed clips, for a loss that uses them.
    """
    clean, mixed = ({}, {}) if features is None else ({"features": f} for f in features)
    loss: Tensor = criterion(logits, y, **clean) + criterion(logits_mixed, target, **mixed)
    return loss
