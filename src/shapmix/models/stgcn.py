"""ST-GCN: Yan et al., "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action
Recognition" (AAAI 2018). Written from the paper."""

from functools import reduce
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shapmix.layouts import Layout, get_layout, partitioned_adjacency
from shapmix.models.blocks import (
    Absent,
    BodyClassifier,
    Pointwise,
    check_positive,
    shortcut,
    temporal_conv,
)

_TEMPORAL_KERNEL = 9


class SpatialGraphConv(nn.Module):
    """Graph convolution over spatial partitions, with learnable edge importance M::

        z[n, c, t, u] = sum_s sum_v (A * M)[s, u, v] (W_s x)[n, c, t, v]

    The paper's partitions (root, centripetal, centrifugal) are those of `partitioned_adjacency`,
    normalised as there: by column. M starts at one.
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.subsets = nn.ModuleList(Pointwise(in_channels, out_channels) for _ in adjacency)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, T, V) to (N, C_out, T, V)."""
        edges = (self.adjacency * self.importance).mT
        pairs = zip(self.subsets, edges, strict=True)
        return reduce(torch.add, (torch.matmul(subset(x), edge) for subset, edge in pairs))


class Block(nn.Module):
    """Graph convolution, temporal convolution over 9 frames, dropout, residual, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency: Tensor,
        *,
        stride: int = 1,
        residual: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.spatial = SpatialGraphConv(in_channels, out_channels, adjacency)
        self.spatial_norm = nn.BatchNorm2d(out_channels)
        self.temporal = temporal_conv(out_channels, out_channels, _TEMPORAL_KERNEL, stride=stride)
        self.temporal_norm = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = shortcut(in_channels, out_channels, stride) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, T, V) to (N, C_out, ceil(T / stride), V)."""
        z = F.relu(self.spatial_norm(self.spatial(x)), inplace=True)
        z = self.dropout(self.temporal_norm(self.temporal(z)))
        if self.shortcut is not None:
            z.add_(self.shortcut(x))
        return F.relu(z, inplace=True)


class STGCN(nn.Module):
    """ST-GCN: (N, C, T, V, M) to logits (N, K). Ten blocks; width, 2 width, 4 width channels.

    Args:
        layout: name, file or object of the skeleton, V joints.
        num_classes: K.
        num_persons: M.
        in_channels: C.
        width: channels of the first four blocks.
        dropout: probability of dropping a feature after each block (the paper trains with 0.5).
        absent: absent bodies are not computed, and count as a vector that is learnt ("learned") or
            not at all ("skip"); "zero" averages bodies of zeros in, as published.
        checkpoint: compute activations twice instead of keeping them; see `BodyClassifier`.

    Raises:
        ValueError: for a number below 1, or a dropout outside 0 to 1.
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
        check_positive(
            num_classes=num_classes,
            num_persons=num_persons,
            in_channels=in_channels,
            width=width,
        )
        layout = get_layout(layout)
        A = torch.from_numpy(partitioned_adjacency(layout))
        wide, widest = 2 * width, 4 * width
        blocks = nn.Sequential(
            Block(in_channels, width, A, residual=False, dropout=dropout),
            *(Block(width, width, A, dropout=dropout) for _ in range(3)),
            Block(width, wide, A, stride=2, dropout=dropout),
            *(Block(wide, wide, A, dropout=dropout) for _ in range(2)),
            Block(wide, widest, A, stride=2, dropout=dropout),
            *(Block(widest, widest, A, dropout=dropout) for _ in range(2)),
        )
        self.classifier = BodyClassifier(
            blocks,
            widest,
            layout=layout,
            num_classes=num_classes,
            num_persons=num_persons,
            in_channels=in_channels,
            absent=absent,
            checkpoint=checkpoint,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of clips (N, C, T, V, M)."""
        logits: Tensor = self.classifier(x)
        return logits
