"""CutMix on skeletons: a box of neighbouring joints x frames comes from another clip."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.layouts import Layout, get_layout
from shapmix.mixing import functional
from shapmix.mixing.baselines import draw_beta
from shapmix.mixing.batch import Boundary, MixedBatch, Mixer
from shapmix.mixing.draws import draw_shift, given_or_own, uniform
from shapmix.mixing.functional import Paste
from shapmix.mixing.stmix import unmixed


@dataclass(frozen=True)
class Box:
    """A box of joints x frames, one for a whole batch; it may be empty.

    Attributes:
        start: first frame.
        length: frames.
        joints: `(V,)` bool.
    """

    start: int
    length: int
    joints: Tensor


def body_walk(layout: Layout) -> Tensor:
    """The joints along a depth-first walk of the skeleton's tree: `(V,)` int64.

    Neighbours along the walk are mostly neighbours on the body, which the order of the data does
    not promise; so a run of it is to a skeleton what a side of a box is to a picture.
    """
    children: list[list[int]] = [[] for _ in layout.joints]
    for child, parent in layout.bones:
        children[parent].append(child)
    walk, waiting = [], [layout.center]
    while waiting:
        joint = waiting.pop()
        walk.append(joint)
        waiting += reversed(children[joint])
    return torch.tensor(walk)


def draw_box(generator: Generator, num_frames: int, walk: Tensor, alpha: float) -> Box:
    """A box whose area, before it is cut at the borders, is a share `1 - Beta(alpha, alpha)`.

    Both sides have the same share of their axis, the square root of the area's; the centre is
    uniform, and what lies beyond the borders is cut off (Yun et al. 2019).

    Args:
        generator: source of randomness.
        num_frames: T.
        walk: `(V,)` int64, the order along which joints are neighbours.
        alpha: shape of the Beta distribution.
    """
    side = (1 - draw_beta(generator, alpha)) ** 0.5
    start, end = _draw_edges(generator, num_frames, side)
    first, last = _draw_edges(generator, len(walk), side)
    joints = torch.zeros_like(walk, dtype=torch.bool)
    joints[walk[first:last]] = True
    return Box(start, end - start, joints)


def _draw_edges(generator: Generator, size: int, side: float) -> tuple[int, int]:
    centre = uniform(generator) * size
    half = side * size / 2
    return max(round(centre - half), 0), min(round(centre + half), size)


def paste_box(
    x: Tensor, other: Tensor, box: Box, *, presence: bool = True
) -> tuple[Tensor, Tensor, Paste]:
    """Take a box of each clip from another clip, at the same place; all else stays bit for bit.

    Args:
        x: `(N, C, T, V, M)` receivers.
        other: `(N, C, T, V, M)`, the clip that gives to each.
        box: what is taken.
        presence: paste only bodies that both clips have.

    Returns:
        The mixed clips `(N, C, T, V, M)`; lam `(N,)`, the kept share of the receiver's joints
        (with `presence`, of its present bodies); and what was pasted.
    """
    here = bodies = torch.ones(len(x), x.shape[-1], dtype=torch.bool, device=x.device)
    if presence:
        here = functional.presence(x)
        bodies = here & functional.presence(other)
    share = bodies.sum(1) / here.sum(1).clamp(min=1)
    window = slice(box.start, box.start + box.length)
    taken = box.joints[:, None] & bodies[:, None, None, None, :]
    mixed = x.clone()
    mixed[:, :, window] = torch.where(taken, other[:, :, window], x[:, :, window])
    start = torch.full((len(x),), box.start, device=x.device)
    length = torch.full_like(start, box.length)
    params = Paste(start, length, start, length, box.joints.expand(len(x), -1))
    return mixed, 1 - functional.paste_share(params, x.shape[2], share), params


class JointCutMix(nn.Module, Mixer):
    """CutMix of joints x frames: a box of the partner replaces the receiver's.

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class (here only K matters).
        alpha: the kept share is drawn from Beta(alpha, alpha); 1 is uniform, as published.
        presence: paste only bodies that both clips have.
        dims: order of the axes of `x`.
        generator: source of randomness; its own, seeded as torch is, when not given.

    Source: Yun et al., CutMix, ICCV 2019. Deviations: docs/methods/mixers.md.
    """

    walk: Tensor

    def __init__(
        self,
        layout: Layout | str,
        class_counts: ClassCounts,
        *,
        alpha: float = 1.0,
        presence: bool = True,
        dims: str = "NCTVM",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha is {alpha}; expected a positive number")
        layout = get_layout(layout)
        self.num_classes = len(check_counts(class_counts))
        self.boundary = Boundary(layout, self.num_classes, dims)
        self.alpha = alpha
        self.presence = presence
        self.generator = given_or_own(generator)
        self.register_buffer("walk", body_walk(layout), persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        clips = self.boundary.enter(x, y)
        return self.boundary.leave(self.mix(clips, y, *self.draw(clips)))

    def draw(self, x: Tensor) -> tuple[int, Box]:
        """The cyclic shift that pairs a batch `(N, C, T, V, M)`, and its box."""
        shift = draw_shift(self.generator, len(x))
        return shift, draw_box(self.generator, x.shape[2], self.walk, self.alpha)

    def mix(self, x: Tensor, y: Tensor, shift: int, box: Box) -> MixedBatch:
        """Apply random parameters to a batch `(N, C, T, V, M)`; a shift of 0 mixes nothing."""
        if shift == 0:
            return unmixed(x, y, self.num_classes)
        partner = (torch.arange(len(x), device=x.device) + shift) % len(x)
        mixed, lam, params = paste_box(x, x[partner], box, presence=self.presence)
        target = functional.soft_targets(y, partner, lam, self.num_classes)
        return MixedBatch(mixed, target, partner, lam, params)
