"""A module that a hostile file could name: it tells when it is imported."""

import os
from pathlib import Path

from torch import nn

if "DANGER" in os.environ:
    Path(os.environ["DANGER"]).touch()


class Network(nn.Module):
    """A user's own network."""

    def __init__(self, layout, num_classes, num_persons, in_channels, scale=1.0):
        super().__init__()
        self.scale = scale
        self.head = nn.Linear(in_channels * layout.num_joints * num_persons, num_classes)

    def forward(self, x):
        return self.head(x.mean(2).flatten(1)) * self.scale
