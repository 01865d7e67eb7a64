"""Clips of a file that somebody sent: read by the importers, none of which runs what it reads."""

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import HTTPException
from numpy.typing import NDArray

from shapmix.data.adapting import MismatchError, find_adaptation
from shapmix.data.importers import load_importer
from shapmix.data.importers.base import EnoughClipsError, SourceError
from shapmix.data.importers.label_files import NO_LABELS
from shapmix.data.importers.peek import UNREADABLE
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
_REFUSED_FORMATS = {"pyskl-pkl", "ctrgcn-npz"}  # of whole data sets
_MOST_NAME = 100  # characters
_MOST_MEMBERS = 100  # of a .npz
_MOST_UNPACKED = 4  # times the most bytes of a request, for a .npz
_CELL_BYTES = 2  # of a .csv at least: a figure and a comma
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
        if suffix == ".npz":
            _check_npz(name, content, limits)
        elif suffix == ".parquet":
            _check_parquet(name, content, limits)
        elif zipfile.is_zipfile(path):
            raise HTTPException(415, f"{name!r} is a zip file: send the files in it one by one")
        try:
            with _opened(path, model) as recordings:
                return _checked(recordings, model, limits)
        except (SourceError, MismatchError) as error:
            words = re.sub(_OWN_FOLDER, name, str(error))[:600]
            if re.search(r" --[a-z]", words):
                words += " (that is for shapmix predict: here, send keypoints as JSON)"
            raise RefusedError(words) from None


def _plain(name: str) -> str:
    """The last component of a name, without characters that mean something to a file system."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.-]", "_", last, flags=re.ASCII).lstrip(".")[-_MOST_NAME:]


def _check_npz(name: str, content: bytes, limits: Limits) -> None:
    """Refuse a zip of anything but arrays, and one that unpacks to far more than was sent.

    Raises:
        HTTPException: 413 where it is too much, 415 where it holds something else.
        RefusedError: it is damaged.
    """
    if content.count(b"PK\1\2") > _MOST_MEMBERS:  # before they are listed, each as an object
        raise HTTPException(
            413, f"{name!r} has more than {_MOST_MEMBERS} arrays: send the array of one clip"
        )
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
    except UNREADABLE as error:
        raise RefusedError(f"{name!r} is no .npz file, or damaged: {str(error)[:200]}") from None
    for member in members:
        if not member.filename.endswith(".npy"):
            raise HTTPException(
                415,
                f"{name!r} holds {member.filename[:_MOST_NAME]!r}; expected arrays only, as "
                "numpy.savez writes them: send files of other kinds one by one",
            )
    size, most = sum(member.file_size for member in members), _MOST_UNPACKED * limits.body_bytes
    if size > most:
        raise HTTPException(
            413,
            f"{name!r} unpacks to {size} bytes, {most} at most: send shorter clips, or start the "
            "server with a larger --max-mb",
        )


def _check_parquet(name: str, content: bytes, limits: Limits) -> None:
    """HTTPException 413 for more cells than a .csv of the most bytes has; equal ones cost nothing.

    Raises:
        RefusedError: it is damaged.
    """
    try:
        metadata = pq.read_metadata(BytesIO(content))
        rows = sum(metadata.row_group(g).num_rows for g in range(metadata.num_row_groups))
    except (pa.ArrowException, OSError) as error:
        raise RefusedError(f"{name!r} is damaged: {str(error)[:200]}") from None
    most = limits.body_bytes // _CELL_BYTES
    if rows * metadata.num_columns > most:
        raise HTTPException(
            413,
            f"{name!r} has {rows} rows of {metadata.num_columns} columns, {most} cells at most: "
            "send fewer or shorter clips, or start the server with a larger --max-mb",
        )


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
    found = find_formats(path)
    formats = [name for name in found if name not in _REFUSED_FORMATS]
    if not formats:
        raise HTTPException(
            415,
            f"{path.name!r} is of the format {next(iter(found))}, a whole data set: send its clips "
            "as files of their own, or give the file to shapmix predict",
        )
    expected = {"channels": model.info.channels, "units": model.info.units}
    options = _without_labels(formats[0])
    with read_source(path, formats[0], options, model.layout, **expected) as recordings:
        yield recordings


def _without_labels(format_name: str) -> Any:
    """Options of a format whose labels nobody asks for: the clips are gone through once."""
    options = load_importer(format_name).Options
    if any(field.name == "labels" for field in fields(options)):
        return options(labels=NO_LABELS)
    return options()


def _checked(recordings: Recordings, model: Model, limits: Limits) -> Upload:
    info = model.info
    adapt = find_adaptation(recordings.info, model.layout, info.channels, info.units)
    upload = Upload([], [])
    report, more = recordings.report, None
    report.most_clips = limits.clips
    try:
        for recording in recordings:
            if report.read + report.num_skipped > limits.clips:
                raise EnoughClipsError(recording.name, limits.clips)
            try:
                keypoints = as_keypoints(adapt(recording.keypoints), model, limits, "the clip")
            except RefusedError as error:
                upload.skipped.append((recording.name, str(error)))
            else:
                upload.clips.append((recording.name, keypoints, recording.fps))
    except EnoughClipsError as error:
        more = error.clip
    for reason, names in report.skipped.items():
        why = report.details.get(reason, reason)
        upload.skipped.extend((name, why) for name in names)
    if more is not None:
        upload.skipped.append((more, f"only {limits.clips} clips of a file are read, sound or not"))
    if not upload.clips:
        first = upload.skipped[0] if upload.skipped else ("the file", "it holds no clip")
        raise RefusedError(f"no clip can be used; of the first, {first[0]}: {first[1]}")
    return upload
