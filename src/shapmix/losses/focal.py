"""Focal loss: clips that are recognised already count less."""

import torch
from torch import Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.losses.expectation import check_logits, check_option, expected


class FocalLoss(nn.Module):
    """Mean over clips of `-(1 - p_y)^gamma log p_y`; with gamma 0 it equals cross-entropy.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017. There p comes from a
    sigmoid, and a weight alpha balances foreground against background; here p is the softmax of
    many classes, and no class is weighted.

    Args:
        class_counts: `(K,)` training clips of each class (here they are only checked).
        gamma: how much less an easy clip counts.

    Raises:
        ValueError: a count is not positive, or gamma is negative.
    """

    def __init__(self, class_counts: ClassCounts, *, gamma: float = 2.0) -> None:
        super().__init__()
        self.num_classes = len(check_counts(class_counts))
        self.gamma = check_option("gamma", gamma, 0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`logits (N, K)`, `target (N,)` int64 or `(N, K)` rows that sum to 1."""
        logits = check_logits(logits, self.num_classes)
        log_p = logits.log_softmax(1)
        # Never 0, where a power below 1 has no finite slope.
        doubt = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
        return expected(-(doubt**self.gamma) * log_p, target).mean()
