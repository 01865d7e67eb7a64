"""Estimators of class-mean saliency, replayed on tables of the values of all clips and coalitions.

Every estimator is replayed in R repetitions at once, each with its own random halves of the clips
of every class: estimators draw from one half, the truth is the mean over the other.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import torch
from saliency_tables import Tables

from shapmix.mixing.coalitions import generalized_shapley_matrix
from shapmix.mixing.saliency import SCORE_SCALE, ExactSaliency, deal

TAU = 0.2
RUNNING_MEAN = 1 - 1e-6  # a momentum that never ends the mean


@dataclass(frozen=True)
class Game:
    """The constants of a game of P parts and the Q coalitions that mix.

    Attributes:
        coalitions: `(Q, P)`. matrix: `(Q, 2^P)` from values to generalised Shapley values.
        with_s, without: Q lists of the codes of S + T and T, for all contexts T of S; `sizes` of
            the contexts.
        joints: `(Q,)`.
    """

    coalitions: np.ndarray
    matrix: np.ndarray
    with_s: list[np.ndarray]
    without: list[np.ndarray]
    sizes: list[np.ndarray]
    joints: np.ndarray

    @classmethod
    def of(cls, tables: Tables) -> "Game":
        """The game of some tables."""
        with_s, without, sizes = [], [], []
        for row in tables.coalitions:
            inside = sum(1 << p for p in np.flatnonzero(row))
            outside = np.flatnonzero(~row).tolist()
            contexts = [c for t in range(len(outside) + 1) for c in combinations(outside, t)]
            codes = np.array([sum(1 << p for p in c) for c in contexts])
            without.append(codes)
            with_s.append(codes | inside)
            sizes.append(np.array([len(c) for c in contexts]))
        matrix = generalized_shapley_matrix(torch.from_numpy(tables.coalitions)).numpy()
        return cls(tables.coalitions, matrix, with_s, without, sizes, tables.joints)

    def phi(self, values: np.ndarray) -> np.ndarray:
        """Generalised Shapley values: `(..., 2^P)` to `(..., Q)`."""
        return values @ self.matrix.T

    def clipped(self, values: np.ndarray) -> np.ndarray:
        """What the published estimator aims at: the mean over contexts of `max(marginal, 0)`."""
        found = []
        for with_s, without, sizes in zip(self.with_s, self.without, self.sizes, strict=True):
            rest = sizes.max()
            weight = np.array([1 / (rest + 1) / comb(rest, t) for t in sizes])
            found.append(np.maximum(values[..., with_s] - values[..., without], 0) @ weight)
        return np.stack(found, -1)

    def distribution(self, phi: np.ndarray) -> np.ndarray:
        """Probability of drawing each coalition: `(..., Q)`."""
        scores = SCORE_SCALE * np.maximum(phi, 0) / self.joints / TAU
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True)


@dataclass(frozen=True)
class Halves:
    """For every repetition and class, clips to draw from, in random order, and clips of the truth.

    Attributes:
        values: `(E, n, 2^P)` values under E models (1 if the model stands still).
        drawn: `(R, K, L)` indices of clips to draw one after the other: shuffled anew whenever a
            half is used up.
        size: `(K,)` clips in the half that is drawn from.
        own, other: `(E, R, K, 2^P)` mean values over the two halves.
    """

    values: np.ndarray
    drawn: np.ndarray
    size: np.ndarray
    own: np.ndarray
    other: np.ndarray


def split_halves(
    values: np.ndarray, labels: np.ndarray, repetitions: int, length: int, rng: np.random.Generator
) -> Halves:
    """Random halves, `length` draws of each class."""
    classes = np.unique(labels)
    drawn = np.zeros((repetitions, len(classes), length), int)
    own = np.zeros((len(values), repetitions, len(classes), values.shape[-1]))
    other, size = np.zeros_like(own), np.zeros(len(classes), int)
    for k in classes:
        clips = np.flatnonzero(labels == k)
        half = size[k] = len(clips) // 2
        rounds = -(-length // half)
        for r in range(repetitions):
            order = rng.permutation(clips)
            own[:, r, k] = values[:, order[:half]].mean(1)
            other[:, r, k] = values[:, order[half:]].mean(1)
            again = [rng.permutation(order[:half]) for _ in range(rounds)]
            drawn[r, k] = np.concatenate(again)[:length]
    return Halves(values, drawn, size, own, other)


def mean_over_halves(
    found: np.ndarray, halves: Halves, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means of numbers of clips over the own and the other halves: `(n, Q)` to two `(R, K, Q)`."""
    own = np.zeros((*halves.drawn.shape[:2], found.shape[-1]))
    other = np.zeros_like(own)
    for k, size in enumerate(halves.size):
        clips = np.flatnonzero(labels == k)
        for r, drawn in enumerate(halves.drawn[:, k, :size]):
            own[r, k] = found[drawn].mean(0)
            other[r, k] = found[np.setdiff1d(clips, drawn)].mean(0)
    return own, other


