"""How well saliency is known while the model that it is about still learns.

Each snapshot of a training run stands for the epochs up to the next one. After every epoch an
estimator spends what its budget allows; after the last epoch of each snapshot its table is compared
with the exact values under that snapshot.
"""

import numpy as np
import torch
from saliency_replay import (
    Game,
    Halves,
    mean_over_halves,
    refresh,
    replay_sampled,
    split_halves,
)
from saliency_tables import SETS, Tables

from shapmix.mixing.saliency import ExactSaliency, plan_refresh
from shapmix.mixing.shapmix import STEP_FORWARDS

REPETITIONS = 20
SHARES = (0.05, 0.2)  # of the training compute
MOMENTA = (0.0, 0.3, 0.5, 0.7, 0.9)


def tracking_table(name: str, tables: Tables) -> str:
    """Errors over the snapshots but the first, as Markdown."""
    game, every = Game.of(tables), SETS[name].every
    rng = np.random.default_rng(0)
    halves = split_halves(
        tables.history.astype(float), tables.history_labels, REPETITIONS, 400, rng
    )
    truth, own = game.phi(halves.other), game.phi(halves.own)
    by_rarity = np.argsort(tables.class_counts, kind="stable")
    tail = by_rarity[: len(by_rarity) // 3]
    moved = np.sqrt(np.mean(np.diff(own, axis=0) ** 2))
    floor = np.sqrt(np.mean((truth - own)[1:] ** 2))
    text = (
        f"\n**{name}**, {len(truth)} snapshots, {every} epochs apart, between which φ moves by "
        f"{moved:.3f} (rms); floor {floor:.3f}\n\n| estimator | budget | momentum "
        "| rmse, unseen: all | tail | own: all | tail | TV: all | tail |\n|---|"
        + "---:|" * 8
        + "\n"
    )

    def row(words: str, phi: np.ndarray, aim: np.ndarray, aim_own: np.ndarray) -> str:
        tv = np.abs(game.distribution(phi) - game.distribution(aim)).sum(-1)[1:] / 2
        cells = []
        for to in (aim, aim_own):
            square = (phi - to)[1:] ** 2
            cells += [square.mean() ** 0.5, square[:, :, tail].mean() ** 0.5]
        cells += [tv.mean(), tv[:, :, tail].mean()]
        return f"| {words} | {' | '.join(f'{cell:.3f}' for cell in cells)} |\n"

    for relu, momentum in ((True, 0.9), (False, 0.9), (False, 0.5)):
        phi = _sampled(name, game, halves, tables, relu, momentum, rng)
        aims = (truth, own)
        if relu:
            of_clips = [game.clipped(values) for values in halves.values]
            both = [mean_over_halves(one, halves, tables.history_labels) for one in of_clips]
            aims = np.stack([other for _, other in both]), np.stack([own for own, _ in both])
        words = "sampled, as published" if relu else "sampled, no relu"
        text += row(f"{words} | 33 % | {momentum}", phi, *aims)
    for share in SHARES:
        for spread in (False, True):
            for momentum in MOMENTA if spread else (0.5,):
                phi = _exact(game, halves, tables, every, share, momentum, spread, rng)
                words = "spread over 8 clips" if spread else "complete, 4 clips"
                text += row(f"exact, {words} | {share:.0%} | {momentum}", phi, truth, own)
    return text


def _sampled(
    name: str,
    game: Game,
    halves: Halves,
    tables: Tables,
    relu: bool,
    momentum: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Estimates of the sampled estimator after each snapshot: `(E, R, K, Q)`."""
    steps = int(tables.class_counts.sum()) // SETS[name].batch_size * SETS[name].every
    looks = [steps * (e + 1) for e in range(len(halves.values))]
    return replay_sampled(
        game,
        halves,
        tables.class_counts,
        SETS[name].batch_size,
        looks,
        rng,
        relu=relu,
        momentum=momentum,
        steps_a_model=steps,
    ).phi


def _exact(
    game: Game,
    halves: Halves,
    tables: Tables,
    epochs: int,
    share: float,
    momentum: float,
    spread: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Estimates of the exact estimator after each snapshot: `(E, R, K, Q)`.

    Spread as shipped; or complete clips, at most four of a class, which is what it replaced.
    """
    repetitions, num_classes, _ = halves.drawn.shape
    coalitions = torch.from_numpy(game.coalitions)
    table = ExactSaliency(repetitions * num_classes, coalitions, torch.ones(len(coalitions)))
    counts, credit, found = torch.from_numpy(tables.class_counts), 0, []
    at_hand = torch.from_numpy(np.minimum(halves.size, 8 if spread else 4))
    for turn in range(epochs * len(halves.values)):
        credit += int(share * STEP_FORWARDS * int(counts.sum()))
        refreshes = table.refreshes[:num_classes]
        if spread:
            quota, depth = plan_refresh(at_hand, refreshes, counts, credit - 1, 30)
        else:
            quota, depth = _complete_plan(at_hand, refreshes, counts, credit // 32), 8
        for number in quota.unique().tolist():
            if number == 0:
                continue
            which = (quota == number).nonzero().squeeze(1).numpy()
            credit -= refresh(
                table, halves, turn // epochs, turn, number, depth, rng, momentum, which
            )
        credit = min(credit, 39 if spread else 31)
        if (turn + 1) % epochs == 0:
            found.append(table.shapley_values().view(repetitions, num_classes, -1).double().numpy())
    return np.stack(found)


def _complete_plan(
    at_hand: torch.Tensor, refreshes: torch.Tensor, counts: torch.Tensor, budget: int
) -> torch.Tensor:
    """Clips of each class, least refreshed and rarest first, until the budget is spent."""
    at_hand = torch.minimum(at_hand, counts)
    by_rarity = torch.argsort(counts, stable=True)
    order = by_rarity[torch.argsort(refreshes[by_rarity], stable=True)]
    before = at_hand[order].cumsum(0) - at_hand[order]
    quota = torch.zeros_like(at_hand)
    quota[order] = torch.minimum(at_hand[order], (budget - before).clamp(min=0))
    return quota
