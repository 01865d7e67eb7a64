"""Online estimates of how much each coalition of parts carries each class.

Two estimators of the generalised Shapley values, with the same face: `scores()` gives the table
`(K, Q)` whose softmax over tau is the sampling distribution. Their state is buffers.
"""

import torch
from torch import Generator, Tensor, nn

from shapmix.mixing import distributed
from shapmix.mixing.coalitions import generalized_shapley_matrix

SCORE_SCALE = 10.0  # the paper's scale of saliency, for which its tau is meant


def score(phi: Tensor, joints_per_coalition: Tensor) -> Tensor:
    """Saliency for sampling: `10 * max(phi, 0) / joints`, `(..., Q)`."""
    return SCORE_SCALE * phi.clamp(min=0) / joints_per_coalition


class SampledSaliency(nn.Module):
    """As published: an exponential moving average of sampled marginal contributions.

    Buffers: `table (K, Q)`, scores of each class and coalition, initially 1e-6.
    """

    table: Tensor

    def __init__(self, num_classes: int, num_coalitions: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.full((num_classes, num_coalitions), 1e-6))

    def scores(self) -> Tensor:
        """Scores for sampling: `(K, Q)`."""
        return self.table

    def update(self, y: Tensor, column: int, scores: Tensor, momentum: float) -> None:
        """Fold the scores of a batch into one column, clip after clip.

        Applying `t <- m t + (1 - m) w` for the c clips of a class in turn is the affine map
        `t <- m^c t + (1 - m) sum_i m^(clips after i) w_i`: no loop over clips is needed, and the
        maps of several processes compose in rank order.

        Args:
            y: `(N,)` classes. column: the coalition. scores: `(N,)`. momentum: m in `[0, 1)`.
        """
        same = y[:, None] == y
        later = same.triu(1).sum(1)
        gain = (1 - momentum) * momentum**later * scores.to(self.table)
        scale, shift = torch.ones_like(self.table), torch.zeros_like(self.table)
        scale[:, column] = momentum ** torch.bincount(y, minlength=len(self.table))
        shift[:, column].index_add_(0, y, gain)
        for rank_scale, rank_shift in distributed.stack_over_ranks(torch.stack([scale, shift])):
            self.table.mul_(rank_scale).add_(rank_shift)


