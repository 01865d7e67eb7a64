"""The learning rate over a run, as a factor of its full value."""

import math
from collections.abc import Sequence

COSINE_FLOOR = 1e-3


def lr_factor(
    progress: float,
    epochs: int,
    *,
    schedule: str,
    milestones: Sequence[float],
    gamma: float,
    warmup_epochs: int,
) -> float:
    """Factor of the learning rate.

    In the warm-up epoch e (from 0) has the factor `(e + 1) / warmup`. After it `"step"` multiplies
    by gamma at each milestone; `"cosine"` falls to a thousandth over the rest, with every step.

    Args:
        progress: epochs done, with fractions.
        epochs: length of the run.
        schedule: `"step"` or `"cosine"`.
        milestones: shares of the epochs where `"step"` falls.
        gamma: factor at a milestone.
        warmup_epochs: epochs of the linear rise.
    """
    epoch = math.floor(progress)
    if epoch < warmup_epochs:
        return (epoch + 1) / warmup_epochs
    if schedule == "step":
        passed = sum(epoch >= round(share * epochs) for share in milestones)
        return math.pow(gamma, passed)
    share = (progress - warmup_epochs) / max(epochs - warmup_epochs, 1)
    return COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
