"""Hop distances and the partitioned adjacency, against slow loops over neighbour lists."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapmix.layouts import CATALOG, Layout, get_layout, hop_distance, partitioned_adjacency


@st.composite
def _layouts(draw: st.DrawFn) -> Layout:
    """A random tree of 2 to 15 joints, numbered in random order."""
    V = draw(st.integers(2, 15))
    order = draw(st.permutations(range(V)))
    return Layout(
        name="random",
        joints=tuple(f"joint{i}" for i in range(V)),
        bones=tuple((order[i], order[draw(st.integers(0, i - 1))]) for i in range(1, V)),
        center=order[0],
        parts={"first": (0,), "rest": tuple(range(1, V))},
    )


def _distances_from(start: int, layout: Layout) -> list[int]:
    """Breadth first search."""
    neighbours: dict[int, list[int]] = {joint: [] for joint in range(layout.num_joints)}
    for child, parent in layout.bones:
        neighbours[child].append(parent)
        neighbours[parent].append(child)
    distance = {start: 0}
    queue = deque([start])
    while queue:
        joint = queue.popleft()
        for neighbour in neighbours[joint]:
            if neighbour not in distance:
                distance[neighbour] = distance[joint] + 1
                queue.append(neighbour)
    return [distance[joint] for joint in range(layout.num_joints)]


def _adjacency_by_loops(layout: Layout, hops: int) -> np.ndarray:
    """Entry by entry: who sends to whom, and an equal share for each receiver."""
    V = layout.num_joints
    depth = _distances_from(layout.center, layout)
    A = np.zeros((3, V, V))
    for sender in range(V):
        reach = _distances_from(sender, layout)
        receivers: tuple[list[int], list[int], list[int]] = ([], [], [])
        for joint in range(V):
            if reach[joint] > hops:
                continue
            if depth[joint] == depth[sender]:
                receivers[0].append(joint)
            elif depth[joint] < depth[sender]:
                receivers[1].append(joint)
            else:
                receivers[2].append(joint)
        for subset, joints in enumerate(receivers):
            for joint in joints:
                A[subset, joint, sender] = 1 / len(joints)
    return A


@given(_layouts())
def test_hop_distance_is_that_of_breadth_first_search(layout: Layout) -> None:
    expected = [_distances_from(joint, layout) for joint in range(layout.num_joints)]
    np.testing.assert_array_equal(hop_distance(layout), expected)


@given(_layouts(), st.integers(1, 6))
def test_partitioned_adjacency_is_that_of_the_loops(layout: Layout, hops: int) -> None:
    A = partitioned_adjacency(layout, hops)
    assert A.dtype == np.float32
    np.testing.assert_allclose(A, _adjacency_by_loops(layout, hops), rtol=1e-6)


@given(_layouts(), st.integers(1, 6))
def test_subsets_split_the_linked_pairs_and_columns_sum_to_one_or_zero(
    layout: Layout, hops: int
) -> None:
    identity, inward, outward = partitioned_adjacency(layout, hops)
    np.testing.assert_array_equal(
        (identity > 0).astype(int) + (inward > 0) + (outward > 0), hop_distance(layout) <= hops
    )
    np.testing.assert_array_equal(inward > 0, outward.T > 0)
    assert not inward[:, layout.center].any()
    assert not outward[layout.center].any()
    for subset in (identity, inward, outward):
        sums = subset.sum(axis=0)
        np.testing.assert_allclose(sums, subset.any(axis=0), rtol=1e-6)


@pytest.mark.parametrize("name", CATALOG)
def test_one_hop_is_the_bones_themselves(name: str) -> None:
    layout = get_layout(name)
    identity, inward, outward = partitioned_adjacency(layout)
    np.testing.assert_array_equal(identity, np.eye(layout.num_joints))
    children = np.bincount([parent for _, parent in layout.bones])
    for child, parent in layout.bones:
        assert inward[parent, child] == 1
        assert outward[child, parent] == np.float32(1 / children[parent])
    assert np.count_nonzero(inward) == np.count_nonzero(outward) == len(layout.bones)


def test_a_chain_by_hand() -> None:
    """hand -> elbow -> shoulder (centre) <- head: what moves where within two hops."""
    layout = Layout(
        "chain",
        ("hand", "elbow", "shoulder", "head"),
        ((0, 1), (1, 2), (3, 2)),
        center=2,
        parts={"arm": (0, 1), "rest": (2, 3)},
    )
    np.testing.assert_array_equal(
        hop_distance(layout), [[0, 1, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]]
    )
    x = np.array([8.0, 4.0, 2.0, 1.0])  # hand, elbow, shoulder, head
    identity, inward, outward = np.einsum("svu,u->sv", partitioned_adjacency(layout, hops=2), x)
    # elbow and head are equally far from the shoulder and two bones apart: they share alike
    np.testing.assert_allclose(identity, [8, 2.5, 2, 2.5])
    # the hand sends to elbow and shoulder, the elbow and the head to the shoulder
    np.testing.assert_allclose(inward, [0, 4, 4 + 4 + 1, 0])
    # the shoulder sends to hand, elbow and head, the elbow to the hand
    np.testing.assert_allclose(outward, [2 / 3 + 4, 2 / 3, 0, 2 / 3])


@pytest.mark.parametrize("hops", [0, -1])
def test_hops_must_be_positive(hops: int) -> None:
    with pytest.raises(ValueError, match=f"hops is {hops}; expected at least 1"):
        partitioned_adjacency(get_layout("sbu15"), hops)
