"""What mixing does to tensors: pure functions, with every random parameter given to them.

Shapes: a batch `x` is `(N, C, T, V, M)`; windows are in frames. Nothing here draws or keeps state;
`draws.py` draws the parameters.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CANONICAL = "NCTVM"


@dataclass(frozen=True)
class Paste:
    """Which frames and joints of the partner replace which of the receiver.

    Attributes:
        start: `(N,)` int64, first frame of the paste window in the receiver.
        length: `(N,)` int64, frames of the paste window.
        source_start: `(N,)` int64, first frame of the source window in the partner.
        source_length: `(N,)` int64, frames of the source window (>= `length`).
        joints: `(N, V)` bool, the joints that come from the partner.
    """

    start: Tensor
    length: Tensor
    source_start: Tensor
    source_length: Tensor
    joints: Tensor


def presence(x: Tensor) -> Tensor:
    """Which bodies are there: `(N, M)` bool, true iff any coordinate of the body is non-zero."""
    return (x != 0).flatten(1, 3).any(1) if x.dim() == 5 else (x != 0).flatten(0, 2).any(0)


def paste(x: Tensor, partner: Tensor, params: Paste, bodies: Tensor | None = None) -> Tensor:
    """Spatial-temporal mixing: paste a coalition of the partner into a window of the receiver.

    Inside (window x joints) the receiver takes the partner's frames, resampled to the window by
    nearest frame (`floor(k * source_length / length)`); all else stays the receiver's, bit for bit.

    Args:
        x: `(N, C, T, V, M)` clips, each the receiver of one mix.
        partner: `(N,)` int64, index in the batch of each receiver's partner.
        params: windows and joints.
        bodies: `(N, M)` bool, person slots that are pasted; all when not given.

    Returns:
        `(N, C, T, V, M)` mixed clips.
    """
    return torch.where(paste_mask(x, params, bodies), donor_frames(x, partner, params), x)


def paste_window(params: Paste, num_frames: int) -> Tensor:
    """Which frames lie in the paste window: `(N, T)` bool."""
    offset = torch.arange(num_frames, device=params.start.device) - params.start[:, None]
    return (offset >= 0) & (offset < params.length[:, None])


def paste_mask(x: Tensor, params: Paste, bodies: Tensor | None = None) -> Tensor:
    """What is pasted: `(N, 1, T, V, M)` bool, the last axis 1 without `bodies`."""
    window = paste_window(params, x.shape[2])
    mask = window[:, None, :, None, None] & params.joints[:, None, None, :, None]
    return mask if bodies is None else mask & bodies[:, None, None, None, :]


def donor_frames(x: Tensor, partner: Tensor, params: Paste) -> Tensor:
    """The partner's source window laid over the paste window, by nearest frame.

    Returns:
        `(N, C, T, V, M)`, of which only the frames of the paste window mean anything.
    """
    offset = torch.arange(x.shape[2], device=x.device) - params.start[:, None]
    nearest = offset * params.source_length[:, None] // params.length[:, None].clamp(min=1)
    source = params.source_start[:, None] + nearest.where(paste_window(params, x.shape[2]), 0)
    # One gather: partner and frame together pick (C, V, M) slices.
    return x.transpose(1, 2)[partner[:, None], source].transpose(1, 2)


def paste_share(
    params: Paste,
    num_frames: int,
    share_of_bodies: Tensor | float = 1.0,
    joints: Tensor | None = None,
) -> Tensor:
    """The partner's share of the area, `length * joints / (T V) * share_of_bodies`: `(N,)`.

    Args:
        params: windows and joints. num_frames: T.
        share_of_bodies: `(N,)`, the share of the receiver's bodies that are pasted into.
        joints: `(N,)`, what the pasted parts count in place of their share of joints.
    """
    if joints is None:
        joints = params.joints.float().mean(1)
    return params.length * joints / num_frames * share_of_bodies


def shared_bodies(here: Tensor, partner: Tensor) -> Tensor:
    """The share of the receiver's bodies that the partner has too: `(N,)`.

    Args:
        here: `(N, M)` bool, which bodies are there. partner: `(N,)` int64.
    """
    return (here & here[partner]).sum(1) / here.sum(1).clamp(min=1)


def mixup(
    x: Tensor,
    partner: Tensor,
    weight: Tensor,
    bodies: Tensor | None = None,
    confidence_channel: int | None = None,
) -> Tensor:
    """Mixup: `x + weight * (x[partner] - x)`.

    Args:
        x: `(N, C, T, V, M)` clips.
        partner: `(N,)` int64.
        weight: `(N,)` weight of the partner in `[0, 1]`.
        bodies: `(N, M)` bool, person slots that are mixed; the others stay the receiver's.
        confidence_channel: a channel that is no coordinate: it is not averaged but taken whole from
            the clip with the larger weight (ties: the receiver).
    """
    weight = weight.to(x.dtype)[:, None, None, None, None]
    other = x[partner]
    mixed = x + weight * (other - x)
    if confidence_channel is not None:
        c = slice(confidence_channel, confidence_channel + 1)
        mixed[:, c] = torch.where(weight > 0.5, other[:, c], x[:, c])
    if bodies is not None:
        mixed = torch.where(bodies[:, None, None, None, :], mixed, x)
    return mixed


def impute(x: Tensor, joints: Tensor, background: Tensor, bodies: Tensor | None = None) -> Tensor:
    """Keep the given joints and let the background stand in for the others.

    Args:
        x: `(N, C, T, V, M)` clips.
        joints: `(N, V)` bool, the joints that are kept.
        background: `(C, T, V, M)` clip.
        bodies: `(N, M)` bool, person slots where the background may stand in; absent bodies stay
            absent. All slots when not given.
    """
    keep = joints[:, None, None, :, None]
    if bodies is not None:
        keep = keep | ~bodies[:, None, None, None, :]
    return torch.where(keep, x, background.to(x.dtype))


def kind(value: object) -> str:
    """What a value is, for a message: of a tensor its dtype and shape, else the type."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def check_dims(dims: str) -> None:
    """Check an order of the axes of batches.

    Raises:
        ValueError: it is no order of the letters N C T V M with N first.
    """
    if sorted(dims) != sorted(CANONICAL) or dims[0] != "N":
        raise ValueError(
            f"dims is {dims!r}; expected an order of the letters N C T V M with N first, such as "
            '"NCTVM" or "NMTVC" (PYSKL, MMAction2)'
        )


