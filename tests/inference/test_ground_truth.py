"""Explanations of models whose parts are known to count, by three routes: by hand, by captum's
Shapley values (all orders of the players, one by one), and by leaving out one part.
"""

import pytest
import torch
from captum.attr import FeatureAblation, ShapleyValues
from torch import Tensor, nn

from shapmix.inference.explain import explain_classes
from shapmix.layouts import get_layout

LAYOUT = get_layout("kinect20")
MASKS = torch.from_numpy(LAYOUT.part_masks())  # (5, V)
SHAPE = (3, 4, 20, 2)


def heights(x: Tensor) -> Tensor:
    """Mean height of each part over frames, its joints and bodies: `(N, C, T, V, M)` to (N, P)."""
    return x[:, 1].mean((1, 3)) @ MASKS.float().T / MASKS.sum(1)


class Certain(nn.Module):
    """Class 0 has a probability that is a known function of the heights of the parts."""

    def __init__(self, probability) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        p = self.probability(heights(x))
        return torch.stack([p, 1 - p], 1).log()


def small_network() -> nn.Module:
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(3 * 4 * 20 * 2, 8), nn.Tanh(), nn.Linear(8, 3)
    ).requires_grad_(False)
    generator = torch.Generator().manual_seed(4)
    for weight in network.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return network


def random_clips(clips=4, low=0.0, high=1.0) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return low + (high - low) * torch.rand(clips, *SHAPE, generator=generator)


def explained(model, x: Tensor, y: Tensor, background: Tensor) -> Tensor:
    return explain_classes(model, [(x, y)], LAYOUT, background, 3).clip_parts()


def by_captum(method, model, x: Tensor, y: Tensor, baseline: Tensor) -> Tensor:
    """Attributions `(N, P)` of the probability of class y; a part is one feature."""
    part = MASKS.float().argmax(0).view(-1, 1).repeat(1, 3, 4, 1, 2)
    found = method(lambda x: model(x).softmax(1)).attribute(
        x, baselines=baseline.expand_as(x), target=y, feature_mask=part
    )
    return found[:, 0, 0, MASKS.float().argmax(1), 0]


def test_an_additive_model_gives_each_part_its_own_term():
    weights = torch.tensor([0.3, 0.0, 0.25, -0.2, 0.1])
    model = Certain(lambda h: 0.3 + h @ weights)
    x, y, background = random_clips(), torch.zeros(4, dtype=torch.int64), torch.full(SHAPE, 0.25)
    phi = explained(model, x, y, background)
    torch.testing.assert_close(phi, (heights(x) - 0.25) * weights, atol=1e-5, rtol=0)
    for method in (ShapleyValues, FeatureAblation):
        found = by_captum(method, model, x, y, background)
        torch.testing.assert_close(phi, found, atol=1e-5, rtol=0)


def test_of_two_parts_that_say_the_same_both_are_credited_and_ablation_sees_one():
    """The higher of the parts 1 and 3 decides: max(a, b), with a > b and zeros in the background.

    The lower one counts only where the higher is missing, in half of the orders: b / 2; the higher
    one has what is left, a - b / 2. Left out alone, the lower one is not missed.
    """
    model = Certain(lambda h: 0.1 + torch.maximum(h[:, 1], h[:, 3]))
    x = torch.zeros(1, *SHAPE)
    x[..., MASKS[1], :], x[..., MASKS[3], :] = 0.8, 0.5
    y, background = torch.tensor([0]), torch.zeros(SHAPE)
    phi = explained(model, x, y, background)
    torch.testing.assert_close(phi, torch.tensor([[0, 0.55, 0, 0.25, 0]]), atol=1e-5, rtol=0)
    order = by_captum(ShapleyValues, model, x, y, background)
    torch.testing.assert_close(phi, order, atol=1e-5, rtol=0)
    ablated = by_captum(FeatureAblation, model, x, y, background)
    torch.testing.assert_close(ablated, torch.tensor([[0, 0.3, 0, 0, 0]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("absent", [False, True])
def test_a_network_is_explained_as_by_all_orders_of_the_parts(absent):
    """With an absent body the background leaves it absent, so captum is told to, too."""
    x, y = random_clips(low=-1), torch.tensor([0, 1, 2, 1])
    background = random_clips(5, low=-1)[-1]
    baseline = background.repeat(4, 1, 1, 1, 1)
    if absent:
        x[::2, ..., 1] = baseline[::2, ..., 1] = 0
    model = small_network()
    phi = explained(model, x, y, background)
    assert phi.abs().max() > 0.01
    found = by_captum(ShapleyValues, model, x, y, baseline)
    torch.testing.assert_close(phi, found, atol=1e-5, rtol=0)
