"""From a trained model to the numbers and scores of its run folder."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn

from shapmix.data.loader import ClipDataset, create_loader
from shapmix.data.transforms import Transform
from shapmix.metrics import evaluate
from shapmix.mixing.values import evaluation
from shapmix.training.artefacts import write_artefacts
from shapmix.training.build import build_model, build_transform
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.files import (
    RunFolderError,
    load_checkpoint,
    read_json,
    read_npz,
    read_trusted_config,
    write_bytes,
    write_json,
    write_npz,
)

WEIGHTS = {"last": "weights_last.safetensors", "best": "weights_best.safetensors"}


@dataclass(frozen=True)
class Scores:
    """Logits `(n, K)` float32 and labels `(n,)` of a part of the data, in its order."""

    logits: np.ndarray[Any, np.dtype[np.float32]]
    labels: np.ndarray[Any, np.dtype[np.int64]]


def score(
    model: nn.Module,
    transform: Transform,
    dataset: ClipDataset,
    *,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> Scores:
    """Logits of every clip by the deterministic transform."""
    logits, labels = [], []
    model, transform = model.to(device), transform.to(device)
    with evaluation(model) as run:
        for batch in create_loader(dataset, batch_size):
            logits.append(run(transform(batch.to(device))).float().cpu())
            labels.append(batch.labels)
    return Scores(torch.cat(logits).numpy(), torch.cat(labels).numpy())


def set_precision(config: TrainConfig) -> None:
    """Round products and convolutions on a GPU only as the run says."""
    torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = config.precision == "tf32"


def save_weights(folder: Path, which: str, epoch: int, state: dict[str, torch.Tensor]) -> None:
    """Write a model's state dict as safetensors, atomically."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    path = folder / "checkpoints" / WEIGHTS[which]
    write_bytes(path, save(tensors, {"epoch": str(epoch)}))


def load_weights(folder: Path, which: str) -> dict[str, torch.Tensor]:
    """A model's state dict from a run folder.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    path = folder / "checkpoints" / WEIGHTS[which]
    try:
        return load_file(path)
    except FileNotFoundError:
        raise RunFolderError(f"{folder} has no {path.name}: is its training finished?") from None
    except Exception as error:  # safetensors has its own exception types
        raise RunFolderError(f"{path} is damaged: {error}") from error


def model_state(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The model's part of a training checkpoint."""
    prefix = "model."
    state = checkpoint["state_dict"]
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def export_weights(folder: Path) -> dict[str, int]:
    """Write the weights of the last and the selected epoch; which epochs these are.

    Without validation clips there is no selected epoch.
    """
    epochs = {}
    for which in WEIGHTS:
        path = folder / "checkpoints" / f"{which}.ckpt"
        if which == "best" and not path.exists():
            continue
        checkpoint = load_checkpoint(path)
        epochs[which] = int(checkpoint["epoch"])
        save_weights(folder, which, epochs[which], model_state(checkpoint))
    return epochs


def evaluate_weights(
    config: TrainConfig,
    data: ClipData,
    folder: Path,
    epochs: dict[str, int],
    cost: dict[str, float],
    device: torch.device | str = "cpu",
    *,
    same: bool = False,
) -> dict[str, Any]:
    """Evaluate the last and the selected weights; write `metrics.json` and `scores.npz`.

    Then, unless the configuration says otherwise, what reports show beside them
    (`write_artefacts`).

    Raises:
        RunFolderError: the scores must be the `same` as those in the folder, and are not.
    """
    transform = build_transform(config, data.archive)
    model = build_model(config, data.archive, data.num_persons)
    metrics: dict[str, Any] = {
        "format": 1,
        "class_names": list(data.archive.info.class_names),
        "class_counts": data.class_counts.tolist(),
        "last": None,
        "best": None,
        "cost": cost,
    }
    arrays: dict[str, np.ndarray[Any, Any]] = {"class_counts": data.class_counts}
    for which, epoch in epochs.items():
        model.load_state_dict(load_weights(folder, which))
        found: dict[str, Any] = {"epoch": epoch, "validation": None}
        for part, dataset in (("validation", data.val), ("test", data.test)):
            if dataset is None:
                continue
            scores = score(model, transform, dataset, batch_size=config.batch_size, device=device)
            found[part] = evaluate(scores.logits, scores.labels, data.class_counts)
        metrics[which] = found
        arrays[f"logits_{which}"] = scores.logits
        arrays["labels"], arrays["names"] = scores.labels, np.array(data.test.names)
    if same:
        _check_scores(folder, arrays)
    write_npz(folder / "scores.npz", arrays)
    write_json(folder / "metrics.json", metrics)
    if config.artefacts:
        model.load_state_dict(load_weights(folder, "last"))
        write_artefacts(config, data, folder, model, transform, device)
    return metrics


def _check_scores(folder: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """RunFolderError where logits are far from those in the folder, beyond another device's."""
    path = folder / "scores.npz"
    if not path.exists():
        return
    renew = shlex.join(["shapmix", "evaluate", str(folder), "--renew"])
    stored = read_npz(path, f"nothing was written; `{renew}` makes it anew, unseen")
    for name in [n for n in arrays if n.startswith("logits_") and n in stored]:
        before, now = stored[name], arrays[name]
        if before.shape == now.shape and not np.allclose(before, now, rtol=0.02, atol=0.02):
            changed = int((before.argmax(1) != now.argmax(1)).sum())
            raise RunFolderError(
                f"the weights of {folder} now score its test clips otherwise ({changed} of "
                f"{len(now)} are recognised as another class): this version computes something "
                "else than the one that trained them, whose commit is in environment.json. "
                f"Nothing was written; train anew, or overwrite by `{renew}`"
            )


def evaluate_run(
    folder: Path,
    device: torch.device | str = "cpu",
    *,
    renew: bool = False,
    model: str | None = None,
) -> dict[str, Any]:
    """Evaluate the weights of a finished run once more, on the data that it was trained on.

    What reports show is written too, also of a run that was told not to.

    Args:
        renew: accept scores that differ from those that the run has.
        model: as of `open_run`.

    Raises:
        RunFolderError: the folder is not a finished run, its data changed, its network is foreign
            code that was not given, or its weights give other scores than when they were trained.
        ArchiveError: the keypoints are not as they were written.
    """
    config = read_trusted_config(folder, model)
    data = ClipData(config)
    data.check_unchanged(folder)
    data.archive.verify()
    set_precision(config)
    old = read_json(folder / "metrics.json")
    epochs = {which: old[which]["epoch"] for which in WEIGHTS if old.get(which)}
    config = replace(config, artefacts=True)
    return evaluate_weights(config, data, folder, epochs, old["cost"], device, same=not renew)
