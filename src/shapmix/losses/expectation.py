"""What the losses share: the expectation over labels, and the checks of what they are given."""

import math

import torch
from torch import Tensor


def expected(values: Tensor, target: Tensor) -> Tensor:
    """Expectation over each clip's label of a value that depends on it: `(N,)`.

    Args:
        values: `(K,)` or `(N, K)`: the value of each class, for each clip.
        target: `(N,)` int64, or `(N, K)` rows that sum to 1: the distribution of the label.
    """
    if target.ndim == 2:
        return (values * target).sum(1)
    if values.ndim == 1:
        return values[target]
    return values.gather(1, target[:, None]).squeeze(1)


def check_logits(logits: Tensor, num_classes: int) -> Tensor:
    """The logits, in float32 where they had half of it: losses would be off by many per cent.

    Raises:
        ValueError: they are not `(N, K)`, one for each entry of the class counts.
    """
    if logits.ndim != 2 or logits.shape[1] != num_classes:
        raise ValueError(
            f"logits have shape {tuple(logits.shape)}; expected (N, {num_classes}), one for each "
            "entry of class_counts"
        )
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def check_option(name: str, value: float, low: float, high: float = math.inf) -> float:
    """An option of a loss, as a number.

    Raises:
        ValueError: it is no finite number from `low` to `high`.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        bounds = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} is {value!r}; expected a number {bounds}")
    return float(value)
