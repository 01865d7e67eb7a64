"""Which clips an epoch has, and in which order: as many for every sampler as there are clips.

A sampler of the table is a function of the labels and of a random generator, and so of (seed,
epoch) alone: whatever it draws, a resumed run draws again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Indices = NDArray[np.int64]
Draw = Callable[[np.random.Generator], Indices]  # indices `(n,)` of the clips of an epoch


def instance(labels: Indices, rng: np.random.Generator) -> Indices:
    """Every clip once: `(n,)` indices of clips with `labels (n,)`."""
    return rng.permutation(len(labels))


def class_balanced(labels: Indices, rng: np.random.Generator) -> Indices:
    """A class at random, then a clip of it at random, n times (Kang et al., ICLR 2020, q = 0)."""
    return _by_class(labels, rng, power=0.0)


def square_root(labels: Indices, rng: np.random.Generator) -> Indices:
    """As `class_balanced`, but a class's chance goes with the root of its clips (q = 1/2)."""
    return _by_class(labels, rng, power=0.5)


def _by_class(labels: Indices, rng: np.random.Generator, *, power: float) -> Indices:
    """n clips with replacement; class k has the share `n_k^power / sum_j n_j^power`."""
    chance = np.bincount(labels)[labels] ** (power - 1)  # of a clip: its class's, divided by n_k
    return rng.choice(len(labels), len(labels), p=chance / chance.sum())


def repeat_factor(
    labels: Indices, rng: np.random.Generator, *, threshold: float | None = None
) -> Indices:
    """Clips of rare classes several times (Gupta et al., LVIS, CVPR 2019), then n of all these.

    A clip of a class with the share f of the clips is repeated `max(1, sqrt(threshold / f))` times;
    a fraction is rounded up with that probability, anew every epoch. There are then at least n
    clips, in random order: the first n are the epoch.

    Args:
        labels: `(n,)` class of each clip.
        rng: source of randomness.
        threshold: share below which a class is rare; one divided by the classes that there are
            when not given, the share that each has in balanced data.

    Raises:
        ValueError: the threshold is not in (0, 1].
    """
    counts = np.bincount(labels)
    limit = 1 / np.count_nonzero(counts) if threshold is None else threshold
    if not isinstance(limit, int | float) or not 0 < limit <= 1:
        raise ValueError(f"threshold is {threshold!r}; expected a share of the clips, above 0 to 1")
    factors = np.maximum(1, np.sqrt(limit * len(labels) / counts[labels]))
    repeats = np.floor(factors + rng.random(len(labels))).astype(np.int64)
    return rng.permutation(np.repeat(np.arange(len(labels)), repeats))[: len(labels)]


SAMPLERS: dict[str, Callable[..., Indices]] = {
    "class-balanced": class_balanced,
    "instance": instance,
    "repeat-factor": repeat_factor,
    "square-root": square_root,
}


class EpochSampler(Sampler[int]):
    """The order of clips in an epoch: a function of (seed, epoch) alone.

    Whoever resumes at the start of epoch e calls `set_epoch(e)` and gets the order that an
    uninterrupted run would have had. Each of `world_size` processes gets the same number of clips:
    the order is drawn as a whole, filled up from its own beginning to a multiple of `world_size`,
    and dealt out in turn.

    Args:
        size: clips in the data set.
        shuffle: in order when false.
        draw: the `size` clips of an epoch, from a generator; each once when not given.
        seed: together with the epoch decides the order.
        rank: this process, `0..world_size-1`.
        world_size: number of processes.

    Raises:
        ValueError: the data set is empty, the rank is not in `0..world_size-1`, or something is
            to be drawn in order.
    """

    def __init__(
        self,
        size: int,
        *,
        shuffle: bool = True,
        draw: Draw | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if size < 1:
            raise ValueError("the data set has no clips: check the split that selects them")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank is {rank}: expected 0..{world_size - 1} (world_size - 1)")
        if draw is not None and not shuffle:
            raise ValueError("clips are drawn at random: expected shuffle=True with `draw`")
        self.size, self.shuffle, self.draw, self.seed = size, shuffle, draw, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows (Lightning calls this)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.size // self.world_size)

    def __iter__(self) -> Iterator[int]:
        filled = np.resize(self._order(), len(self) * self.world_size)
        return iter(filled[self.rank :: self.world_size].tolist())

    def _order(self) -> NDArray[Any]:
        if not self.shuffle:
            return np.arange(self.size)
        rng = np.random.default_rng((self.seed, self.epoch))
        return rng.permutation(self.size) if self.draw is None else self.draw(rng)
