"""Shapley values from random orders: unbiased, with honest errors, for more players than twelve."""

from itertools import permutations

import pytest
import shapiq
import torch

from shapmix.inference.explain import explain
from shapmix.inference.sampled import sample_classes, sample_clip
from shapmix.layouts import get_layout
from shapmix.mixing.coalitions import generalized_shapley_matrix
from shapmix.mixing.permutations import draw_orders, marginals, pair_statistics, prefixes

LAYOUT = get_layout("kinect20")
BACKGROUND = torch.zeros(3, 8, 20, 1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def joint_model(weights):
    """Logits are sums over joints, so that every joint has a say of its own."""
    return lambda x: x[:, 1].mean(1)[..., 0] @ weights


def gains_of(table, orders):
    """Marginals `(..., P)` of a game given as a table over bit masks, by the code under test."""
    bits = 2 ** torch.arange(orders.shape[-1])
    inner = table[(prefixes(orders) * bits).sum(-1)]
    return marginals(orders, inner, table[0], table[-1])


def test_marginals_one_order_at_a_time():
    table = torch.rand(16, generator=seeded(), dtype=torch.float64)
    orders = draw_orders(seeded(1), 4, 5)
    found = gains_of(table, orders)
    for pair, gains in zip(orders.tolist(), found.tolist(), strict=True):
        assert pair[0] == pair[1][::-1]
        for order, gain in zip(pair, gains, strict=True):
            code = 0
            for player in order:
                expected = float(table[code | 1 << player] - table[code])
                assert gain[player] == pytest.approx(expected)
                code |= 1 << player


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_unbiased_over_all_orders(parts):
    """The mean over every order there is equals the exact value, and so does that over pairs."""
    table = torch.rand(2**parts, generator=seeded(parts), dtype=torch.float64)
    orders = torch.tensor(list(permutations(range(parts))))
    pairs = torch.stack([orders, orders.flip(1)], 1)
    exact = generalized_shapley_matrix(torch.eye(parts, dtype=torch.bool)) @ table
    torch.testing.assert_close(pair_statistics(gains_of(table, pairs))[0], exact)


def test_reversed_orders_reduce_the_variance():
    """Of pairs of all orders of a game of redundant players, against two independent orders."""
    share = torch.tensor([0.1, 0.3, 0.5, 0.6, 0.8]).double()
    inside = torch.tensor([[code >> p & 1 for p in range(5)] for code in range(32)])
    table = 1 - (1 - share * inside).prod(1)  # one sufficient player is enough
    orders = torch.tensor(list(permutations(range(5))))
    gains = gains_of(table, torch.stack([orders, orders.flip(1)], 1))
    of_pairs, of_one = gains.mean(1).var(0, correction=0), gains[:, 0].var(0, correction=0)
    assert (of_pairs < 0.6 * of_one / 2).all()


def test_standard_errors_are_those_of_repetition():
    table = torch.rand(64, generator=seeded(3), dtype=torch.float64)
    exact = generalized_shapley_matrix(torch.eye(6, dtype=torch.bool)) @ table
    orders = draw_orders(seeded(4), 6, 2000 * 25).unflatten(0, (2000, 25))
    found, error = pair_statistics(gains_of(table, orders))
    z = (found - exact) / error
    student = torch.full((6,), 24 / 22).double()  # E[z^2] of 25 pairs
    torch.testing.assert_close(z.square().mean(0), student, atol=0.15, rtol=0)


def test_ten_players_against_shapiq_and_the_exact_explanation():
    weights = torch.randn(20, 3, generator=seeded())
    x = torch.randn(3, 8, 20, 1, generator=seeded(1))
    model, parts = joint_model(weights), {str(p): [2 * p, 2 * p + 1] for p in range(10)}
    exact = explain(model, x, LAYOUT, BACKGROUND, parts=parts)
    table, bits = exact.values[0], 2 ** torch.arange(10)

    def game(coalitions):
        return table[(torch.as_tensor(coalitions).long() * bits).sum(1)].double().numpy()

    independent = shapiq.ExactComputer(game=game, n_players=10)("SV")
    for p in range(10):
        assert float(exact.parts()[0, p]) == pytest.approx(independent[(p,)], abs=1e-5)
    found = sample_clip(model, x, LAYOUT, BACKGROUND, parts=parts, pairs=60, generator=seeded(2))
    assert found.part_names == exact.part_names
    error = found.part_errors()
    assert error.max() < 0.03
    assert ((found.parts() - exact.parts()).abs() < 4.5 * error + 1e-6).all()
    more = sample_clip(model, x, LAYOUT, BACKGROUND, parts=parts, pairs=240, generator=seeded(2))
    assert float((more.part_errors() / error).mean()) == pytest.approx(0.5, abs=0.1)


def test_joints_as_players():
    """Joints without a say have nothing; alike joints have the same; all share v(all) - v(none)."""
    weights = torch.zeros(20, 2)
    weights[[3, 7], 0] = 2.0
    x = torch.ones(3, 8, 20, 1)
    found = sample_clip(joint_model(weights), x, LAYOUT, BACKGROUND, pairs=4, generator=seeded())
    assert found.part_names == LAYOUT.joints
    phi = found.parts()[0]
    idle = torch.ones(20, dtype=torch.bool)
    idle[[3, 7]] = False
    torch.testing.assert_close(phi[idle], torch.zeros(18), atol=1e-6, rtol=0)
    # two players: each comes first in one order of an antithetic pair, so nothing is left to chance
    each = (torch.tensor(4.0).sigmoid() - 0.5) / 2
    torch.testing.assert_close(phi[[3, 7]], each.expand(2), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.part_errors()[0], torch.zeros(20), atol=1e-6, rtol=0)


def test_classes_have_the_means_and_errors_of_their_clips():
    weights = torch.randn(20, 4, generator=seeded())
    x = torch.randn(6, 3, 8, 20, 1, generator=seeded(1))
    y = torch.tensor([0, 1, 0, 2, 0, 1])
    model = joint_model(weights)
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    found = sample_classes(model, batches, LAYOUT, BACKGROUND, 4, generator=seeded(5))
    again = seeded(5)
    for i in range(6):
        one = sample_clip(model, x[i], LAYOUT, BACKGROUND, pairs=2, generator=again)
        torch.testing.assert_close(found.clip_parts[i], one.parts()[y[i]])
        torch.testing.assert_close(found.clip_errors[i], one.part_errors()[y[i]])
    own = found.clip_parts[y == 0]
    torch.testing.assert_close(found.parts()[0], own.mean(0))
    torch.testing.assert_close(found.part_errors()[0], own.std(0) / 3**0.5)
    torch.testing.assert_close(found.part_errors()[2], found.clip_errors[3])
    assert found.part_errors()[3].isnan().all()
    assert not sample_classes(model, [], LAYOUT, BACKGROUND, 2).parts().any()


def test_refusals():
    model, x = joint_model(torch.zeros(20, 2)), torch.zeros(3, 8, 20, 1)
    with pytest.raises(ValueError, match=r"20 parts.*shapmix\.inference\.sampled"):
        explain(model, x, LAYOUT, BACKGROUND, parts={j: [j] for j in LAYOUT.joints})
    with pytest.raises(ValueError, match="1 pairs of orders of 20 players"):
        sample_clip(model, x, LAYOUT, BACKGROUND, pairs=1)
    with pytest.raises(ValueError, match="no partition"):
        sample_clip(model, x, LAYOUT, BACKGROUND, parts={"a": [0], "b": [1]})
