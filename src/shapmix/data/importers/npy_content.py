"""Numeric arrays from the bytes of .npy and .npz files that may come from strangers.

The .npy format (NumPy Enhancement Proposal 1): magic, version, length of the header, a header that
is a dictionary literal with descr, fortran_order and shape, then the values. Only plain numbers are
read, so that nothing is ever unpickled, and nothing is allocated before its bytes are there.
"""

from __future__ import annotations

import ast
import io
import math
import re
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ClipError
from shapmix.data.importers.base import MIB
from shapmix.data.importers.peek import UNREADABLE
from shapmix.suggest import did_you_mean

MAX_BYTES = 32 * MIB  # of one file, and of one array
MOST_VALUES = 2**22  # of one array: half an hour of 25 joints in 3D at 30 frames a second
MOST_HEADER = 4096
MAGIC = b"\x93NUMPY"
NUMBERS = r"[<>=|]?(f[248]|[iu][1248])"


# What two arrays of one .npz are called that belong together: x, y, and how sure they are.
POINTS = ("keypoints", "keypoint", "data")
SCORES = ("keypoint_scores", "keypoint_score", "scores", "score", "confidence")


class Header(NamedTuple):
    """What a .npy file declares, and where its values begin."""

    descr: object
    fortran: bool
    shape: tuple[int, ...]
    start: int


class Content(NamedTuple):
    """An array, and whether its last axis is x, y and a score that lay in an array of its own."""

    values: npt.NDArray[Any]
    has_scores: bool = False


def read_header(content: bytes, clip: str) -> Header:
    """The header of a .npy file, of which the beginning is enough; ClipError when it is none."""
    start = 10 if content[6:7] == b"\x01" else 12
    length = int.from_bytes(content[8:start], "little")
    if not content.startswith(MAGIC) or len(content) < start or length > MOST_HEADER:
        raise ClipError("not .npy", clip, "expected a file written by numpy.save")
    try:
        header = ast.literal_eval(content[start : start + length].decode("latin-1").strip())
        descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ClipError("not .npy", clip, f"its header cannot be read: {error!r}") from error
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ClipError("not .npy", clip, f"its shape is {shape!r}")
    return Header(descr, bool(fortran), shape, start + length)


def read_npy(content: bytes, clip: str) -> npt.NDArray[Any]:
    """The array of a .npy file: a view of its bytes, of floats or whole numbers.

    Raises:
        ClipError: it is no .npy file, holds no numbers, or has other bytes than it declares.
    """
    descr, fortran, shape, start = read_header(content, clip)
    if not isinstance(descr, str) or not re.fullmatch(NUMBERS, descr):
        detail = f"it holds {descr!r}, expected floats of 2, 4 or 8 bytes or whole numbers"
        raise ClipError("no numbers", clip, detail)
    dtype = np.dtype(descr)
    values = memoryview(content)[start:]
    if math.prod(shape) * dtype.itemsize != len(values) or len(shape) > 8:
        detail = f"shape {_shown(shape)} of {dtype} declared, {len(values)} bytes found"
        raise ClipError("other size than declared", clip, f"{detail}; was the file cut?")
    if math.prod(shape) > MOST_VALUES:
        detail = f"an array is limited to {MOST_VALUES} values; cut it into shorter clips"
        raise ClipError("too large", clip, detail)
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C")


def read_npz(content: bytes, key: str | None, clip: str) -> Content:
    """An array of a .npz file.

    Args:
        key: its name; None for the only one, or for x and y with their scores (`POINTS`,
            `SCORES`), which are joined.

    Raises:
        ClipError: as `read_npy`; the zip is damaged; no array has this name, or several are there.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            keys = [name.removesuffix(".npy") for name in file.namelist()]
            points = next((name for name in POINTS if name in keys), None)
            scores = next((name for name in SCORES if name in keys), None)
            if key is None and len(keys) > 1 and points is not None and scores is not None:
                both = _member(file, points, clip), _member(file, scores, clip)
                if both[0].shape == (*both[1].shape, 2):
                    return Content(np.concatenate([both[0], both[1][..., None]], -1), True)
            return Content(_member(file, _chosen(keys, key, clip), clip))
    except ClipError:
        raise
    except UNREADABLE as error:
        raise ClipError("unreadable file", clip, f"the .npz file is damaged: {error}") from error


def _member(file: zipfile.ZipFile, key: str, clip: str) -> npt.NDArray[Any]:
    if file.getinfo(f"{key}.npy").file_size > MAX_BYTES:
        raise ClipError("too large", clip, f"an array is limited to {MAX_BYTES} bytes")
    with file.open(f"{key}.npy") as member:
        return read_npy(member.read(MAX_BYTES + 1), clip)


def _chosen(keys: Sequence[str], key: str | None, clip: str) -> str:
    listed = ", ".join(keys[:10])[:200]
    if key is None and len(keys) != 1:
        detail = f"the .npz file has the arrays {listed}; say which, by --key"
        raise ClipError("several arrays", clip, detail)
    if key is not None and key not in keys:
        detail = f"no array {key!r}{did_you_mean(key, keys)}; there are {listed}"
        raise ClipError("no such array", clip, detail)
    return keys[0] if key is None else key


def _shown(shape: tuple[int, ...]) -> str:
    return str(shape) if max((0, *shape)) < 10**18 and len(shape) < 20 else "of huge numbers"
