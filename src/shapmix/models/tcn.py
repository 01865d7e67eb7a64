"""TCN: convolutions over time on the coordinates of all joints, without a graph; small and fast.

After Kim and Reiter, "Interpretable 3D Human Action Analysis with Temporal Convolutional Networks"
(CVPR workshops 2017); plain and only four layers deep.
"""

from pathlib import Path

from torch import Tensor, nn

from shapmix.layouts import Layout, get_layout
from shapmix.models.blocks import Absent, BodyClassifier, check_positive

_KERNEL = 5
_LAYERS = ((1, 1), (1, 2), (2, 2), (2, 1))  # channels as multiples of the width, stride in time


class TemporalLayers(nn.Module):
    """Coordinates of one body (B, C, T, V) to features (B, 2 width, T / 4, 1)."""

    def __init__(self, coordinates: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = coordinates
        for multiple, stride in _LAYERS:
            out = multiple * width
            conv = nn.Conv1d(channels, out, _KERNEL, stride, _KERNEL // 2, bias=False)
            layers += [conv, nn.BatchNorm1d(out), nn.ReLU()]
            channels = out
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) to (B, 2 width, T / 4, 1)."""
        features: Tensor = self.layers(x.permute(0, 1, 3, 2).flatten(1, 2))
        return features.unsqueeze(-1)


class TCN(nn.Module):
    """Temporal convolutional network: (N, C, T, V, M) to logits (N, K).

    Args:
        layout: name, file or object of the skeleton, V joints.
        num_classes: K.
        num_persons: M.
        in_channels: C.
        width: channels of the first two layers; the last two have twice as many.
        dropout: probability of dropping a feature before the linear layer.
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
        self.classifier = BodyClassifier(
            TemporalLayers(in_channels * layout.num_joints, width),
            _LAYERS[-1][0] * width,
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
