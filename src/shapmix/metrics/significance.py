"""Tests of hypotheses: paired sign flips, Holm's correction, ranks over data sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shapmix.metrics.groups import Floats

LEAST_PAIRS = 5  # with fewer, no p-value: the smallest possible one is 2 ** (1 - pairs)
_EXACT = 16  # pairs up to which all flips are tried
_FLIPS = 50_000  # drawn at random beyond
_DECIMALS = 12  # what differs beyond them is equal
_ROUNDING = 10**-_DECIMALS


def sign_flip_test(
    differences: Sequence[ArrayLike], *, rng: np.random.Generator | None = None
) -> float | None:
    """Two-sided p-value of paired differences: the exact permutation test of Fisher (1935).

    If two methods did not differ, which of two runs of one seed is whose would be chance, so each
    difference might as well have the other sign. The p-value is the share of all assignments of
    signs whose statistic is at least as far from zero as the one found. The statistic is the mean
    over data sets of the mean over seeds. Nothing is assumed of the spread, unlike by a t-test; and
    unlike a p-value read off a bootstrap of few seeds, it holds its level for any number of pairs.
    The unit is the training run: it tells whether other seeds would show a difference on these
    test clips, whereas bootstrap intervals also tell of other clips.

    Args:
        differences: for each data set `(S,)`, one number for each pair of runs.
        rng: of the signs, drawn only with more than 16 pairs in all; seeded with 0 by default.

    Returns:
        None with fewer than 5 pairs in all. With 5 it is at least 0.0625, with 10 at least 0.002.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in differences]
    parts = [values / len(values) / len(arrays) for values in arrays if len(values)]
    shares = np.concatenate(parts) if parts else np.zeros(0)
    if len(shares) < LEAST_PAIRS:
        return None
    least = abs(shares.sum()) - _ROUNDING
    if len(shares) <= _EXACT:
        # A statistic and its mirror image are equally far from zero: keep one sign as it is.
        bits = np.arange(2 ** (len(shares) - 1))[:, None] >> np.arange(len(shares)) & 1
        return float((abs((1 - 2 * bits) @ shares) >= least).mean())
    rng = np.random.default_rng(0) if rng is None else rng
    signs = rng.integers(0, 2, (_FLIPS, len(shares)), dtype=np.int8) * 2 - 1
    return float((1 + (abs(signs @ shares) >= least).sum()) / (1 + _FLIPS))


def holm(p_values: ArrayLike) -> Floats:
    """P-values adjusted for how many they are, by the step-down method of Holm (1979).

    Rejecting those at most 0.05 keeps the chance of even one false rejection below 5 %, however the
    tests depend on one another.

    Args:
        p_values: `(m,)`, from 0 to 1.

    Returns:
        `(m,)` in the same order, each at least its p-value and at most 1.

    Raises:
        ValueError: not one row of numbers from 0 to 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p_values is {p}; expected one row of numbers from 0 to 1")
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


@dataclass(frozen=True, eq=False)
class RankTest:
    """Ranks of methods over blocks, and whether they differ.

    Attributes:
        ranks: `(k,)` mean ranks, 1 for the best.
        blocks: how many blocks the ranks are means over.
        p_value: of the Friedman test that all methods are equal; None where there is no test, with
            fewer than three methods or two blocks, or when all methods tie everywhere.
        critical_difference: mean ranks that differ by less are not told apart (Nemenyi, 5 %); None
            with fewer than two methods or blocks.
    """

    ranks: Floats
    blocks: int
    p_value: float | None
    critical_difference: float | None


def rank_test(scores: ArrayLike) -> RankTest:
    """Mean ranks, Friedman test and Nemenyi's critical difference (Demsar 2006, JMLR 7).

    The tests take the blocks for independent. Seeds on one data set are not: give the mean over
    seeds of each data set as one block. With few blocks the tests see only the largest differences.

    Args:
        scores: `(blocks, k)`, larger is better; equal ones share the mean of their ranks.

    Raises:
        ValueError: not a matrix of finite numbers. ImportError: scipy is not installed.
    """
    # Means of the same numbers in another order differ by rounding; they are ties.
    values = np.round(np.asarray(scores, dtype=np.float64), _DECIMALS)
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"scores has shape {values.shape}; expected finite numbers, a row for each block and "
            "a column for each method"
        )
    stats = _scipy_stats()
    blocks, k = values.shape
    ranks = stats.rankdata(-values, axis=1)
    p_value = critical = None
    if blocks > 1 and k > 2 and (ranks != (k + 1) / 2).any():
        p_value = float(stats.friedmanchisquare(*values.T).pvalue)
    if blocks > 1 and k > 1:
        q = stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)
        critical = float(q * np.sqrt(k * (k + 1) / (6 * blocks)))
    return RankTest(ranks.mean(0), blocks, p_value, critical)


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise ImportError("ranks need scipy: pip install scipy (or shapmix[train])") from error
    return stats
