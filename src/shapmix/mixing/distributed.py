"""What saliency needs of other processes; in a single one it is the identity."""

import torch
from torch import Tensor
from torch import distributed as dist


def active() -> bool:
    """Whether more than one process takes part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """The number of this process, 0 in a single one."""
    return dist.get_rank() if active() else 0


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if active():
        value = value.clone()
        dist.all_reduce(value)
    return value


def stack_over_ranks(value: Tensor) -> Tensor:
    """A tensor of every process, in rank order: `(...)` to `(world_size, ...)`."""
    if not active():
        return value[None]
    gathered = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, value.contiguous())
    return torch.stack(gathered)