def mean_clip(
    clips: Iterable[Tensor], *, present_only: bool = True, dims: str = CANONICAL
) -> Tensor:
    """The background: the mean clip of a training set, in the model's input space.

    Pass batches as the model is tested with them (same stream, same deterministic transform).

    Args:
        clips: batches with the axes of `dims`.
        present_only: average each person slot over the clips in which that body is present; a slot
            that is never filled stays zero. Otherwise absent bodies are averaged in as zeros.
        dims: order of the axes, the same as the mixer's, such as `"NMTVC"`.

    Returns:
        float32, the axes of `dims` without N: `(C, T, V, M)`.

    Raises:
        ValueError: there are no clips, a batch is no tensor of finite clips of the form of the
            first, or `dims` is no order of the axes.
    """
    check_dims(dims)
    total: Tensor | None = None
    count: Tensor | None = None
    seen = 0
    for x in clips:
        _check_batch(x, dims)
        x = x.permute([dims.index(axis) for axis in CANONICAL])
        present = presence(x) if present_only else torch.ones(len(x), x.shape[-1])
        summed, number = x.float().sum(0).cpu().double(), present.sum(0).cpu().double()
        if total is not None and summed.shape != total.shape:
            raise ValueError(
                f"mean_clip got clips (C, T, V, M) of {tuple(total.shape)} and "
                f"{tuple(summed.shape)}; expected one form: resample them to the number of frames "
                "that the model takes"
            )
        total = summed if total is None else total + summed
        count = number if count is None else count + number
        seen += len(x)
    if total is None or count is None or not seen:
        raise ValueError("mean_clip got no clips: pass at least one batch (N, C, T, V, M)")
    mean = (total / count.clamp(min=1)).float()
    return mean.permute([CANONICAL.index(axis) - 1 for axis in dims[1:]])


def _check_batch(x: object, dims: str) -> None:
    """Check a batch of clips that are to be averaged."""
    if not isinstance(x, Tensor) or x.dim() != 5 or not x.is_floating_point():
        raise ValueError(
            f"mean_clip got a batch that is {kind(x)}; expected a tensor of floating point clips "
            f"with the five axes {dims}. Of a loader that gives clips and labels pass the clips: "
            "mean_clip(x for x, _ in loader)"
        )
    if not torch.isfinite(x).all():
        raise ValueError(
            "mean_clip got NaN or infinite values: clean the data before (mark missing joints by "
            "zeros, not NaN)"
        )


def one_hot(y: Tensor, num_classes: int) -> Tensor:
    """Hard targets as rows: `(N,)` int64 to `(N, K)` float32."""
    return F.one_hot(y, num_classes).float()


def soft_targets(y: Tensor, partner: Tensor, lam: Tensor, num_classes: int) -> Tensor:
    """`lam * onehot(y) + (1 - lam) * onehot(y[partner])`: `(N, K)` float32, rows sum to 1."""
    own = one_hot(y, num_classes)
    lam = lam.float()[:, None]
    return lam * own + (1 - lam) * own[partner]
