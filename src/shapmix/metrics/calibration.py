"""Temperature scaling: one number that makes the confidence of a classifier honest."""

from typing import Any

import numpy as np

from shapmix.metrics.checks import Labels, check_scores
from shapmix.metrics.groups import Floats, Ints

LOWEST, HIGHEST = 0.05, 20.0  # a temperature outside is a sign of too few or too easy clips
_HALVINGS = 60


def fit_temperature(logits: Any, labels: Labels) -> float:
    """The temperature T that makes `softmax(logits / T)` most likely at the labels.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2. The mean negative
    log-likelihood is convex in `1 / T`, and its slope there is the mean of
    `sum_k p_k z_k - z_y`, so halving the interval between the bounds finds the minimum. T lies
    within 0.05 to 20: where all clips are recognised, the likelihood alone would ask for 0.
    Fit it on validation clips, never on test clips.

    Args:
        logits: `(n, K)` finite scores.
        labels: `(n,)` whole numbers from 0 to K - 1.

    Raises:
        ValueError: for wrong shapes, logits that are not finite or labels out of range.
    """
    scores, truth = check_scores(logits, labels, np.shape(logits)[-1] if np.ndim(logits) else 0)
    low, high = 1 / HIGHEST, 1 / LOWEST
    if _slope(scores, truth, low) >= 0:
        return HIGHEST
    if _slope(scores, truth, high) <= 0:
        return LOWEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(scores, truth, middle) < 0:
            low = middle
        else:
            high = middle
    return 2 / (low + high)


def _slope(scores: Floats, truth: Ints, inverse: float) -> float:
    """Derivative of the mean negative log-likelihood in the inverse temperature."""
    raised = np.exp(inverse * (scores - scores.max(1, keepdims=True)))
    shares = raised / raised.sum(1, keepdims=True)
    own = np.take_along_axis(scores, truth[:, None], 1)[:, 0]
    return float(((shares * scores).sum(1) - own).mean())


def negative_log_likelihood(logits: Any, labels: Labels, temperature: float = 1.0) -> float:
    """Mean over clips of `-log softmax(logits / T)` at the label, in nats."""
    scores, truth = check_scores(logits, labels, np.shape(logits)[-1] if np.ndim(logits) else 0)
    scaled = scores / temperature
    total = np.logaddexp.reduce(scaled, axis=1)
    return float((total - np.take_along_axis(scaled, truth[:, None], 1)[:, 0]).mean())
