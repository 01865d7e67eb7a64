"""What the backbones share: pointwise layers, shortcuts, and the two ends around the blocks."""

import torch
from torch import Tensor, nn

from shapmix.layouts import Layout


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same linear map at every position: a 1x1 convolution as one batched matrix product.

    Equal to ``F.conv2d`` with a 1x1 kernel and, at the few channels of a narrow backbone, up to
    twice as fast on a CPU.

    Args:
        x: (N, C_in, ...), any number of dimensions behind the channels, P positions in all.
        weight: (C_out, C_in).
        bias: (C_out, 1), or (C_out, P) for one bias a position.

    Returns:
        (N, C_out, ...).
    """
    flat = x.flatten(2)
    return torch.baddbmm(bias, weight.expand(len(x), -1, -1), flat).view(len(x), -1, *x.shape[2:])


class Pointwise(nn.Module):
    """A 1x1 convolution, (N, C_in, T, ...) to (N, C_out, ceil(T / stride), ...); see `pointwise`.

    Weights start as Kaiming normal by fan-out, biases at zero.

    Args:
        fan_out: channels to count for the initial scale, where they differ from ``out_channels``
            because the output feeds separate branches.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, fan_out: int | None = None
    ) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.normal_(self.weight, std=(2 / (fan_out or out_channels)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride]
        return pointwise(x, self.weight, self.bias.unsqueeze(-1))


def temporal_conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution over the frames of each joint, padded to ceil(T / stride) frames (odd kernel).

    Weights start as Kaiming normal by fan-out, biases at zero.
    """
    padding = dilation * (kernel - 1) // 2
    conv = nn.Conv2d(
        in_channels, out_channels, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1)
    )
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def shortcut(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """A residual path: the identity where shapes agree, else 1x1 convolution and batch norm."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return nn.Sequential(Pointwise(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


def check_positive(**counts: int) -> None:
    """Raise a `ValueError` that names the first argument below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; expected at least 1")


class BodyClassifier(nn.Module):
    """Blocks that see one body at a time, made into a classifier of clips.

    Batch norm of the input over M x V x C channels, so that every person slot, joint and
    coordinate has its own statistics; persons folded into the batch; the blocks; the mean over
    frames and joints, then over persons; dropout; a linear layer. An absent person is a body of
    zeros that is averaged in like any other, as in the published models. This is the only place
    that knows of persons.

    Args:
        blocks: maps (B, C, T, V) to (B, features, T', V).
        features: channels that leave the blocks.
        layout: the skeleton, V joints.
        num_classes: K.
        num_persons: M.
        in_channels: C.
        dropout: probability of dropping a feature before the linear layer.

    Raises:
        ValueError: for a dropout outside 0 to 1.
    """

    def __init__(
        self,
        blocks: nn.Module,
        features: int,
        *,
        layout: Layout,
        num_classes: int,
        num_persons: int,
        in_channels: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.body_shape = (in_channels, layout.num_joints, num_persons)
        self.norm = nn.BatchNorm1d(num_persons * layout.num_joints * in_channels)
        self.blocks = blocks
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, num_classes)
        nn.init.normal_(self.head.weight, std=(2 / num_classes) ** 0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of clips (N, C, T, V, M).

        Raises:
            ValueError: when C, V or M are not those the model was made for.
        """
        if x.ndim != 5 or (x.shape[1], x.shape[3], x.shape[4]) != self.body_shape:
            C, V, M = self.body_shape
            raise ValueError(
                f"the input has the shape {tuple(x.shape)}; this model was made for "
                f"(N, C, T, V, M) = (N, {C}, T, {V}, {M})"
            )
        N, C, T, V, M = x.shape
        x = self.norm(x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
        x = x.view(N * M, V, C, T).permute(0, 2, 3, 1).contiguous()
        features: Tensor = self.blocks(x).mean((2, 3))
        logits: Tensor = self.head(self.dropout(features.view(N, M, -1).mean(1)))
        return logits
