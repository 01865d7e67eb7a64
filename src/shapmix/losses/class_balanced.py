"""Cross-entropy weighted by the effective number of clips of a class."""

import numpy as np
import torch
from torch import Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.losses.expectation import check_logits, check_option, expected


class ClassBalancedLoss(nn.Module):
    """Mean over clips of `w_y CE`, `w_k ~ (1 - beta) / (1 - beta^n_k)`, the weights summing to K.

    On balanced data, or with beta 0, it equals cross-entropy; for beta towards 1 the weights become
    the inverse counts. Source: Cui et al., Class-Balanced Loss Based on Effective Number of
    Samples, CVPR 2019, on softmax cross-entropy.

    Args:
        class_counts: `(K,)` training clips of each class, all positive.
        beta: how slowly a further clip adds less to what a class has.

    Buffers: `weights (K,)`.

    Raises:
        ValueError: a count is not positive, or beta is not in [0, 1).
    """

    weights: Tensor

    def __init__(self, class_counts: ClassCounts, *, beta: float = 0.9999) -> None:
        super().__init__()
        beta = check_option("beta", beta, 0, np.nextafter(1, 0))
        weights = (1 - beta) / (1 - beta ** check_counts(class_counts))
        weights *= len(weights) / weights.sum()
        self.register_buffer("weights", torch.from_numpy(weights).float())

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`logits (N, K)`, `target (N,)` int64 or `(N, K)` rows that sum to 1."""
        logits = check_logits(logits, len(self.weights))
        return expected(-self.weights * logits.log_softmax(1), target).mean()
