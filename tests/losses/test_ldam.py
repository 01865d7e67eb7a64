"""Log-odds where the softmax saturates, and margins of the published form."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.losses import LDAMLoss
from shapmix.losses.ldam import log_odds


@settings(max_examples=60)
@given(st.integers(2, 6), st.sampled_from([0.1, 1.0, 30.0, 300.0]), st.integers(0, 99))
def test_log_odds_in_single_precision(K, size, seed):
    """log(p / (1 - p)) = z_k - log sum_(j != k) exp z_j."""
    logits = size * torch.randn(3, K, generator=torch.Generator().manual_seed(seed))
    found = log_odds(logits)
    for k in range(K):
        others = [j for j in range(K) if j != k]
        expected = logits[:, k].double() - logits[:, others].double().logsumexp(1)
        torch.testing.assert_close(found[:, k].double(), expected, rtol=1e-5, atol=1e-4)


def test_log_odds_of_equal_logits_have_the_gradient_of_their_definition():
    logits = torch.zeros(1, 2, requires_grad=True)
    log_odds(logits)[0, 0].backward()
    assert logits.grad.tolist() == [[1.0, -1.0]]


def test_margins_fall_with_the_fourth_root():
    margins = LDAMLoss([16, 81, 625 * 16]).margins
    torch.testing.assert_close(margins, 15 * torch.tensor([1, 2 / 3, 1 / 5]))


@pytest.mark.parametrize(("epochs", "first"), [(100, 80), (10, 8), (3, 2), (1, 1)])
def test_weights_come_at_four_fifths(epochs, first):
    loss = LDAMLoss([4, 2])
    seen = []
    for epoch in range(epochs):
        loss.set_progress(epoch, epochs)
        seen.append(loss.reweighted)
    assert seen == [epoch >= first for epoch in range(epochs)]
