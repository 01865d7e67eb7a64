"""The random parameters of mixing, drawn in one place and applied in another.

Numbers that hold for a whole batch are drawn on the generator's own device (a CPU generator costs
no synchronisation with an accelerator) and returned as Python numbers; per-clip draws are tensors.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

GRID = 4  # windows start and end on a grid of this many frames


@dataclass(frozen=True)
class Window:
    """A paste window and its source window, in frames: one for a batch, or `(N,)` one for each."""

    start: int | Tensor
    length: int | Tensor
    source_start: int | Tensor
    source_length: int | Tensor


def given_or_own(generator: Generator | None) -> Generator:
    """The generator given, or a CPU one seeded from torch's global seed (read, not advanced).

    Raises:
        ValueError: it is no generator.
    """
    if generator is None:
        return torch.Generator().manual_seed(torch.initial_seed())
    if not isinstance(generator, Generator):
        raise ValueError(
            f"generator is {generator!r}; expected a torch.Generator, such as "
            "torch.Generator().manual_seed(0)"
        )
    return generator


def on_device(drawn: Tensor, like: Tensor) -> Tensor:
    """What was drawn, on the device of another tensor; nothing waits for a GPU."""
    return drawn.to(like.device, non_blocking=like.is_cuda)


def uniform(generator: Generator) -> float:
    """One number uniform in [0, 1)."""
    return float(torch.rand((), generator=generator, device=generator.device))


def integer(generator: Generator, low: int, high: int) -> int:
    """One integer uniform in `low..high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator, device=generator.device))


def draw_shift(generator: Generator, batch_size: int) -> int:
    """The cyclic shift that pairs clips: uniform in 1..N-2; 1 for N = 2; 0 (no mix) for N = 1."""
    return integer(generator, 1, batch_size - 2) if batch_size > 2 else batch_size - 1


def draw_window(generator: Generator, num_frames: int, share: tuple[float, float]) -> Window:
    """Window of 4u frames, u uniform in [u_lo, u_hi], and source of 4u' frames, u' in [u, T/4].

    Both lie at uniform positions on a grid of 4 frames; when T is no multiple of 4, the last
    T mod 4 frames belong to no window.

    Args:
        generator: source of randomness.
        num_frames: T >= 8.
        share: shortest and longest window as a share of T: (7/16, 11/16) for the paper's NTU,
            (0.52, 0.8) for its Kinetics.
    """
    units, low, high = _units(num_frames, share)
    length = integer(generator, low, high)
    start = integer(generator, 0, units - length)
    source_length = integer(generator, length, units)
    source_start = integer(generator, 0, units - source_length)
    return Window(GRID * start, GRID * length, GRID * source_start, GRID * source_length)


def draw_windows(
    generator: Generator, clips: int, num_frames: int, share: tuple[float, float]
) -> Window:
    """As `draw_window`, one for each clip: fields of shape `(N,)` int64."""
    units, low, high = _units(num_frames, share)
    most = torch.full((clips,), units, device=generator.device)
    length = integers(generator, torch.full_like(most, low), torch.full_like(most, high))
    start = integers(generator, torch.zeros_like(most), units - length)
    source_length = integers(generator, length, most)
    source_start = integers(generator, torch.zeros_like(most), units - source_length)
    return Window(GRID * start, GRID * length, GRID * source_start, GRID * source_length)


def _units(num_frames: int, share: tuple[float, float]) -> tuple[int, int, int]:
    """Frames of a clip, and of the shortest and the longest window, in units of the grid."""
    units = num_frames // GRID
    low = min(max(round(share[0] * units), 1), units)
    return units, low, min(max(round(share[1] * units), low), units)


def integers(generator: Generator, low: Tensor, high: Tensor) -> Tensor:
    """Integers uniform in `low..high (N,)`, both included."""
    u = torch.rand(low.shape, generator=generator, device=generator.device)
    return torch.minimum(low + (u * (high - low + 1)).long(), high)


def random_cycle(generator: Generator, size: int) -> Tensor:
    """A permutation `(size,)` without fixed points: one cycle through all, in random order."""
    order = torch.randperm(size, generator=generator, device=generator.device)
    return torch.empty_like(order).index_copy_(0, order, order.roll(-1))


def draw_rarer(generator: Generator, class_sizes: Tensor) -> Tensor:
    """A partner for each clip, from the other clips, with weight `1 / n_class`: `(N,)` int64.

    Args:
        generator: source of randomness.
        class_sizes: `(N,)`, training clips of each clip's class; N >= 2.
    """
    clip = torch.arange(len(class_sizes), device=class_sizes.device)
    other = clip[:-1] + (clip[:-1] >= clip[:, None]).long()  # (N, N - 1), all but itself
    drawn = draw_row(generator, 1 / class_sizes.float()[other])
    return other.gather(1, drawn[:, None]).squeeze(1)


def draw_row(generator: Generator, weights: Tensor) -> Tensor:
    """One index per row, with probabilities `weights (N, Q)`: `(N,)` int64 on their device.

    By inversion of the cumulated weights, so that the uniform numbers can be drawn on the
    generator's device whatever the device of the weights.
    """
    u = on_device(
        torch.rand(len(weights), 1, generator=generator, device=generator.device), weights
    )
    cumulated = weights.float().cumsum(1)
    index = torch.searchsorted(cumulated, u * cumulated[:, -1:], right=True)
    return index.squeeze(1).clamp(max=weights.shape[1] - 1)


def draw_context(generator: Generator, coalition: Tensor, *, empty: bool = False) -> Tensor:
    """A context T disjoint from a coalition: its size uniform in 0..p-s, then its members.

    Args:
        generator: source of randomness.
        coalition: `(P,)` bool, S.
        empty: draw nothing and give the empty context.

    Returns:
        `(P,)` bool.
    """
    context = torch.zeros_like(coalition)
    if empty:
        return context
    outside = [part for part, member in enumerate(coalition.tolist()) if not member]
    size = integer(generator, 0, len(outside))
    order = torch.randperm(len(outside), generator=generator, device=generator.device)
    context[[outside[i] for i in order[:size].tolist()]] = True
    return context
