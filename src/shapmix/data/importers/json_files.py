"""Safe reading of keypoints in JSON, which may come from strangers."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ClipError, Keypoints
from shapmix.data.importers.files import SourceFiles
from shapmix.data.reading import reason

Kind = TypeVar("Kind")

KINDS: dict[type, str] = {
    **{dict: "an object", list: "a list", array: "a list of numbers", str: "text"},
    **{int: "a whole number", float: "a number", bool: "true or false", type(None): "null"},
}
BLOCK = 4096
MOST_OBJECTS = 2_000_000  # and lists, of a file: some 100 bytes each, however short in the file

Hook = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class SingleFile:
    """One file, in the form of `SourceFiles`: its siblings are not looked at."""

    source: Path
    max_bytes: int

    @property
    def sizes(self) -> dict[str, int]:
        """Its name and bytes."""
        return {self.source.name: self.source.stat().st_size}

    @property
    def stamp(self) -> str:
        """Changes with its size and time of modification."""
        status = self.source.stat()
        return f"{status.st_size}:{status.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        """Contents of the file; ClipError when it cannot be read or is too large."""
        try:
            with self.source.open("rb") as file:
                content = file.read(self.max_bytes + 1)
        except OSError as error:
            raise ClipError("unreadable file", self.source.stem, reason(error)) from error
        if len(content) > self.max_bytes:
            detail = f"it has more than {self.max_bytes} bytes; cut it into one file a video"
            raise ClipError("too large", self.source.stem, detail)
        return content


def read_json(
    files: SourceFiles | SingleFile, name: str, clip: str, hook: Hook | None = None
) -> Any:
    """Contents of a file; ClipError, for the clip that it belongs to, when it is damaged.

    Args:
        hook: what to keep of each object, at once.
    """
    try:
        return json.loads(_content(files, name), object_hook=hook)
    except ClipError as error:
        raise ClipError(error.reason, clip, error.detail) from error
    except (ValueError, RecursionError) as error:
        detail = f"{PurePosixPath(name).name} cannot be read as JSON: {_short(error)}"
        raise ClipError("not JSON", clip, detail) from error


def _content(files: SourceFiles | SingleFile, name: str) -> bytes:
    content = files.read(name)
    if (found := content.count(b"[") + content.count(b"{")) > MOST_OBJECTS:
        detail = f"{name} has {found} objects and lists, expected at most {MOST_OBJECTS}"
        raise ClipError("too large", name, detail)
    return content


def member(record: Any, key: str, kind: type[Kind], clip: str) -> Kind:
    """A field of a JSON object; ClipError when it is missing or of another kind."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = f'expected an object with "{key}": {KINDS[kind]}'
        found: object = type(record).__name__
        if isinstance(record, dict):
            found = KINDS[type(value)] if key in record else sorted(map(str, record))[:8]
        raise ClipError("other fields", clip, f"{expected}; found {_short(found)}")
    return value


def joint_rows(rows: Sequence[Any], joints: int, channels: int, clip: str) -> Keypoints:
    """(N, V, C) float32 from N flat lists or arrays of numbers; null becomes NaN.

    Raises:
        ClipError: a list has another number of numbers, or not only numbers.
    """
    for row in rows:
        if not isinstance(row, list | array) or len(row) != joints * channels:
            is_row = isinstance(row, list | array)
            found = f"{len(row)} numbers" if is_row else f"{_short(repr(row))}"
            expected = f"{joints * channels} ({joints} joints with {channels} each)"
            raise ClipError("wrong number of joints", clip, f"a body has {found}, not {expected}")
    keypoints = np.empty((len(rows), joints * channels), dtype=np.float32)
    for first in range(0, len(rows), BLOCK):  # float64 of a few rows at once
        values = numbers(rows[first : first + BLOCK], clip)
        if values.ndim != 2:
            raise ClipError("not numbers", clip, "a body has lists where numbers were expected")
        with np.errstate(over="ignore"):  # the archive refuses what overflows
            keypoints[first : first + BLOCK] = values
    return keypoints.reshape(len(rows), joints, channels)


def numbers(values: Any, clip: str) -> npt.NDArray[np.float64]:
    """An array of (lists of) numbers; null becomes NaN; ClipError when that cannot be."""
    try:
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ClipError("not numbers", clip, f"expected numbers: {_short(error)}") from error


def _short(message: object) -> str:
    """A message that may quote its source, cut to what fits a line or two."""
    text = str(message)
    return text if len(text) <= 200 else f"{text[:200]}..."
