"""Temperature scaling against scipy's minimiser of the likelihood written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from shapmix.metrics.calibration import (
    HIGHEST,
    LOWEST,
    fit_temperature,
    negative_log_likelihood,
)


def oracle(logits, labels, temperature):
    """torch's cross-entropy of the divided logits."""
    scores = torch.tensor(logits, dtype=torch.float64) / temperature
    return float(F.cross_entropy(scores, torch.tensor(labels)))


def draw(seed, sharpness, clips=200, classes=6):
    """Labels drawn from the softmax of logits that are then made too sharp or too blunt."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (clips, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(classes, p=row) for row in shares])
    return logits * sharpness, labels


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), sharpness=st.floats(0.2, 5))
def test_it_finds_the_minimum(seed, sharpness):
    logits, labels = draw(seed, sharpness)
    found = fit_temperature(logits, labels)
    best = minimize_scalar(
        lambda t: oracle(logits, labels, np.exp(t)),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert oracle(logits, labels, found) <= best.fun + 1e-9
    assert np.log(found) == pytest.approx(best.x, abs=1e-3)
    assert negative_log_likelihood(logits, labels, found) == pytest.approx(
        oracle(logits, labels, found)
    )


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_it_undoes_sharpness(sharpness):
    """With many clips the temperature is the factor by which the logits were too sharp."""
    logits, labels = draw(0, sharpness, clips=5000)
    assert fit_temperature(logits, labels) == pytest.approx(sharpness, rel=0.07)


def test_it_is_the_inverse_of_a_scale():
    logits, labels = draw(1, 1.0)
    once = fit_temperature(logits, labels)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * once)
    assert fit_temperature(logits + np.arange(200)[:, None], labels) == pytest.approx(once)


def test_its_bounds():
    logits, _ = draw(2, 1.0)
    assert fit_temperature(logits, logits.argmax(1)) == LOWEST
    assert fit_temperature(logits, logits.argmin(1)) == HIGHEST
    assert fit_temperature(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])) == HIGHEST


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((3, 2)), [0, 1], "expected whole numbers, one for each clip"),
        (np.zeros((3, 2)), [0, 1, 2], "labels go from 0 to 2"),
        (np.full((1, 2), np.nan), [0], "NaN or infinite"),
        (np.zeros(3), [0], "expected numbers of shape"),
        (0.5, [0], "expected numbers of shape"),
    ],
)
def test_bad_input(logits, labels, message):
    for function in (fit_temperature, negative_log_likelihood):
        with pytest.raises(ValueError, match=message):
            function(logits, np.array(labels))
