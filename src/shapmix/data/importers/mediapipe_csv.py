"""MediaPipe landmarks in CSV files: a row a body or a row a landmark; see `mediapipe`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ClipError, Keypoints
from shapmix.data.importers.json_files import numbers
from shapmix.data.importers.label_files import sniff_separator

JOINTS = 33
BLOCK = 4096  # rows that are in memory as text
MAX_NUMBER = 2**53  # of frames, persons and landmarks

Values = npt.NDArray[np.float64]
WIDE = [f"{axis}{joint}" for joint in range(JOINTS) for axis in "xyz"]
LONG = ["landmark", "x", "y", "z"]


class CsvBodies(NamedTuple):
    """Frames (N), persons (N), landmarks (N, 33, 4) and the times of the frames in ms."""

    frames: list[int]
    persons: list[int]
    landmarks: Keypoints
    times: dict[int, float]


def is_header(line: str) -> bool:
    """Whether the first line of a file names the columns of landmarks."""
    names = _header(line)
    return "frame" in names and ({*WIDE} <= {*names} or {*LONG, "visibility"} <= {*names})


def read_csv(content: bytes, clip: str) -> CsvBodies:
    """The bodies of a file; landmarks without a number are NaN.

    Raises:
        ClipError: it is no such CSV, or a body lacks a landmark or has one twice.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except ValueError as error:
        raise ClipError("not CSV", clip, str(error)[:200]) from error
    names = _header(lines[0] if lines else "")
    joints = WIDE if {*WIDE} <= {*names} else LONG
    missing = [name for name in ("frame", *joints) if name not in names]
    if missing:
        detail = f"it has no column {missing[0]!r}; expected frame, x0, y0, z0, v0, ... v32, or "
        raise ClipError("other columns", clip, detail + "frame, landmark, x, y, z, visibility")
    table = _table(lines, names, joints, clip)
    frames = _whole(table["frame"], "frame", clip)
    persons = _whole(table.get("person", np.zeros(len(frames))), "person", clip)
    times = _times(frames, table.get("timestamp_ms"))
    if joints is WIDE:
        return CsvBodies(frames.tolist(), persons.tolist(), _wide(table), times)
    return _long(table, frames, persons, times, clip)


def _header(line: str) -> list[str]:
    """Names of the columns."""
    names = line.strip("\ufeff\r\n").split(sniff_separator(line))
    return [name.strip().strip('"').lower() for name in names]


def _table(
    lines: Sequence[str], names: Sequence[str], joints: Sequence[str], clip: str
) -> dict[str, Values]:
    """The values of the columns that are of use; further ones may hold anything."""
    wanted = ("frame", "person", "timestamp_ms", *joints, "visibility")
    wanted = (*wanted, *(f"v{joint}" for joint in range(JOINTS)))
    columns = {name: i for i, name in enumerate(names) if name in wanted}
    if any(names.count(name) > 1 for name in columns):
        raise ClipError("other columns", clip, "two columns have the same name")
    blocks = [np.empty((0, len(columns)))]
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines[1:], delimiter=sniff_separator(lines[0])):
            if row and len(row) != len(names):
                raise ClipError("other columns", clip, f"not every row has {len(names)} values")
            rows += [[row[i].strip() or "nan" for i in columns.values()]] if row else []
            if len(rows) == BLOCK:
                blocks.append(numbers(rows, clip))
                rows = []
    except csv.Error as error:
        raise ClipError("not CSV", clip, str(error)[:200]) from error
    cells = np.concatenate([*blocks, numbers(rows, clip).reshape(-1, len(columns))])
    return {name: cells[:, i] for i, name in enumerate(columns)}


def _whole(values: Values, what: str, clip: str) -> npt.NDArray[np.int64]:
    if not (np.abs(values) < MAX_NUMBER).all() or (values % 1 != 0).any():
        raise ClipError("other columns", clip, f"the column {what} must have whole numbers only")
    return values.astype(np.int64)


def _times(frames: npt.NDArray[np.int64], times: Values | None) -> dict[int, float]:
    if times is None:
        return {}
    known = np.abs(times) < 1e15
    return dict(zip(frames[known].tolist(), times[known].tolist(), strict=True))


def _float32(columns: Sequence[Values]) -> Keypoints:
    with np.errstate(over="ignore"):  # the archive refuses what overflows
        return np.stack(columns, -1).astype(np.float32)


def _wide(table: dict[str, Values]) -> Keypoints:
    ones = np.ones(len(table["frame"]))
    columns = [table.get(f"{axis}{joint}", ones) for joint in range(JOINTS) for axis in "xyzv"]
    return _float32(columns).reshape(-1, JOINTS, 4)


def _long(
    table: dict[str, Values],
    frames: npt.NDArray[np.int64],
    persons: npt.NDArray[np.int64],
    times: dict[int, float],
    clip: str,
) -> CsvBodies:
    landmarks = _whole(table["landmark"], "landmark", clip)
    order = np.lexsort((landmarks, persons, frames))
    frames, persons, landmarks = frames[order], persons[order], landmarks[order]
    whole = len(order) % JOINTS == 0
    if whole:
        bodies = np.stack([frames, persons, landmarks]).reshape(3, -1, JOINTS)
        whole = bool((bodies[:2] == bodies[:2, :, :1]).all() and (bodies[2] == range(JOINTS)).all())
    if not whole:
        detail = f"expected the landmarks 0 to {JOINTS - 1} of each body, each once"
        raise ClipError("wrong number of joints", clip, detail)
    ones = np.ones(len(order))
    values = _float32([table.get(name, ones)[order] for name in ("x", "y", "z", "visibility")])
    first = slice(0, None, JOINTS)
    return CsvBodies(
        frames[first].tolist(), persons[first].tolist(), values.reshape(-1, JOINTS, 4), times
    )
