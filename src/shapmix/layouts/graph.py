"""A layout as a graph: hop distances and the partitioned adjacency of graph convolutions."""

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts.layout import Layout


def hop_distance(layout: Layout) -> NDArray[np.int64]:
    """Number of bones between every two joints: (V, V) int64, symmetrical, zero diagonal."""
    V = layout.num_joints
    step = np.eye(V, dtype=np.int64)  # stay, or cross one bone
    for child, parent in layout.bones:
        step[child, parent] = step[parent, child] = 1
    within = np.eye(V, dtype=np.bool_)  # pairs at most `hop` bones apart
    distance = np.zeros((V, V), dtype=np.int64)
    while not within.all():
        distance += ~within
        within = within @ step > 0
    return distance


def partitioned_adjacency(layout: Layout, hops: int = 1) -> NDArray[np.float32]:
    """Adjacency split by the direction of travel, for spatial graph convolutions.

    ``A[s, v, u]`` is the weight with which joint v *receives* from joint u in subset s; a model
    computes ``out[..., v] = sum_u A[s, v, u] x[..., u]``, that is ``einsum("vu,...u->...v")``.
    Two joints are linked when at most ``hops`` bones apart; a link belongs to

    * ``A[0]``, identity: v is u itself or, for ``hops > 1``, just as far from the centre;
    * ``A[1]``, inward (centripetal): v is nearer to the centre than u;
    * ``A[2]``, outward (centrifugal): v is farther from the centre than u.

    Every subset is normalised by column on its own: what joint u sends in one subset sums to 1,
    or to 0 where it has no one to send to (the centre inward, a leaf outward).

    Spatial partitioning is from Yan et al., "Spatial temporal graph convolutional networks"
    (AAAI 2018); normalisation by subset and the direction are those of Chen et al., CTR-GCN
    (ICCV 2021).

    Args:
        layout: the skeleton, V joints.
        hops: the longest link, in bones; at least 1.

    Returns:
        (3, V, V) float32.

    Raises:
        ValueError: when ``hops`` is less than 1.
    """
    if hops < 1:
        raise ValueError(f"hops is {hops}; expected at least 1")
    distance = hop_distance(layout)
    linked = distance <= hops
    depth = distance[layout.center]
    outwards = np.sign(depth[:, None] - depth[None, :])  # from column u to row v
    subsets = np.stack([linked & (outwards == sign) for sign in (0, -1, 1)]).astype(np.float32)
    sent = subsets.sum(axis=1, keepdims=True)
    normalised: NDArray[np.float32] = subsets / np.maximum(sent, np.float32(1))
    return normalised
