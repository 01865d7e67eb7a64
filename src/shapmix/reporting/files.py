"""Reading the files of a run folder, with errors that name the file and what to do."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
)


class RunError(ValueError):
    """A run folder or a file in it is missing or damaged; the message names it."""


def damaged(path: Path, found: str) -> RunError:
    """The error for a file that is there but is not what it must be."""
    found = " ".join(found.split())
    return RunError(f"{path} is damaged ({found}): restore it from a copy, or make the run again")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a mapping."""
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"no valid JSON, {error}") from error
    return _mapping(path, content)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    try:
        import yaml
    except ImportError as error:
        raise ImportError(
            "reading a run needs PyYAML: pip install pyyaml (or shapmix[train])"
        ) from error
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise damaged(path, f"no valid YAML, {error}") from error
    return _mapping(path, content)


def read_arrays(path: Path, required: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz` file; pickled ones are refused."""
    check_exists(path)
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _UNREADABLE as error:
        raise damaged(path, str(error)) from error
    missing = [name for name in required if name not in arrays]
    if missing:
        raise damaged(path, f"no array {', '.join(missing)}")
    return arrays


def read_text(path: Path) -> str:
    """A text file in UTF-8."""
    check_exists(path)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(path, str(error)) from error


def check_exists(path: Path) -> None:
    """RunError for a file that is not there."""
    if not path.exists():
        raise RunError(
            f"{path} does not exist: the run has not finished, or {path.parent} is no run folder; "
            "let the training end (resume it), or give another folder"
        )


def _mapping(path: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise damaged(path, f"a {type(content).__name__}, expected a mapping")
    return content
