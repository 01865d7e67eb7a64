"""Rebalanced classifiers against loops, and what the formulas are for."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shapmix.losses import with_cosine_classifier
from shapmix.losses.rebalancing import (
    linear_classifier,
    log_prior,
    max_norm,
    norm_between,
    tau_normalize,
)

seeds = st.integers(0, 2**31)


def weights(seed, classes=5, features=4):
    generator = torch.Generator().manual_seed(seed)
    scale = 10 ** torch.empty(classes, 1).uniform_(-2, 2, generator=generator)
    return scale * torch.randn(classes, features, generator=generator)


@given(seed=seeds, tau=st.floats(0, 2))
def test_tau_normalisation_by_a_loop(seed, tau):
    w = weights(seed)
    found = tau_normalize(w, tau)
    for k in range(5):
        length = math.sqrt(sum(float(v) ** 2 for v in w[k]))
        for j in range(4):
            expected = float(w[k, j]) / length**tau
            assert float(found[k, j]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_tau_normalisation_at_its_ends():
    w = weights(0)
    assert torch.equal(tau_normalize(w, 0.0), w)
    torch.testing.assert_close(tau_normalize(w, 1.0).norm(dim=1), torch.ones(5))
    w[2] = 0
    assert torch.equal(tau_normalize(w, 1.0)[2], torch.zeros(4))


@given(seed=seeds, share=st.floats(0, 1))
def test_max_norm_is_the_nearest_point_of_the_ball(seed, share):
    w = weights(seed)
    radius = norm_between(w, share)
    found = max_norm(w, radius)
    assert (found.norm(dim=1) <= radius * (1 + 1e-5)).all()
    inside = w.norm(dim=1) < radius * (1 - 1e-6)
    assert torch.equal(found[inside], w[inside])
    torch.testing.assert_close(max_norm(found, radius), found)
    other = weights(seed + 1)
    other = radius * other / other.norm(dim=1, keepdim=True).clamp_min(radius)  # in the ball too
    nearest, distance = (w - found).norm(dim=1), (w - other).norm(dim=1)
    assert (nearest <= distance * (1 + 1e-4) + 1e-5).all()


def test_the_radius_lies_between_the_norms():
    w = torch.tensor([[3.0, 4.0], [0.0, 1.0], [2.0, 0.0]])
    assert norm_between(w, 0) == pytest.approx(1)
    assert norm_between(w, 1) == pytest.approx(5)
    assert norm_between(w, 0.1) == pytest.approx(1.4)


def test_logit_adjustment_is_the_posterior_of_balanced_data():
    """Bayes: p(k | x) on balanced data goes with p(k | x) / pi_k on the training data."""
    counts, logits = [60, 30, 10], torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    found = (logits - log_prior(counts)).softmax(1)
    for i in range(8):
        joint = [float(logits[i].softmax(0)[k]) / (counts[k] / 100) for k in range(3)]
        for k in range(3):
            assert float(found[i, k]) == pytest.approx(joint[k] / sum(joint), rel=1e-5)


def test_the_last_linear_layer_or_why_there_is_none():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    assert linear_classifier(model, 3) is model[2]
    with pytest.raises(ValueError, match=r"no nn\.Linear with 7 outputs"):
        linear_classifier(model, 7)
    with pytest.raises(ValueError, match="made of cosines"):
        linear_classifier(with_cosine_classifier(model, 3, 30.0), 3)
