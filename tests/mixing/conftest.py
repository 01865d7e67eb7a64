"""Small skeletons, clips and models for the mixing tests."""

import pytest
import torch
from torch import nn

from shapmix.layouts import get_layout


class MeanPool(nn.Module):
    """A tiny classifier that sees every joint: tanh of the mean over frames, then linear."""

    def __init__(self, features: int, classes: int, seed: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.norm = nn.BatchNorm1d(features)
        self.drop = nn.Dropout(0.5)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.linear.weight.normal_(generator=generator)

    def forward(self, x):
        return self.linear(self.drop(self.norm(torch.tanh(x.mean(2).flatten(1)))))


@pytest.fixture
def layout():
    return get_layout("ntu25")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def batch(generator):
    """12 clips of 6 classes, 16 frames, two persons; some clips lack the second body."""
    x = torch.randn(12, 3, 16, 25, 2, generator=generator)
    x[::3, ..., 1] = 0
    y = torch.arange(12) % 6
    return x, y


@pytest.fixture
def counts():
    return [500, 120, 60, 17, 9, 6]


@pytest.fixture
def background(generator):
    return torch.randn(3, 16, 25, 2, generator=generator)


@pytest.fixture
def model():
    return MeanPool(3 * 25 * 2, 6)
