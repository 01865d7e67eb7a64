"""Score fusion: the scores of several models on the same clips become one."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from shapmix.metrics.checks import Labels, check_labels, check_logits
from shapmix.metrics.groups import Floats, Ints

Fused = Literal["logits", "probabilities"]
GAP = 1e-6  # nats: how far from the best mean-class log-likelihood fitted weights may be
_STEPS = 5000


def fuse(scores: Sequence[Any], weights: Sequence[float], of: Fused = "logits") -> Floats:
    """Weighted mean of the scores of S models: `(n, K)`, as logits.

    With `"logits"` it is the mean of the logits, the way streams are usually fused; with
    `"probabilities"` the logarithm of the mean of their softmax.

    Args:
        scores: S times `(n, K)` finite logits of the same clips.
        weights: `(S,)`, none negative; only their proportions matter.
        of: what is averaged.

    Raises:
        ValueError: for shapes that do not belong together, or impossible weights.
    """
    stacked = _stack(scores)
    shares = np.asarray(weights, dtype=np.float64)
    valid = shares.shape == (len(stacked),) and np.isfinite(shares).all() and shares.min() >= 0
    if not valid or shares.sum() == 0:
        raise ValueError(
            f"weights are {shares.tolist()}; expected {len(stacked)} numbers, one for each model, "
            "none negative and not all zero"
        )
    shares = shares / shares.sum()
    if of == "logits":
        return _weighted(shares, stacked)
    used = shares > 0
    terms = _log_softmax(stacked[used]) + np.log(shares[used])[:, None, None]
    fused: Floats = np.logaddexp.reduce(terms, axis=0)
    return fused


def fit_weights(scores: Sequence[Any], labels: Labels, of: Fused = "logits") -> Floats:
    """The weights `(S,)` with the highest mean-class log-likelihood, none negative, sum 1.

    The log-likelihood of `fuse(scores, weights, of)` at the labels is averaged over the clips of
    each class, then over the classes that have clips, so that rare classes count as much as
    frequent ones. It is concave in the weights; exponentiated gradient ascent ends when none can be
    better by more than `GAP`, or after 5000 steps. Use it on validation clips, never on test clips.

    Args:
        scores: S times `(n, K)` finite logits of the same clips.
        labels: `(n,)` whole numbers from 0 to K - 1.
        of: what is averaged.

    Raises:
        ValueError: for shapes that do not belong together, or labels out of range.
    """
    stacked = _stack(scores)
    truth = check_labels(labels, stacked.shape[1], stacked.shape[2])
    values = stacked if of == "logits" else np.exp(_log_softmax(stacked))
    weights = np.full(len(values), 1 / len(values))
    value, gradient = _likelihood(values, truth, weights, of)
    rate = 1.0
    for _ in range(_STEPS):
        if gradient.max() - weights @ gradient < GAP:  # bounds what can still be gained
            break
        moved = weights * np.exp(rate * (gradient - gradient.max()))
        moved /= moved.sum()
        new_value, new_gradient = _likelihood(values, truth, moved, of)
        if new_value < value:
            rate /= 2
            continue
        weights, value, gradient, rate = moved, new_value, new_gradient, rate * 1.5
    return weights


def _likelihood(values: Floats, truth: Ints, weights: Floats, of: Fused) -> tuple[float, Floats]:
    """Mean-class log-likelihood and its gradient `(S,)` in the weights."""
    clips = np.bincount(truth)
    share = 1 / (clips[truth] * np.count_nonzero(clips))  # of each clip in the mean
    rows = np.arange(len(truth))
    own = values[:, rows, truth]
    if of == "probabilities":
        mixed = np.maximum(weights @ own, np.finfo(np.float64).tiny)
        return float(share @ np.log(mixed)), (own / mixed) @ share
    log_p = _log_softmax(_weighted(weights, values))
    expected = np.einsum("nk,snk->sn", np.exp(log_p), values)
    return float(share @ log_p[rows, truth]), (own - expected) @ share


def _weighted(weights: Floats, values: Floats) -> Floats:
    """Sum over models: `(S,)` and `(S, n, K)` to `(n, K)`."""
    total: Floats = np.tensordot(weights, values, 1)
    return total


def _log_softmax(logits: Floats) -> Floats:
    normalized: Floats = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return normalized


def _stack(scores: Sequence[Any]) -> Floats:
    """`(S, n, K)` float64 of S checked `(n, K)` logits."""
    shapes = [np.shape(each) for each in scores]
    if not shapes or len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ValueError(
            f"scores have the shapes {shapes}; expected the same (n, K) for each of the models"
        )
    return np.stack([check_logits(each, shapes[0][1]) for each in scores])
