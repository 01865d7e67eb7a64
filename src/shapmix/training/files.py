"""Files of a run folder: written whole or not at all, and read without trust."""

import io
import json
import shlex
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from shapmix.data.reading import reason
from shapmix.models.factory import is_trusted
from shapmix.training.config import RUNTIME_FIELDS, TrainConfig
from shapmix.writing import atomic_file


class RunFolderError(ValueError):
    """A run folder or a file in it is not as it must be."""


_CHECKPOINT_KEYS = {"state_dict", "epoch", "global_step", "optimizer_states", "loops"}


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    with atomic_file(path) as file:
        file.write(content)


def resume_command(folder: Path) -> str:
    """The command that goes on with a run, as it can be pasted into a shell."""
    return shlex.join(["shapmix", "train", "--resume", str(folder)])


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically."""
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder.

    Raises:
        RunFolderError: the file is missing or no JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise RunFolderError(
            f"{path.parent} has no {path.name}: no run folder, or its training is not finished. "
            f"`{resume_command(path.parent)}` goes on with a run"
        ) from None
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is damaged: expected a JSON object")
    return content


def write_npz(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays atomically."""
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(buffer, **named)
    write_bytes(path, buffer.getvalue())


def read_npz(path: Path, remedy: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a file of a run folder; pickled ones are refused.

    Raises:
        RunFolderError: the file is damaged; the text ends with the remedy.
    """
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # damaged files fail in many ways
        raise RunFolderError(f"{path} is damaged ({error}): {remedy}") from error


def config_dict(config: TrainConfig) -> dict[str, Any]:
    """A configuration as plain values for YAML."""
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}
    plain["milestones"] = list(config.milestones)
    return plain


def write_config(path: Path, config: TrainConfig) -> None:
    """Write a configuration as YAML."""
    text = yaml.safe_dump(config_dict(config), sort_keys=False, allow_unicode=True)
    write_bytes(path, text.encode())


def read_config(folder: Path) -> TrainConfig:
    """The configuration of a run folder.

    Raises:
        RunFolderError: there is none, or it does not fit this version.
    """
    path = folder / "config.yaml"
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        paths = ("archive", "split", "out", "resume", "init_from")
        values: dict[str, Any] = {
            k: Path(v) if k in paths and v is not None else v
            for k, v in dict(plain).items()
            if not k.startswith("second_stage")  # what came after the training
        }
        _check_complete(values)
        for key in ("archive", "split"):
            if values.get(key) is not None:
                values[key] = find_data(values[key], folder)
        return TrainConfig(**values)
    except OSError as error:
        what = "a file" if folder.is_file() else "no run folder"
        raise RunFolderError(
            f"{folder} is {what}: it has no config.yaml that can be read "
            f"({reason(error)}). Give a folder that `shapmix train` made"
        ) from None
    except (TypeError, ValueError, RecursionError, AttributeError, yaml.YAMLError) as error:
        raise RunFolderError(f"{path} is not a configuration of this version: {error}") from error


def _check_complete(values: Mapping[str, object]) -> None:
    """ValueError where a setting is missing: a run writes all, and its value may be no default."""
    missing = [field.name for field in fields(TrainConfig) if field.name not in values]
    if missing:
        raise ValueError(
            f"it lacks {', '.join(missing)}, so it was cut, or another version wrote it. Restore "
            "it from a copy, or add these lines with the values that the run had"
        )


def read_trusted_config(folder: Path, model: str | None) -> TrainConfig:
    """The configuration of a run folder that may be somebody else's, before its network is made.

    Args:
        folder: of the run.
        model: import paths of models that the user trusts, with commas between them.

    Raises:
        RunFolderError: as of `read_config`; or it names a network that is not shapmix's own, and
            the user does not name the same.
    """
    config = read_config(folder)
    path = str(config.model)
    if ":" in path and not is_trusted(path, model):
        raise RunFolderError(
            f"{folder / 'config.yaml'} names the network {path[:200]!r}, which is not shapmix's "
            "own. Opening a run never runs code that a file names: if it is yours or you trust it, "
            f"name it again by --model {path[:200]!r} (in Python, model={path[:200]!r})"
        )
    return config


def find_data(path: Path, folder: Path) -> Path:
    """A file as a run names it: from here or, if there is none, from where the run was made."""
    if path.is_absolute() or path.exists():
        return path
    try:
        made_in = json.loads((folder / "environment.json").read_bytes())["folder"]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return path
    there = Path(str(made_in)) / path
    return there if there.exists() else path


def check_same_run(given: TrainConfig, stored: TrainConfig) -> None:
    """Refuse to resume with settings that would make it another run.

    Raises:
        RunFolderError: naming what differs.
    """
    ours, theirs = config_dict(given), config_dict(stored)
    differ = [k for k in ours if k not in RUNTIME_FIELDS and ours[k] != theirs.get(k)]
    if differ:
        listed = "; ".join(f"{k} was {theirs.get(k)!r} and is now {ours[k]!r}" for k in differ)
        raise RunFolderError(
            f"a resumed run must keep its settings, but {listed}. Leave these flags out, or start "
            "a new run with another --out"
        )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint, read with `weights_only=True`: it can hold tensors and plain values only.

    Raises:
        RunFolderError: the file is missing, damaged, or holds anything else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about foreign pickles, which are refused anyway
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunFolderError(f"there is no checkpoint {path}: is its training finished?") from None
    except Exception as error:  # damaged files fail in many ways
        why = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise RunFolderError(
            f"{path} is refused: it is damaged or holds more than weights and plain values "
            f"({why}). Use a checkpoint that `shapmix train` wrote"
        ) from error
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= _CHECKPOINT_KEYS:
        raise RunFolderError(f"{path} is refused: it is no training checkpoint")
    return checkpoint
