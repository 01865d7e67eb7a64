"""The exact estimator where not every clip has every coalition: plan, deal, correction, errors."""

from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.mixing import ShapMix
from shapmix.mixing.coalitions import (
    all_coalitions,
    generalized_shapley_matrix,
    list_coalitions,
    shapley_interaction_matrix,
)
from shapmix.mixing.saliency import ExactSaliency, deal, plan_refresh, share_quota


def table_of(classes, parts=5):
    coalitions = list_coalitions(parts)
    return ExactSaliency(classes, coalitions, torch.ones(len(coalitions)))


def integers(data, size, high):
    return data.draw(st.lists(st.integers(0, high), min_size=size, max_size=size))


@settings(max_examples=60)
@given(data=st.data(), classes=st.integers(2, 8), budget=st.integers(-5, 400))
def test_plan_takes_least_refreshed_then_rarest(data, classes, budget):
    available, refreshes = integers(data, classes, 4), integers(data, classes, 3)
    counts = [c + 1 for c in integers(data, classes, 9)]
    quota, depth = plan_refresh(
        *map(torch.tensor, (available, refreshes, counts)), budget=budget, inner=6
    )
    clips = [min(a, c) for a, c in zip(available, counts, strict=True)]

    def price(k, deep):
        return clips[k] + 6 * min(deep, clips[k])

    affordable = [d for d in range(1, 5) if sum(price(k, d) for k in range(classes)) <= budget]
    deep = max(min(max(affordable, default=1), max(clips)), 1)
    left, expected = budget, [0] * classes
    for k in sorted(range(classes), key=lambda k: (refreshes[k], counts[k])):
        if price(k, deep) > left:
            break
        left -= price(k, deep)
        expected[k] = clips[k]
    assert (quota.tolist(), depth) == (expected, deep)


@settings(max_examples=40)
@given(data=st.data(), world=st.integers(1, 4), classes=st.integers(1, 5))
def test_quotas_are_shared_out_evenly_where_that_is_possible(data, world, classes):
    available = torch.tensor([integers(data, classes, 4) for _ in range(world)])
    quota = torch.tensor(integers(data, classes, 16)).minimum(available.sum(0))
    shares = share_quota(available, quota)
    assert torch.equal(shares.sum(0), quota)
    assert (shares <= available).all()
    for k in range(classes):
        for a, b in product(range(world), repeat=2):  # nobody could have had one less
            assert shares[a, k] <= shares[b, k] + 1 or shares[b, k] == available[b, k]


def test_processes_with_equal_clips_have_equal_work():
    shares = share_quota(torch.full((3, 30), 2), torch.full((30,), 1))
    assert shares.sum(1).tolist() == [10, 10, 10]


@settings(max_examples=40)
@given(clips=st.lists(st.integers(1, 9), min_size=1, max_size=4), depth=st.integers(1, 9))
def test_every_coalition_is_dealt_to_as_many_clips_and_every_clip_has_as_many(clips, depth):
    number = torch.cat([torch.full((n,), n) for n in clips])
    place = torch.cat([torch.arange(n) for n in clips])
    seats = torch.randperm(30, generator=torch.Generator().manual_seed(depth))
    chosen = deal(place, number, depth, seats)
    assert chosen[:, [0, 31]].all()
    for of_class, n in zip(chosen.split(clips), clips, strict=True):
        inner = of_class[:, 1:31]
        assert (inner.sum(0) == min(depth, n)).all()
        loads = inner.sum(1)
        assert loads.max() - loads.min() <= min(depth, n)


def all_deals(values, depth):
    """The table after one refresh, for every order of three clips and every order of the seats."""
    found = []
    for order, seats in product(permutations(range(3)), permutations(range(2))):
        chosen = deal(torch.arange(3), torch.full((3,), 3), depth, torch.tensor(seats))
        saliency = table_of(1, parts=2)
        saliency.update(torch.zeros(3, dtype=torch.int64), values[list(order)], 0.5, chosen)
        found.append(saliency.values[0])
    return torch.stack(found)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_unbiased_over_all_deals(depth):
    """On a game of two parts and three clips, whatever the values; complete at depth three."""
    values = torch.rand(3, 4, generator=torch.Generator().manual_seed(depth))
    values[:, 0] = values[0, 0]
    found = all_deals(values, depth)
    torch.testing.assert_close(found.mean(0), values.mean(0))
    spread = found.std(0)
    assert (spread[1:3] < 1e-6).all() == (depth == 3)
    assert (spread[[0, 3]] < 1e-6).all(), "these every clip has"


