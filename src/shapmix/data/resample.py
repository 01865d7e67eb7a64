"""From ragged clips to T frames each: temporal crops, segments and interpolation, all batched.

`positions (N, T)` are fractional frame indices within each clip; one function chooses them, another
(`sample_frames`) reads all clips there at once, with no loop over clips and no padding in time.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def uniform(shape: tuple[int, ...], generator: Generator, device: torch.device) -> Tensor:
    """Numbers uniform in [0, 1), drawn where the generator lives, so that devices agree.

    Nothing waits for a GPU.
    """
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return drawn.to(device, non_blocking=device.type == "cuda")


def random_crop(
    lengths: Tensor, min_length: int, ratio: tuple[float, float], generator: Generator
) -> tuple[Tensor, Tensor]:
    """Draw a training crop: `L' = min(max(floor(p L), min_length), L)`, p uniform, anywhere.

    Args:
        lengths: `(N,)` int64, frames L of each clip.
        min_length: shortest crop (of clips that are long enough).
        ratio: lowest and highest p.
        generator: source of randomness.

    Returns:
        first frame and length of each crop, `(N,)` int64 each.
    """
    u = uniform((2, len(lengths)), generator, lengths.device)
    p = ratio[0] + (ratio[1] - ratio[0]) * u[0]
    length = (p * lengths).floor().long().clamp(min=min_length).minimum(lengths)
    # u * n can round up to n in float32
    start = (u[1] * (lengths - length + 1)).floor().long().minimum(lengths - length)
    return start, length


def central_crop(lengths: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """The test crop: `floor((1 - ratio) L / 2)` frames are cut from each end.

    Returns:
        first frame and length of each crop, `(N,)` int64 each.
    """
    start = ((1 - ratio) / 2 * lengths).floor().long()
    return start, lengths - 2 * start


def resize_positions(start: Tensor, length: Tensor, num_frames: int) -> Tensor:
    """Where T output frames lie in the clip when a crop is resized to them: `(N, T)` float32.

    Half-pixel convention (`align_corners=False`): `(t + 0.5) L' / T - 0.5`, kept inside the crop.
    """
    t = torch.arange(num_frames, device=length.device)
    inside = (t + 0.5) * (length / num_frames)[:, None] - 0.5
    return start[:, None] + inside.clamp(min=0).minimum((length - 1)[:, None])


def segment_positions(
    lengths: Tensor, num_frames: int, generator: Generator | None = None
) -> Tensor:
    """One frame of each of T uniform segments of the whole clip: `floor((t + u) L / T)`, `(N, T)`.

    `u` is uniform in [0, 1) for each segment, and 1/2 (the segment's centre) without a generator.
    Clips shorter than T frames repeat frames in order.
    """
    t = torch.arange(num_frames, device=lengths.device)
    shape = (lengths.shape[0], num_frames)
    u = 0.5 if generator is None else uniform(shape, generator, lengths.device)
    positions = ((t + u) * lengths[:, None] / num_frames).floor()
    return positions.minimum((lengths - 1)[:, None])


def valid_joints(frames: Tensor, num_coordinates: int) -> Tensor:
    """Which joints are there: `(..., V, C)` to `(..., V)` bool.

    A joint is valid iff any coordinate of its body is non-zero in that frame and its score (the
    channel after the coordinates, if there is one) is above zero.
    """
    return _valid(frames, num_coordinates).expand(frames.shape[:-1])


def _valid(frames: Tensor, num_coordinates: int) -> Tensor:
    """`valid_joints`, but `(..., 1)` where there are no scores, so that joints do not differ."""
    # a sum of magnitudes is zero iff all are; on CPUs far faster than `any`
    body = frames[..., :num_coordinates].abs().sum((-2, -1))[..., None] > 0
    if frames.shape[-1] == num_coordinates:
        return body
    return body & (frames[..., num_coordinates] > 0)


def sample_frames(
    frames: Tensor, lengths: Tensor, positions: Tensor, num_coordinates: int
) -> tuple[Tensor, Tensor]:
    """Read every clip at fractional frame positions, by linear interpolation.

    A joint that is valid in only one of the two neighbouring frames is not interpolated towards
    zero: the nearer frame decides, as it is, whether and where the joint is.

    Args:
        frames: `(sum of T_i, M, V, C)`, clips one after the other.
        lengths: `(N,)` int64, T_i.
        positions: `(N, T)` in `[0, T_i - 1]`.
        num_coordinates: D, the channels before the score.

    Returns:
        clips `(N, C, T, V, M)` and `valid (N, 1, T, V, M)`, views of tensors in which every person
        is contiguous, `(N, C, M, T, V)`: so what broadcasts over joints is fast.
    """
    persons, joints = frames.shape[1:3]
    first = (lengths.cumsum(0) - lengths)[:, None]
    before = positions.floor()
    left = before.long()
    right = (left + 1).minimum((lengths - 1)[:, None])
    # From frames to the bodies in them: (N, M, T).
    person = torch.arange(persons, device=frames.device)[:, None]
    left, right = ((first + i)[:, None] * persons + person for i in (left, right))
    weight = (positions - before)[:, None, :, None].expand(*left.shape, 1)
    bodies = frames.flatten(0, 1)
    valid_bodies = _valid(bodies, num_coordinates)
    valid, weight = _weigh(valid_bodies[left], valid_bodies[right], weight)
    clips = _interpolate(bodies, left, right, weight)
    if frames.shape[-1] > num_coordinates:  # without scores, what is not valid is zero as it is
        clips = clips.where(valid[..., None], 0.0)
    clips = clips.permute(0, 4, 1, 2, 3).contiguous()
    valid = valid.expand(*left.shape, joints)[:, None]
    return clips.permute(0, 1, 3, 4, 2), valid.permute(0, 1, 3, 4, 2)


def _weigh(valid_a: Tensor, valid_b: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """What is valid between two frames, and the weight of the second: 0 or 1 unless both are."""
    nearest = weight >= 0.5
    valid = (nearest & valid_b) | (~nearest & valid_a)  # `where` of booleans has no ONNX kernel
    return valid, torch.where(valid_a & valid_b, weight, nearest.to(weight.dtype))


def sample_padded(
    keypoints: Tensor, lengths: Tensor, positions: Tensor, num_coordinates: int
) -> tuple[Tensor, Tensor]:
    """`sample_frames` of padded clips, by operations that can be exported with any N and L.

    Args:
        keypoints: `(N, L, M, V, C)`; what lies beyond a clip's length is not read.
        lengths, positions, num_coordinates: as of `sample_frames`.

    Returns:
        clips `(N, C, T, V, M)` and `valid (N, 1, T, V, M)`.
    """
    before = positions.floor()
    left = before.long()
    right = (left + 1).minimum((lengths - 1)[:, None])
    bodies = keypoints.shape[2:]
    a, b = (
        keypoints.gather(1, i[:, :, None, None, None].expand(-1, -1, *bodies))
        for i in (left, right)
    )
    valid_a, valid_b = _valid(a, num_coordinates), _valid(b, num_coordinates)
    weight = (positions - before)[:, :, None, None].expand_as(valid_a)
    valid, weight = _weigh(valid_a, valid_b, weight)
    clips = a.lerp(b, weight[..., None]).where(valid[..., None], 0.0)
    valid = valid.expand(*clips.shape[:-1])[..., None]
    return clips.permute(0, 4, 1, 3, 2), valid.permute(0, 4, 1, 3, 2)


def _interpolate(bodies: Tensor, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """`(1 - weight) * bodies[left] + weight * bodies[right]`: `(N, M, T, V, C)`.

    Args:
        bodies: `(B, V, C)`.
        left, right: `(N, M, T)`.
        weight: `(N, M, T, V)`, or `(N, M, T, 1)` where joints do not differ.
    """
    if weight.shape[-1] > 1 or bodies.device.type != "cpu":
        return bodies[left].lerp_(bodies[right], weight[..., None])
    # On CPUs reading and weighing in one pass is twice as fast.
    pairs = torch.stack([left, right], -1).flatten(0, 2)
    weights = torch.cat([1 - weight, weight], -1).flatten(0, 2)
    sums = F.embedding_bag(pairs, bodies.flatten(1), mode="sum", per_sample_weights=weights)
    return sums.view(*left.shape, *bodies.shape[1:])
