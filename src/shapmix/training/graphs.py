"""Faster passes of a model: CUDA graphs, and compiled blocks.

A graph network is many small operations; on a GPU the time of a narrow one goes into launching
them. Captured once and replayed, the same kernels run on the same numbers: thousands of kernels,
two launches.
"""

import inspect
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from shapmix.models.blocks import BodyClassifier
from shapmix.models.factory import MODELS

MOST_VARIANTS = 64  # of a block: its channels and strides, training or not, shapes of input


def can_capture(model: nn.Module) -> bool:
    """Whether all shapes inside the model follow from the shape of its input.

    True of the models of this package unless they leave out absent bodies or recompute activations;
    nothing is assumed of other models.
    """
    bodies = [module for module in model.modules() if isinstance(module, BodyClassifier)]
    return type(model) in MODELS.values() and all(module.fixed_shapes for module in bodies)


def compile_blocks(model: nn.Module, **options: Any) -> None:
    """Compile each block of a model by itself, in place; blocks of one shape share what is made.

    A model that is not of this package is compiled whole.

    Args:
        options: of `torch.compile`.
    """
    bodies = [module for module in model.modules() if isinstance(module, BodyClassifier)]
    if "recompile_limit" in inspect.signature(torch.compile).parameters:  # new in torch 2.13
        # one for all blocks, which share their code; beyond it they would silently run eagerly
        options = {"recompile_limit": MOST_VARIANTS, **options}
    for body in bodies:
        blocks = body.blocks if isinstance(body.blocks, nn.Sequential) else [body.blocks]
        for block in blocks:
            block.compile(dynamic=None if body.fixed_shapes else True, **options)
    if not bodies:
        model.compile(**options)


class _Forward(nn.Module):
    """Calls the model, so that capturing replaces this module's forward and not the model's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits


def capture(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """The training pass of a model on a GPU, for inputs of the shape of `x` under this autocast.

    Neither the model's buffers nor random states change by capturing.

    Args:
        model: in training mode, its parameters on the GPU; `can_capture` holds.
        x: (N, C, T, V, M) input without gradient.
    """
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    autocast = torch.autocast(
        x.device.type,
        dtype=torch.get_autocast_dtype(x.device.type),
        enabled=torch.is_autocast_enabled(x.device.type),
        cache_enabled=False,
    )
    with torch.random.fork_rng([x.device]), autocast:
        made = torch.cuda.make_graphed_callables(_Forward(model).train(), (x.detach().clone(),))
        captured = cast(Callable[[Tensor], Tensor], made)
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
    return captured
