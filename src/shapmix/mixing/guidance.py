"""From the scores of coalitions to the distribution they are drawn from.

There are sources of guidance for controlled experiments, which keep everything but the knowledge of
which parts matter.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shapmix.mixing.draws import random_cycle
from shapmix.mixing.label_weight import part_shares, salient_share
from shapmix.mixing.options import GuideOptions


def rearrangement(kind: str, coalitions: Tensor, num_classes: int, seed: int) -> Tensor | None:
    """Where each class and coalition gets its score from, for guidance that rearranges.

    `"shuffled"`: each class permutes its scores among the coalitions of equal size; its
    distribution keeps its entropy and names the wrong parts. `"other-class"`: each class has the
    scores of another, along one random cycle of the classes.

    Args:
        kind: a `Guidance`. coalitions: `(Q, P)` bool. num_classes: K. seed: of the permutations.

    Returns:
        `(K, Q)` int64 positions in the flattened table `(K, Q)`; None for the other kinds.
    """
    generator = torch.Generator().manual_seed(seed)
    table = torch.arange(num_classes * len(coalitions)).view(num_classes, -1)
    if kind == "other-class":
        return table[random_cycle(generator, num_classes)]
    if kind != "shuffled":
        return None
    sizes = coalitions.sum(1).cpu()
    noise = torch.rand(table.shape, generator=generator, dtype=torch.float64)
    order = torch.argsort(sizes + noise, dim=1)  # sizes stay in their order, members do not
    place = torch.argsort(sizes, stable=True).expand_as(order)
    return table.scatter(1, place, table.gather(1, order))


def redirect(scores: Tensor, kind: str, index: Tensor | None) -> Tensor:
    """Scores `(K, Q)` as a kind of guidance has them.

    `"saliency"` leaves them; `"uniform"` knows nothing, so that only the tail-aware policy is left;
    `"anti"` negates them, so that the least salient parts are drawn; `"shuffled"` and
    `"other-class"` take them from `index`, the `rearrangement`.
    """
    if index is not None:
        return scores.flatten()[index]
    if kind == "uniform":
        return torch.zeros_like(scores)
    return -scores if kind == "anti" else scores


def check_fixed_scores(
    fixed: Tensor | Sequence[float], num_classes: int, num_coalitions: int
) -> Tensor:
    """Scores given by the user as a table `(K, Q)` float32.

    Args:
        fixed: `(K, Q)`, or the K Q numbers row after row, as in a configuration file.
        num_classes: K. num_coalitions: Q.

    Raises:
        ValueError: another number of scores, or scores that are not finite.
    """
    numbers = isinstance(fixed, (list, tuple)) and all(isinstance(s, (int, float)) for s in fixed)
    table = fixed if isinstance(fixed, Tensor) else torch.tensor(fixed if numbers else [])
    wanted = (num_classes, num_coalitions)
    if tuple(table.shape) not in (wanted, (math.prod(wanted),)) or not torch.isfinite(table).all():
        raise ValueError(
            f"fixed_scores has the shape {tuple(table.shape)}; expected finite numbers {wanted}, a "
            "row for each class and a column for each coalition, or all of them in one list"
        )
    return table.detach().float().reshape(wanted).clone()


def additive_scores(coalitions: Tensor, weights: Tensor) -> Tensor:
    """What coalitions carry where every part carries its own weight: `(K, Q)`.

    The generalised Shapley values of the game `v(S) = sum of weights in S`; with `saliency.score`
    they become the scores of an oracle for `fixed_scores`.

    Args:
        coalitions: `(Q, P)` bool. weights: `(K, P)`, such as 1 for parts that truly move.
    """
    return weights.float() @ coalitions.T.to(weights.device).float()


class Guide(nn.Module):
    """The sampling distribution of a guided mixer, with the options that change it.

    Its buffers follow from its arguments and are no part of the state.

    Args:
        options: what guides. coalitions: `(Q, P)` bool. num_classes: K.
        fixed_scores: scores in place of the saliency (see `check_fixed_scores`).
    """

    rearranged: Tensor | None
    fixed: Tensor | None
    others: Tensor  # (K,), another class for each

    def __init__(
        self,
        options: GuideOptions,
        coalitions: Tensor,
        num_classes: int,
        fixed_scores: Tensor | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        index = rearrangement(options.guidance, coalitions, num_classes, options.guidance_seed)
        if fixed_scores is not None:
            fixed_scores = check_fixed_scores(fixed_scores, num_classes, len(coalitions))
        self.register_buffer("rearranged", index, persistent=False)
        generator = torch.Generator().manual_seed(options.guidance_seed)
        self.register_buffer("others", random_cycle(generator, num_classes), persistent=False)
        self.register_buffer("fixed", fixed_scores, persistent=False)

    def distribution(self, saliency: Tensor, tau: float) -> Tensor:
        """Probability that each class draws each coalition: `(K, Q)`, from scores `(K, Q)`."""
        scores = saliency if self.fixed is None else self.fixed
        scores = redirect(scores, self.options.guidance, self.rearranged)
        return (scores / tau).softmax(1)

    def label_share(self, phi: Tensor, guide: Tensor, pasted: Tensor) -> Tensor:
        """What the pasted parts count in the label of a mix: `(N,)`, see `salient_share`.

        Args:
            phi: `(K, P)`, Shapley values of single parts. guide: `(N,)` int64, the class that
                decides in each pair. pasted: `(N, P)` bool.
        """
        shares = part_shares(phi)
        if self.options.label_weight == "other-class":
            shares = shares[self.others]
        return salient_share(shares, guide, pasted)
