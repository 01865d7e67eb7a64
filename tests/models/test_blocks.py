"""Pieces of the backbones that save time or memory, against the plain operations of torch."""

import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shapmix.models.blocks import kept_as, max_of_three

# Few values, so that neighbours are often equal.
FRAMES = arrays(
    np.float64,
    array_shapes(min_dims=4, max_dims=4, max_side=6),
    elements=st.integers(-2, 2).map(float),
)


@given(FRAMES, st.integers(1, 3))
def test_the_maximum_of_three_frames(values, stride):
    found, expected = (torch.tensor(values, requires_grad=True) for _ in range(2))
    y = max_of_three(found, stride)
    plain = F.max_pool2d(expected, (3, 1), (stride, 1), (1, 0))
    assert torch.equal(y, plain)
    weights = torch.arange(1.0, y.numel() + 1, dtype=torch.float64).view(y.shape)
    (y * weights).sum().backward()
    (plain * weights).sum().backward()
    assert torch.equal(found.grad, expected.grad)
    with torch.no_grad():
        assert torch.equal(max_of_three(found, stride), plain)


def test_the_maximum_remembers_a_byte_for_each_position():
    x = torch.randn(2, 3, 8, 5, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = max_of_three(x)
    assert [t.dtype for t in kept] == [torch.uint8]
    assert kept[0].numel() == y.numel()


@pytest.fixture
def product():
    """value @ (a * b), where a * b is made again for the gradient: `product(a, b, value)`."""

    def run(a, b, value, calls):
        def again():
            calls.append(1)
            return a * b

        topology = a * b
        alive = weakref.ref(topology)
        with kept_as(again, topology):
            return torch.matmul(value, topology), alive

    return run


def test_what_is_made_again_is_not_kept(product):
    a, b, value = (torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    calls = []
    y, alive = product(a, b, value, calls)
    gc.collect()
    assert alive() is None
    assert calls == []
    found = torch.autograd.grad((y * y).sum(), [a, b, value])
    assert len(calls) == 1
    plain = torch.matmul(value, a * b)
    expected = torch.autograd.grad((plain * plain).sum(), [a, b, value])
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_nothing_is_made_again_under_autocast_or_without_gradients(product):
    a, b, value = (torch.randn(2, 4, 4, requires_grad=True) for _ in range(3))
    calls = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = product(a, b, value, calls)
    y.float().sum().backward()
    with torch.no_grad():
        product(a, b, value, calls)
    assert calls == []
    assert value.grad is not None
