"""Which body parts carry each class, or one clip, by exact Shapley values of a trained model.

Everything follows from one table: the value of all 2^P coalitions of parts for every clip. The
Shapley values of coalitions and the interactions of pairs are linear maps of it, hence exact; what
is left to chance is which clips were evaluated, and the standard errors tell how much that is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import torch
from torch import Tensor

from shapmix.layouts import Layout
from shapmix.mixing.background import stretch
from shapmix.mixing.coalitions import (
    all_coalitions,
    generalized_shapley_matrix,
    joint_masks,
    list_coalitions,
    part_masks,
    partition_masks,
    shapley_interaction_matrix,
)
from shapmix.mixing.functional import presence
from shapmix.mixing.values import Model, class_statistics, class_values, clip_values, evaluation

Parts = Mapping[str, Iterable[int | str]]


@dataclass(frozen=True)
class Explanation:
    """The values of every clip and coalition, and what follows from them for every class.

    Attributes:
        layout: the skeleton.
        part_names: P names of the players, the layout's parts or others.
        clip_values: `(n, 2^P)` value of each coalition for each clip, columns in bit-mask order.
        labels: `(n,)` int64, the class that each row is about.
        num_classes: K.
    """

    layout: Layout
    part_names: tuple[str, ...]
    clip_values: Tensor
    labels: Tensor
    num_classes: int

    @cached_property
    def values(self) -> Tensor:
        """Mean value of each coalition: `(K, 2^P)`; zeros for a class without clips."""
        return class_statistics(self.clip_values, self.labels, self.num_classes)[0]

    @property
    def clips(self) -> Tensor:
        """Clips of each class: `(K,)` float32."""
        return torch.bincount(self.labels, minlength=self.num_classes).float()

    def parts(self) -> Tensor:
        """Shapley values of single parts: `(K, P)`; a row sums to v(all) - v(none)."""
        return self.shapley_values(self._single())[0]

    def part_errors(self) -> Tensor:
        """Standard errors of `parts` over clips: `(K, P)`; NaN with fewer than two clips."""
        return self.shapley_values(self._single())[1]

    def clip_parts(self) -> Tensor:
        """Shapley values of single parts for each clip: `(n, P)`."""
        return self._map(generalized_shapley_matrix(self._single()))

    def shapley_values(self, coalitions: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Generalised Shapley values of coalitions, and their standard errors over clips.

        Args:
            coalitions: `(Q, P)` bool; all of them but the empty one when not given.

        Returns:
            Two `(K, Q)`; a standard error is NaN for a class with fewer than two clips.
        """
        rows = all_coalitions(len(self.part_names))[1:] if coalitions is None else coalitions
        return self._statistics(generalized_shapley_matrix(rows))

    def interactions(self) -> Tensor:
        """Shapley interaction indices of pairs of parts: `(K, P, P)`, symmetric, zero diagonal.

        Positive where two parts tell more together than apart, negative where one makes up for the
        other.
        """
        return self._statistics(shapley_interaction_matrix(len(self.part_names)))[0]

    def interaction_errors(self) -> Tensor:
        """Standard errors of `interactions` over clips: `(K, P, P)`; NaN with fewer than two."""
        return self._statistics(shapley_interaction_matrix(len(self.part_names)))[1]

    def coalitions(self, label: int, top: int = 3) -> list[tuple[str, float]]:
        """The coalitions of about half the parts with the largest value: names and values."""
        rows = list_coalitions(len(self.part_names))
        phi = self.values[label].double() @ generalized_shapley_matrix(rows).T
        best = phi.topk(min(top, len(phi)))
        listed = [" + ".join(compress(self.part_names, row)) for row in rows.tolist()]
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [(listed[i], value) for i, value in found]

    def _single(self) -> Tensor:
        return torch.eye(len(self.part_names), dtype=torch.bool)

    def _map(self, matrix: Tensor) -> Tensor:
        """A linear map `(..., 2^P)` of the values of each clip: `(n, ...)`."""
        mapped = self.clip_values.double() @ matrix.flatten(0, -2).T
        return mapped.view(-1, *matrix.shape[:-1]).to(self.clip_values)

    def _statistics(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        return class_statistics(self._map(matrix), self.labels, self.num_classes)


def explain_classes(
    model: Model,
    batches: Iterable[tuple[Tensor, Tensor]],
    layout: Layout,
    background: Tensor,
    num_classes: int,
    *,
    parts: Parts | None = None,
) -> Explanation:
    """Evaluate all 2^P coalitions of parts on every clip, for the clip's own class.

    Args:
        model: from `(N, C, T, V, M)` to logits `(N, K)`.
        batches: clips `(N, C, T, V, M)` and classes `(N,)`.
        layout: the skeleton.
        background: `(C, T, V, M)`, stands in for absent parts; stretched in time where clips have
            another number of frames.
        num_classes: K.
        parts: another partition of the joints than the layout's parts, as name -> joint names or
            indices; up to 12 parts.

    Raises:
        ValueError: the shapes do not belong together, or `parts` is no partition of the joints
            into 2 to 12 parts.
    """
    names, joints = _players(layout, parts)
    found, labels = [torch.empty(0, len(joints))], [torch.empty(0, dtype=torch.int64)]
    with evaluation(model) as run:
        for x, y in batches:
            check_shapes(x.shape[1:], layout, background)
            here = presence(x)
            absent = stretch(background.to(x), x.shape[2])
            values = class_values(run, x, y, joints.to(x.device), absent, here)
            found.append(values.cpu())
            labels.append(y.cpu())
    return Explanation(layout, names, torch.cat(found), torch.cat(labels), num_classes)


def explain(
    model: Model, clip: Tensor, layout: Layout, background: Tensor, *, parts: Parts | None = None
) -> Explanation:
    """Which parts of one clip tell for or against every class, by exact Shapley values.

    All 2^P coalitions of parts are evaluated, the parts outside each replaced by the background.
    Row k of the explanation is about class k; there are no standard errors, for it is one clip.

    Args:
        model: from `(N, C, T, V, M)` to logits `(N, K)`.
        clip: `(C, T, V, M)`, in the model's input space.
        layout: the skeleton.
        background: `(C, T, V, M)`, what is there where nothing is, such as `mean_clip` of the
            training clips; stretched in time where the clip has another number of frames.
        parts: another partition of the joints than the layout's parts, as name -> joint names or
            indices; up to 12 parts.

    Raises:
        ValueError: the shapes do not belong together, or `parts` is no partition of the joints
            into 2 to 12 parts.
    """
    check_shapes(clip.shape, layout, background)
    names, joints = _players(layout, parts)
    with evaluation(model) as run:
        absent = stretch(background.to(clip), clip.shape[1])
        values = clip_values(run, clip, joints.to(clip.device), absent).cpu()
    return Explanation(layout, names, values, torch.arange(len(values)), len(values))


def check_shapes(clip: torch.Size, layout: Layout, background: Tensor) -> None:
    """ValueError unless clip and background are `(C, T, V, M)` alike but for T, of the layout."""
    found, other = tuple(clip), tuple(background.shape)
    alike = found[:1] + found[2:] == other[:1] + other[2:]
    if len(found) != 4 or not alike or found[2] != layout.num_joints:
        raise ValueError(
            f"the clip has shape {found} and the background {other}; expected (C, T, "
            f"{layout.num_joints}, M) of both, with the joints of layout {layout.name!r}, alike "
            "but for T: transform both as the model's input is"
        )


def _players(layout: Layout, parts: Parts | None) -> tuple[tuple[str, ...], Tensor]:
    """Names of the parts, and the joints `(2^P, V)` of all coalitions of them."""
    names = layout.part_names if parts is None else tuple(parts)
    masks = part_masks(layout) if parts is None else partition_masks(layout, parts)
    return names, joint_masks(all_coalitions(len(names)), masks)
