"""Fine-tuning: start from the weights of another run."""

from pathlib import Path

from torch import nn

from shapmix.layouts import Layout
from shapmix.training.evaluation import load_weights
from shapmix.training.files import RunFolderError, read_config, read_json


def init_from(folder: Path, model: nn.Module, layout: Layout) -> str:
    """Copy the weights of a run into a model of the same layout, where shapes agree.

    The classifier differs when the classes do; it then keeps its fresh weights.

    Args:
        folder: a finished run. model: changed in place. layout: of the new data.

    Returns:
        A line that says what was taken over.

    Raises:
        RunFolderError: no finished run, another layout, or nothing in common.
    """
    read_config(folder)
    theirs = read_json(folder / "data_profile.json").get("layout")
    if theirs != layout.name:
        raise RunFolderError(
            f"{folder} was trained on layout {theirs!r} and this data has {layout.name!r}: joints "
            "do not correspond. Start from a run with the same layout"
        )
    source, target = load_weights(folder, "last"), model.state_dict()
    common = {
        name: value
        for name, value in source.items()
        if name in target and target[name].shape == value.shape
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
