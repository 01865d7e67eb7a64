"""Clips of a file that somebody sent: read by the importers, none of which runs what it reads."""

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from shapmix.data.adapting import MismatchError, find_adaptation
from shapmix.data.importers.base import SourceError
from shapmix.data.sources import Recordings, find_formats, read_source
from shapmix.serving.clips import MOST_NESTED, Model, RefusedError, as_keypoints
from shapmix.serving.limits import Limits

SUFFIXES = (
    ".npy",
    ".npz",
    ".json",
    ".csv",
    ".tsv",
    ".parquet",
    ".skeleton",
    ".bvh",
    ".mat",
    ".txt",
)
_REFUSED_FORMATS = {"pyskl-pkl"}
_MOST_NAME = 100  # characters
_OWN_FOLDER = r"""[^\s'"]*/shapmix-\S*?(?=[\s:,;)'"]|$)"""  # and the file in it


@dataclass(frozen=True)
class Upload:
    """What a file holds.

    Attributes:
        clips: name, keypoints `(T, M, V, C)` and frames a second of each that can be used.
        skipped: name of each other one, and why.
    """

    clips: list[tuple[str, NDArray[np.float32], float | None]]
    skipped: list[tuple[str, str]]


def read_upload(name: str, content: bytes, model: Model, limits: Limits) -> Upload:
    """The clips of a file, in the form that the model takes.

    Raises:
        HTTPException: 415 for a kind of file that is not taken.
        RefusedError: the file cannot be read, holds no clip, or is of another skeleton.
    """
    name = _plain(name)
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise HTTPException(
            415, f"{name!r} ends in {suffix or 'nothing'!r}; expected one of {', '.join(SUFFIXES)}"
        )
    if suffix == ".json" and (plain := _own_json(content)) is not None:
        return Upload([(name, as_keypoints(plain, model, limits), None)], [])
    with TemporaryDirectory(prefix="shapmix-upload-") as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        if suffix != ".npz" and zipfile.is_zipfile(path):
            raise HTTPException(415, f"{name!r} is a zip file: send the files in it one by one")
        try:
            with _opened(path, model) as recordings:
                return _checked(recordings, model, limits)
        except (SourceError, MismatchError) as error:
            words = re.sub(_OWN_FOLDER, name, str(error))
            raise RefusedError(words[:600]) from None


def _plain(name: str) -> str:
    """The last component of a name, without characters that mean something to a file system."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.-]", "_", last, flags=re.ASCII).lstrip(".")[-_MOST_NAME:]


def _own_json(content: bytes) -> Any:
    """The keypoints of a file that is nested lists, or an object with "keypoints"; else None."""
    if content.count(b"[") + content.count(b"{") > MOST_NESTED:
        raise HTTPException(413, f"the file has more than {MOST_NESTED} lists and objects")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the file is no JSON: {str(error)[:200]}") from None
    if isinstance(found, dict):
        return found.get("keypoints")
    return found if isinstance(found, list) and found and isinstance(found[0], list) else None


@contextmanager
def _opened(path: Path, model: Model) -> Iterator[Recordings]:
    """The clips of a file by the first importer that knows its form."""
    formats = [name for name in find_formats(path) if name not in _REFUSED_FORMATS]
    if not formats:
        raise SourceError(f"the format of {path} was not recognised")
    expected = {"channels": model.info.channels, "units": model.info.units}
    with read_source(path, formats[0], None, model.layout, **expected) as recordings:
        yield recordings


def _checked(recordings: Recordings, model: Model, limits: Limits) -> Upload:
    info = model.info
    adapt = find_adaptation(recordings.info, model.layout, info.channels, info.units)
    upload = Upload([], [])
    for recording in recordings:
        if len(upload.clips) == limits.clips:
            upload.skipped.append((recording.name, f"only {limits.clips} clips of a file are read"))
            break
        try:
            keypoints = as_keypoints(adapt(recording.keypoints), model, limits, "the clip")
        except RefusedError as error:
            upload.skipped.append((recording.name, str(error)))
        else:
            upload.clips.append((recording.name, keypoints, recording.fps))
    report = recordings.report
    for reason, names in report.skipped.items():
        why = report.details.get(reason, reason)
        upload.skipped.extend((name, why) for name in names[: limits.clips])
    if not upload.clips:
        first = upload.skipped[0] if upload.skipped else ("the file", "it holds no clip")
        raise RefusedError(f"no clip can be used; of the first, {first[0]}: {first[1]}")
    return upload
