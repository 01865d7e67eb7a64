"""Coalitions of body parts, their joints, and generalised Shapley values in closed form.

A coalition is a row of booleans over the P parts. `all_coalitions` orders the 2^P of them by bit
mask (row s holds the parts whose bits are set in s), the column order of every value table.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from shapmix.layouts import Layout


def default_sizes(num_parts: int) -> tuple[int, ...]:
    """Sizes of the coalitions that are mixed: about half of the parts, closed under complement.

    2 and 3 of the paper's 5 parts; 1 of 2; 1 and 2 of 3; 2 of 4; 3 of 6; 3 and 4 of 7; 4 of 8.
    """
    return tuple(sorted({num_parts // 2, (num_parts + 1) // 2}))


def list_coalitions(num_parts: int, sizes: Iterable[int] | None = None) -> Tensor:
    """The coalitions of the given sizes, by size and then lexicographically: `(Q, P)` bool.

    Raises:
        ValueError: a size is not in 1..P-1 (the empty and the full coalition mix nothing).
    """
    chosen = default_sizes(num_parts) if sizes is None else tuple(sorted(set(sizes)))
    bad = [s for s in chosen if not 1 <= s < num_parts]
    if bad or not chosen:
        raise ValueError(
            f"coalition sizes {tuple(chosen)} do not suit {num_parts} parts: "
            f"give sizes from 1 to {num_parts - 1}"
        )
    rows = [c for size in chosen for c in combinations(range(num_parts), size)]
    out = torch.zeros(len(rows), num_parts, dtype=torch.bool)
    for row, members in zip(out, rows, strict=True):
        row[list(members)] = True
    return out


def all_coalitions(num_parts: int) -> Tensor:
    """All coalitions in bit-mask order, the empty one first: `(2^P, P)` bool."""
    codes = torch.arange(2**num_parts)
    return (codes[:, None] >> torch.arange(num_parts)) & 1 == 1


def part_masks(layout: Layout) -> Tensor:
    """Joints of each part: `(P, V)` bool."""
    return torch.from_numpy(layout.part_masks())


def joint_masks(coalitions: Tensor, parts: Tensor) -> Tensor:
    """Joints of each coalition: `(..., P)` and `(P, V)` bool to `(..., V)` bool."""
    return (coalitions.float() @ parts.float()) > 0


def names(layout: Layout, coalitions: Tensor) -> list[str]:
    """Readable names of coalitions, such as `"trunk + left_arm"`."""
    return [
        " + ".join(name for name, inside in zip(layout.part_names, row, strict=True) if inside)
        for row in coalitions.tolist()
    ]


def generalized_shapley_matrix(coalitions: Tensor) -> Tensor:
    """The linear map from a game's 2^P values to generalised Shapley values: `(Q, 2^P)` float64.

    With `s = |S|` players merged into one, the players left are `p - s + 1`, and

        phi(S) = sum over T in P \\ S of (p - s - t)! t! / (p - s + 1)! * [v(S + T) - v(T)]

    (Marichal, Kojadinovic and Fujimoto 2007). For single parts this is the Shapley value.

    Args:
        coalitions: `(Q, P)` bool, non-empty rows.
    """
    num_parts = coalitions.shape[1]
    matrix = torch.zeros(len(coalitions), 2**num_parts, dtype=torch.float64)
    for row, members in zip(matrix, coalitions.tolist(), strict=True):
        inside = sum(1 << part for part, member in enumerate(members) if member)
        outside = [part for part, member in enumerate(members) if not member]
        rest = len(outside)
        for size in range(rest + 1):
            weight = factorial(rest - size) * factorial(size) / factorial(rest + 1)
            for context in combinations(outside, size):
                code = sum(1 << part for part in context)
                row[inside | code] += weight
                row[code] -= weight
    return matrix


def parts_to_row(parts: Sequence[int], num_parts: int) -> Tensor:
    """A coalition from part positions: `(P,)` bool."""
    row = torch.zeros(num_parts, dtype=torch.bool)
    row[list(parts)] = True
    return row
