"""What the backbones share: pointwise layers, shortcuts, and the two ends around the blocks."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn
from torch.utils.checkpoint import checkpoint

from shapmix.layouts import Layout

Absent = Literal["learned", "skip", "zero"]
EVALUATED = 32  # bodies that go through the blocks together in evaluation on a CPU


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
    flat, N = x.flatten(2), x.shape[0]  # not len(x), which an export would take for a constant
    return torch.baddbmm(bias, repeated(weight, x), flat).view(N, -1, *x.shape[2:])


def repeated(weight: Tensor, x: Tensor) -> Tensor:
    """One matrix (C_out, C_in) for each of the N of `x`, as a view: (N, C_out, C_in).

    Autocast would write N copies of it, so it is rounded before.
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        weight = weight.to(torch.get_autocast_dtype(kind))
    return weight.expand(x.shape[0], -1, -1)


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


def foldable(*norms: nn.BatchNorm2d) -> bool:
    """Whether batch norms can be taken into the weights before them: in evaluation.

    Not in what is compiled or exported: compilers do it themselves, and better for what they know.
    """
    return not torch.compiler.is_compiling() and not any(norm.training for norm in norms)


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm of C channels is in evaluation: scale (C,) and shift (C,) of a channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - scale * norm.running_mean


def scaled_conv(conv: nn.Conv2d, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """``scale conv(x) + shift``, scale and shift (C_out,), at the cost of the convolution alone."""
    assert conv.bias is not None
    weight, bias = scale.view(-1, 1, 1, 1) * conv.weight, scale * conv.bias + shift
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation)


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
    frames and joints, then over persons; dropout; a linear layer. This is the only place that knows
    of persons.

    A body is absent where all its coordinates are zero. Unless ``absent="zero"``, absent bodies are
    not computed and do not enter the statistics of the batch norms. In the mean over persons each
    of them counts as one vector that is learnt (``"learned"``), or not at all (``"skip"``). Of a
    clip without any body the first slot counts as present. With ``"zero"``, as in the published
    models, an absent body is a body of zeros that is computed and averaged in like any other.

    Args:
        blocks: maps (B, C, T, V) to (B, features, T', V).
        features: channels that leave the blocks.
        layout: the skeleton, V joints.
        num_classes: K.
        num_persons: M.
        in_channels: C.
        dropout: probability of dropping a feature before the linear layer.
        absent: what an absent body is.
        checkpoint: keep no activations inside the blocks and compute them again for the gradient:
            less memory, a third more time, the same result.

    Raises:
        ValueError: for a dropout outside 0 to 1, or another word for `absent`.
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
        absent: Absent = "learned",
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if absent not in get_args(Absent):
            raise ValueError(f"absent is {absent!r}: choose from {', '.join(get_args(Absent))}")
        self.body_shape = (in_channels, layout.num_joints, num_persons)
        self.absent, self.checkpoint = absent, checkpoint
        self.norm = nn.BatchNorm1d(num_persons * layout.num_joints * in_channels)
        self.blocks = blocks
        self.absent_features: nn.Parameter | None = None
        if absent == "learned" and num_persons > 1:
            self.absent_features = nn.Parameter(torch.zeros(features))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, num_classes)
        nn.init.normal_(self.head.weight, std=(2 / num_classes) ** 0.5)
        nn.init.zeros_(self.head.bias)

    @property
    def fixed_shapes(self) -> bool:
        """Whether what is computed depends on the shape of the input alone."""
        return (self.body_shape[2] == 1 or self.absent == "zero") and not self.checkpoint

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
        logits: Tensor = self.head(self.dropout(self._features(x)))
        return logits

    def _features(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) to the mean of the features of the bodies that count: (N, features)."""
        N, C, T, V, M = x.shape
        bodies = x.permute(4, 0, 3, 1, 2).reshape(M * N, V * C, T)
        if M == 1 or self.absent == "zero":
            return self._blocks(self._norm(bodies, [N] * M), x.shape).view(M, N, -1).mean(0)
        here = (bodies.abs().sum((1, 2)) != 0).view(M, N)
        here = torch.cat([here[:1] | ~here.any(0), here[1:]])
        weight = here.to(x.dtype) / (here.sum(0) if self.absent_features is None else M)
        if torch.compiler.is_compiling() and not self.training:
            # Shapes that depend on values cannot be exported: here absent bodies weigh nothing.
            features = self._blocks(self._norm(bodies, [N] * M), x.shape).view(M, N, -1)
            return self._with_absent((features * weight.unsqueeze(-1)).sum(0), here)
        counts = here.sum(1).tolist()
        if sum(counts) == M * N:
            features = self._blocks(self._norm(bodies, counts), x.shape)
            return self._with_absent(features.view(M, N, -1).mean(0), here)
        slot, clip = here.nonzero(as_tuple=True)  # slot by slot, as the batch norm takes them
        features = self._blocks(self._norm(bodies[slot * N + clip], counts), x.shape)
        features = features * weight[slot, clip].unsqueeze(-1)
        present = features.new_zeros(N, features.shape[1]).index_add(0, clip, features)
        return self._with_absent(present, here)

    def _with_absent(self, present: Tensor, here: Tensor) -> Tensor:
        """What the absent bodies add to (N, features) of the present ones; here: (M, N) bool."""
        if self.absent_features is None:
            return present
        share = (~here).sum(0).to(present.dtype) / len(here)
        return present + share.unsqueeze(-1) * self.absent_features

    def _norm(self, bodies: Tensor, counts: list[int]) -> Tensor:
        """The batch norm of the input, of bodies (B, V C, T) of which each slot has so many."""
        if len(counts) == 1:
            normed: Tensor = self.norm(bodies)
            return normed
        norm, channels = self.norm, bodies.shape[1]
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        if self.training:
            norm.num_batches_tracked.add_(1)
        slots = zip(
            bodies.split(counts),
            norm.running_mean.split(channels),
            norm.running_var.split(channels),
            norm.weight.split(channels),
            norm.bias.split(channels),
            strict=True,
        )
        return torch.cat(
            [
                F.batch_norm(x, mean, var, weight, bias, self.training, norm.momentum, norm.eps)
                if x.shape[0]
                else x
                for x, mean, var, weight, bias in slots
            ]
        )

    def _blocks(self, bodies: Tensor, shape: Size) -> Tensor:
        """Normalised bodies (B, V C, T) through the blocks, mean over frames and joints: (B, F)."""
        _, C, T, V, _ = shape
        x = bodies.view(-1, V, C, T).permute(0, 2, 3, 1).contiguous()
        whole = self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()
        if not whole and x.device.type == "cpu":
            # Nothing is kept for a gradient: a few bodies at a time need less memory and time.
            return torch.cat([self.blocks(some).mean((2, 3)) for some in x.split(EVALUATED)])
        again = self.checkpoint and self.training and torch.is_grad_enabled()
        features: Tensor = checkpointed(self.blocks, x) if again else self.blocks(x)
        return features.mean((2, 3))


def checkpointed(blocks: nn.Module, x: Tensor) -> Tensor:
    """The same as ``blocks(x)``, with the activations of each block computed twice and not kept.

    The running statistics of batch norms are updated once, as without.
    """
    for block in blocks if isinstance(blocks, nn.Sequential) else [blocks]:
        contexts = partial(_forward_and_again, block)
        x = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
    return x


def _forward_and_again(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What surrounds the first computation of a block and the second."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Batch norms in training mode that leave their running statistics as they are."""
    norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(1)
