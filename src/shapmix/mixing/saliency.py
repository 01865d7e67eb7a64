"""Online estimates of how much each coalition of parts carries each class.

Two estimators of the generalised Shapley values, with the same face: `scores()` gives the table
`(K, Q)` whose softmax over tau is the sampling distribution. Their state is buffers.
"""

import torch
from torch import Generator, Tensor, nn

from shapmix.mixing import distributed
from shapmix.mixing.coalitions import (
    all_coalitions,
    generalized_shapley_matrix,
    shapley_interaction_matrix,
)
from shapmix.mixing.draws import on_device

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
            y: `(N,)` classes. column: the coalition. momentum: m in `[0, 1)`.
            scores: `(N,)`; one that is not finite counts as 0.
        """
        scores = scores.nan_to_num(0, 0, 0)
        same = y[:, None] == y
        later = same.triu(1).sum(1)
        gain = (1 - momentum) * momentum**later * scores.to(self.table)
        scale, shift = torch.ones_like(self.table), torch.zeros_like(self.table)
        scale[:, column] = momentum ** torch.bincount(y, minlength=len(self.table))
        shift[:, column].index_add_(0, y, gain)
        for rank_scale, rank_shift in distributed.stack_over_ranks(torch.stack([scale, shift])):
            self.table.mul_(rank_scale).add_(rank_shift)


class ExactSaliency(nn.Module):
    """A value table: per class the mean value of every coalition, and what follows from it.

    All generalised Shapley values and interactions are constant linear maps of the 2^P mean values,
    so there is no error from sampling coalitions and the efficiency axiom holds. What is left to
    chance is which clips were evaluated; `standard_errors` tells how much that is. A class that was
    never refreshed has zero values and so a uniform sampling distribution.

    Buffers: `values (K, 2^P)` in bit-mask order; `refreshes (K,)`, how often each class was
    refreshed; of these refreshes as they are weighted, `weight (K,)` the sum of weights in units of
    the newest, `effective (K,)` how many count alike (Kish 1965), and `squares (K, Q)` the sum of
    squared deviations of their Shapley values.
    """

    values: Tensor
    refreshes: Tensor
    weight: Tensor
    effective: Tensor
    squares: Tensor
    matrix: Tensor
    single: Tensor
    joints: Tensor
    slopes: Tensor

    def __init__(self, num_classes: int, coalitions: Tensor, joints_per_coalition: Tensor) -> None:
        super().__init__()
        self.num_parts = coalitions.shape[1]
        matrix = generalized_shapley_matrix(coalitions).float()
        single = generalized_shapley_matrix(torch.eye(self.num_parts, dtype=torch.bool)).float()
        sizes = all_coalitions(self.num_parts).sum(1)
        self.register_buffer("values", torch.zeros(num_classes, len(sizes)))
        self.register_buffer("refreshes", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("weight", torch.zeros(num_classes))
        self.register_buffer("effective", torch.zeros(num_classes))
        self.register_buffer("squares", torch.zeros(num_classes, len(coalitions)))
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("single", single, persistent=False)
        self.register_buffer("joints", joints_per_coalition, persistent=False)
        self.register_buffer("slopes", sizes / self.num_parts, persistent=False)

    def shapley_values(self, coalitions: Tensor | None = None) -> Tensor:
        """Generalised Shapley values: `(K, Q)`.

        Args:
            coalitions: `(Q, P)` bool, non-empty, of any sizes; those that mix when not given.
        """
        if coalitions is None:
            return self._mapped(self.matrix)
        return self._mapped(generalized_shapley_matrix(coalitions))

    def part_values(self) -> Tensor:
        """Shapley values of single parts: `(K, P)`; a row sums to v(all) - v(none)."""
        return self._mapped(self.single)

    def interactions(self) -> Tensor:
        """Shapley interaction indices of pairs of parts: `(K, P, P)`, symmetric, zero diagonal."""
        parts = self.num_parts
        matrix = shapley_interaction_matrix(parts).flatten(0, 1)
        return self._mapped(matrix).view(-1, parts, parts)

    def standard_errors(self) -> Tensor:
        """Standard errors of `shapley_values()`, from how refreshes differ: `(K, Q)`.

        Each refresh has clips of its own; that the model moves between them is part of the error.
        NaN for a class with fewer than two refreshes, and with momentum 0, which keeps only one.
        """
        error = (self.squares / (self.weight * (self.effective - 1)).clamp(min=0)[:, None]).sqrt()
        return error.masked_fill((self.effective <= 1)[:, None], torch.nan)

    def scores(self) -> Tensor:
        """Scores for sampling: `(K, Q)`."""
        return score(self.shapley_values(), self.joints)

    def update(
        self, y: Tensor, values: Tensor, momentum: float, chosen: Tensor | None = None
    ) -> None:
        """Fold the evaluated clips of a refresh into the table; those of all processes together.

        Not every clip needs every coalition. The mean of a coalition over the clips that have it is
        corrected by how these clips differ from the others in `v(all)`, which all have:

            V(S) = mean v(S; x) + |S| / P * [mean of all v(all; x) - mean of these v(all; x)]

        a regression estimator with slopes fixed beforehand (Cochran 1977, section 7.3), unbiased
        when chance decides which clips have S. What is lost against the best slopes of real models
        is in docs/saliency.md.

        The old table keeps the weight `min(momentum, r / (r + 1))` after r refreshes of a class: a
        plain mean at first, then an exponential moving average. What no clip has stays.

        Args:
            y: `(N,)` classes, N may be 0. values: `(N, 2^P)`. momentum: most weight of the old.
            chosen: `(N, 2^P)` bool, where values were evaluated, v(all) everywhere; all by default.
                A clip with an evaluated value that is not finite is left out.
        """
        here = torch.ones_like(values, dtype=torch.bool) if chosen is None else chosen
        finite = (values.isfinite() | ~here).all(1, keepdim=True)
        here, values = (here & finite).to(values), values.nan_to_num(0, 0, 0)
        columns = torch.stack([here, here * values, here * values[:, -1:]]).to(self.values)
        total = columns.new_zeros(3, *self.values.shape).index_add_(1, y, columns)
        number, of_own, of_all = distributed.sum_over_ranks(total)
        own, full = of_own / number.clamp(min=1), of_all / number.clamp(min=1)
        fresh = own + self.slopes * (full[:, -1:] - full)
        fresh = torch.where(number > 0, fresh, self.values)
        self._fold(fresh, number[:, -1] > 0, momentum)

    def _fold(self, fresh: Tensor, which: Tensor, momentum: float) -> None:
        """Mix the fresh `(K, 2^P)` values of the classes `which (K,)` into the table."""
        keep = (self.weight / (self.weight + 1)).clamp(max=momentum)
        shift = self._mapped(self.matrix, fresh) - self.shapley_values()
        weight = 1 / (1 - keep)
        # Welford's update with the older weights shrunk (West 1979).
        fade = torch.where(self.weight > 0, (weight - 1) / self.weight.clamp(min=1), 0)
        squares = fade[:, None] * self.squares + keep[:, None] * shift.square()
        effective = 1 / (keep.square() / self.effective.clamp(min=1) + (1 - keep).square())
        values = torch.lerp(fresh, self.values, keep[:, None])
        new = {"values": values, "weight": weight, "effective": effective, "squares": squares}
        for name, value in new.items():
            old = self.get_buffer(name)
            old.copy_(torch.where(which.view(-1, *[1] * (old.dim() - 1)), value, old))
        self.refreshes.add_(which)

    def _mapped(self, matrix: Tensor, values: Tensor | None = None) -> Tensor:
        with torch.autocast(self.values.device.type, enabled=False):  # small differences count
            return (self.values if values is None else values) @ matrix.to(self.values).T


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
        u = on_device(torch.rand(len(y), generator=generator, device=generator.device), x)
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


def plan_refresh(
    available: Tensor, refreshes: Tensor, class_counts: Tensor, budget: int, inner: int
) -> tuple[Tensor, int]:
    """Which classes to evaluate: least refreshed first, then the rarest, each with all its clips.

    A class of n clips costs `n + inner * min(depth, n)` forwards: v(all) of each clip, and each of
    the `inner` other coalitions on `depth` of the clips. To spread a class's evaluations over many
    clips tells more of the class than to evaluate few clips completely, so depth is 1 until all
    classes are paid for, and then the largest that is within the budget.

    Args:
        available: `(K,)` clips at hand. refreshes: `(K,)` refreshes so far. class_counts: `(K,)`.
        budget: forwards in all. inner: coalitions but the empty and the full one.

    Returns:
        `(K,)` int64 clips of each class, all at hand or none; and the depth.
    """
    at_hand = torch.minimum(available, class_counts)
    depths = torch.arange(1, max(int(at_hand.max()), 1) + 1, device=at_hand.device)
    costs = at_hand + inner * torch.minimum(depths[:, None], at_hand)  # (D, K)
    depth = max(int((costs.sum(1) <= budget).sum()), 1)
    by_rarity = torch.argsort(class_counts, stable=True)
    order = by_rarity[torch.argsort(refreshes[by_rarity], stable=True)]
    paid = costs[depth - 1, order].cumsum(0) <= budget
    quota = torch.zeros_like(at_hand)
    quota[order] = at_hand[order] * paid
    return quota, depth


def deal(place: Tensor, clips: Tensor, depth: int, seats: Tensor) -> Tensor:
    """Deal coalitions to the clips of each class, in turn: `(N, 2^P)` bool.

    The empty and the full coalition go to every clip, each other one to `depth` clips of its class,
    or to all if there are fewer.

    Args:
        place: `(N,)` place of a clip among the clips of its class, from 0. clips: `(N,)` how many
            there are. seats: `(2^P - 2,)` an order of the coalitions between empty and full.
    """
    chosen = (place[:, None] - seats) % clips[:, None] < depth
    ends = chosen.new_ones(len(chosen), 1)
    return torch.cat([ends, chosen, ends], 1)


def share_quota(available: Tensor, quota: Tensor) -> Tensor:
    """Split the quotas of a refresh over processes, evenly as far as each has clips.

    Clips are taken in turn, one of each process that has one left; the process that comes first
    differs from class to class.

    Args:
        available: `(W, K)` clips that each of W processes has. quota: `(K,)`, of all together, at
            most `available.sum(0)`.

    Returns:
        `(W, K)` int64, at most `available`, summing to `quota`.
    """
    world, num_classes = available.shape
    if world == 1:
        return quota[None]
    turns = torch.arange(int(available.max()), device=available.device)
    ranks = torch.arange(world, device=available.device)
    classes = torch.arange(num_classes, device=available.device)
    seat = (ranks[:, None] - classes) % world  # (W, K), place of a process in each round
    there = turns[:, None, None] < available  # (J, W, K): has a j-th clip
    before = there.sum(1).cumsum(0) - there.sum(1)  # clips of earlier rounds
    earlier = (seat[:, None] > seat[None]) & there[:, None]  # (J, W, W, K)
    place = before[:, None] + earlier.sum(2)
    return (there & (place < quota)).sum(0)
