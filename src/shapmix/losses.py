"""Losses for long-tailed recognition, for hard `(N,)` and soft `(N, K)` targets alike."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shapmix.counts import ClassCounts, check_counts


class CrossEntropyLoss(nn.Module):
    """Cross-entropy, the mean over clips; class counts are accepted and ignored."""

    def __init__(self, class_counts: ClassCounts) -> None:
        super().__init__()
        check_counts(class_counts)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`logits (N, K)`, `target (N,)` int64 or `(N, K)` rows that sum to 1."""
        return F.cross_entropy(logits, target)


class BalancedSoftmaxLoss(nn.Module):
    """Cross-entropy of `logits + log pi`, with `pi_k = n_k / sum n`; inference uses plain logits.

    On balanced data it equals cross-entropy. Sources: Ren et al., Balanced Meta-Softmax, NeurIPS
    2020; Menon et al., logit adjustment with tau = 1, ICLR 2021.

    Args:
        class_counts: `(K,)` training clips of each class, all positive.

    Buffers: `log_prior (K,)`.
    """

    log_prior: Tensor

    def __init__(self, class_counts: ClassCounts) -> None:
        super().__init__()
        counts = torch.from_numpy(check_counts(class_counts)).double()
        self.register_buffer("log_prior", (counts / counts.sum()).log().float())

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`logits (N, K)`, `target (N,)` int64 or `(N, K)` rows that sum to 1."""
        return F.cross_entropy(logits + self.log_prior, target)


LOSSES: dict[str, Callable[[ClassCounts], nn.Module]] = {
    "balanced-softmax": BalancedSoftmaxLoss,
    "ce": CrossEntropyLoss,
}


def two_term_loss(
    criterion: nn.Module, logits: Tensor, y: Tensor, logits_mixed: Tensor, target: Tensor
) -> Tensor:
    """The objective of the paper: the mean over clean clips plus the mean over mixed clips.

    Two means, added: one mean over all 2N clips would halve the gradient.

    Args:
        criterion: a loss for hard and soft targets.
        logits: `(N, K)` of the clean clips. y: `(N,)` int64.
        logits_mixed: `(N, K)` of the mixed clips. target: `(N, K)`.
    """
    loss: Tensor = criterion(logits, y) + criterion(logits_mixed, target)
    return loss


__all__ = ["LOSSES", "BalancedSoftmaxLoss", "CrossEntropyLoss", "two_term_loss"]
