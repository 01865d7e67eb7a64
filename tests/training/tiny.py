"""A user's own model, small and fast, that can be told to die in the middle of training."""

import os
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import weight_norm


class TinyModel(nn.Module):
    """Mean and spread over frames, then two layers."""

    def __init__(
        self, layout, num_classes, num_persons, in_channels, hidden=16, norm=True, drop=0.1
    ):
        super().__init__()
        features = in_channels * layout.num_joints * num_persons * 2
        self.norm = nn.BatchNorm1d(features) if norm else nn.Identity()
        self.body = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(drop))
        self.head = nn.Linear(hidden, num_classes)
        self.calls = 0

    def forward(self, x):
        if self.training:
            self.calls += 1
            if self.calls == int(os.environ.get("TINY_DIES_AT", 0)):
                Path(os.environ["TINY_DIED"]).touch()
                os._exit(9)
        pooled = torch.cat([x.mean(2), x.std(2)], 1).flatten(1)
        return self.head(self.body(self.norm(pooled)))


class SharingModel(TinyModel):
    """Has its last layer under two names."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.layers = nn.ModuleList([self.head])


class NormedModel(TinyModel):
    """Cannot be copied: its last layer's weight is computed."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.head = weight_norm(self.head)


class DisagreeingModel(TinyModel):
    """In evaluation its second process takes the likeliest class for the least likely."""

    def forward(self, x):
        logits = super().forward(x)
        second = os.environ.get("LOCAL_RANK") == "1" and not self.training
        return -logits if second else logits
