"""Shap-Mix: Shapley-value-guided mixing for long-tailed skeleton-based action recognition.

The plug-in in a training loop of one's own::

    mixer = ShapMix("ntu25", class_counts, background=mean_clip(batches))
    criterion = BalancedSoftmaxLoss(class_counts)
    ...
    mixed = mixer(x, y)                            # x (N, C, T, V, M), y (N,)
    logits, logits_mixed = model(torch.cat([x, mixed.x])).chunk(2)
    loss = criterion(logits, y) + criterion(logits_mixed, mixed.target)
    ...
    mixer.refresh(model)                           # at the end of each epoch

Public names are loaded when they are first used, so `import shapmix` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapmix.data.archive import Archive, ArchiveWriter
    from shapmix.data.clip import ArchiveInfo, Clip
    from shapmix.data.loader import ClipDataset, create_loader
    from shapmix.data.splits import Split, make_split
    from shapmix.data.transforms import Transform
    from shapmix.inference.ensemble import Ensemble
    from shapmix.inference.explain import explain
    from shapmix.inference.recognizer import ActionRecognizer
    from shapmix.layouts import Layout, get_layout
    from shapmix.losses import BalancedSoftmaxLoss
    from shapmix.mixing import MixedBatch, Mixup, NoMix, ShapMix, STMix, mean_clip
    from shapmix.models import create_model

__version__ = "0.1.0"

_HOME = {
    "ActionRecognizer": "shapmix.inference.recognizer",
    "Archive": "shapmix.data.archive",
    "ArchiveInfo": "shapmix.data.clip",
    "ArchiveWriter": "shapmix.data.archive",
    "BalancedSoftmaxLoss": "shapmix.losses",
    "Clip": "shapmix.data.clip",
    "ClipDataset": "shapmix.data.loader",
    "Ensemble": "shapmix.inference.ensemble",
    "Layout": "shapmix.layouts",
    "MixedBatch": "shapmix.mixing",
    "Mixup": "shapmix.mixing",
    "NoMix": "shapmix.mixing",
    "STMix": "shapmix.mixing",
    "ShapMix": "shapmix.mixing",
    "Split": "shapmix.data.splits",
    "Transform": "shapmix.data.transforms",
    "create_loader": "shapmix.data.loader",
    "create_model": "shapmix.models",
    "explain": "shapmix.inference.explain",
    "get_layout": "shapmix.layouts",
    "make_split": "shapmix.data.splits",
    "mean_clip": "shapmix.mixing",
}

__all__ = [
    "ActionRecognizer",
    "Archive",
    "ArchiveInfo",
    "ArchiveWriter",
    "BalancedSoftmaxLoss",
    "Clip",
    "ClipDataset",
    "Ensemble",
    "Layout",
    "MixedBatch",
    "Mixup",
    "NoMix",
    "STMix",
    "ShapMix",
    "Split",
    "Transform",
    "create_loader",
    "create_model",
    "explain",
    "get_layout",
    "make_split",
    "mean_clip",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'shapmix' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