def test_correction_reduces_the_variance_of_clips_that_are_recognised_unequally():
    """v(S; x) that move with v(all; x), as those of real clips do."""
    known = torch.tensor([0.2, 0.5, 0.9])
    values = torch.stack([torch.full((3,), 0.1), 0.4 * known, 0.6 * known, known], 1)
    corrected = all_deals(values, 1)[:, 1:3].var(0)
    plain = values[:, 1:3].var(0, correction=0)  # of one clip drawn for each coalition
    assert (corrected < 0.1 * plain).all()


def test_correction_by_hand():
    saliency = table_of(2)
    values = torch.rand(2, 32, generator=torch.Generator().manual_seed(0))
    chosen = torch.zeros(2, 32, dtype=torch.bool)
    chosen[:, [0, 31]] = True
    chosen[0, 3] = chosen[1, 7] = True
    saliency.values.fill_(0.25)
    saliency.update(torch.tensor([1, 1]), values * chosen, 0.5, chosen)
    v = saliency.values[1]
    full = values[:, 31].mean()
    assert float(v[31]) == pytest.approx(float(full))
    assert float(v[3]) == pytest.approx(float(values[0, 3] + 2 / 5 * (full - values[0, 31])))
    assert float(v[7]) == pytest.approx(float(values[1, 7] + 3 / 5 * (full - values[1, 31])))
    assert float(v[12]) == 0.25, "no clip has it"
    assert (saliency.values[0] == 0.25).all()


def test_standard_errors_against_weighted_refreshes():
    """Weights of an exponential average, one by one; on one table after another."""
    tables = torch.rand(7, 32, generator=torch.Generator().manual_seed(1)).double()
    saliency, weights = table_of(1), torch.zeros(0).double()
    for r, table in enumerate(tables):
        saliency.update(torch.tensor([0]), table[None].float(), 0.7)
        keep = min(0.7, r / (r + 1))
        weights = torch.cat([keep * weights, torch.tensor([1 - keep]).double()])
        if r == 0:
            assert saliency.standard_errors().isnan().all()
            continue
        phi = tables[: r + 1] @ generalized_shapley_matrix(list_coalitions(5)).T
        mean = weights @ phi
        variance = weights @ (phi - mean).square() / (1 - weights.square().sum())
        error = (variance * weights.square().sum()).sqrt()
        torch.testing.assert_close(saliency.standard_errors()[0], error.float())


def test_all_sizes_and_interactions_of_the_table():
    saliency = table_of(2)
    saliency.values.copy_(torch.rand(2, 32, generator=torch.Generator().manual_seed(2)))
    values = saliency.values.double()
    every = all_coalitions(5)[1:]
    expected = values @ generalized_shapley_matrix(every).T
    torch.testing.assert_close(saliency.shapley_values(every).double(), expected)
    single = saliency.shapley_values(torch.eye(5, dtype=torch.bool))
    torch.testing.assert_close(single.sum(1), saliency.values[:, 31] - saliency.values[:, 0])
    pairs = torch.einsum("ijs,ks->kij", shapley_interaction_matrix(5), values)
    torch.testing.assert_close(saliency.interactions().double(), pairs)


def test_more_budget_deals_deeper(layout, background, counts, model):
    """Each coalition on one clip of a class, then on two, then on all that are held."""
    model.eval()
    x = torch.randn(48, 3, 16, 25, 2, generator=torch.Generator().manual_seed(0))
    y = torch.arange(48) % 6
    for budget, forwards in [(6 * 34 + 4, 204), (6 * 64 + 4, 384), (10**6, 6 * 124)]:
        share = budget / 6 / 48
        mixer = ShapMix(layout, counts, background, saliency_budget=share, clips_per_class=4)
        calls = []

        def counted(clips, calls=calls):
            calls.append(len(clips))
            return model(clips)

        mixer(x, y)
        mixer.refresh(counted)
        assert sum(calls) == forwards + 1  # v(empty) of the one pattern that there is
        assert mixer.saliency.refreshes.tolist() == [1] * 6
