"""CTR-GCN once more, as its paper reads: the oracle of tests and the other side of benchmarks.

Chen et al., "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action
Recognition" (ICCV 2021). Every 1x1 convolution is one of its own; psi and phi see every frame and
the mean over frames comes after; topologies are applied by einsum; every branch in time has its
own layers; a body of zeros is a body like any other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shapmix.layouts import get_layout, partitioned_adjacency
from shapmix.models import CTRGCN
from shapmix.models.blocks import Pointwise


class Topology(nn.Module):
    """Equations 1 to 5 of the paper for one subset of the adjacency."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        relations = max(channels // 8, 8)
        self.psi = nn.Conv2d(channels, relations, 1)
        self.phi = nn.Conv2d(channels, relations, 1)
        self.xi = nn.Conv2d(relations, out_channels, 1)
        self.value = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, shared: Tensor, alpha: Tensor) -> Tensor:
        psi, phi = self.psi(x).mean(2), self.phi(x).mean(2)
        relation = torch.tanh(psi.unsqueeze(-1) - phi.unsqueeze(-2))
        topology = shared + alpha * self.xi(relation)
        return torch.einsum("ncuv,nctv->nctu", topology, self.value(x))


class Spatial(nn.Module):
    """The sum over the subsets, batch norm, residual, ReLU."""

    def __init__(self, channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.adjacency = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.subsets = nn.ModuleList(Topology(channels, out_channels) for _ in adjacency)
        self.norm = nn.BatchNorm2d(out_channels)
        self.residual = residual(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        z = sum(subset(x, self.adjacency[s], self.alpha) for s, subset in enumerate(self.subsets))
        return F.relu(self.norm(z) + self.residual(x))


class Temporal(nn.Module):
    """Four branches with a quarter of the channels each, side by side."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        width = channels // 4

        def entry() -> list[nn.Module]:
            return [nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU()]

        def convolution(dilation: int) -> nn.Conv2d:
            padding, step = (2 * dilation, 0), (stride, 1)
            return nn.Conv2d(width, width, (5, 1), step, padding, (dilation, 1))

        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        plain = nn.Conv2d(channels, width, 1, (stride, 1))
        self.branches = nn.ModuleList(
            nn.Sequential(*layers, nn.BatchNorm2d(width))
            for layers in (
                [*entry(), convolution(1)],
                [*entry(), convolution(2)],
                [*entry(), pool],
                [plain],
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def residual(channels: int, out_channels: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 convolution and batch norm."""
    if channels == out_channels and stride == 1:
        return nn.Identity()
    convolution = nn.Conv2d(channels, out_channels, 1, (stride, 1))
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class Block(nn.Module):
    """Spatial and temporal unit, residual (none in the first block), ReLU."""

    def __init__(
        self, channels: int, out_channels: int, adjacency: Tensor, stride: int, first: bool
    ) -> None:
        super().__init__()
        self.spatial = Spatial(channels, out_channels, adjacency)
        self.temporal = Temporal(out_channels, stride)
        self.residual = None if first else residual(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        z = self.temporal(self.spatial(x))
        return F.relu(z if self.residual is None else z + self.residual(x))


class StraightforwardCTRGCN(nn.Module):
    """(N, C, T, V, M) to logits (N, K); ten blocks."""

    def __init__(
        self,
        layout: str,
        num_classes: int,
        *,
        num_persons: int = 1,
        in_channels: int = 3,
        width: int = 64,
    ) -> None:
        super().__init__()
        skeleton = get_layout(layout)
        A = torch.from_numpy(partitioned_adjacency(skeleton))
        self.norm = nn.BatchNorm1d(num_persons * skeleton.num_joints * in_channels)
        widths = [in_channels] + [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        self.blocks = nn.ModuleList(
            Block(widths[i], widths[i + 1], A, stride=2 if i in (4, 7) else 1, first=i == 0)
            for i in range(10)
        )
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        N, C, T, V, M = x.shape
        x = x.permute(0, 4, 3, 1, 2).contiguous().view(N, M * V * C, T)
        x = self.norm(x).view(N, M, V, C, T).permute(0, 1, 3, 4, 2).contiguous()
        x = x.view(N * M, C, T, V)
        for block in self.blocks:
            x = block(x)
        return self.head(x.view(N, M, x.shape[1], -1).mean(3).mean(1))


def copy_weights(ours: CTRGCN, theirs: StraightforwardCTRGCN) -> None:
    """Give the straightforward model the weights and statistics of ours."""
    classifier = ours.classifier
    copy_same(classifier.norm, theirs.norm)
    copy_same(classifier.head, theirs.head)
    for block, other in zip(classifier.blocks, theirs.blocks, strict=True):
        copy_spatial(block.spatial, other.spatial)
        copy_temporal(block.temporal, other.temporal)
        if other.residual is not None:
            copy_residual(block.shortcut, other.residual)


def copy_same(ours: nn.Module, theirs: nn.Module) -> None:
    theirs.load_state_dict(ours.state_dict())


def copy_pointwise(ours: Pointwise, theirs: nn.Conv2d, part: slice = slice(None)) -> None:
    theirs.weight.data.copy_(ours.weight[part, :, None, None])
    theirs.bias.data.copy_(ours.bias[part])


def copy_norm(ours: nn.BatchNorm2d, theirs: nn.BatchNorm2d, part: slice) -> None:
    for name, tensor in ours.state_dict().items():
        theirs.state_dict()[name].copy_(tensor[part] if tensor.ndim else tensor)


def copy_residual(ours: nn.Module, theirs: nn.Module) -> None:
    if isinstance(theirs, nn.Sequential):
        copy_pointwise(ours[0], theirs[0])
        copy_same(ours[1], theirs[1])


def copy_spatial(ours: nn.Module, theirs: Spatial) -> None:
    theirs.adjacency.data.copy_(ours.adjacency)
    theirs.alpha.data.copy_(ours.alpha)
    copy_same(ours.norm, theirs.norm)
    copy_residual(ours.shortcut, theirs.residual)
    for subset, other in zip(ours.subsets, theirs.subsets, strict=True):
        for name in ("psi", "phi", "xi", "value"):
            copy_pointwise(getattr(subset, name), getattr(other, name))


def copy_temporal(ours: nn.Module, theirs: Temporal) -> None:
    width = ours.width
    for b, branch in enumerate(theirs.branches):
        part = slice(b * width, (b + 1) * width)
        copy_pointwise(ours.reduce, branch[0], part)
        copy_norm(ours.norm, branch[-1], part)
        if b < 3:
            copy_norm(ours.reduce_norm, branch[1], part)
        if b < 2:
            copy_same((ours.near, ours.far)[b], branch[3])
