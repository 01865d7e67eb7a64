"""What an epoch has: how often each class and clip, in which process, after which resumption."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.data.sampling import SAMPLERS, EpochSampler, class_balanced, repeat_factor, square_root

COUNTS = [64, 16, 4, 1]
LABELS = np.random.default_rng(5).permutation(np.repeat(np.arange(4), COUNTS))
N = len(LABELS)


def draws(sample, times, **options):
    """Clips drawn in many epochs: `(times, n)`."""
    return np.array([sample(LABELS, np.random.default_rng(i), **options) for i in range(times)])


def class_shares(found):
    return np.bincount(LABELS[found].ravel(), minlength=4) / found.size


def test_instance_has_each_clip_once():
    for epoch in draws(SAMPLERS["instance"], 5):
        assert sorted(epoch) == list(range(N))


@pytest.mark.parametrize(
    ("sample", "shares"),
    [
        (class_balanced, [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        (square_root, [8 / 15, 4 / 15, 2 / 15, 1 / 15]),
    ],
)
def test_classes_have_their_shares_and_clips_of_a_class_are_alike(sample, shares):
    """Within four standard errors of what drawing a class, then a clip of it gives."""
    found = draws(sample, 400)
    error = np.sqrt(np.array(shares) * (1 - np.array(shares)) / found.size)
    assert (np.abs(class_shares(found) - shares) < 4 * error).all()
    per_clip = np.bincount(found.ravel(), minlength=N) / found.size
    expected = np.array(shares)[LABELS] / np.array(COUNTS)[LABELS]
    assert (np.abs(per_clip - expected) < 5 * np.sqrt(expected / found.size)).all()


def test_repeat_factors():
    """Before the cut, clips of class k come max(1, sqrt(t n / n_k)) times on average."""
    factors = np.array([max(1, (0.3 * N / count) ** 0.5) for count in COUNTS])
    expected = factors * COUNTS / (factors * COUNTS).sum()
    found = draws(repeat_factor, 600, threshold=0.3)
    np.testing.assert_allclose(class_shares(found), expected, rtol=0.05)
    most = np.ceil(factors)
    for epoch in found[:50]:
        often = np.bincount(epoch, minlength=N)
        assert (often <= most[LABELS]).all()
        assert often[LABELS == 0].max() == 1


def test_the_threshold_is_the_balanced_share_unless_given():
    assert np.array_equal(draws(repeat_factor, 9), draws(repeat_factor, 9, threshold=1 / 4))


def test_without_a_rare_class_every_clip_comes_once():
    for epoch in draws(repeat_factor, 5, threshold=1 / N):
        assert sorted(epoch) == list(range(N))


def test_absent_classes_do_not_count():
    labels = np.array([1, 1, 1, 4])
    for name, sample in SAMPLERS.items():
        found = np.concatenate([sample(labels, np.random.default_rng(i)) for i in range(20)])
        assert set(found) == {0, 1, 2, 3}, name


@pytest.mark.parametrize("threshold", [0, -1, 1.5, "rare", float("nan"), (0.1, 0.2)])
def test_impossible_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold is .* expected a share"):
        repeat_factor(LABELS, np.random.default_rng(0), threshold=threshold)


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(SAMPLERS)),
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    world_size=st.integers(1, 5),
    epoch=st.integers(0, 5),
    seed=st.integers(0, 9),
)
def test_budget_shards_and_resumption(name, labels, world_size, epoch, seed):
    """n clips whatever the sampler; equal shards of them; the same after a resumption."""
    draw = partial(SAMPLERS[name], np.array(labels))
    whole = EpochSampler(len(labels), draw=draw, seed=seed)
    for e in range(epoch + 1):
        whole.set_epoch(e)
        order = list(whole)
    assert len(order) == len(labels) == len(whole)
    assert set(order) <= set(range(len(labels)))
    shards = []
    for rank in range(world_size):
        resumed = EpochSampler(len(labels), draw=draw, seed=seed, rank=rank, world_size=world_size)
        resumed.set_epoch(epoch)
        shards.append(list(resumed))
        assert len(shards[-1]) == len(resumed)
    dealt = [i for group in zip(*shards, strict=True) for i in group]
    assert dealt[: len(order)] == order


@pytest.mark.parametrize("name", SAMPLERS)
def test_orders_follow_from_seed_and_epoch(name):
    def order(seed, epoch):
        sampler = EpochSampler(N, draw=partial(SAMPLERS[name], LABELS), seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)


def test_instance_is_the_order_without_a_sampler():
    drawn = EpochSampler(N, draw=partial(SAMPLERS["instance"], LABELS), seed=3)
    assert list(drawn) == list(EpochSampler(N, seed=3))


def test_nothing_is_drawn_in_order():
    with pytest.raises(ValueError, match="expected shuffle=True"):
        EpochSampler(N, shuffle=False, draw=partial(class_balanced, LABELS))
