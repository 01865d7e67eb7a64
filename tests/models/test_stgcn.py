"""ST-GCN's graph convolution against its equation, written out as loops."""

from itertools import pairwise

import pytest
import torch

from shapmix.layouts import get_layout, partitioned_adjacency
from shapmix.models import STGCN
from shapmix.models.stgcn import Block, SpatialGraphConv


def test_graph_convolution_equals_the_equation() -> None:
    torch.manual_seed(0)
    A = torch.rand(3, 4, 4)
    layer = SpatialGraphConv(2, 3, A).double()
    for parameter in layer.parameters():
        parameter.data.normal_()
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    clips = []
    for n in range(2):
        frames = []
        for t in range(3):
            joints = []
            for u in range(4):
                z = x.new_zeros(3)
                for s, subset in enumerate(layer.subsets):
                    for v in range(4):
                        edge = A[s, u, v].double() * layer.importance[s, u, v]
                        z = z + edge * (subset.weight @ x[n, :, t, v] + subset.bias)
                joints.append(z)
            frames.append(torch.stack(joints, -1))
        clips.append(torch.stack(frames, 1))
    slow, fast = torch.stack(clips), layer(x)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)
    leaves, weights = [x, *layer.parameters()], torch.randn_like(slow)
    for ours, expected in zip(
        torch.autograd.grad((fast * weights).sum(), leaves),
        torch.autograd.grad((slow * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_blocks_are_those_of_the_paper() -> None:
    model = STGCN("ntu25", 60, num_persons=2)
    blocks = list(model.classifier.blocks)
    assert [block.temporal.out_channels for block in blocks] == [64] * 4 + [128] * 3 + [256] * 3
    assert [block.temporal.stride[0] for block in blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
    assert all(block.temporal.kernel_size == (9, 1) for block in blocks)
    assert [i for i, block in enumerate(blocks) if block.shortcut is None] == [0]
    A = torch.from_numpy(partitioned_adjacency(get_layout("ntu25")))
    for block in blocks:
        assert torch.equal(block.spatial.adjacency, A)
        assert torch.equal(block.spatial.importance, torch.ones_like(A))


def test_parameter_count() -> None:
    """Counted by hand from the paper's table of layers."""
    V, M, C, K = 25, 2, 3, 60
    total = 2 * V * M * C + 256 * K + K
    channels = [C, *[64] * 4, *[128] * 3, *[256] * 3]
    for i, (a, b) in enumerate(pairwise(channels)):
        total += 3 * (a * b + b) + 3 * V * V  # three subsets, importance of their edges
        total += 9 * b * b + b + 2 * 2 * b  # temporal convolution, two batch norms
        if a != b and i > 0:
            total += a * b + b + 2 * b  # shortcut
    model = STGCN("ntu25", K, num_persons=M, absent="zero")
    assert sum(p.numel() for p in model.parameters()) == total


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    block = Block(4, 4, torch.rand(3, 5, 5), residual=False, dropout=0.5)
    x = torch.randn(4, 4, 8, 5)
    assert not torch.equal(block(x), block(x))
    assert torch.equal(block.eval()(x), block(x))
    with pytest.raises(ValueError, match="dropout probability"):
        STGCN("ntu25", 4, width=2, dropout=1.5)
