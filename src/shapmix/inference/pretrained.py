"""The files of a saved recogniser: one JSON, one safetensors, a model card. Read without trust.

Nothing in these files is ever run: the JSON is plain values, checked one by one, and the weights
are tensors whose names, shapes and types are compared with what is expected before any is read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from shapmix.writing import write_whole

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
KINDS = "shapmix "  # how every kind of what is saved begins
RUN_CONFIG, RUN_MAY_HAVE = "config.yaml", ("checkpoints", "metrics.json")
FORMAT = 1
MAX_CONFIG_BYTES = 16 * 2**20
LARGEST = 1e6  # of the numbers that are computed with

Kind = TypeVar("Kind")


class PretrainedError(ValueError):
    """A saved recogniser is missing, damaged or refused; the message says what to do."""


def write_files(
    folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], card: str
) -> None:
    """Write the three files, each under a temporary name first; `config.json` comes last.

    A folder without tensors, such as an ensemble's, gets no weights.

    Raises:
        PretrainedError: as of `check_folder`; nothing is written then.
    """
    folder = Path(folder)
    check_folder(folder)
    if tensors:
        from safetensors.torch import save

        own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        write_whole(folder / WEIGHTS, save(own, {"format": "pt"}))
    write_whole(folder / CARD, card.encode())
    described = {"format": FORMAT, **config}
    text = json.dumps(described, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / CONFIG, (text + "\n").encode())


def check_folder(folder: str | Path) -> None:
    """Make sure that saving into a folder overwrites nothing but an earlier saved model.

    Raises:
        PretrainedError: a file there that saving would replace is not of a saved model, or the
            folder is a run's, which would be taken for a saved model from then on.
    """
    folder = Path(folder)
    run = [name for name in (RUN_CONFIG, *RUN_MAY_HAVE) if (folder / name).exists()]
    if RUN_CONFIG in run and len(run) > 1:
        raise PretrainedError(
            f"{folder} is the folder of a run, it has {' and '.join(run)}: give an empty folder to "
            "save the model in"
        )
    others = [name for name in (CONFIG, CARD, WEIGHTS) if (folder / name).exists()]
    if others and not _is_saved(folder / CONFIG):
        raise PretrainedError(
            f"{folder / others[0]} is not of a saved model, and would be overwritten: give an "
            "empty folder, or one that a model was saved in"
        )


def _is_saved(config: Path) -> bool:
    """Whether this is the `config.json` of a saved model, of whatever version."""
    try:
        if config.stat().st_size > MAX_CONFIG_BYTES:
            return False
        found = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and str(found.get("kind")).startswith(KINDS)


def read_config(folder: Path) -> dict[str, Any]:
    """What `config.json` says.

    Raises:
        PretrainedError: there is none, it is too large or no JSON object, or of another format.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise PretrainedError(
            f"{folder} has no {CONFIG}: give a folder that save_pretrained or "
            "`shapmix export --folder` made"
        )
    if (size := path.stat().st_size) > MAX_CONFIG_BYTES:
        raise PretrainedError(f"{path} has {size} bytes; expected at most {MAX_CONFIG_BYTES}")
    try:
        config = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PretrainedError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict):
        raise PretrainedError(f"{path} is {type(config).__name__}; expected a JSON object")
    if config.get("format") != FORMAT:
        raise PretrainedError(
            f"{path} has the format {config.get('format')!r}; this version of shapmix reads "
            f"{FORMAT}: install the version that wrote it, or save the model again"
        )
    return config


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def take(config: Mapping[str, Any], key: str, kind: type[Kind], where: str = CONFIG) -> Kind:
    """One value of a given type; a float is any number of at most a million.

    Raises:
        PretrainedError: it is missing or of another type.
    """
    if key not in config:
        raise PretrainedError(f"{where} has no {key!r}: the file is incomplete")
    value = config[key]
    if kind is float and is_number(value):
        return float(value)  # type: ignore[return-value]
    if (
        kind is float
        or not isinstance(value, kind)
        or (isinstance(value, bool) and kind is not bool)
    ):
        raise PretrainedError(f"{where} has {key} = {str(value)[:60]!r}; expected {kind.__name__}")
    return value


def is_number(value: object) -> bool:
    """Whether something read from JSON is a number that float32 can work with."""
    return type(value) in (int, float) and abs(value) <= LARGEST  # type: ignore[arg-type]


def read_tensors(folder: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `model.safetensors`.

    Args:
        folder: of the recogniser.
        expected: name -> a tensor of the shape and type that the file must have (may be on the
            meta device); `background` may be missing.

    Raises:
        PretrainedError: the file is missing or damaged; names, shapes or types differ; or a value
            is not finite.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / WEIGHTS
    if not path.is_file():
        raise PretrainedError(f"{folder} has no {WEIGHTS}: the folder is incomplete")
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _compare(path, found, {name: tuple(value.shape) for name, value in expected.items()})
            tensors = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError) as error:
        raise PretrainedError(f"{path} is damaged: {error}") from error
    for name, value in tensors.items():
        if value.dtype != expected[name].dtype:
            raise PretrainedError(
                f"{path}: {name} is {value.dtype}; expected {expected[name].dtype}"
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise PretrainedError(f"{path}: {name} has values that are not finite")
    return tensors


def _compare(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    missing = [name for name in expected if name not in found and name != "background"]
    unknown = [name for name in found if name not in expected]
    if missing or unknown:
        raise PretrainedError(
            f"{path} does not fit the model that {CONFIG} describes: "
            + "; ".join(
                f"{what} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
                for what, names in (("it lacks", missing), ("it has the unknown", unknown))
                if names
            )
        )
    for name, shape in found.items():
        if shape != expected[name]:
            raise PretrainedError(
                f"{path}: {name} has the shape {shape}; {CONFIG} describes {expected[name]}"
            )
