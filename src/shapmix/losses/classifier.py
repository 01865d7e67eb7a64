"""The last linear layer of a model: what goes into it, and its version for margins."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CosineClassifier(nn.Module):
    """Logits `scale cos(w_k, h)`: weights and features of length 1, no bias.

    Args:
        features: L. num_classes: K. scale: largest absolute logit.
    """

    def __init__(self, features: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, features))
        nn.init.kaiming_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(N, K)` of features `(N, L)`."""
        return self.scale * F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))


def with_cosine_classifier(model: nn.Module, num_classes: int, scale: float) -> nn.Module:
    """The model itself, with a `CosineClassifier` in the place of its last linear layer.

    Raises:
        ValueError: it has no linear layer with `num_classes` outputs.
    """
    name, layer = last_linear(model, num_classes)
    made = CosineClassifier(layer.in_features, num_classes, scale).to(layer.weight.device)
    if not name:
        return made
    model.set_submodule(name, made)
    return model


@contextmanager
def classifier_input(model: nn.Module, num_classes: int) -> Iterator[list[Tensor]]:
    """Record what goes into the last linear layer in each forward pass, without gradients.

    Raises:
        ValueError: it has no linear layer with `num_classes` outputs.
    """
    seen: list[Tensor] = []

    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].detach())

    handle = last_linear(model, num_classes)[1].register_forward_pre_hook(record)
    try:
        yield seen
    finally:
        handle.remove()


def last_linear(model: nn.Module, num_classes: int) -> tuple[str, nn.Linear]:
    """Name and layer of the last `nn.Linear` with K outputs, in the order of definition."""
    found = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == num_classes
    ]
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no nn.Linear with {num_classes} outputs, one a class; "
            "this loss needs it: choose another loss, or end the model with such a layer"
        )
    return found[-1]
