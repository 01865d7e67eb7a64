"""Cross-entropy, plain and with the prior of the classes."""

from torch import Tensor, nn
from torch.nn import functional as F

from shapmix.counts import ClassCounts, check_counts
from shapmix.losses.expectation import check_logits, check_option
from shapmix.losses.rebalancing import log_prior


class CrossEntropyLoss(nn.Module):
    """Cross-entropy, the mean over clips; class counts are accepted and ignored."""

    def __init__(self, class_counts: ClassCounts) -> None:
        super().__init__()
        self.num_classes = len(check_counts(class_counts))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`logits (N, K)`, `target (N,)` int64 or `(N, K)` rows that sum to 1."""
        logits = check_logits(logits, self.num_classes)
        return F.cross_entropy(logits, target)


class BalancedSoftmaxLoss(nn.Module):
    """Cross-entropy of `logits + tau log pi`, `pi_k = n_k / sum n`; inference uses plain logits.

    On balanced data, or with tau 0, it equals cross-entropy. Sources: Ren et al., Balanced
    Meta-Softmax, NeurIPS 2020 (tau 1); Menon et al., logit adjustment, ICLR 2021.

    Args:
        class_counts: `(K,)` training clips of each class, all positive.
        tau: weight of the prior.

    Buffers: `log_prior (K,)`.

    Raises:
        ValueError: a count is not positive, or tau is negative.
    """

    log_prior: Tensor

    def __init__(self, class_counts: ClassCounts, *, tau: float = 1.0) -> None:
        super().__init__()
        self.tau = check_option("tau", tau, 0)
        self.register_buffer("log_prior", log_prior(class_counts))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`logits (N, K)`, `target (N,)` int64 or `(N, K)` rows that sum to 1."""
        logits = check_logits(logits, len(self.log_prior))
        return F.cross_entropy(logits + self.tau * self.log_prior, target)
