"""Shapley values of more players than can be enumerated, from random orders of the players.

A player's Shapley value is what it adds to those before it, averaged over all orders (Castro, Gómez
and Tejada 2009). Orders come in antithetic pairs, an order and its reverse (Lomeli, Rowland,
Gretton and Ghahramani 2019): whoever comes early in one comes late in the other. Pairs are
independent, so their spread tells the standard error.
"""

import torch
from torch import Generator, Tensor


def draw_orders(generator: Generator, num_players: int, pairs: int) -> Tensor:
    """Antithetic pairs of uniformly random orders: `(R, 2, P)` int64, R pairs.

    Raises:
        ValueError: fewer than 2 pairs (there would be no standard error) or 2 players.
    """
    if pairs < 2 or num_players < 2:
        raise ValueError(
            f"{pairs} pairs of orders of {num_players} players; expected 2 or more of both"
        )
    u = torch.rand(pairs, num_players, generator=generator, device=generator.device)
    order = u.argsort(1)
    return torch.stack([order, order.flip(1)], 1)


def prefixes(orders: Tensor) -> Tensor:
    """The coalitions of the first 1..P-1 players of orders `(..., P)`: `(..., P-1, P)` bool."""
    position = orders.argsort(-1)
    return position[..., None, :] <= torch.arange(orders.shape[-1] - 1)[:, None].to(orders.device)


def marginals(orders: Tensor, inner: Tensor, empty: Tensor, full: Tensor) -> Tensor:
    """What each player adds to those before it: `(..., P)`, columns by player.

    Args:
        orders: `(..., P)` int64. inner: `(..., P-1)`, values of `prefixes(orders)`.
        empty, full: values of no player and of all, that broadcast to `(...)`.
    """
    ends = [end.expand(inner.shape[:-1])[..., None] for end in (empty, full)]
    gains = torch.cat([ends[0], inner, ends[1]], -1).diff(dim=-1)
    return gains.gather(-1, orders.argsort(-1).expand_as(gains))


def pair_statistics(gains: Tensor) -> tuple[Tensor, Tensor]:
    """Means over antithetic pairs and their standard errors, from `(..., R, 2, P)`: `(..., P)`."""
    of_pairs = gains.double().mean(-2)
    error = of_pairs.std(-2) / of_pairs.shape[-2] ** 0.5
    return of_pairs.mean(-2).to(gains), error.to(gains)
