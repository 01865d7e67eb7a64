"""Long tails: the formulas, the published lists, and draws that depend on nothing else."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapmix.counts import shot_bins
from shapmix.data.longtail import (
    PROFILES,
    class_counts,
    class_ranks,
    draw_long_tail,
    imbalance_factor,
    long_tail_counts,
    shuffled,
)

# ---- the published lists (sizes and shots as in the paper; performers etc. as in the data set's)

XSUB60 = {1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38}
XSUB120 = XSUB60 | {45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83}
XSUB120 |= {84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103}

PUBLISHED = {
    ("NTU60_xsub", 10): 14142,
    ("NTU60_xsub", 50): 9150,
    ("NTU60_xsub", 100): 7892,
    ("NTU60_xview", 10): 14142,
    ("NTU60_xview", 50): 9150,
    ("NTU60_xview", 100): 7892,
    ("NTU120_xsub", 10): 28182,
    ("NTU120_xsub", 50): 18137,
    ("NTU120_xsub", 100): 15600,
    ("NTU120_xset", 10): 18771,
    ("NTU120_xset", 50): 12069,
    ("NTU120_xset", 100): 10378,
}
SHOTS = {"NTU60_xsub": (23, 21, 16), "NTU120_xsub": (47, 41, 32), "NTU120_xset": (36, 42, 42)}


def ntu_training_names(folder: Path, protocol: str) -> list[str]:
    data_set = protocol.split("_")[0]
    statistics = folder / "statistics" / {"NTU60": "ntu", "NTU120": "ntu120"}[data_set]
    names = (statistics / "skes_available_name.txt").read_text().split()

    def column(what: str) -> list[int]:
        values = [int(x) for x in (statistics / f"{what}.txt").read_text().split()]
        assert len(values) == len(names)
        return values

    if protocol.endswith("xview"):
        trains = [camera in (2, 3) for camera in column("camera")]
    elif protocol.endswith("xset"):
        trains = [setup % 2 == 0 for setup in column("setup")]
    else:
        performers = XSUB60 if data_set == "NTU60" else XSUB120
        trains = [performer in performers for performer in column("performer")]
    assert [int(name[-3:]) for name in names] == column("label")
    return [name for name, train in zip(names, trains, strict=True) if train]


@pytest.mark.parametrize("protocol", ["NTU60_xsub", "NTU60_xview", "NTU120_xsub", "NTU120_xset"])
def test_published_lists_have_the_counts_of_the_formula(real_data: Path, protocol: str) -> None:
    folder = real_data / "ntu_protocol"
    data_set = protocol.split("_")[0]
    K = int(data_set.removeprefix("NTU"))
    n_max = 400 if protocol == "NTU120_xset" else 600
    names = ntu_training_names(folder, protocol)
    available = class_counts([int(name[-3:]) - 1 for name in names], K)
    for imbalance in (10, 50, 100):
        listed = (folder / f"{data_set}_LT" / f"{protocol}_exp_{imbalance}.txt").read_text().split()
        assert set(listed) <= set(names)
        published = class_counts([int(name[-3:]) - 1 for name in listed], K)
        ours = long_tail_counts(available, n_max, imbalance)
        np.testing.assert_array_equal(ours, published)
        assert ours.sum() == PUBLISHED[protocol, imbalance]
    if protocol in SHOTS:  # of the last, IF 100
        assert tuple(map(len, shot_bins(ours).values())) == SHOTS[protocol]


def test_nw_ucla_counts() -> None:
    counts = long_tail_counts([102, 102, 96, 124, 101, 102, 99, 99, 98, 97], 100, 10)
    assert counts.tolist() == [100, 77, 59, 46, 35, 27, 21, 16, 12, 10]


# ---- the formulas

counts_available = st.lists(st.integers(0, 2000), min_size=1, max_size=40)
sizes = st.integers(1, 2000)
imbalances = st.sampled_from([1, 2, 10, 50, 100, 256]) | st.integers(1, 2000)
profiles = st.sampled_from([*PROFILES])


def exact_share(profile: str, r: int, K: int, imbalance: int) -> Decimal:
    """f(r) to fifty digits, each profile in a form other than the program's."""
    if r == 0:
        return Decimal(1)
    if profile == "exponential":
        return (Decimal(1) / imbalance) ** (Decimal(r) / (K - 1))
    if profile == "pareto":
        return Decimal(r + 1) ** (-Decimal(imbalance).ln() / Decimal(K).ln())
    return Decimal(1) if r in range(K - K // 2) else Decimal(1) / imbalance


@given(counts_available, sizes, imbalances, profiles)
def test_counts_agree_with_exact_arithmetic(
    available: list[int], n_max: int, imbalance: int, profile: str
) -> None:
    found = long_tail_counts(available, n_max, imbalance, profile)
    with localcontext() as context:
        context.prec = 50
        for r, has in enumerate(available):
            ideal = n_max * exact_share(profile, r, len(available), imbalance)
            whole = int(ideal + Decimal("1e-12"))  # 6, not 5.999..., after fifty digits
            near = abs(ideal - round(ideal)) < Decimal("1e-8")
            assert found[r] == min(has, max(1, whole)) or near


@given(st.integers(2, 40), sizes, imbalances, profiles)
def test_counts_fall_from_n_max_to_its_share(
    K: int, n_max: int, imbalance: int, profile: str
) -> None:
    counts = long_tail_counts([10**6] * K, n_max, imbalance, profile)
    assert (np.diff(counts) <= 0).all()
    assert counts[0] == n_max
    assert counts[-1] == max(1, n_max // imbalance)


@given(counts_available, sizes, imbalances, profiles)
def test_order_by_size_follows_the_classes(
    available: list[int], n_max: int, imbalance: int, profile: str
) -> None:
    largest_first = sorted(available, reverse=True)
    expected = long_tail_counts(largest_first, n_max, imbalance, profile)
    found = long_tail_counts(available, n_max, imbalance, profile, order="size")
    assert Counter(zip(available, found, strict=True)) == Counter(
        zip(largest_first, expected, strict=True)
    )


def test_order_by_size_breaks_ties_by_label() -> None:
    counts = long_tail_counts([50, 90, 50, 90], 40, 8, order="size")
    assert counts.tolist() == [10, 40, 5, 20]


@given(counts_available, sizes, imbalances, profiles, st.integers())
def test_a_permuted_order_gives_the_places_of_the_tail_to_other_classes(
    available: list[int], n_max: int, imbalance: int, profile: str, seed: int
) -> None:
    has = np.array(available)
    rank = class_ranks(has, "permuted", seed)
    assert sorted(rank) == list(range(len(has)))
    found = long_tail_counts(has, n_max, imbalance, profile, "permuted", seed)
    by_rank = np.empty_like(has)
    by_rank[rank] = has  # the classes, relabelled by rank, as they would be in label order
    np.testing.assert_array_equal(
        found[np.argsort(rank)], long_tail_counts(by_rank, n_max, imbalance, profile)
    )


def test_a_permuted_order_is_that_of_the_digests() -> None:
    digests = [hashlib.sha256(f"7\0class order\0{k}".encode()).digest() for k in range(30)]
    expected = [sorted(digests).index(digest) for digest in digests]
    assert class_ranks(np.ones(30, dtype=np.int64), "permuted", 7).tolist() == expected


def test_every_class_is_in_every_place_for_some_seed() -> None:
    has = np.full(6, 100)
    ranks = np.array([class_ranks(has, "permuted", seed) for seed in range(600)])
    often = np.array([np.bincount(ranks[:, k], minlength=6) for k in range(6)])
    assert abs(often - 100).max() < 45  # five standard deviations of a binomial of 600 and 1 / 6


def test_steps() -> None:
    assert long_tail_counts([99] * 5, 50, 10, "step").tolist() == [50, 50, 50, 5, 5]
    assert long_tail_counts([99] * 4, 50, 10, "step").tolist() == [50, 50, 5, 5]
    assert long_tail_counts([99], 50, 10, "step").tolist() == [50]


def test_pareto_is_the_law_of_rank_and_size() -> None:
    counts = long_tail_counts([10**6] * 16, 160_000, 16, "pareto")  # exponent ln 16 / ln 16 = 1
    assert counts.tolist() == [160_000 // (r + 1) for r in range(16)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 5, 10), "available is"),
        (([3, -1], 5, 10), "available is"),
        (([3, 4], 0, 10), "n_max is 0, expected at least 1"),
        (([3, 4], 5, 0.5), "imbalance is 0.5, expected a factor of at least 1"),
        (([3, 4], 5, math.nan), "imbalance is nan"),
        (([3, 4], 5, math.inf), "imbalance is inf"),
        (([3, 4], 5, 10, "exp"), "profile is 'exp', expected one of exponential, step, pareto"),
        (([3, 4], 5, 10, "step", "name"), "order is 'name', expected one of label, size"),
    ],
)
def test_arguments_are_checked(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        long_tail_counts(*arguments)  # type: ignore[arg-type]


# ---- counting

labels = st.lists(st.integers(0, 6), max_size=50)


@given(labels)
def test_class_counts(labels: list[int]) -> None:
    found = class_counts(labels, 7)
    assert found.dtype == np.int64
    assert found.tolist() == [labels.count(k) for k in range(7)]


@pytest.mark.parametrize("labels", [[0, 7], [-1]])
def test_class_counts_checks_labels(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="expected 0 to 6"):
        class_counts(labels, 7)


def test_shot_bins_and_imbalance_factor() -> None:
    groups = shot_bins([101, 100, 20, 19, 0, 500])
    assert {group: ks.tolist() for group, ks in groups.items()} == {
        "many": [0, 5],
        "medium": [1, 2],
        "few": [3, 4],
    }
    assert imbalance_factor([600, 30, 0, 6]) == 100
    assert math.isnan(imbalance_factor([0, 0]))


# ---- drawing


def clips(n: int, seed: int) -> tuple[list[str], list[int]]:
    rng = np.random.default_rng(seed)
    return [f"clip{i}" for i in rng.permutation(n)], rng.integers(0, 4, n).tolist()


@given(st.integers(0, 40), st.integers(0, 99), st.lists(st.integers(0, 12), min_size=4, max_size=4))
def test_draw_takes_the_first_of_each_class(n: int, seed: int, counts: list[int]) -> None:
    names, labels = clips(n, seed)
    label_of = dict(zip(names, labels, strict=True))
    drawn = draw_long_tail(names, labels, counts, seed)
    assert len(set(drawn)) == len(drawn)
    found = Counter(label_of[name] for name in drawn)
    assert all(found[k] == min(counts[k], labels.count(k)) for k in range(4))
    more = draw_long_tail(names, labels, [count + 2 for count in counts], seed)
    assert set(drawn) <= set(more)  # nested


@given(st.integers(1, 40), st.integers(0, 99), st.integers(0, 3))
def test_a_class_does_not_depend_on_the_others_or_on_the_order(n: int, seed: int, k: int) -> None:
    names, labels = clips(n, seed)
    counts = [3, 4, 5, 6]
    label_of = dict(zip(names, labels, strict=True))
    drawn = [x for x in draw_long_tail(names, labels, counts, seed) if label_of[x] == k]
    alone = sorted(name for name in names if label_of[name] == k)
    counts = [count * (i == k) for i, count in enumerate(counts)]
    assert draw_long_tail(alone, [k] * len(alone), counts, seed) == drawn


def test_shuffles_are_uniform_and_independent() -> None:
    names = ["a", "b", "c", "d"]
    orders = Counter("".join(shuffled(names, seed, "draw")) for seed in range(4800))
    assert len(orders) == 24
    chi_square = sum((found - 200) ** 2 / 200 for found in orders.values())
    assert chi_square < 49.7  # 0.1 % of 23 degrees of freedom
    same = sum(
        shuffled(names, seed, "draw") == shuffled(names, seed, "other") for seed in range(4800)
    )
    assert 150 < same < 250


def test_shuffles_are_the_same_for_ever() -> None:
    """As `printf '0\\0long tail\\0clip0' | sha256sum` and so on sort them."""
    shuffle = shuffled([f"clip{i}" for i in range(8)], 0, "long tail")
    assert shuffle == [f"clip{i}" for i in (0, 7, 5, 2, 1, 6, 4, 3)]
