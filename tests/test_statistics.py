"""Differences of runs with groups of their own, permutation tests, Holm's correction, ranks."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shapmix.metrics import (
    SHOTS,
    THIRDS,
    RunPair,
    class_groups,
    grouped_difference,
    holm,
    mean_difference,
    paired_difference,
    rank_test,
    sign_flip_test,
)

COUNTS = np.array([300, 150, 60, 40, 12, 6])


def make_pairs(runs=4, clips=5, gain=0.2, seed=0, sets=1, counts=COUNTS):
    """Pairs whose class order the seed permutes; `sets` test sets in turn."""
    rng = np.random.default_rng(seed)
    K = len(counts)
    pairs = []
    for s in range(runs):
        own = rng.permutation(counts)
        labels = np.arange(K * (clips + s % sets)) % K
        a = rng.random(len(labels)) < 0.5
        b = rng.random(len(labels)) < 0.5 + gain * (own[labels] < 20)
        pairs.append(RunPair(a, b, labels, own, f"test {s % sets}"))
    return pairs


def slow_figure(pair, name, clips):
    """b - a of one run in one figure, with the clips drawn of each class."""
    gains = {
        k: np.mean([int(pair.correct_b[i]) - int(pair.correct_a[i]) for i in drawn])
        for k, drawn in clips.items()
    }
    if name == "top1":
        return sum(len(clips[k]) * gains[k] for k in clips) / sum(map(len, clips.values()))
    return np.mean([gains[k] for k in class_groups(pair.class_counts)[name]])


def slow_bootstrap(pairs, names, resamples, rng):
    """Draw runs and clips one by one; the clips of a test set once a resample."""
    drawn = {name: [] for name in names}
    for _ in range(resamples):
        clips = {}
        for pair in pairs:
            if pair.test_set not in clips:
                clips[pair.test_set] = {
                    k: rng.choice(np.flatnonzero(pair.labels == k), (pair.labels == k).sum())
                    for k in range(len(pair.class_counts))
                }
        chosen = [pairs[i] for i in rng.integers(0, len(pairs), len(pairs))]
        for name in names:
            values = [slow_figure(pair, name, clips[pair.test_set]) for pair in chosen]
            drawn[name].append(np.mean(values))
    return drawn


def everything(pair):
    return {k: np.flatnonzero(pair.labels == k) for k in range(len(pair.class_counts))}


def differences(pairs, resamples=200, seed=0):
    return grouped_difference(pairs, resamples=resamples, rng=np.random.default_rng(seed))


# --- grouped_difference -------------------------------------------------------------------------


@pytest.mark.parametrize("sets", [1, 2])
def test_against_a_bootstrap_that_draws_runs_and_clips(sets):
    pairs = make_pairs(sets=sets)
    names = ("top1", "tail", "few")
    found = differences(pairs, 2000)
    slow = slow_bootstrap(pairs, names, 400, np.random.default_rng(1))
    for name in names:
        per_run = [slow_figure(pair, name, everything(pair)) for pair in pairs]
        np.testing.assert_allclose(found.per_run[name], per_run, atol=1e-12, err_msg=name)
        assert found.drawn[name].mean() == pytest.approx(np.mean(per_run), abs=0.02)
        assert found.drawn[name].std() == pytest.approx(np.std(slow[name]), rel=0.12)
        ends = [np.quantile(each[name], [0.025, 0.975]) for each in (found.drawn, slow)]
        np.testing.assert_allclose(*ends, atol=0.06, err_msg=name)


def test_every_resample_of_a_tiny_case_by_enumeration():
    """Two runs, one class of two clips and one of one: all 4 x 4 draws, as likely as counted."""
    labels = [0, 0, 1]
    a = np.zeros((2, 3), bool)
    b = np.array([[True, False, False], [True, True, False]])
    pairs = [RunPair(one, other, labels, [2, 1]) for one, other in zip(a, b, strict=True)]
    expected = {}
    for runs, clips in product(product(range(2), repeat=2), product(range(2), repeat=2)):
        value = np.mean([b[s, list(clips)].mean() for s in runs]) / 2  # class 1 gains nothing
        expected[value] = expected.get(value, 0) + 1 / 16
    drawn = differences(pairs, 40_000).drawn["mean_class"]
    values, number = np.unique(drawn, return_counts=True)
    assert dict(zip(values, number / len(drawn), strict=True)) == pytest.approx(expected, abs=0.01)


def test_runs_on_the_same_clips_share_their_draw_and_others_do_not():
    """Equal runs on equal clips do not average the choice of clips away."""
    pair = make_pairs(1)[0]
    renamed = [RunPair(*list(vars(pair).values())[:4], f"set {i}") for i in range(25)]
    shared = differences([pair] * 25, 1000).drawn["top1"].std()
    apart = differences(renamed, 1000).drawn["top1"].std()
    assert shared == pytest.approx(differences([pair], 1000).drawn["top1"].std(), rel=0.15)
    assert apart < shared / 3


def test_with_the_same_groups_it_is_the_paired_difference():
    labels = np.arange(60) % 6
    a, b = np.random.default_rng(0).random((2, 3, 60)) < [[[0.5]], [[0.7]]]
    pairs = [RunPair(one, other, labels, COUNTS) for one, other in zip(a, b, strict=True)]
    found = differences(pairs)
    expected = paired_difference(a, b, labels, COUNTS, resamples=200, seed=0)
    assert list(found.drawn) == ["top1", "mean_class", *SHOTS, *THIRDS]
    for name, value in expected.items():
        mine = mean_difference([found], name)
        assert mine.value == pytest.approx(value["difference"], abs=1e-15)
        assert list(mine.interval) == value["interval"]


def test_intervals_cover_the_truth():
    """Fresh seeds and clips each time: 95 % intervals hold the truth about as often as they say."""
    rng = np.random.default_rng(0)
    truth, runs, clips, covered, repetitions = 0.2, 8, 12, 0, 200
    labels = np.repeat(np.arange(3), clips)
    for _ in range(repetitions):
        easy = rng.uniform(-0.2, 0.2, len(labels))  # which both methods find easy
        pairs = []
        for _ in range(runs):
            lucky_a, lucky_b = rng.uniform(-0.1, 0.1, 2)
            a = rng.random(len(labels)) < 0.4 + easy + lucky_a
            b = rng.random(len(labels)) < 0.4 + truth + easy + lucky_b
            pairs.append(RunPair(a, b, labels, rng.permutation([30, 20, 10])))
        drawn = grouped_difference(pairs, resamples=200, rng=rng)
        low, high = mean_difference([drawn], "tail").interval
        covered += low <= truth <= high
    assert 0.9 <= covered / repetitions < 1


def test_empty_groups_are_left_out_if_empty_in_any_run():
    pairs = [RunPair([True], [True], [0], counts) for counts in ([30, 9], [9, 30])]
    assert set(differences(pairs[:1]).drawn) == {"top1", "mean_class", "medium", "head"}
    assert set(differences(pairs).drawn) == {"top1", "mean_class"}


def test_own_groups():
    pairs = make_pairs()
    rng = np.random.default_rng(0)
    found = grouped_difference(
        pairs, lambda counts: {"rarest": np.array([counts.argmin()])}, rng=rng
    )
    assert list(found.drawn) == ["top1", "mean_class", "rarest"]
    rare = [everything(pair)[int(np.argmin(pair.class_counts))] for pair in pairs]
    gains = [
        p.correct_b[i].mean() - p.correct_a[i].mean() for p, i in zip(pairs, rare, strict=True)
    ]
    np.testing.assert_allclose(found.per_run["rarest"], gains)


def test_the_mean_over_data_sets_weighs_them_equally():
    many, one = make_pairs(6, gain=0.4, seed=1), make_pairs(2, gain=0.0, seed=2)
    drawn = [differences(pairs, 2000, seed) for seed, pairs in enumerate((many, one))]
    both, *each = (mean_difference(some, "tail") for some in (drawn, drawn[:1], drawn[1:]))
    assert both.value == pytest.approx((each[0].value + each[1].value) / 2)
    spread = np.sqrt(sum(some.drawn["tail"].var() for some in drawn)) / 2
    assert np.diff(both.interval)[0] == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert both.pairs == 8
    assert (each[0].p_value is None, each[1].p_value is None) == (False, True)
    assert mean_difference(drawn, "many") is not None
    assert mean_difference([], "tail") is None
    assert mean_difference(drawn, "unknown") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct_b": np.ones(4, bool)}, r"shape \(3,\) and correct_b \(4,\)"),
        ({"correct_a": np.ones((2, 3), bool), "correct_b": np.ones((2, 3), bool)}, "one run"),
        ({"correct_a": np.ones(3)}, "expected booleans"),
        ({"labels": [0, 1, 2]}, "from 0 to 2; expected 0 to 1"),
        ({"labels": [1, 1, 0]}, "pairs 0 and 1 have test set 'x' but different labels"),
    ],
)
def test_grouped_difference_refuses(change, message):
    right = {"correct_a": np.ones(3, bool), "correct_b": np.ones(3, bool), "labels": [0, 1, 1]}
    rest = {"class_counts": [9, 8], "test_set": "x"}
    with pytest.raises(ValueError, match=message):
        differences([RunPair(**right, **rest), RunPair(**(right | change), **rest)])


def test_grouped_difference_needs_pairs_and_resamples():
    with pytest.raises(ValueError, match="no pairs of runs"):
        differences([])
    with pytest.raises(ValueError, match="expected 1 or more"):
        differences(make_pairs(), 0)


# --- sign_flip_test -----------------------------------------------------------------------------


def slow_sign_flip(data_sets):
    sizes = [len(values) for values in data_sets]
    found = abs(np.mean([np.mean(values) for values in data_sets]))
    hits = []
    for signs in product((-1, 1), repeat=sum(sizes)):
        parts = np.split(np.array(signs), np.cumsum(sizes)[:-1])
        flipped = [np.mean(v * part) for v, part in zip(data_sets, parts, strict=True)]
        hits.append(abs(np.mean(flipped)) >= found - 1e-9)
    return np.mean(hits)


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3).filter(lambda s: 5 <= sum(s) <= 9),
    seed=st.integers(0, 99),
)
def test_sign_flips_against_a_slow_loop(sizes, seed):
    rng = np.random.default_rng(seed)
    data_sets = [rng.integers(-3, 5, size) / 7 for size in sizes]  # with ties and zeros
    assert sign_flip_test(data_sets) == pytest.approx(slow_sign_flip(data_sets))


def test_sign_flips_against_scipy():
    values = np.random.default_rng(0).normal(0.3, 1, 9)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test([values]) == pytest.approx(expected.pvalue)


def test_many_pairs_are_flipped_at_random():
    values = np.random.default_rng(0).normal(0.25, 1, 16)
    exact = sign_flip_test([values])
    more = np.append(values, 0)  # a difference of zero changes nothing, but makes 17
    assert sign_flip_test([more]) == pytest.approx(exact, abs=0.01)
    assert sign_flip_test([np.ones(40)]) == pytest.approx(1 / 50_001)
    assert sign_flip_test([more]) == sign_flip_test([more])


def test_p_values_at_their_edges():
    assert sign_flip_test([np.ones(4)]) is None
    assert sign_flip_test([]) is None
    assert sign_flip_test([np.ones(5)]) == 2 / 32
    assert sign_flip_test([np.zeros(5)]) == 1
    assert sign_flip_test([np.ones(3), np.ones(2)]) == 2 / 32


def test_sign_flips_hold_their_level():
    rng = np.random.default_rng(0)
    rejected = [sign_flip_test([rng.normal(0, 1, 8)]) <= 0.05 for _ in range(600)]
    assert 0.02 < np.mean(rejected) < 0.08


# --- holm ---------------------------------------------------------------------------------------


def closed_testing(p_values):
    """A hypothesis falls with every intersection that holds it, each tested by Bonferroni."""
    every = range(len(p_values))
    sets = [c for size in every for c in combinations(every, size + 1)]
    bonferroni = {c: min(1, len(c) * min(p_values[i] for i in c)) for c in sets}
    return [max(p for c, p in bonferroni.items() if i in c) for i in every]


@pytest.mark.parametrize("seed", range(10))
def test_holm_is_the_closed_bonferroni_test(seed):
    rng = np.random.default_rng(seed)
    p_values = rng.random(rng.integers(1, 9)).round(1) ** 2  # with ties, zeros and ones
    np.testing.assert_allclose(holm(p_values), closed_testing(p_values))


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("p_values", [[0.1, np.nan], [-0.1], [1.1], [[0.1]]])
def test_holm_refuses(p_values):
    with pytest.raises(ValueError, match="expected one row of numbers from 0 to 1"):
        holm(p_values)


# --- ranks --------------------------------------------------------------------------------------


def test_ranks_and_friedman_by_hand():
    """Three methods on four data sets: the statistic of Demsar (2006), chi-squared of k - 1."""
    scores = np.array([[3, 2, 1], [9, 5, 4], [7, 8, 1], [2.5, 2, 0]])
    test = rank_test(scores)
    np.testing.assert_allclose(test.ranks, [1.25, 1.75, 3])
    chi = 12 * 4 / (3 * 4) * (np.sum(test.ranks**2) - 3 * 4**2 / 4)
    assert test.p_value == pytest.approx(stats.chi2.sf(chi, 2))
    assert test.blocks == 4


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_difference_by_the_published_table(k, q):
    """Table 5(a) of Demsar (2006)."""
    scores = np.random.default_rng(0).random((7, k))
    expected = q * np.sqrt(k * (k + 1) / (6 * 7))
    assert rank_test(scores).critical_difference == pytest.approx(expected, rel=5e-4)


def test_ties_share_their_ranks():
    test = rank_test([[1, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(test.ranks, [1.75, 1.75, 2.5])
    assert rank_test(np.ones((3, 4))).p_value is None


def test_means_of_the_same_numbers_are_ties_whatever_the_rounding():
    one, other = np.mean([0.1, 0.2, 0.3]), np.mean([0.3, 0.2, 0.1])
    assert one != other
    np.testing.assert_array_equal(rank_test([[one, other, 0]]).ranks, [1.5, 1.5, 3])


def test_too_little_for_a_test():
    one = rank_test([[3, 2, 1]])
    assert (one.p_value, one.critical_difference) == (None, None)
    assert rank_test([[3, 2], [2, 1]]).p_value is None
    for scores in ([], [1, 2], [[1, np.nan]]):
        with pytest.raises(ValueError, match="a row for each block"):
            rank_test(scores)
