"""Plausible bodies: pasted joints hang on the receiver's body and do not float beside it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shapmix.layouts import Layout


@dataclass(frozen=True)
class Tree:
    """A skeleton's tree, from the root outwards.

    Attributes:
        root: the centre.
        parents: parent of each joint; the root is its own.
        levels: for each distance from the root, 1 and more, the joints at that distance.
    """

    root: int
    parents: tuple[int, ...]
    levels: tuple[tuple[int, ...], ...]


def tree_of(layout: Layout) -> Tree:
    """The tree of a layout's bones."""
    children: list[list[int]] = [[] for _ in layout.joints]
    for child, parent in layout.bones:
        children[parent].append(child)
    levels: list[tuple[int, ...]] = [(layout.center,)]
    while below := tuple(child for joint in levels[-1] for child in children[joint]):
        levels.append(below)
    return Tree(layout.center, layout.parents, tuple(levels[1:]))


def there(x: Tensor, confidence_channel: int | None = None) -> Tensor:
    """Which joints are there in which frame: `(N, 1, T, V, M)` bool.

    A joint is there iff any coordinate of its body is non-zero in that frame and its confidence, if
    there is one, is above zero.

    Args:
        x: `(N, C, T, V, M)` clips.
        confidence_channel: a channel that is a confidence and no coordinate.
    """
    if confidence_channel is None:
        return (x != 0).any(3, keepdim=True).any(1, keepdim=True).expand_as(x[:, :1])
    sure = x[:, confidence_channel : confidence_channel + 1] > 0
    coordinates = (x != 0) & is_coordinate(x, confidence_channel)
    return sure & coordinates.any(3, keepdim=True).any(1, keepdim=True)


def is_coordinate(x: Tensor, confidence_channel: int | None) -> Tensor:
    """Which channels are coordinates: `(C, 1, 1, 1)` bool."""
    channel = torch.arange(x.shape[1], device=x.device)[:, None, None, None]
    return channel != (-1 if confidence_channel is None else confidence_channel)


def carried(joints: Tensor, tree: Tree) -> Tensor:
    """The receiver's joints that hang, directly or not, on a pasted joint: `(N, V)` bool."""
    moved = joints.clone()
    for level in tree.levels:
        moved[:, list(level)] |= moved[:, [tree.parents[joint] for joint in level]]
    return moved & ~joints


def attach(
    x: Tensor,
    donor: Tensor,
    joints: Tensor,
    tree: Tree,
    *,
    keep_lengths: bool = False,
    carry: bool = False,
    confidence_channel: int | None = None,
) -> Tensor:
    """Pasted joints as bones of the partner on the body of the receiver.

    Every pasted joint lies at its parent's place in the mix plus the partner's bone vector, in
    every frame; so each connected piece hangs on the receiver's joint, and a pasted root takes the
    receiver's place. Where an end of the bone is missing in the partner, or the parent in the mix,
    the joint is pasted as it is; a missing joint stays missing. The confidence is copied.

    Args:
        x: `(N, C, T, V, M)` receivers. donor: the same shape, what would be pasted.
        joints: `(N, V)` bool, the joints that are pasted.
        tree: the skeleton.
        keep_lengths: scale each bone vector to the receiver's own bone in that frame; a partner's
            bone of length 0 takes the receiver's direction too.
        carry: joints of the receiver keep their bone vectors and follow the pasted joints that they
            hang on (`carried`). Without, they stay where they are, and the body comes apart there.
        confidence_channel: a channel that is a confidence and no coordinate.

    Returns:
        `(N, C, T, V, M)`: the pasted joints at their new places, `carried` ones if asked, else `x`.
    """
    parents = torch.tensor(tree.parents, device=x.device)
    own, given = there(x, confidence_channel), there(donor, confidence_channel)
    own_bone, bone = x - x.index_select(3, parents), donor - donor.index_select(3, parents)
    own_bone_there = own & own.index_select(3, parents)
    coordinate = is_coordinate(x, confidence_channel)
    if keep_lengths:
        scaled = scale_to(bone, own_bone, coordinate)
        bone = torch.where(own_bone_there, scaled, bone)
    pasted = joints[:, None, None, :, None]
    placed = torch.where(pasted, given, own)  # joints that are there in the mix
    hangs = pasted & given & given.index_select(3, parents)
    if carry:
        follows = carried(joints, tree)[:, None, None, :, None]
        hangs = hangs | (follows & own_bone_there)
        bone = torch.where(follows, own_bone, bone)
    hangs = (hangs & placed.index_select(3, parents)) & coordinate

    out = torch.where(pasted, donor, x)
    root = slice(tree.root, tree.root + 1)
    stays = own[:, :, :, root] & given[:, :, :, root] & coordinate
    out[:, :, :, root] = torch.where(stays, x[:, :, :, root], out[:, :, :, root])
    for level in tree.levels:
        child = torch.tensor(level, device=x.device)
        moved = out.index_select(3, parents[child]) + bone.index_select(3, child)
        kept = out.index_select(3, child)
        out.index_copy_(3, child, torch.where(hangs.index_select(3, child), moved, kept))
    return out


def scale_to(bone: Tensor, own: Tensor, coordinate: Tensor) -> Tensor:
    """Bone vectors scaled to the lengths of others: `(N, C, T, V, M)`.

    Args:
        bone: vectors whose direction counts; those of length 0 become `own`.
        own: `(N, C, T, V, M)` vectors whose length counts.
        coordinate: `(C, 1, 1, 1)` bool, channels that are coordinates.
    """
    length = torch.linalg.vector_norm(bone * coordinate, dim=1, keepdim=True)
    wanted = torch.linalg.vector_norm(own * coordinate, dim=1, keepdim=True)
    tiny = length <= torch.finfo(length.dtype).eps * wanted
    return torch.where(tiny, own, bone * (wanted / length.masked_fill(tiny, 1.0)))
