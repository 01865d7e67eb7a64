"""Bodies that only the partner has: they may appear in the window, whole."""

import torch
from torch import Tensor

from shapmix.mixing import functional
from shapmix.mixing.functional import Paste


def newcomers(here: Tensor, partner: Tensor) -> Tensor:
    """Person slots that the partner fills and the receiver does not: `(N, M)` bool.

    Args:
        here: `(N, M)` bool, which bodies are there. partner: `(N,)` int64.
    """
    return here[partner] & ~here


def paste_with_newcomers(x: Tensor, partner: Tensor, params: Paste, here: Tensor) -> Tensor:
    """As `functional.paste` into shared bodies, with every joint of newcomers in the window.

    Args:
        x: `(N, C, T, V, M)` clips. partner: `(N,)` int64. params: windows and joints.
        here: `(N, M)` bool, which bodies are there.

    Returns:
        `(N, C, T, V, M)` mixed clips.
    """
    new = newcomers(here, partner)[:, None, None, None, :]
    window = functional.paste_window(params, x.shape[2])[:, None, :, None, None]
    mask = functional.paste_mask(x, params, here & here[partner]) | (window & new)
    return torch.where(mask, functional.donor_frames(x, partner, params), x)


def share_with_newcomers(
    params: Paste,
    num_frames: int,
    here: Tensor,
    partner: Tensor,
    joints: Tensor | None = None,
) -> Tensor:
    """The partner's share of the area of all bodies in the mix: `(N,)`.

    With R bodies of the receiver, B of them shared and D newcomers, a window of the share f of the
    frames and parts of the share s of the joints, the mix has `R + f D` bodies' worth of
    joint-frames, of which `f (s B + D)` are the partner's.

    Args:
        params: windows and joints. num_frames: T. here: `(N, M)` bool. partner: `(N,)` int64.
        joints: `(N,)`, s, if not the share of the pasted joints.
    """
    frames = params.length / num_frames
    if joints is None:
        joints = params.joints.float().mean(1)
    own, both = here.sum(1), (here & here[partner]).sum(1)
    new = newcomers(here, partner).sum(1)
    given = frames * (joints * both + new)
    area = own + frames * new
    return given / area.masked_fill(area == 0, 1.0)
