"""How a part of the partner is laid into the receiver with options beyond the paper."""

from dataclasses import replace

import torch
from torch import Tensor

from shapmix.mixing import functional
from shapmix.mixing.attaching import Tree, attach, carried, there
from shapmix.mixing.blending import cross_fade, fade
from shapmix.mixing.bodies import newcomers, share_with_newcomers
from shapmix.mixing.functional import Paste
from shapmix.mixing.options import PasteOptions


def lay(
    x: Tensor,
    partner: Tensor,
    params: Paste,
    here: Tensor | None,
    options: PasteOptions,
    *,
    tree: Tree | None = None,
    confidence_channel: int | None = None,
) -> Tensor:
    """Paste with the options that are on; with none of them the same as `functional.paste`.

    Args:
        x: `(N, C, T, V, M)` clips, each the receiver of one mix.
        partner: `(N,)` int64, index in the batch of each receiver's partner.
        params: windows and joints.
        here: `(N, M)` bool, which bodies are there; None to paste every slot alike.
        options: how joints are laid.
        tree: the skeleton; `attach` needs it.
        confidence_channel: a channel that is a confidence and no coordinate.

    Returns:
        `(N, C, T, V, M)` mixed clips.
    """
    bodies = None if here is None else here & here[partner]
    laid = donor = functional.donor_frames(x, partner, params)
    written = params
    if options.attach:
        if tree is None:
            raise ValueError("attach needs the skeleton: pass tree_of(layout)")
        how = {"keep_lengths": options.keep_lengths, "carry": options.carry}
        laid = attach(x, donor, params.joints, tree, confidence_channel=confidence_channel, **how)
        if options.carry:
            written = replace(params, joints=params.joints | carried(params.joints, tree))
    mask = functional.paste_mask(x, written, bodies)
    if options.move_bodies and here is not None:
        new = newcomers(here, partner)[:, None, None, None, :]
        window = functional.paste_window(params, x.shape[2])[:, None, :, None, None]
        laid, mask = torch.where(new, donor, laid), mask | (window & new)
    if options.blend:
        both = there(x, confidence_channel) & there(laid, confidence_channel)
        weight = fade(params, x.shape[2], options.blend)
        laid = cross_fade(x, laid, weight, both, confidence_channel)
    return torch.where(mask, laid, x)


def laid_share(
    params: Paste,
    num_frames: int,
    partner: Tensor,
    here: Tensor | None,
    options: PasteOptions,
    joints: Tensor | None = None,
) -> Tensor:
    """The partner's share of the area that `lay` gives it: `(N,)`.

    Frames count as much as they are faded in. With `here`, shares are of present bodies.

    Args:
        params: windows and joints. num_frames: T. partner: `(N,)` int64.
        here: `(N, M)` bool, which bodies are there; None to count every slot alike.
        options: how joints are laid.
        joints: `(N,)`, what the pasted parts count in place of their share of joints.
    """
    if joints is None:
        joints = params.joints.float().mean(1)
    frames = fade(params, num_frames, options.blend).sum(1) if options.blend else params.length
    if here is None:
        return frames * joints / num_frames
    if options.move_bodies:
        return share_with_newcomers(frames / num_frames, joints, here, partner)
    return frames * joints / num_frames * functional.shared_bodies(here, partner)
