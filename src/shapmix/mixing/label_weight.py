"""Labels by saliency: the partner's weight is the share of the rarer class's saliency it gives."""

import torch
from torch import Tensor


def part_shares(phi: Tensor) -> Tensor:
    """Each part's share of a class's positive Shapley values: `(K, P)`, rows sum to 1.

    Negative values count as 0; a class without positive values has equal shares.

    Args:
        phi: `(K, P)`, Shapley values of single parts.
    """
    phi = phi.clamp(min=0)
    total = phi.sum(1, keepdim=True)
    return torch.where(total > 0, phi / total.masked_fill(total == 0, 1.0), 1 / phi.shape[1])


def salient_share(shares: Tensor, guide: Tensor, pasted: Tensor) -> Tensor:
    """The share of the guiding class's saliency that lies in the pasted parts: `(N,)`.

    Times the window's share of the frames, this is the partner's weight in the label. Where the
    partner is the rarer one, it is what the mix has of it; where the receiver is, it is what the
    mix has lost of it. Either way the rarer class weighs as much as is left of its saliency.

    Args:
        shares: `(K, P)` of `part_shares`. guide: `(N,)` int64, the rarer class of each pair.
        pasted: `(N, P)` bool, parts that come from the partner.
    """
    return (shares[guide] * pasted).sum(1).clamp(max=1)  # no label below 0 by rounding
