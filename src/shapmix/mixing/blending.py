"""Seams in time: a pasted window that fades in and out instead of jumping."""

import torch
from torch import Tensor

from shapmix.mixing.functional import Paste


def fade(params: Paste, num_frames: int, blend: int) -> Tensor:
    """The partner's weight in every frame: `(N, T)` float32, 0 outside the window.

    It rises over the first `blend` frames of the window as `1 / (blend + 1), 2 / (blend + 1), ...`
    and falls likewise over the last ones. Where the window begins with the clip or ends with it
    there is no seam and no fading. In windows shorter than two fades the lower one holds.

    Args:
        params: the windows. num_frames: T. blend: frames of each fade; 0 for none.
    """
    frames = torch.arange(num_frames, device=params.start.device)
    after = frames - params.start[:, None] + 1  # frames since the window began, itself included
    before = (params.start + params.length)[:, None] - frames
    inside = (after > 0) & (before > 0)
    rising = torch.where(params.start[:, None] > 0, after / (blend + 1), 1.0)
    at_end = (params.start + params.length)[:, None] >= num_frames
    falling = torch.where(at_end, 1.0, before / (blend + 1))
    return torch.minimum(rising, falling).clamp(max=1).where(inside, 0.0)


def cross_fade(
    x: Tensor, donor: Tensor, weight: Tensor, both: Tensor, confidence_channel: int | None = None
) -> Tensor:
    """`x + weight (donor - x)` where a joint is there in both, else the one of larger weight.

    Args:
        x: `(N, C, T, V, M)` receivers. donor: the same shape, what is pasted.
        weight: `(N, T)` of `fade`.
        both: `(N, 1, T, V, M)` bool, joints that are there in receiver and donor.
        confidence_channel: a channel that is no coordinate; it is not averaged.

    Returns:
        `(N, C, T, V, M)`; exactly the donor where the weight is 1.
    """
    weight = weight.to(x.dtype)[:, None, :, None, None]
    averaged = both & (weight < 1)
    if confidence_channel is not None:
        channel = torch.arange(x.shape[1], device=x.device)[:, None, None, None]
        averaged = averaged & (channel != confidence_channel)
    larger = torch.where(weight >= 0.5, donor, x)
    return torch.where(averaged, x + weight * (donor - x), larger)
