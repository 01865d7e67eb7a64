"""CTR-GCN: Chen et al., "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based
Action Recognition" (ICCV 2021). Written from the paper."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shapmix.layouts import Layout, get_layout, partitioned_adjacency
from shapmix.models.blocks import (
    Absent,
    BodyClassifier,
    Pointwise,
    affine,
    check_positive,
    foldable,
    pointwise,
    repeated,
    scaled_conv,
    shortcut,
    temporal_conv,
)

_REDUCTION, _MIN_RELATIONS = 8, 8
_BRANCHES = 4


def _peaks(x: Tensor, stride: int) -> Tensor:
    """The maximum of 3 frames of what is nowhere negative: (N, C, T, V) to (N, C, T / stride, V).

    Equal to max pooling, which on a CPU is slow, for it looks for the place of the maximum as well.
    """
    x = F.pad(x, (0, 0, 1, 1))
    before, here, after = (x[:, :, i : x.shape[2] - 2 + i : stride] for i in range(3))
    return torch.maximum(torch.maximum(before, here), after)


class CTRGC(nn.Module):
    """Channel-wise topology refinement graph convolution with one shared topology A.

    A topology of its own for every clip and channel, refined from the shared one by what the
    joints of this clip have to do with one another::

        q[n, :, u, v] = tanh(psi(x)[n, :, u] - phi(x)[n, :, v])          psi, phi: mean over frames
        z[n, c, t, u] = sum_v (A[u, v] + alpha xi(q)[n, c, u, v]) value(x)[n, c, t, v]

    psi and phi are linear, so that taking the mean first is the same and T times less work. A and
    the bias of xi are two more channels of q, so that a topology is one matrix product and nothing
    is added to it. Topologies are held transposed, (v, u), the order in which the last product is
    fastest; that product is taken by `SpatialUnit`, for all subsets onto one sum.

    There are ``in_channels / 8`` relation channels and at least 8: the paper's numbers at its
    width of 64; narrower models keep the 8 that the paper gives to its input layer.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        relations = max(in_channels // _REDUCTION, _MIN_RELATIONS)
        self.psi = Pointwise(in_channels, relations)
        self.phi = Pointwise(in_channels, relations)
        self.xi = Pointwise(relations, out_channels)
        self.value = Pointwise(in_channels, out_channels)

    def forward(self, mean: Tensor, shared: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x as its mean over frames (N, C_in, V), A (V, V) and alpha to the parts of z.

        Returns:
            The weight of value (C_out, C_in); topologies (N, C_out, v, u); and what the bias of
            value becomes behind them (N, C_out, u), for it is the same in all frames.
        """
        N, _, V = mean.shape
        refined = torch.tanh(self.psi(mean).unsqueeze(-2) - self.phi(mean).unsqueeze(-1))
        q = torch.cat([refined, refined.new_ones(N, 1, V, V), shared.mT.expand(N, 1, -1, -1)], 1)
        bias = self.xi.bias.unsqueeze(-1)
        weight = torch.cat([alpha * self.xi.weight, alpha * bias, torch.ones_like(bias)], 1)
        weight = repeated(weight, q)
        topology = torch.bmm(weight, q.flatten(2)).view(N, -1, V, V)
        bias = self.value.bias.unsqueeze(-1) * torch.bmm(weight, q.sum(2))
        return self.value.weight, topology, bias


class SpatialUnit(nn.Module):
    """The sum of a CTR-GC for each subset of the adjacency; batch norm, residual, ReLU.

    The shared topologies A are learnt, starting from the adjacency; one alpha serves them all and
    starts at 0, and the last batch norm at (almost) 0, so that training starts from the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.adjacency = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.subsets = nn.ModuleList(CTRGC(in_channels, out_channels) for _ in adjacency)
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut = shortcut(in_channels, out_channels)
        nn.init.constant_(self.norm.weight, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, T, V) to (N, C_out, T, V)."""
        mean, residual = x.mean(2), self.shortcut(x)
        pairs = zip(self.subsets, self.adjacency, strict=True)
        parts = [subset(mean, shared, self.alpha) for subset, shared in pairs]
        bias = torch.stack([bias for _, _, bias in parts]).sum(0)
        if foldable(self.norm):
            scale, shift = (each.unsqueeze(-1) for each in affine(self.norm))
            z = residual + (scale * bias + shift).unsqueeze(2)
            z = _add_products(z, x, [(scale * weight, A, bias) for weight, A, bias in parts])
        else:
            z = _add_products(bias.unsqueeze(2).expand(-1, -1, x.shape[2], -1), x, parts)
            z = self.norm(z).add_(residual)
        return F.relu(z, inplace=True)


def _add_products(z: Tensor, x: Tensor, parts: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """z (N, C_out, T, V) and, of every subset, the values of x times the topologies.

    They are summed in one tensor: in what is left, reading and writing take most of the time.
    """
    N, _, T, V = x.shape
    total = z.flatten(0, 1).to(parts[0][1].dtype).contiguous()
    for weight, topology, _ in parts:
        value = torch.bmm(repeated(weight, x), x.flatten(2)).view(-1, T, V)
        total = total.baddbmm_(value, topology.flatten(0, 1))
    return total.view(N, -1, T, V)


class TemporalUnit(nn.Module):
    """Multi-scale temporal convolution: four branches with a quarter of the channels each.

    Temporal convolutions of 5 frames with dilations 1 and 2, the maximum of 3 frames, and plain
    channels, each after a 1x1 convolution (and batch norm and ReLU, but for the last); then batch
    norm. The 1x1 convolutions are held as one, and so are the batch norms of all branches: they
    work channel by channel, and together they are faster.
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        width = channels // _BRANCHES
        self.stride = stride
        self.width = width
        self.reduce = Pointwise(channels, channels, fan_out=width)
        self.reduce_norm = nn.BatchNorm2d(3 * width)
        self.near = temporal_conv(width, width, 5, stride=stride)
        self.far = temporal_conv(width, width, 5, stride=stride, dilation=2)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C, ceil(T / stride), V)."""
        if foldable(self.norm, self.reduce_norm):
            return self._folded(x)
        active, plain = self.reduce(x).split((3 * self.width, self.width), dim=1)
        near, far, peak = F.relu(self.reduce_norm(active), inplace=True).chunk(3, dim=1)
        branches = (
            self.near(near),
            self.far(far),
            F.max_pool2d(peak, (3, 1), (self.stride, 1), (1, 0)),
            plain[:, :, :: self.stride],
        )
        z: Tensor = self.norm(torch.cat(branches, dim=1))
        return z

    def _folded(self, x: Tensor) -> Tensor:
        """`forward` in evaluation, with the batch norms in the weights before them."""
        (a, b, c, d), (e, f, g, h) = (each.chunk(_BRANCHES) for each in affine(self.norm))
        scale, shift = affine(self.reduce_norm)
        scale, shift = torch.cat([scale, d]).unsqueeze(-1), torch.cat([shift, h]).unsqueeze(-1)
        bias = scale * self.reduce.bias.unsqueeze(-1) + shift
        reduced = pointwise(x, scale * self.reduce.weight, bias)
        active, plain = reduced[:, : -self.width], reduced[:, -self.width :]
        near, far, peak = F.relu(active, inplace=True).chunk(3, dim=1)
        branches = (
            scaled_conv(self.near, near, a, e),
            scaled_conv(self.far, far, b, f),
            c.view(-1, 1, 1) * _peaks(peak, self.stride) + g.view(-1, 1, 1),
            plain[:, :, :: self.stride],
        )
        return torch.cat(branches, dim=1)


class Block(nn.Module):
    """Spatial unit, temporal unit, residual (none in the first block), ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency: Tensor,
        *,
        stride: int = 1,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.spatial = SpatialUnit(in_channels, out_channels, adjacency)
        self.temporal = TemporalUnit(out_channels, stride)
        self.shortcut = shortcut(in_channels, out_channels, stride) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, T, V) to (N, C_out, ceil(T / stride), V)."""
        z: Tensor = self.temporal(self.spatial(x))
        if self.shortcut is not None:
            z.add_(self.shortcut(x))
        return F.relu(z, inplace=True)


class CTRGCN(nn.Module):
    """CTR-GCN: (N, C, T, V, M) to logits (N, K). Ten blocks; width, 2 width, 4 width channels.

    With the defaults, ntu25, 60 classes and 2 persons: 1 446 672 parameters, and 256 that are
    learnt for absent bodies.

    Args:
        layout: name, file or object of the skeleton, V joints.
        num_classes: K.
        num_persons: M.
        in_channels: C.
        width: channels of the first four blocks, a multiple of 4.
        dropout: probability of dropping a feature before the linear layer.
        absent: absent bodies are not computed, and count as a vector that is learnt ("learned") or
            not at all ("skip"); "zero" averages bodies of zeros in, as published.
        checkpoint: compute activations twice instead of keeping them; see `BodyClassifier`.

    Raises:
        ValueError: for a width that four branches cannot share, another number below 1, or a
            dropout outside 0 to 1.
    """

    def __init__(
        self,
        layout: str | Path | Layout,
        num_classes: int,
        *,
        num_persons: int = 1,
        in_channels: int = 3,
        width: int = 64,
        dropout: float = 0.0,
        absent: Absent = "learned",
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, num_persons=num_persons, in_channels=in_channels)
        if width < _BRANCHES or width % _BRANCHES:
            raise ValueError(
                f"width is {width}; expected a positive multiple of {_BRANCHES}, for the channels "
                f"are shared by {_BRANCHES} temporal branches"
            )
        layout = get_layout(layout)
        A = torch.from_numpy(partitioned_adjacency(layout))
        blocks = nn.Sequential(
            Block(in_channels, width, A, residual=False),
            *(Block(width, width, A) for _ in range(3)),
            Block(width, 2 * width, A, stride=2),
            *(Block(2 * width, 2 * width, A) for _ in range(2)),
            Block(2 * width, 4 * width, A, stride=2),
            *(Block(4 * width, 4 * width, A) for _ in range(2)),
        )
        self.classifier = BodyClassifier(
            blocks,
            4 * width,
            layout=layout,
            num_classes=num_classes,
            num_persons=num_persons,
            in_channels=in_channels,
            dropout=dropout,
            absent=absent,
            checkpoint=checkpoint,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of clips (N, C, T, V, M)."""
        logits: Tensor = self.classifier(x)
        return logits
