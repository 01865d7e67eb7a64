"""How much a mixed batch still looks like bodies that move: bone lengths and jumps in time.

Measures of joint coordinates `(N, C, T, V, M)`; the mixed clips are compared with their receivers.
"""

import torch
from torch import Tensor

from shapmix.mixing.attaching import Tree, is_coordinate, there
from shapmix.mixing.functional import Paste, paste_window


def bone_length_change(
    x: Tensor, mixed: Tensor, params: Paste, tree: Tree, confidence_channel: int | None = None
) -> float:
    """Mean of `|log(length in the mix / the receiver's own length)|` inside the windows.

    Over bones, frames and bodies in which both ends are there and neither length is 0; NaN where
    there are none. 0.1 says that bones are about 10 % too long or too short.

    Args:
        x: receivers. mixed: what became of them. params: what was pasted.
        tree: the skeleton. confidence_channel: a channel that is no coordinate.
    """
    child = torch.tensor([joint for level in tree.levels for joint in level], device=x.device)
    parent = torch.tensor(tree.parents, device=x.device)[child]
    lengths, usable = [], paste_window(params, x.shape[2])[:, None, :, None, None]
    for clips in (x, mixed):
        seen = there(clips, confidence_channel)
        bones = clips.index_select(3, child) - clips.index_select(3, parent)
        bones = bones * is_coordinate(clips, confidence_channel)
        length = torch.linalg.vector_norm(bones, dim=1, keepdim=True)
        both = seen.index_select(3, child) & seen.index_select(3, parent)
        usable = usable & both & (length > 0)
        lengths.append(length)
    own, new = (length.expand_as(usable)[usable] for length in lengths)
    return float((new.log() - own.log()).abs().mean())


def seam_jump(
    x: Tensor, mixed: Tensor, params: Paste, reach: int = 1, confidence_channel: int | None = None
) -> float:
    """The largest step at a seam, as a multiple of what is usual: 1 says that nothing jumps.

    A step is the distance that a joint moves from one frame to the next. At each seam in time the
    largest of `reach` successive steps is taken, from the step into (or out of) the window inwards,
    for every pasted joint; its median is divided by the median over all runs of as many steps of
    the same joints in the receivers. NaN without seams.

    Args:
        x: receivers. mixed: what became of them. params: what was pasted.
        reach: steps of a run; one more than the frames of a blend, to see all of it.
        confidence_channel: a channel that is no coordinate.
    """
    changed = (x != mixed).flatten(1, 3).any(1)  # bodies that anything was pasted into
    pasted = params.joints[:, :, None] & changed[:, None]
    before, seen_before = _runs(x, reach, confidence_channel)
    after, seen_after = _runs(mixed, reach, confidence_channel)
    usual = before[seen_before & pasted[:, None]].median()
    end = params.start + params.length
    jumps = []
    for first, seam in ((params.start - 1, params.start > 0), (end - reach, end < x.shape[2])):
        clips = (seam & (first >= 0) & (first < after.shape[1])).nonzero().squeeze(1)
        run = first[clips]
        jumps.append(after[clips, run][seen_after[clips, run] & pasted[clips]])
    return float(torch.cat(jumps).median() / usual)


def _runs(x: Tensor, reach: int, confidence_channel: int | None) -> tuple[Tensor, Tensor]:
    """Largest step of each run, and whether the joint is there throughout: `(N, R, V, M)`."""
    seen = there(x, confidence_channel)[:, 0]
    coordinates = x * is_coordinate(x, confidence_channel)
    steps = torch.linalg.vector_norm(coordinates.diff(dim=2), dim=1)
    throughout = (seen[:, 1:] & seen[:, :-1]).unfold(1, reach, 1).all(-1)
    return steps.unfold(1, reach, 1).amax(-1), throughout
