"""Long tails: how many training clips each class keeps, which ones, and how many it has.

The K classes are ranked r = 0..K-1, in label order, by size or at random, and the class of rank r
keeps

    n_r = min(available_r, max(1, floor(n_max * f(r))))

of its clips, where f falls from f(0) = 1 to f(K-1) = 1 / IF, the imbalance factor:

    exponential   f(r) = IF^(-r / (K-1))                       Cui et al., CVPR 2019
    step          f(r) = 1 for r < ceil(K / 2), else 1 / IF    Buda et al., Neural Networks 2018
    pareto        f(r) = (r+1)^(-ln IF / ln K)                 the rank-size law of a Pareto
                  distribution of shape ln K / ln IF; ImageNet-LT (Liu et al., CVPR 2019) draws from
                  such a distribution where this takes its quantiles, so that IF is met

A class without clips keeps none. The published NTU and NW-UCLA lists are "exponential" in label
order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def _exponential(rank: Counts, K: int, imbalance: float) -> npt.NDArray[np.float64]:
    return np.exp(-math.log(imbalance) * rank / max(K - 1, 1))


def _step(rank: Counts, K: int, imbalance: float) -> npt.NDArray[np.float64]:
    return np.where(rank < (K + 1) // 2, 1.0, 1.0 / imbalance)


def _pareto(rank: Counts, K: int, imbalance: float) -> npt.NDArray[np.float64]:
    return np.exp(-math.log(imbalance) * np.log(rank + 1) / math.log(max(K, 2)))


PROFILES: dict[str, Callable[[Counts, int, float], npt.NDArray[np.float64]]] = {
    "exponential": _exponential,
    "step": _step,
    "pareto": _pareto,
}
ORDERS = ("label", "size", "permuted")


def class_counts(labels: npt.ArrayLike, num_classes: int) -> Counts:
    """(K,) int64: how often each class occurs in `labels`, (N,) integers.

    Raises:
        ValueError: for a label outside 0..K-1.
    """
    found = np.asarray(labels, dtype=np.int64)
    if found.size and (found.min() < 0 or found.max() >= num_classes):
        raise ValueError(
            f"labels run from {found.min()} to {found.max()}, expected 0 to {num_classes - 1}"
        )
    return np.bincount(found, minlength=num_classes).astype(np.int64)


def long_tail_counts(
    available: npt.ArrayLike,
    n_max: int,
    imbalance: float,
    profile: str = "exponential",
    order: str = "label",
    seed: int = 0,
) -> Counts:
    """(K,) int64: clips that each class keeps in a long tail; formulas at the top of the module.

    Args:
        available: (K,) clips that each class has.
        n_max: clips of the largest class.
        imbalance: IF >= 1, the ratio of the largest class to the smallest.
        profile: a key of `PROFILES`.
        order: which class is largest: "label" (class 0, as published), "size" (the one with the
            most clips available; ties in label order) or "permuted" (see `class_ranks`).
        seed: of the permutation; nothing else depends on it.

    Raises:
        ValueError: for an argument outside its range, naming it.
    """
    has = np.asarray(available, dtype=np.int64)
    if has.ndim != 1 or has.size == 0 or has.min() < 0:
        raise ValueError(f"available is {available!r}, expected a count >= 0 for each class")
    if n_max < 1:
        raise ValueError(f"n_max is {n_max}, expected at least 1")
    if not (math.isfinite(imbalance) and imbalance >= 1):
        raise ValueError(f"imbalance is {imbalance}, expected a factor of at least 1")
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}, expected one of {', '.join(PROFILES)}")
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}, expected one of {', '.join(ORDERS)}")
    K = has.size
    ideal = n_max * PROFILES[profile](class_ranks(has, order, seed), K, float(imbalance))
    whole = np.floor(ideal + 1e-9).astype(np.int64)  # 600 / 100 is 6, whatever the rounding
    return np.minimum(has, np.maximum(whole, 1))


def class_ranks(available: Counts, order: str, seed: int = 0) -> Counts:
    """(K,) int64: the rank of each class, 0 being the largest of the long tail.

    "permuted" is a permutation drawn from `seed`, by which a class is not always in the tail: over
    several seeds, what a method does to the tail is told apart from what these classes are like. It
    is a draw of its own: which clips a class gets does not change with the order.
    """
    K = len(available)
    classes = np.arange(K)
    if order == "size":
        classes = np.argsort(-available, kind="stable")
    elif order == "permuted":
        classes = np.array([int(k) for k in shuffled(map(str, range(K)), seed, "class order")])
    rank = np.empty(K, dtype=np.int64)
    rank[classes] = np.arange(K)
    return rank


def shuffled(names: Iterable[str], seed: int, purpose: str) -> list[str]:
    """`names` in a random order: sorted by SHA-256 of seed, purpose and name.

    The order of any two names depends on nothing but themselves, the seed and the purpose: not on
    the other names, their order, or the version of a random generator.
    """

    def key(name: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest(), name

    return sorted(names, key=key)


def draw_long_tail(
    names: Sequence[str], labels: npt.ArrayLike, counts: npt.ArrayLike, seed: int
) -> list[str]:
    """Of each class k, in label order, the first `counts[k]` names of its seeded shuffle.

    What a class gets depends on its own names and the seed only; a smaller count gets a part of
    what a larger one gets.

    Args:
        names, labels: (N,) clips to draw from and their classes.
        counts: (K,) clips to draw; of a class that has fewer, all.
    """
    own = np.asarray(labels)
    drawn: list[str] = []
    for k, count in enumerate(np.asarray(counts)):
        members = [names[i] for i in np.flatnonzero(own == k).tolist()]
        drawn += shuffled(members, seed, "long tail")[:count]
    return drawn


def imbalance_factor(counts: npt.ArrayLike) -> float:
    """Clips of the largest class over those of the smallest that has any; NaN when none has."""
    present = np.asarray(counts)
    present = present[present > 0]
    return float(present.max() / present.min()) if present.size else math.nan
