import pytest
import shapiq
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import shapley_slowly

from shapmix.mixing.coalitions import (
    all_coalitions,
    default_sizes,
    generalized_shapley_matrix,
    joint_masks,
    list_coalitions,
    part_masks,
)


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [(2, (1,)), (3, (1, 2)), (4, (2,)), (5, (2, 3)), (6, (3,)), (7, (3, 4)), (8, (4,))],
)
def test_default_sizes_are_about_half_and_closed_under_complement(parts, sizes):
    assert default_sizes(parts) == sizes
    rows = {tuple(row) for row in list_coalitions(parts).tolist()}
    assert {tuple(not member for member in row) for row in rows} == rows


def test_twenty_coalitions_of_two_or_three_of_five():
    assert list_coalitions(5).sum(1).tolist() == [2] * 10 + [3] * 10


@pytest.mark.parametrize("sizes", [(0,), (5,), (2, 6), ()])
def test_sizes_that_mix_nothing_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes from 1 to 4"):
        list_coalitions(5, sizes)


@pytest.mark.parametrize("parts", range(2, 9))
def test_codes_number_the_columns(parts):
    codes = (all_coalitions(parts) * 2 ** torch.arange(parts)).sum(1)
    assert codes.tolist() == list(range(2**parts))


def test_joints_of_coalitions(layout):
    masks = joint_masks(list_coalitions(5), part_masks(layout))
    members = [set(layout.parts["trunk"]) | set(layout.parts[layout.part_names[1]])]
    assert set(masks[0].nonzero().squeeze(1).tolist()) == members[0]


@pytest.mark.parametrize("parts", range(2, 7))
def test_against_shapiq_on_random_games(parts):
    """All coalitions of all sizes, against an independent exact computer."""
    generator = torch.Generator().manual_seed(parts)
    table = torch.rand(2**parts, generator=generator, dtype=torch.float64)
    bits = torch.tensor([1 << p for p in range(parts)])

    def game(coalitions):
        return table[(torch.as_tensor(coalitions).long() * bits).sum(1)].numpy()

    computer = shapiq.ExactComputer(game=game, n_players=parts)
    exact = computer("SGV", order=parts)
    coalitions = all_coalitions(parts)[1:]
    ours = generalized_shapley_matrix(coalitions) @ table
    for row, value in zip(coalitions.tolist(), ours.tolist(), strict=True):
        players = tuple(p for p, member in enumerate(row) if member)
        assert value == pytest.approx(exact[players], abs=1e-9)


@settings(max_examples=25)
@given(parts=st.integers(2, 8), seed=st.integers(0, 2**16), data=st.data())
def test_against_the_definition(parts, seed, data):
    table = torch.rand(2**parts, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    code = data.draw(st.integers(1, 2**parts - 1))
    row = all_coalitions(parts)[code : code + 1]
    value = {
        frozenset(p for p in range(parts) if s >> p & 1): float(table[s]) for s in range(2**parts)
    }
    members = frozenset(row[0].nonzero().squeeze(1).tolist())
    ours = float(generalized_shapley_matrix(row) @ table)
    assert ours == pytest.approx(shapley_slowly(value, members, parts), abs=1e-9)


@settings(max_examples=25)
@given(parts=st.integers(2, 8), seed=st.integers(0, 2**16))
def test_efficiency(parts, seed):
    """Single parts share out v(all) - v(none)."""
    table = torch.rand(2**parts, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    single = generalized_shapley_matrix(torch.eye(parts, dtype=torch.bool)) @ table
    assert float(single.sum()) == pytest.approx(float(table[-1] - table[0]), abs=1e-9)
