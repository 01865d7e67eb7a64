"""Coalitions of body parts, their joints, and generalised Shapley values in closed form.

A coalition is a row of booleans over the P parts. `all_coalitions` orders the 2^P of them by bit
mask (row s holds the parts whose bits are set in s), the column order of every value table.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from shapmix.layouts import Layout

MAX_PLAYERS = 12  # 4096 coalitions: as many as are evaluated one by one


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


def partition_masks(
    layout: Layout, parts: Mapping[str, Iterable[int | str]], most: int = MAX_PLAYERS
) -> Tensor:
    """Joints of each part of another partition than the layout's: `(P, V)` bool.

    Args:
        layout: the skeleton.
        parts: name of each part and its joints, by name or index; every joint in exactly one.
        most: parts that there may be.

    Raises:
        ValueError: a joint is unknown, in no part or in several, or there are fewer than 2 or more
            than `most` parts.
    """
    if not 2 <= len(parts) <= most:
        why = ", since all 2^P coalitions are evaluated" if most == MAX_PLAYERS else ""
        raise ValueError(
            f"{len(parts)} parts; expected 2 to {most}{why}: put joints together, or estimate the "
            "values from random orders (shapmix.inference.sampled)"
        )
    position = {joint: i for i, joint in enumerate(layout.joints)}
    masks = torch.zeros(len(parts), layout.num_joints, dtype=torch.bool)
    for mask, (name, joints) in zip(masks, parts.items(), strict=True):
        for joint in joints:
            i = position.get(joint, -1) if isinstance(joint, str) else int(joint)
            if not 0 <= i < layout.num_joints:
                raise ValueError(f"part {name!r} has the joint {joint!r}, unknown to {layout.name}")
            mask[i] = True
    wrong = [
        f"{joint} (in {number})"
        for joint, number in zip(layout.joints, masks.sum(0).tolist(), strict=True)
        if number != 1
    ]
    if wrong or not masks.any(1).all():
        raise ValueError(
            f"parts that are no partition: joints {', '.join(wrong) or 'none'} are not in exactly "
            "one part; expected every joint in one part and no part empty"
        )
    return masks


def joint_masks(coalitions: Tensor, parts: Tensor) -> Tensor:
    """Joints of each coalition: `(..., P)` and `(P, V)` bool to `(..., V)` bool."""
    return (coalitions.float() @ parts.float()) > 0


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


def shapley_interaction_matrix(num_parts: int) -> Tensor:
    """The linear map from a game's 2^P values to pairwise interactions: `(P, P, 2^P)` float64.

    The Shapley interaction index of two parts is what one adds in the presence of the other beyond
    what it adds without, averaged over contexts of the others:

        I(i, j) = sum over T in P \\ {i, j} of (p - t - 2)! t! / (p - 1)!
                  * [v(T + i + j) - v(T + i) - v(T + j) + v(T)]

    (Grabisch and Roubens 1999). Positive: the parts need each other; negative: one makes up for the
    other. Symmetric, with a diagonal of zeros.
    """
    members = all_coalitions(num_parts).T.long()  # (P, 2^P)
    of_pair = members[:, None] + members[None]  # how many of i and j are in each coalition
    others = (members.sum(0) - of_pair).clamp(0, num_parts - 2)
    weights = [
        factorial(num_parts - t - 2) * factorial(t) / factorial(num_parts - 1)
        for t in range(num_parts - 1)
    ]
    sign = torch.where(of_pair == 1, -1.0, 1.0).double()
    matrix = sign * torch.tensor(weights, dtype=torch.float64)[others]
    matrix[range(num_parts), range(num_parts)] = 0
    return matrix


def parts_to_row(parts: Sequence[int], num_parts: int) -> Tensor:
    """A coalition from part positions: `(P,)` bool."""
    row = torch.zeros(num_parts, dtype=torch.bool)
    row[list(parts)] = True
    return row
