"""Fine-tuning: start from the weights of another run."""

import json
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from shapmix.layouts import Layout
from shapmix.losses import CosineClassifier
from shapmix.training.evaluation import load_weights
from shapmix.training.files import RunFolderError, read_config, read_json


def init_from(folder: Path, model: nn.Module, layout: Layout, class_names: Sequence[str]) -> str:
    """Copy the weights of a run into a model of the same layout, where shapes agree.

    When the classes differ, the last linear layer keeps its fresh weights.

    Args:
        folder: a finished run.
        model: changed in place.
        layout: of the new data.
        class_names: of the new data.

    Returns:
        A line that says what was taken over.

    Raises:
        RunFolderError: no finished run, another layout, or nothing in common.
    """
    read_config(folder)
    profile = read_json(folder / "data_profile.json")
    theirs = profile.get("layout", {})
    if theirs != json.loads(json.dumps(layout.to_dict())):
        raise RunFolderError(
            f"{folder} was trained on layout {theirs.get('name')!r}, which is not this data's "
            f"{layout.name!r}: joints do not correspond. Start from a run with the same layout"
        )
    source, target = load_weights(folder, "last"), model.state_dict()
    head = _classifier(model) if profile.get("class_names") != list(class_names) else None
    common = {
        name: value
        for name, value in source.items()
        if name in target
        and target[name].shape == value.shape
        and not (head and name.startswith(f"{head}."))
    }
    fresh = [name for name in target if name not in common]
    if len(common) * 2 < len(target):
        raise RunFolderError(
            f"{folder} holds another model: only {len(common)} of {len(target)} tensors fit. Give "
            "the same --model and --model-options as that run"
        )
    model.load_state_dict(common, strict=False)
    kept = ", ".join(fresh) if fresh else "nothing"
    return f"init: {len(common)} of {len(target)} tensors from {folder}; fresh: {kept}"


def _classifier(model: nn.Module) -> str | None:
    """Name of the last linear layer."""
    heads = (nn.Linear, CosineClassifier)
    linear = [name for name, module in model.named_modules() if isinstance(module, heads)]
    return linear[-1] if linear else None
