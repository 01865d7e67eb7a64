"""Geometry of placed clips, batched: origins, rotations, alignment, boxes, bones and motions.

Coordinates are `(N, D, T, V, M)` with D = 3 (x, y, z) or 2 (x, y); `valid (N, 1, T, V, M)` says
which joints are there (`resample.valid_joints`). Nothing here loops over clips.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from shapmix.data.resample import valid_joints
from shapmix.layouts import Layout

# What layouts call the two ends of the spine; of each, the first name that a layout has.
SPINE_BOTTOM = ("spine_base", "hip_center", "pelvis", "torso")
SPINE_TOP = ("spine_shoulder", "shoulder_center", "thorax", "neck")

X_AXIS, Z_AXIS = 0, 2


def first_pose(x: Tensor, valid: Tensor, joint: int) -> Tensor:
    """Person 0 in the first frame in which it has `joint`: `(N, D, V)`.

    A clip in which person 0 never has it gives its first frame, where that joint is zero.
    """
    first = valid[:, 0, :, joint, 0].int().argmax(1)
    frame = first[:, None, None, None].expand(-1, x.shape[1], 1, x.shape[3])
    return x[..., 0].gather(2, frame).squeeze(2)


def first_pose_of_clip(frames: Tensor, lengths: Tensor, joint: int, num_coordinates: int) -> Tensor:
    """`first_pose` of whole clips, before they are cropped: `(N, D, V)`.

    Args:
        frames: `(sum of T_i, M, V, C)`, clips one after the other.
        lengths: `(N,)` int64, T_i.
        joint: which one.
        num_coordinates: D, the channels before the score.
    """
    start = lengths.cumsum(0) - lengths
    row = torch.arange(len(frames), device=lengths.device)
    clip = torch.arange(len(lengths), device=lengths.device)
    clip = clip.repeat_interleave(lengths, output_size=len(frames))
    never = len(frames)
    row = row.where(valid_joints(frames[:, 0], num_coordinates)[:, joint], never)
    first = torch.full_like(lengths, never).scatter_reduce(0, clip, row, "amin")
    pose = frames[first.where(first < never, start), 0]
    there = valid_joints(pose, num_coordinates)[..., None]
    return pose[..., :num_coordinates].where(there, 0.0).mT


def first_pose_of_padded(
    keypoints: Tensor, lengths: Tensor, joint: int, num_coordinates: int
) -> Tensor:
    """`first_pose_of_clip` of padded clips `(N, L, M, V, C)`: `(N, D, V)`."""
    person = keypoints[:, :, 0]
    there = valid_joints(person, num_coordinates)
    inside = torch.arange(person.shape[1], device=lengths.device) < lengths[:, None]
    first = (there[:, :, joint] & inside).int().argmax(1)[:, None, None, None]
    pose = person.gather(1, first.expand(-1, 1, *person.shape[2:]))[:, 0]
    there = valid_joints(pose, num_coordinates)[..., None]
    return pose[..., :num_coordinates].where(there, 0.0).mT


def own_centers(x: Tensor, valid: Tensor, joint: int, otherwise: Tensor) -> Tensor:
    """Person 0's `joint` in every frame: `(N, D, T, 1, 1)`.

    Frames in which it is not valid take `otherwise`, `(N, D, 1, 1, 1)`.
    """
    here, track = valid[:, :, :, joint, :1], x[:, :, :, joint, :1]
    return torch.where(here[..., None], track[..., None], otherwise)


def axis_joints(layout: Layout) -> tuple[int, int, int, int]:
    """Bottom and top of a layout's spine, left and right shoulder, which `alignment` needs.

    Raises:
        ValueError: the layout has no joints of these names.
    """
    found = []
    for names in (SPINE_BOTTOM, SPINE_TOP, ("left_shoulder",), ("right_shoulder",)):
        name = next((name for name in names if name in layout.joints), None)
        if name is None:
            raise ValueError(
                f"layout {layout.name!r} has no joint named {' or '.join(names)}, which "
                "alignment needs: name it so in the layout, or set align=none"
            )
        found.append(layout.joints.index(name))
    bottom, top, left, right = found
    return bottom, top, left, right


def unit_vectors(v: Tensor) -> tuple[Tensor, Tensor]:
    """Directions `(N, 3)` of vectors, zero for zero, and lengths `(N, 1)`, however small."""
    largest = v.abs().amax(1, keepdim=True)
    scaled = v / largest.where(largest > 0, 1.0)
    length = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled / length.clamp(min=1), length * largest


def turn_onto(direction: Tensor, axis: int) -> Tensor:
    """The smallest rotations that turn vectors `(N, 3)` onto a positive axis: `(N, 3, 3)`.

    Rodrigues' formula, `I + sin K + (1 - cos) K²`. A zero vector gives the identity; one along the
    negative axis makes half a turn (of the shoulders about z, so that an upright body stays so).
    """
    unit, length = unit_vectors(direction)
    identity = torch.eye(3, dtype=direction.dtype, device=direction.device)
    normal = torch.linalg.cross(unit, identity[axis].expand_as(unit))
    normal, sin = unit_vectors(normal)
    cos = unit[:, axis, None]
    normal = torch.where(sin > 0, normal, identity[axis - 1])
    K = torch.linalg.cross(normal[:, None], identity[None]).mT
    rotation: Tensor = identity + sin[..., None] * K + (1 - cos[..., None]) * (K @ K)
    return rotation.where(length[..., None] > 0, identity)


def alignment(pose: Tensor, joints: tuple[int, int, int, int]) -> Tensor:
    """Rotations that set a pose upright and turn it to face along y: `(N, 3, 3)`.

    First the spine, bottom to top, is turned onto +z, then the shoulders, left to right, onto +x,
    each by the smallest rotation, as 2s-AGCN (Shi et al., CVPR 2019) and PYSKL prepare NTU. The
    second tilts the spine again where the two were not at right angles. A spine or shoulders of
    no length turn nothing.

    Args:
        pose: `(N, 3, V)`.
        joints: `axis_joints` of the layout.
    """
    bottom, top, left, right = joints
    upright = turn_onto(pose[:, :, top] - pose[:, :, bottom], Z_AXIS)
    shoulders = upright @ (pose[:, :, right] - pose[:, :, left])[..., None]
    return turn_onto(shoulders[..., 0], X_AXIS) @ upright


def rotation_matrices(angles: Tensor) -> Tensor:
    """Rotations by angles in rad.

    Args:
        angles: `(N, 3)` about x, y, z, applied in this order: `R = Rz Ry Rx`; or `(N, 1)` in the
            plane.

    Returns:
        `(N, 3, 3)` or `(N, 2, 2)`, for column vectors.
    """
    cos, sin = angles.cos().unbind(1), angles.sin().unbind(1)
    if angles.shape[1] == 1:
        (c,), (s,) = cos, sin
        return torch.stack([c, -s, s, c], 1).view(-1, 2, 2)
    (cx, cy, cz), (sx, sy, sz) = cos, sin
    rows = [
        [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
        [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
        [-sy, sx * cy, cx * cy],
    ]
    return torch.stack([x for row in rows for x in row], 1).view(-1, 3, 3)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn each clip about the origin: `x (N, D, T, V, M)`, `rotation (N, D, D)`."""
    return rotation.matmul(x.flatten(2)).view_as(x)


