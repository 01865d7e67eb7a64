"""Weights that undo the influence of single clips on the decision boundary."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shapmix.counts import ClassCounts, check_counts
from shapmix.losses.expectation import check_logits, check_option, expected


class InfluenceBalancedLoss(nn.Module):
    """Cross-entropy of each clip divided by the clip's influence on the last linear layer.

    The influence is the L1 norm of the gradient there, `||p - onehot(y)||_1 ||h||_1` with h the
    layer's input; the weight is `alpha K lambda_y / (influence + epsilon)`, `lambda_k` being the
    inverse counts, normalised. Before `start` of the epochs it is plain cross-entropy. Source: Park
    et al., Influence-Balanced Loss for Imbalanced Visual Classification, ICCV 2021. The weights are
    constants here: no gradient flows through them. Published is alpha 1000 with a learning rate
    divided by 100 from `start` on; 10 takes the same steps at the full rate.

    Args:
        class_counts: `(K,)` training clips of each class, all positive.
        alpha: scale of the weights.
        epsilon: keeps the weight of a clip without influence finite.
        start: share of the epochs after which clips are weighted.

    Buffers: `weights (K,)`.

    Raises:
        ValueError: a count is not positive, or an option is out of range.
    """

    uses_features = True
    weights: Tensor

    def __init__(
        self,
        class_counts: ClassCounts,
        *,
        alpha: float = 10.0,
        epsilon: float = 1e-3,
        start: float = 0.5,
    ) -> None:
        super().__init__()
        self.epsilon = check_option("epsilon", epsilon, 1e-9)
        self.start = check_option("start", start, 0, 1)
        self.balanced = False
        inverse = 1 / torch.from_numpy(check_counts(class_counts)).double()
        scale = check_option("alpha", alpha, 0) * len(inverse)
        self.register_buffer("weights", (scale * inverse / inverse.sum()).float())

    def set_progress(self, epoch: int, epochs: int) -> None:
        """Weight the clips, or do not yet; call it when an epoch begins."""
        self.balanced = epoch >= round(self.start * epochs)

    def forward(self, logits: Tensor, target: Tensor, features: Tensor | None = None) -> Tensor:
        """Loss of a batch.

        Args:
            logits: `(N, K)`.
            target: `(N,)` int64, or `(N, K)` rows that sum to 1.
            features: `(N, L)`, input of the last linear layer; see `classifier_input`.

        Raises:
            ValueError: the features are missing, or are not one row a clip.
        """
        logits = check_logits(logits, len(self.weights))
        if features is None and not self.balanced:
            return F.cross_entropy(logits, target)
        if features is None or features.ndim != 2 or len(features) != len(logits):
            found = "nothing" if features is None else f"shape {tuple(features.shape)}"
            raise ValueError(
                "the influence-balanced loss needs `features`, the input of the last linear layer, "
                f"({len(logits)}, L): one row a clip; found {found}"
            )
        if not self.balanced:
            return F.cross_entropy(logits, target)
        log_p = logits.log_softmax(1)
        with torch.no_grad():
            distance = -2 * torch.expm1(log_p)  # ||p - onehot(k)||_1 = 2 (1 - p_k)
            influence = distance * features.abs().sum(1, keepdim=True)
            weights = self.weights / (influence + self.epsilon)
        return expected(-weights * log_p, target).mean()
