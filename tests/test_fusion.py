"""Fused scores against loops, fitted weights against a grid."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.metrics.fusion import fit_weights, fuse

seeds = st.integers(0, 2**31)
KINDS = ("logits", "probabilities")


def models(seed, number=3, clips=30, classes=4, skill=(3.0, 1.0, 0.0)):
    """Logits of models of different skill, and imbalanced labels."""
    rng = np.random.default_rng(seed)
    labels = np.append(
        np.arange(classes), rng.choice(classes, clips - classes, p=[0.7, 0.1, 0.1, 0.1])
    )
    truth = np.eye(classes)[labels]
    return [rng.normal(size=truth.shape) * 2 + skill[s] * truth for s in range(number)], labels


def softmax(row):
    top = [math.exp(v - max(row)) for v in row]
    return [v / sum(top) for v in top]


def likelihood(scores, weights, labels, of):
    """Mean over classes of the mean log-likelihood, by loops."""
    by_class = {}
    for i, label in enumerate(labels):
        if of == "logits":
            p = softmax(
                [sum(w * s[i][k] for w, s in zip(weights, scores, strict=True)) for k in range(4)]
            )
        else:
            each = [softmax(s[i]) for s in scores]
            p = [sum(w * q[k] for w, q in zip(weights, each, strict=True)) for k in range(4)]
        by_class.setdefault(int(label), []).append(math.log(p[label]))
    return sum(sum(v) / len(v) for v in by_class.values()) / len(by_class)


@given(seed=seeds)
@settings(max_examples=25)
def test_fusion_by_loops(seed):
    scores, _ = models(seed, clips=6)
    weights = np.random.default_rng(seed).uniform(0.1, 3, 3)
    total = weights.sum()
    logits, probabilities = (fuse(scores, weights.tolist(), of) for of in KINDS)
    for i, k in product(range(6), range(4)):
        mean = sum(w * s[i][k] for w, s in zip(weights, scores, strict=True)) / total
        assert logits[i, k] == pytest.approx(mean)
        mixed = sum(w * softmax(s[i])[k] for w, s in zip(weights, scores, strict=True)) / total
        assert math.exp(probabilities[i, k]) == pytest.approx(mixed)


@pytest.mark.parametrize("of", KINDS)
def test_only_proportions_matter_and_zero_leaves_a_model_out(of):
    scores, _ = models(0)
    np.testing.assert_allclose(fuse(scores, [0.6, 0.6, 0.4], of), fuse(scores, [3, 3, 2], of))
    alone = fuse(scores, [0, 1, 0], of)
    np.testing.assert_array_equal(alone.argmax(1), scores[1].argmax(1))
    np.testing.assert_allclose(alone, fuse([scores[1]], [1], of))


@pytest.mark.parametrize("of", KINDS)
@given(seed=seeds)
@settings(max_examples=5)
def test_fitted_weights_are_no_worse_than_any_of_a_grid(of, seed):
    scores, labels = models(seed)
    weights = fit_weights(scores, labels, of)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    found = likelihood(scores, weights, labels, of)
    for i, j in product(range(11), range(11)):
        if i + j <= 10:
            other = likelihood(scores, [i / 10, j / 10, (10 - i - j) / 10], labels, of)
            assert found >= other - 1e-5


def test_the_better_model_gets_more_and_the_random_one_next_to_nothing():
    scores, labels = models(3, clips=600, skill=(4.0, 2.0, 0.0))
    for of in KINDS:
        weights = fit_weights(scores, labels, of)
        assert weights[0] > weights[1] > weights[2]
        assert weights[2] < 0.15


def test_rare_classes_count_as_much_as_frequent_ones():
    """One model knows the frequent class only, the other the three rare ones."""
    labels = np.array([0] * 97 + [1, 2, 3])
    truth = np.eye(4)[labels]
    frequent, rare = 4 * truth * (labels == 0)[:, None], 4 * truth * (labels > 0)[:, None]
    weights = fit_weights([frequent, rare], labels)
    assert weights[1] > 0.5


@pytest.mark.parametrize(
    ("weights", "of"),
    [
        ([1, 1], "logits"),
        ([1, -1, 1], "logits"),
        ([0, 0, 0], "logits"),
        ([1, math.nan, 1], KINDS[1]),
    ],
)
def test_impossible_weights(weights, of):
    with pytest.raises(ValueError, match="expected 3 numbers"):
        fuse(models(0)[0], weights, of)


def test_scores_that_do_not_belong_together():
    scores, labels = models(0)
    with pytest.raises(ValueError, match="expected the same"):
        fuse([scores[0], scores[1][:-1]], [1, 1])
    with pytest.raises(ValueError, match="expected the same"):
        fit_weights([], labels)
    with pytest.raises(ValueError, match="labels"):
        fit_weights(scores, labels[:-1])


def test_no_clips_have_no_scores():
    assert fuse([np.zeros((0, 3)), np.zeros((0, 3))], [1, 2]).shape == (0, 3)
