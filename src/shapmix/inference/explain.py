"""Which body parts carry each class, by exact Shapley values of a trained model."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from shapmix.layouts import Layout
from shapmix.mixing.coalitions import (
    all_coalitions,
    generalized_shapley_matrix,
    joint_masks,
    list_coalitions,
    names,
    part_masks,
)
from shapmix.mixing.functional import presence
from shapmix.mixing.values import Model, class_values, evaluation


@dataclass(frozen=True)
class Explanation:
    """The value table of every class, and what follows from it.

    Attributes:
        layout: the skeleton.
        values: `(K, 2^P)` mean value of each coalition, columns in bit-mask order.
        clips: `(K,)` clips of each class; the values of a class without clips are zero.
    """

    layout: Layout
    values: Tensor
    clips: Tensor

    def parts(self) -> Tensor:
        """Shapley values of single parts: `(K, P)`; a row sums to v(all) - v(none)."""
        single = torch.eye(self.layout.num_parts, dtype=torch.bool)
        return self.values @ generalized_shapley_matrix(single).T.to(self.values)

    def coalitions(self, label: int, top: int = 3) -> list[tuple[str, float]]:
        """The coalitions of about half the parts with the largest value: names and values."""
        rows = list_coalitions(self.layout.num_parts)
        phi = self.values[label] @ generalized_shapley_matrix(rows).T.to(self.values)
        best = phi.topk(min(top, len(phi)))
        listed = names(self.layout, rows)
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [(listed[i], value) for i, value in found]


def explain_classes(
    model: Model,
    batches: Iterable[tuple[Tensor, Tensor]],
    background: Tensor,
    layout: Layout,
    num_classes: int,
) -> Explanation:
    """Evaluate all 2^P coalitions of parts on every clip, and average by class.

    Args:
        model: from `(N, C, T, V, M)` to logits `(N, K)`.
        batches: clips `(N, C, T, V, M)` and classes `(N,)`.
        background: `(C, T, V, M)`, stands in for absent parts.
        layout: the skeleton.
        num_classes: K.
    """
    joints = joint_masks(all_coalitions(layout.num_parts), part_masks(layout))
    total = torch.zeros(num_classes, len(joints))
    clips = torch.zeros(num_classes)
    with evaluation(model) as run:
        for x, y in batches:
            here = presence(x)
            found = class_values(run, x, y, joints.to(x.device), background.to(x), here)
            total.index_add_(0, y.cpu(), found.cpu())
            clips += torch.bincount(y.cpu(), minlength=num_classes)
    return Explanation(layout, total / clips.clamp(min=1)[:, None], clips)
