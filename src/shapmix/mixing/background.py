"""The background that a guided mixer is given: checked, and stretched to the length of clips."""

import torch
from torch import Tensor
from torch.nn import functional as F

from shapmix.mixing.batch import Boundary
from shapmix.mixing.functional import kind


def check_background(background: Tensor, boundary: Boundary) -> Tensor:
    """A copy of the background as `(C, T, V, M)` float32.

    Args:
        background: one clip with the axes of `boundary.dims` without N.
        boundary: the layout and the order of the axes.

    Raises:
        ValueError: it is no clip of this layout, or has values that are not finite.
    """
    if not isinstance(background, Tensor) or background.dim() != 4:
        raise ValueError(
            f"background is {kind(background)}; expected one clip with the axes "
            f"{boundary.dims[1:]}, such as mean_clip(batches, dims={boundary.dims!r}) gives"
        )
    clip = boundary.to_canonical(background[None])[0]
    layout = boundary.layout
    if clip.shape[2] != layout.num_joints or not torch.isfinite(clip).all():
        raise ValueError(
            f"background has {clip.shape[2]} joints and "
            f"{int((~torch.isfinite(clip)).sum())} values that are not finite; expected "
            f"{layout.num_joints} joints (layout {layout.name!r}) and finite values"
        )
    return clip.detach().clone().float()


def check_form(background: Tensor, x: Tensor) -> None:
    """Check that the background `(C, T, V, M)` has the channels and persons of `(N, C, T, V, M)`.

    Raises:
        ValueError: it has others.
    """
    ours, theirs = background.shape, x.shape[1:]
    if (ours[0], ours[3]) != (theirs[0], theirs[3]):
        raise ValueError(
            f"background has {ours[0]} channels and {ours[3]} persons, x has {theirs[0]} and "
            f"{theirs[3]}: make it with mean_clip from batches of the same form, and the dims"
        )


def stretch(background: Tensor, num_frames: int) -> Tensor:
    """The background `(C, T, V, M)` with another number of frames, linearly in time."""
    if background.shape[1] == num_frames:
        return background
    tracks = background.permute(0, 2, 3, 1).flatten(1, 2)
    stretched = F.interpolate(tracks, num_frames, mode="linear", align_corners=False)
    joints, persons = background.shape[2:]
    return stretched.view(-1, joints, persons, num_frames).permute(0, 3, 1, 2)
