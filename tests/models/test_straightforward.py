"""The whole CTR-GCN equals the straightforward one, in outputs and in gradients."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from straightforward import StraightforwardCTRGCN, copy_weights
from torch import Tensor, nn

from shapmix.layouts import get_layout
from shapmix.models import CTRGCN


@torch.no_grad()
def away_from_the_start(model: nn.Module, x: Tensor) -> None:
    """Weights that let every path count (alpha and some batch norms start at almost zero), and
    the statistics of a batch."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
            module.momentum = 1.0
    for name, parameter in model.named_parameters():
        if name.endswith("alpha"):
            parameter.data.fill_(0.5)
    training = model.training
    model.train()(x)
    model.train(training)


def without_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smooth function in place of ReLU, in both models."""

    def softplus(z: Tensor, inplace: bool = False) -> Tensor:
        return F.softplus(z)

    monkeypatch.setattr(F, "relu", softplus)


def of_gradients(model: CTRGCN) -> CTRGCN:
    """The model with its gradients in place of its parameters."""
    copied = deepcopy(model)
    for parameter, source in zip(copied.parameters(), model.parameters(), strict=True):
        parameter.data.copy_(source.grad)
    return copied


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize(("layout", "persons", "width"), [("ntu25", 2, 16), ("sbu15", 1, 64)])
def test_outputs_and_gradients_are_equal(
    layout: str,
    persons: int,
    width: int,
    dtype: torch.dtype,
    tolerance: float,
    training: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the largest of each; in float32 without edges, where rounding decides on a gradient."""
    if dtype == torch.float32:
        without_edges(monkeypatch)
    torch.manual_seed(1)
    options = {"num_persons": persons, "width": width}
    ours = CTRGCN(layout, 7, **options, absent="zero")
    theirs = StraightforwardCTRGCN(layout, 7, **options)
    x = torch.randn(4, 3, 8, get_layout(layout).num_joints, persons, dtype=dtype)
    if persons == 2:
        x[0, ..., 1] = 0  # a body of zeros, which is one like any other
    for model in (ours, theirs):
        model.to(dtype).train(training)
    away_from_the_start(ours, x)
    copy_weights(ours, theirs)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    logits = [model(z) for model, z in zip((ours, theirs), inputs, strict=True)]
    assert_near(*logits, float(logits[1].detach().abs().max()) * tolerance)
    for found in logits:
        F.cross_entropy(found, torch.arange(4)).backward()
    # Of a body of zeros all frames are alike: which of them a maximum is taken from is rounding.
    found, reference = (z.grad * (x != 0) for z in inputs)
    assert_near(found, reference, float(reference.abs().max()) * tolerance)
    expected = StraightforwardCTRGCN(layout, 7, **options).to(dtype)
    copy_weights(of_gradients(ours), expected)
    largest = max(float(p.grad.abs().max()) for p in theirs.parameters())
    for gradient, parameter in zip(expected.parameters(), theirs.parameters(), strict=True):
        assert_near(gradient, parameter.grad, largest * tolerance)


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_the_straightforward_model_gets_every_weight() -> None:
    ours, theirs = CTRGCN("sbu15", 3, width=8), StraightforwardCTRGCN("sbu15", 3, width=8)
    with torch.no_grad():
        for i, parameter in enumerate(ours.parameters()):
            parameter.fill_(i + 1)
        for parameter in theirs.parameters():
            parameter.fill_(-1)
    copy_weights(ours, theirs)
    assert all(bool((parameter > 0).all()) for parameter in theirs.parameters())
    count = sum(p.numel() for p in ours.parameters())
    assert sum(p.numel() for p in theirs.parameters()) == count
