"""Which joints, or other players too many to enumerate, carry a clip or a class: with their errors.

With more than 12 players the 2^P coalitions of `explain.py` are out of reach. Here the Shapley
value of each player is the mean over random orders of the players, unbiased, and with a standard
error; the players of each clip still sum to v(all) - v(none) exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from shapmix.inference.explain import Parts, check_shapes
from shapmix.layouts import Layout
from shapmix.mixing.background import stretch
from shapmix.mixing.coalitions import joint_masks, partition_masks
from shapmix.mixing.draws import given_or_own
from shapmix.mixing.permutations import draw_orders, marginals, pair_statistics, prefixes
from shapmix.mixing.values import Model, class_statistics, clip_values, evaluation


@dataclass(frozen=True)
class SampledExplanation:
    """Estimated Shapley values of single players, for clips and for classes.

    Attributes:
        layout: the skeleton.
        part_names: P names of the players.
        clip_parts: `(n, P)` estimate for each clip; a row sums to v(all) - v(none).
        clip_errors: `(n, P)` its standard error over the orders drawn.
        labels: `(n,)` int64, the class that each row is about.
        num_classes: K.
    """

    layout: Layout
    part_names: tuple[str, ...]
    clip_parts: Tensor
    clip_errors: Tensor
    labels: Tensor
    num_classes: int

    def parts(self) -> Tensor:
        """Mean over the clips of each class: `(K, P)`; zeros for a class without clips."""
        return class_statistics(self.clip_parts, self.labels, self.num_classes)[0]

    def part_errors(self) -> Tensor:
        """Standard errors of `parts`: `(K, P)`; NaN for a class without clips.

        Of two clips or more: over clips, each of which has orders of its own, so that both sources
        of error are in it. Of one clip: over its orders, for this clip alone.
        """
        error = class_statistics(self.clip_parts, self.labels, self.num_classes)[1]
        number = torch.bincount(self.labels, minlength=self.num_classes)
        own = class_statistics(self.clip_errors, self.labels, self.num_classes)[0]
        return torch.where((number == 1)[:, None], own, error)


def sample_clip(
    model: Model,
    clip: Tensor,
    layout: Layout,
    background: Tensor,
    *,
    parts: Parts | None = None,
    pairs: int = 32,
    generator: Generator | None = None,
) -> SampledExplanation:
    """Estimate what each player tells for or against every class, in one clip.

    Costs `2 * pairs * (P - 1) + 2` evaluations, each of which serves all classes.

    Args:
        model: from `(N, C, T, V, M)` to logits `(N, K)`.
        clip: `(C, T, V, M)`.
        layout: the skeleton.
        background: `(C, T, V, M)`, stands in for absent players; stretched in time where the clip
            has another number of frames.
        parts: the players as name -> joints, a partition of the joints; every joint is a player
            when not given.
        pairs: antithetic pairs of orders of the players; errors fall with its square root.
        generator: source of randomness; its own, seeded as torch is, when not given.

    Raises:
        ValueError: the shapes do not belong together, `parts` is no partition of the joints, or
            `pairs` is less than 2.
    """
    names, masks = _players(layout, parts)
    with evaluation(model) as run:
        check_shapes(clip.shape, layout, background)
        phi, error = _sample(run, clip, background, masks, pairs, given_or_own(generator))
    labels = torch.arange(len(phi))
    return SampledExplanation(layout, names, phi, error, labels, len(phi))


def sample_classes(
    model: Model,
    batches: Iterable[tuple[Tensor, Tensor]],
    layout: Layout,
    background: Tensor,
    num_classes: int,
    *,
    parts: Parts | None = None,
    pairs: int = 2,
    generator: Generator | None = None,
) -> SampledExplanation:
    """Estimate what each player tells for the clip's own class, for every clip of some batches.

    Few pairs a clip suffice where there are many clips: the errors of clips average out.

    Args:
        model, layout, background, parts, pairs, generator: as in `sample_clip`.
        batches: clips `(N, C, T, V, M)` and classes `(N,)`.
        num_classes: K.

    Raises:
        ValueError: as in `sample_clip`.
    """
    names, masks = _players(layout, parts)
    generator = given_or_own(generator)
    found, errors = [torch.empty(0, len(names))], [torch.empty(0, len(names))]
    labels = [torch.empty(0, dtype=torch.int64)]
    with evaluation(model) as run:
        for x, y in batches:
            check_shapes(x.shape[1:], layout, background)
            for clip, label in zip(x, y.tolist(), strict=True):
                phi, error = _sample(run, clip, background, masks, pairs, generator)
                found.append(phi[label, None])
                errors.append(error[label, None])
            labels.append(y.cpu())
    stacked = torch.cat(found), torch.cat(errors), torch.cat(labels)
    return SampledExplanation(layout, names, *stacked, num_classes)


def _players(layout: Layout, parts: Parts | None) -> tuple[tuple[str, ...], Tensor]:
    """Names of the players and the joints of each, `(P, V)` bool."""
    if parts is None:
        return tuple(layout.joints), torch.eye(layout.num_joints, dtype=torch.bool)
    return tuple(parts), partition_masks(layout, parts, most=layout.num_joints)


def _sample(
    model: Model, x: Tensor, background: Tensor, masks: Tensor, pairs: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Estimates and standard errors of one clip, for every class: two `(K, P)`."""
    orders = draw_orders(generator, len(masks), pairs).cpu()
    coalitions = torch.cat([torch.zeros(1, len(masks)), prefixes(orders).flatten(0, 2)])
    joints = torch.cat([joint_masks(coalitions, masks), masks.any(0, keepdim=True)])
    absent = stretch(background.to(x), x.shape[1])
    values = clip_values(model, x, joints.to(x.device), absent).cpu()
    inner = values[:, 1:-1].unflatten(1, (*orders.shape[:2], -1))
    ends = values[:, 0, None, None], values[:, -1, None, None]
    return pair_statistics(marginals(orders, inner, *ends))