class ExactSaliency(nn.Module):
    """A value table: per class the mean value of every coalition, and Shapley values from it.

    All generalised Shapley values are one constant linear map of the 2^P mean values, so there is
    no error from sampling coalitions and the efficiency axiom holds. A class that was never
    refreshed has zero values and so a uniform sampling distribution.

    Buffers: `values (K, 2^P)` in bit-mask order; `refreshes (K,)`, how often each class was
    refreshed.
    """

    values: Tensor
    refreshes: Tensor
    matrix: Tensor
    joints: Tensor

    def __init__(self, num_classes: int, coalitions: Tensor, joints_per_coalition: Tensor) -> None:
        super().__init__()
        size = 2 ** coalitions.shape[1]
        matrix = generalized_shapley_matrix(coalitions).float()
        self.register_buffer("values", torch.zeros(num_classes, size))
        self.register_buffer("refreshes", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("joints", joints_per_coalition, persistent=False)

    def shapley_values(self) -> Tensor:
        """Generalised Shapley values of the listed coalitions: `(K, Q)`."""
        with torch.autocast(self.values.device.type, enabled=False):  # small differences count
            return self.values @ self.matrix.T

    def scores(self) -> Tensor:
        """Scores for sampling: `(K, Q)`."""
        return score(self.shapley_values(), self.joints)

    def update(self, y: Tensor, values: Tensor, momentum: float) -> None:
        """Fold evaluated clips into the table: one EMA step for each class among them.

        The first refresh of a class sets its values. Clips of all processes count together.

        Args:
            y: `(N,)` classes, N may be 0. values: `(N, 2^P)`. momentum: weight of the old values.
        """
        total = torch.zeros(len(self.values), self.values.shape[1] + 1).to(self.values)
        ones = values.new_ones(len(values), 1)
        total.index_add_(0, y, torch.cat([values, ones], 1).to(total))
        total = distributed.sum_over_ranks(total)
        number = total[:, -1:]
        mean = total[:, :-1] / number.clamp(min=1)
        keep = momentum * (self.refreshes > 0)[:, None].to(mean)
        self.values.copy_(
            torch.where(number > 0, keep * self.values + (1 - keep) * mean, self.values)
        )
        self.refreshes.add_(number.squeeze(1) > 0)


class Reservoir(nn.Module):
    """A few clips of every class, drawn without bias from the batches of one epoch.

    Algorithm R of reservoir sampling (Vitter 1985), per class and for a whole batch at once. It is
    emptied at each refresh, hence no part of the state; and no buffer, because
    DistributedDataParallel would overwrite it with that of the first process.
    """

    def __init__(self, num_classes: int, per_class: int) -> None:
        super().__init__()
        self.per_class = per_class
        self.clips: Tensor | None = None
        self.seen = torch.zeros(num_classes, dtype=torch.int64)

    def add(self, x: Tensor, y: Tensor, generator: Generator) -> None:
        """Offer a batch `x (N, C, T, V, M)` of classes `y (N,)`."""
        rows = len(self.seen) * self.per_class
        held = self.clips
        if held is None or held.shape[1:] != x.shape[1:] or held.device != x.device:
            self.clips = held = x.new_zeros(rows + 1, *x.shape[1:])  # the last takes the rejected
            self.seen = torch.zeros_like(self.seen, device=x.device)
        same = y[:, None] == y
        position = self.seen[y] + same.tril(-1).sum(1)
        u = torch.rand(len(y), generator=generator, device=generator.device).to(x.device)
        drawn = (u * (position + 1)).long()
        slot = torch.where(position < self.per_class, position, drawn)
        row = y * self.per_class + slot
        # Of clips that take the same row the last one stays, as if they had come one by one.
        beaten = ((row[:, None] == row) & (slot < self.per_class)).triu(1).any(1)
        row = torch.where((slot < self.per_class) & ~beaten, row, rows)
        held.index_copy_(0, row, x.detach().to(held))
        self.seen.index_add_(0, y, torch.ones_like(y))

    def available(self) -> Tensor:
        """Clips held per class: `(K,)`."""
        return self.seen.clamp(max=self.per_class)

    def take(self, quota: Tensor) -> tuple[Tensor, Tensor]:
        """The first `quota (K,)` clips of every class: clips `(B, C, T, V, M)`, classes `(B,)`."""
        slots = torch.arange(self.per_class, device=quota.device)
        classes, slot = (slots < quota[:, None]).nonzero(as_tuple=True)
        if self.clips is None:
            raise RuntimeError("the reservoir is empty: pass a batch through mixer(x, y) first")
        return self.clips[classes * self.per_class + slot], classes

    def clear(self) -> None:
        """Forget the clips of this epoch."""
        self.seen.zero_()


def plan_refresh(available: Tensor, refreshes: Tensor, class_counts: Tensor, budget: int) -> Tensor:
    """How many clips of each class to evaluate: least refreshed classes first, then the rarest.

    Args:
        available: `(K,)` clips at hand. refreshes: `(K,)` refreshes so far. class_counts: `(K,)`.
        budget: clips in all.

    Returns:
        `(K,)` int64 quotas, at most `available`, summing to at most `budget`.
    """
    at_hand = torch.minimum(available, class_counts)
    by_rarity = torch.argsort(class_counts, stable=True)
    order = by_rarity[torch.argsort(refreshes[by_rarity], stable=True)]
    sorted_at_hand = at_hand[order]
    before = sorted_at_hand.cumsum(0) - sorted_at_hand
    quota = torch.zeros_like(at_hand)
    quota[order] = torch.minimum(sorted_at_hand, (budget - before).clamp(min=0))
    return quota
