"""CTR-GCN against the equations of its paper, written out as loops."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shapmix.models import CTRGCN
from shapmix.models.ctrgcn import CTRGC, Block, SpatialUnit, TemporalUnit


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Double precision, and every parameter and statistic away from its special initial value."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)
            tensor.mul_(torch.where(torch.rand(tensor.shape, generator=generator) < 0.5, 1, 0.3))
    for parameter in module.parameters():
        sign = torch.rand(parameter.shape, generator=generator) < 0.5
        parameter.data[sign] *= -1
    return module


def slow_ctrgc(unit: CTRGC, x: Tensor, shared: Tensor, alpha: Tensor) -> Tensor:
    """Per clip, per pair of joints, per channel; psi and phi see every frame."""
    N, _, T, V = x.shape
    clips = []
    for n in range(N):
        psi, phi, value = (
            torch.stack([layer.weight @ x[n, :, t] + layer.bias[:, None] for t in range(T)])
            for layer in (unit.psi, unit.phi, unit.value)
        )
        channels = [[[x.new_zeros(()) for _ in range(V)] for _ in range(T)] for _ in value[0]]
        for u in range(V):
            for v in range(V):
                relation = torch.tanh(psi[:, :, u].mean(0) - phi[:, :, v].mean(0))
                for c, frames in enumerate(channels):
                    refinement = unit.xi.weight[c] @ relation + unit.xi.bias[c]
                    edge = shared[u, v] + alpha[0] * refinement
                    for t in range(T):
                        frames[t][u] = frames[t][u] + edge * value[t, c, v]
        clips.append(torch.stack([torch.stack([torch.stack(f) for f in c]) for c in channels]))
    return torch.stack(clips)


def product(unit: CTRGC, x: Tensor, shared: Tensor, alpha: Tensor) -> Tensor:
    """What a unit adds to the sum of the subsets, from the parts that it returns."""
    weight, topology, bias = unit(x.mean(2), shared, alpha)
    values = torch.einsum("dc,nctv->ndtv", weight, x)
    return torch.einsum("ncvu,nctv->nctu", topology, values) + bias.unsqueeze(2)


def assert_same_with_gradients(fast: Tensor, slow: Tensor, leaves: list[Tensor]) -> None:
    assert fast.shape == slow.shape
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)
    weights = torch.randn(slow.shape, generator=torch.Generator().manual_seed(9)).to(slow)
    for ours, expected in zip(
        torch.autograd.grad((fast * weights).sum(), leaves),
        torch.autograd.grad((slow * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("layout", "classes", "options", "expected"),
    [
        ("ntu25", 60, {"num_persons": 2, "absent": "zero"}, 1_446_672),
        ("ntu25", 120, {"num_persons": 2, "absent": "zero"}, 1_446_672 + 60 * 257),
        ("ntu25", 60, {"num_persons": 2, "absent": "learned"}, 1_446_672 + 256),
        # one person less, two weights a normalised input; V^2 shared edges in 3 subsets x 10 blocks
        ("kinect20", 60, {"num_persons": 1}, 1_446_672 - 2 * (150 - 60) - 30 * (625 - 400)),
    ],
)
def test_parameter_count(layout: str, classes: int, options: dict[str, Any], expected: int) -> None:
    parameters = list(CTRGCN(layout, classes, **options).parameters())
    assert sum(p.numel() for p in parameters) == expected
    assert all(p.requires_grad for p in parameters)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(2, 4), (5, 3)])
def test_unit_equals_the_equations(in_channels: int, out_channels: int) -> None:
    unit = randomise(CTRGC(in_channels, out_channels))
    generator = torch.Generator().manual_seed(1)
    x, shared, alpha = (
        torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((2, in_channels, 3, 5), (5, 5), (1,))
    )
    fast = product(unit, x, shared, alpha)
    slow = slow_ctrgc(unit, x, shared, alpha)
    assert_same_with_gradients(fast, slow, [x, shared, alpha, *unit.parameters()])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("in_channels", [2, 4])
@pytest.mark.parametrize("frames", [1, 3])
def test_spatial_unit_adds_the_subsets_and_the_shortcut(
    frames: int, in_channels: int, training: bool
) -> None:
    A = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(2))
    unit = randomise(SpatialUnit(in_channels, 4, A)).train(training)
    x = torch.randn(2, in_channels, frames, 4, dtype=torch.float64, requires_grad=True)
    total = torch.stack(
        [slow_ctrgc(unit.subsets[s], x, unit.adjacency[s], unit.alpha) for s in range(3)]
    ).sum(0)
    slow = F.relu(unit.norm(total) + unit.shortcut(x))
    assert_same_with_gradients(unit(x), slow, [x, *unit.parameters()])


def test_training_starts_from_the_adjacency() -> None:
    A = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(3))
    unit = SpatialUnit(4, 4, A)
    x = torch.randn(2, 4, 3, 4)
    assert torch.equal(unit.adjacency, A)
    assert unit.adjacency.data_ptr() != A.data_ptr()
    for s, subset in enumerate(unit.subsets):
        expected = torch.einsum("uv,nctv->nctu", A[s], subset.value(x))
        torch.testing.assert_close(product(subset, x, A[s], unit.alpha), expected)
    torch.testing.assert_close(unit(x), F.relu(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [8, 9, 13])
@pytest.mark.parametrize("training", [False, True])
def test_temporal_unit_equals_four_separate_branches(
    stride: int, frames: int, training: bool
) -> None:
    unit = randomise(TemporalUnit(8, stride)).train(training)
    x = torch.randn(3, 8, frames, 4, dtype=torch.float64, requires_grad=True)

    def normalise(z: Tensor, norm: nn.BatchNorm2d, part: slice) -> Tensor:
        if training:
            mean, variance = z.mean((0, 2, 3)), z.var((0, 2, 3), correction=0)
        else:
            mean, variance = norm.running_mean[part], norm.running_var[part]
        scale = norm.weight[part] / (variance + norm.eps).sqrt()
        return (z - mean[:, None, None]) * scale[:, None, None] + norm.bias[part][:, None, None]

    def convolve(z: Tensor, layer: nn.Conv2d, dilation: int) -> Tensor:
        padded = F.pad(z, (0, 0, 2 * dilation, 2 * dilation))
        frames_out = [
            sum(layer.weight[:, :, k, 0] @ padded[:, :, t + k * dilation] for k in range(5))
            for t in range(0, frames, stride)
        ]
        return torch.stack(frames_out, 2) + layer.bias[:, None, None]

    branches = []
    for b in range(4):
        part = slice(2 * b, 2 * b + 2)
        source = x if b < 3 else x[:, :, ::stride]
        z = torch.einsum("dc,nctv->ndtv", unit.reduce.weight[part], source)
        z = z + unit.reduce.bias[part][:, None, None]
        if b < 3:
            z = F.relu(normalise(z, unit.reduce_norm, part))
        if b < 2:
            z = convolve(z, (unit.near, unit.far)[b], dilation=b + 1)
        elif b == 2:
            windows = [z[:, :, max(t - 1, 0) : t + 2] for t in range(0, frames, stride)]
            z = torch.stack([window.amax(2) for window in windows], 2)
        branches.append(normalise(z, unit.norm, part))
    assert_same_with_gradients(unit(x), torch.cat(branches, 1), [x, *unit.parameters()])


def test_blocks_are_those_of_the_paper() -> None:
    blocks = list(CTRGCN("sbu15", 2, width=4).classifier.blocks)
    assert [block.temporal.norm.num_features for block in blocks] == [4] * 4 + [8] * 3 + [16] * 3
    assert [block.temporal.stride for block in blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
    kinds = [type(block.shortcut).__name__ for block in blocks]
    plain, changed = ["Identity"] * 2, ["Sequential"]
    assert kinds == ["NoneType", "Identity", *plain, *changed, *plain, *changed, *plain]


def test_block_adds_its_residual() -> None:
    block = randomise(Block(4, 8, torch.rand(3, 5, 5), stride=2)).eval()
    x = torch.randn(2, 4, 9, 5, dtype=torch.float64)
    expected = F.relu(block.temporal(block.spatial(x)) + block.shortcut(x))
    torch.testing.assert_close(block(x), expected)
    assert block(x).shape == (2, 8, 5, 5)


@pytest.mark.parametrize("width", [0, 2, 6, -4])
def test_width_must_feed_four_branches(width: int) -> None:
    with pytest.raises(ValueError, match=f"width is {width}; expected a positive multiple of 4"):
        CTRGCN("ntu25", 10, width=width)


def test_batch_norms_in_training_mode_are_not_folded_away() -> None:
    model = randomise(CTRGCN("sbu15", 3, width=4)).eval()
    x = torch.randn(4, 3, 8, 15, 1, dtype=torch.float64)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    folded = model(x)
    for norm in norms:
        norm.train()  # as those who take the statistics anew on other data do
    before = [norm.num_batches_tracked.clone() for norm in norms]
    assert not torch.allclose(model(x), folded)
    assert [norm.num_batches_tracked - old for norm, old in zip(norms, before, strict=True)] == [
        torch.tensor(1)
    ] * len(norms)
