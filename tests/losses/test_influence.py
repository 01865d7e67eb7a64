"""The influence is the gradient of the last layer; the weight undoes it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shapmix.losses import InfluenceBalancedLoss

COUNTS = [30, 20, 5]


def test_every_clip_has_the_influence_of_its_class_alone():
    """With epsilon towards 0, the L1 norm of a clip's gradient is the weight of its class."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3, bias=False).double()
    loss = InfluenceBalancedLoss(COUNTS, alpha=1, epsilon=1e-9, start=0).double()
    loss.set_progress(0, 10)
    for y in range(3):
        h = torch.randn(1, 4, dtype=torch.float64)
        layer.zero_grad()
        loss(layer(h), torch.tensor([y]), h).backward()
        share = 3 * (1 / COUNTS[y]) / sum(1 / n for n in COUNTS)
        assert float(layer.weight.grad.abs().sum()) == pytest.approx(share, rel=1e-5)


def test_the_influence_is_the_gradient_of_cross_entropy():
    torch.manual_seed(0)
    layer, h = nn.Linear(4, 3, bias=False), torch.randn(1, 4)
    F.cross_entropy(layer(h), torch.tensor([2])).backward()
    influence = float(layer.weight.grad.abs().sum())
    loss = InfluenceBalancedLoss([9, 9, 9], alpha=1, epsilon=1e-9, start=0)
    loss.set_progress(0, 1)
    expected = F.cross_entropy(layer(h), torch.tensor([2])) / influence
    torch.testing.assert_close(loss(layer(h), torch.tensor([2]), h), expected)


@pytest.mark.parametrize("features", [None, torch.zeros(4, 2), torch.zeros(2, 3, 4)])
@pytest.mark.parametrize("epoch", [0, 5])
def test_features_are_asked_for(features, epoch):
    """Wrong ones at once, and not when they are first needed."""
    loss = InfluenceBalancedLoss(COUNTS, start=0.5)
    loss.set_progress(epoch, 10)
    if features is None and epoch == 0:
        loss(torch.zeros(2, 3), torch.tensor([0, 1]))
        return
    with pytest.raises(ValueError, match=r"needs `features`.*\(2, L\)"):
        loss(torch.zeros(2, 3), torch.tensor([0, 1]), features)