def mirror(x: Tensor, permutation: Tensor) -> Tensor:
    """Swap left and right: joints change places (`permutation (V,)`) and channel 0 its sign."""
    flipped = x.index_select(3, permutation)
    flipped[:, 0].neg_()
    return flipped


def normalize_box(x: Tensor, valid: Tensor) -> Tensor:
    """Map each clip's bounding box into [-1, 1], keeping its aspect.

    The box of all valid joints of all frames and persons gets its midpoint at the origin and its
    longest side the length 2 (a clip that is a single point is only moved).
    """
    low = x.where(valid, torch.inf).amin((2, 3, 4), keepdim=True)
    high = x.where(valid, -torch.inf).amax((2, 3, 4), keepdim=True)
    half = ((high - low) / 2).amax(1, keepdim=True)
    moved = (x - (high + low) / 2) / half.where(half > 0, 1.0)
    return moved.where(valid, 0.0)


def bone(x: Tensor, parents: Tensor) -> Tensor:
    """Each joint minus its parent, `parents (V,)`; zero at the root, its own parent."""
    return x - x.index_select(3, parents)


def motion(x: Tensor) -> Tensor:
    """`x[t + 1] - x[t]`; zero in the last frame."""
    return F.pad(x.diff(dim=2), (0, 0, 0, 0, 0, 1))


def next_frame(x: Tensor) -> Tensor:
    """`x[t + 1]`; the last frame is repeated."""
    return torch.cat([x[:, :, 1:], x[:, :, -1:]], 2)


def interleave(x: Tensor) -> Tensor:
    """A contiguous copy of `(N, D, T, V, M)` in whose memory persons come last."""
    if x.shape[-1] == 2 and not torch.compiler.is_compiling():  # as complex numbers, twice as fast
        return torch.view_as_real(torch.complex(*x.unbind(-1)).contiguous())
    return x.contiguous()