@dataclass(frozen=True)
class Estimates:
    """Estimates on the way: `evaluations (C,)` and `phi (C, R, K, Q)`."""

    evaluations: np.ndarray
    phi: np.ndarray


def replay_sampled(
    game: Game,
    halves: Halves,
    class_counts: np.ndarray,
    batch_size: int,
    checkpoints: list[int],
    rng: np.random.Generator,
    *,
    relu: bool,
    momentum: float | None,
    paired: bool = False,
    steps_a_model: int | None = None,
) -> Estimates:
    """The sampled estimator: one coalition and one context a batch of the long-tailed epoch.

    Args:
        checkpoints: steps after which to look.
        relu: clip marginals at 0, as published.
        momentum: of the moving average, whose first value counts whole; a running mean when None.
        paired: stratify: coalitions in turn, sizes of contexts in turn, and every other context is
            the rest of the one before (antithetic).
        steps_a_model: steps under each model in turn; all under the first when not given.
    """
    repetitions, num_classes, _ = halves.drawn.shape
    every = np.arange(repetitions)
    table = np.zeros((repetitions, num_classes, len(game.joints)))
    number = np.zeros_like(table)
    next_clip = np.zeros((repetitions, num_classes), int)
    steps = max(checkpoints)
    labels = _label_stream(class_counts, batch_size, steps, repetitions, rng)
    chosen = [_contexts(game, steps, rng, paired) for _ in every]
    found = []
    for step in range(steps):
        values = halves.values[step // steps_a_model if steps_a_model else 0]
        column = np.array([c[step][0] for c in chosen])
        with_s = np.array([c[step][1] for c in chosen])
        without = np.array([c[step][2] for c in chosen])
        for y in labels[step].T:
            turn = next_clip[every, y] % halves.drawn.shape[2]
            clip = halves.drawn[every, y, turn]
            next_clip[every, y] += 1
            gain = values[clip, with_s] - values[clip, without]
            gain = np.maximum(gain, 0) if relu else gain
            seen = number[every, y, column]
            keep = seen / (seen + 1) if momentum is None else np.where(seen > 0, momentum, 0.0)
            table[every, y, column] = keep * table[every, y, column] + (1 - keep) * gain
            number[every, y, column] += 1
        if step + 1 in checkpoints:
            found.append(table.copy())
    cost = 2 * batch_size * np.array(sorted(checkpoints))
    return Estimates(cost, np.stack(found))


def _label_stream(
    class_counts: np.ndarray, batch: int, steps: int, repetitions: int, rng: np.random.Generator
) -> np.ndarray:
    """Labels of the batches of shuffled epochs, the last partial batch dropped: (steps, R, N)."""
    labels = np.repeat(np.arange(len(class_counts)), class_counts)
    whole = len(labels) // batch
    epochs = -(-steps // whole)
    stream = [
        np.concatenate([rng.permutation(labels)[: whole * batch] for _ in range(epochs)])
        for _ in range(repetitions)
    ]
    return np.stack(stream)[:, : steps * batch].reshape(repetitions, steps, batch).swapaxes(0, 1)


def _contexts(
    game: Game, steps: int, rng: np.random.Generator, paired: bool
) -> list[tuple[int, int, int]]:
    """Coalition, code with and code without it of every step."""
    count = len(game.joints)
    if not paired:
        drawn = rng.integers(count, size=steps)
        return [(int(q), *_context(game, q, rng)) for q in drawn]
    rounds = [rng.permutation(count) for _ in range(-(-steps // count))]
    sizes: list[list[int]] = [[] for _ in range(count)]
    last: list[int | None] = [None] * count
    found = []
    for q in np.concatenate(rounds)[:steps]:
        inside = game.with_s[q][0]
        if (before := last[q]) is not None:
            without = int(game.without[q][-1]) & ~before  # the last context is all of the others
            last[q] = None
        else:
            sizes[q] = sizes[q] or rng.permutation(game.sizes[q].max() + 1).tolist()
            without = _context(game, q, rng, sizes[q].pop())[1]
            last[q] = without
        found.append((int(q), int(inside | without), without))
    return found


def _context(
    game: Game, q: int, rng: np.random.Generator, size: int | None = None
) -> tuple[int, int]:
    """Codes with and without coalition q for a context of random or given size."""
    sizes = game.sizes[q]
    size = int(rng.integers(sizes.max() + 1)) if size is None else size
    at = rng.choice(np.flatnonzero(sizes == size))
    return int(game.with_s[q][at]), int(game.without[q][at])


def replay_exact(
    game: Game, halves: Halves, clips: int, depth: int, rng: np.random.Generator, refreshes: int = 1
) -> Estimates:
    """The exact estimator, by the code that trains: refreshes of all classes.

    Args:
        clips: clips of each class in a refresh, or as many as its half has.
        depth: of these, how many have each coalition; all when `depth == clips`.
        refreshes: how often, each time with other clips, by a running mean.
    """
    models, repetitions, num_classes = halves.own.shape[:3]
    coalitions = torch.from_numpy(game.coalitions)
    table = ExactSaliency(repetitions * num_classes, coalitions, torch.ones(len(coalitions)))
    found, spent = [], []
    for turn in range(refreshes):
        spent.append(refresh(table, halves, turn % models, turn, clips, depth, rng, RUNNING_MEAN))
        phi = table.shapley_values().view(repetitions, num_classes, -1)
        found.append(phi.double().numpy())
    return Estimates(np.cumsum(spent), np.stack(found))


def refresh(
    table: ExactSaliency,
    halves: Halves,
    model: int,
    turn: int,
    clips: int,
    depth: int,
    rng: np.random.Generator,
    momentum: float,
    which: np.ndarray | None = None,
) -> int:
    """One refresh of some classes in every repetition; its evaluations.

    Args:
        table: with one class for each repetition and class, repetitions outermost.
        model: under which model. turn: how many refreshes there were, for fresh clips.
        which: classes; all when not given.
    """
    repetitions, num_classes, length = halves.drawn.shape
    classes = np.arange(num_classes) if which is None else which
    number = np.minimum(clips, halves.size[classes])
    k, place = np.repeat(classes, number), np.concatenate([np.arange(n) for n in number])
    of_class = torch.from_numpy(np.repeat(number, number))
    clip = halves.drawn[:, k, (turn * np.repeat(number, number) + place) % length]
    chosen = torch.cat(
        [
            deal(torch.from_numpy(place), of_class, depth, torch.from_numpy(rng.permutation(30)))
            for _ in range(repetitions)
        ]
    )
    y = torch.from_numpy(np.arange(repetitions)[:, None] * num_classes + k).flatten()
    values = torch.from_numpy(halves.values[model][clip.ravel()]).float()
    table.update(y, values * chosen, momentum, chosen)
    return int((number + 30 * np.minimum(depth, number)).sum()) + 1  # and v(empty)
