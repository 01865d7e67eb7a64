"""Margins that are larger for rarer classes, and weights that come late."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shapmix.counts import ClassCounts, check_counts
from shapmix.losses.expectation import check_logits, check_option, expected

SCALE = 30.0  # of the cosines that are the logits


class LDAMLoss(nn.Module):
    """Cross-entropy with the logit of the label lowered by its class's margin (LDAM-DRW).

    The margin of class k is `scale C n_k^(-1/4)`, with C such that the rarest class has
    `scale max_margin`. From `reweight_from` of the epochs on, clips are weighted by `1 / n_y`, the
    weights of a batch summing to 1. Source: Cao et al., Learning Imbalanced Datasets with
    Label-Distribution-Aware Margin Loss, NeurIPS 2019.

    The margin is meant for logits that are `scale` times a cosine, as a `CosineClassifier` gives
    them; on unbounded logits it is a number of logits, no more.

    Args:
        class_counts: `(K,)` training clips of each class, all positive.
        max_margin: margin of the rarest class, as a difference of cosines.
        scale: of the logits.
        reweight_from: share of the epochs after which clips are weighted; 1 for never.

    Buffers: `margins (K,)`, `weights (K,)`.

    Raises:
        ValueError: a count is not positive, or an option is out of range.
    """

    margins: Tensor
    weights: Tensor

    def __init__(
        self,
        class_counts: ClassCounts,
        *,
        max_margin: float = 0.5,
        scale: float = SCALE,
        reweight_from: float = 0.8,
    ) -> None:
        super().__init__()
        counts = torch.from_numpy(check_counts(class_counts)).double()
        most = check_option("max_margin", max_margin, 0) * check_option("scale", scale, 1)
        self.reweight_from = check_option("reweight_from", reweight_from, 0, 1)
        self.reweighted = False
        self.register_buffer("margins", (most * (counts.min() / counts) ** 0.25).float())
        self.register_buffer("weights", (counts.min() / counts).float())

    def set_progress(self, epoch: int, epochs: int) -> None:
        """Weight the clips, or do not yet; call it when an epoch begins."""
        self.reweighted = epoch >= round(self.reweight_from * epochs)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`logits (N, K)`, `target (N,)` int64 or `(N, K)` rows that sum to 1."""
        logits = check_logits(logits, len(self.margins))
        losses = F.softplus(self.margins - log_odds(logits))
        if not self.reweighted:
            return expected(losses, target).mean()
        weighted = expected(self.weights * losses, target).sum()
        return weighted / expected(self.weights, target).sum()


def log_odds(logits: Tensor) -> Tensor:
    """`log(p_k / (1 - p_k))` of the softmax of `logits (N, K)`, for every class at once: `(N, K)`.

    Cross-entropy with the logit of class k alone lowered by m is `softplus(m - log_odds_k)`.
    """
    # 1 - p is exact for all classes but the likeliest, whose p may round to 1.
    top = logits.argmax(1, keepdim=True)
    log_p = logits.log_softmax(1)
    log_rest = torch.log1p(-log_p.exp().clamp(max=0.5))
    rest_of_top = log_p.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    return log_p - log_rest.scatter(1, top, rest_of_top)
