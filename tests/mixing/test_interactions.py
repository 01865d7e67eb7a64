"""Interactions of pairs of parts, other partitions of the joints, and errors over clips."""

import numpy as np
import pytest
import shapiq
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.layouts import get_layout
from shapmix.mixing.coalitions import (
    all_coalitions,
    generalized_shapley_matrix,
    joint_masks,
    part_masks,
    partition_masks,
    shapley_interaction_matrix,
)
from shapmix.mixing.functional import presence
from shapmix.mixing.values import class_statistics, class_values, clip_values, evaluation


def random_game(parts, seed):
    return torch.rand(2**parts, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("parts", range(2, 8))
def test_against_shapiq_on_random_games(parts):
    table = random_game(parts, parts)
    bits = torch.tensor([1 << p for p in range(parts)])

    def game(coalitions):
        return table[(torch.as_tensor(coalitions).long() * bits).sum(1)].numpy()

    exact = shapiq.ExactComputer(game=game, n_players=parts)("SII", order=2)
    ours = shapley_interaction_matrix(parts) @ table
    for i in range(parts):
        for j in range(i + 1, parts):
            assert float(ours[i, j]) == pytest.approx(exact[(i, j)], abs=1e-9)


@settings(max_examples=30)
@given(parts=st.integers(2, 8), seed=st.integers(0, 2**16), data=st.data())
def test_is_how_the_shapley_value_changes_with_the_other_part(parts, seed, data):
    """I(i, j) is i's Shapley value where j is always there, less where it never is."""
    table = random_game(parts, seed)
    i, j = data.draw(st.permutations(range(parts)))[:2]
    members = all_coalitions(parts)
    rest = [p for p in range(parts) if p != j]
    single = torch.zeros(1, parts - 1, dtype=torch.bool)
    single[0, rest.index(i)] = True
    shapley = generalized_shapley_matrix(single)[0]
    present, absent = (table[members[:, j] == there] for there in (True, False))
    ours = shapley_interaction_matrix(parts) @ table
    assert float(ours[i, j]) == pytest.approx(float(shapley @ (present - absent)), abs=1e-9)
    assert torch.equal(ours, ours.T)
    assert not ours.diagonal().any()


def test_games_that_are_understood():
    members = all_coalitions(4).double()
    additive = members @ torch.tensor([1.0, 2, 3, 4]).double()
    matrix = shapley_interaction_matrix(4)
    torch.testing.assert_close(matrix @ additive, torch.zeros(4, 4).double())
    both_needed = members[:, 0] * members[:, 1]
    either_will_do = members[:, 0] + members[:, 1] - both_needed
    expected = torch.zeros(4, 4).double()
    expected[0, 1] = expected[1, 0] = 1
    torch.testing.assert_close(matrix @ both_needed, expected)
    torch.testing.assert_close(matrix @ either_will_do, -expected)


def test_twelve_players():
    table = random_game(12, 0)
    found = shapley_interaction_matrix(12) @ table
    single = generalized_shapley_matrix(torch.eye(12, dtype=torch.bool)) @ table
    assert float(single.sum()) == pytest.approx(float(table[-1] - table[0]), abs=1e-9)
    assert torch.equal(found, found.T)


def test_partition_of_names_and_indices():
    layout = get_layout("coco17")
    upper = [j for j in layout.joints if "knee" not in j and "ankle" not in j]
    lower = [i for i, j in enumerate(layout.joints) if j not in upper]
    masks = partition_masks(layout, {"upper": upper, "lower": lower})
    assert masks[1].nonzero().squeeze(1).tolist() == lower
    assert torch.equal(masks[0], ~masks[1])
    own = partition_masks(layout, layout.parts)
    assert torch.equal(own, part_masks(layout))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"all": range(17)}, "1 parts; expected 2 to 12"),
        ({str(i): [i] for i in range(17)}, "17 parts; expected 2 to 12"),
        ({"a": range(16), "b": ["tail"]}, "'b' has the joint 'tail', unknown to coco17"),
        ({"a": range(16), "b": [17]}, "unknown to coco17"),
        ({"a": range(1, 17), "b": [-1]}, "unknown to coco17"),
        ({"a": range(15), "b": [15]}, r"\(in 0\)"),
        ({"a": range(17), "b": [3]}, r"\(in 2\)"),
        ({"a": range(17), "b": []}, "no part empty"),
    ],
)
def test_no_partition(parts, message):
    with pytest.raises(ValueError, match=message):
        partition_masks(get_layout("coco17"), parts)


@settings(max_examples=30)
@given(labels=st.lists(st.integers(0, 2), min_size=1, max_size=12), seed=st.integers(0, 999))
def test_statistics_against_numpy(labels, seed):
    found = torch.randn(len(labels), 2, 3, generator=torch.Generator().manual_seed(seed))
    y = torch.tensor(labels)
    mean, error = class_statistics(found, y, 4)
    assert mean.shape == error.shape == (4, 2, 3)
    for k in range(4):
        rows = found[y == k].numpy()
        expected = rows.mean(0) if len(rows) else np.zeros((2, 3))
        np.testing.assert_allclose(mean[k], expected, atol=1e-6)
        if len(rows) > 1:
            spread = rows.std(0, ddof=1) / len(rows) ** 0.5
            np.testing.assert_allclose(error[k], spread, atol=1e-6)
        else:
            assert error[k].isnan().all()


def test_values_of_one_clip_for_every_class(layout, batch, background, model):
    x, _ = batch
    joints = joint_masks(all_coalitions(5), part_masks(layout))
    with evaluation(model) as run:
        found = clip_values(run, x[0], joints, background, batch_size=7)
        torch.testing.assert_close(found.sum(0), torch.ones(32))
        for k in range(6):
            one = class_values(run, x[:1], torch.tensor([k]), joints, background, presence(x[:1]))
            torch.testing.assert_close(found[k], one[0], atol=1e-6, rtol=1e-5)
