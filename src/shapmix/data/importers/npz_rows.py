"""Rows of an array in an .npz or .npy file, without loading the array."""

from __future__ import annotations

import math
import tokenize
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from shapmix.data.importers.base import SourceError
from shapmix.data.importers.peek import UNREADABLE

_NO_HEADER = (*UNREADABLE, SyntaxError, TypeError, MemoryError, tokenize.TokenError)
_LOCAL_HEADER_BYTES = 30


@dataclass
class NpzRows:
    """An array whose rows (along the first axis) are read in slices.

    A member that is stored is read where it lies. A compressed one can only be read from its
    beginning: its stream stays open, so that a process that reads ever later rows reads it once.
    Picklable: each process opens the file itself.

    Attributes:
        source: the .npz file.
        member: of it, such as "x_train.npy".
        shape: of the array.
        dtype: of the array.
        start: of the first value, in the file if stored, in the member if compressed.
        stored: whether the member is not compressed.
    """

    source: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    stored: bool

    def __post_init__(self) -> None:
        self._stream: IO[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stream": None}

    @classmethod
    def of(cls, source: Path, member: str) -> NpzRows:
        """The array `member` of `source`.

        Raises:
            SourceError: no such member, no array of numbers, or of another size than it declares.
        """
        try:
            with zipfile.ZipFile(source) as archive:
                info = archive.getinfo(member)
                with archive.open(info) as file:
                    shape, dtype = _header(file)
                    start = file.tell()
            stored = info.compress_type == zipfile.ZIP_STORED
            available = info.file_size
            if stored:
                offset = _data_offset(source, info.header_offset)
                available = min(available, source.stat().st_size - offset)
        except _NO_HEADER as error:
            raise SourceError(f"{source}: {member} cannot be read: {error}") from error
        expected = start + math.prod(shape) * dtype.itemsize
        if available != expected:
            raise SourceError(
                f"{source}: {member} has {available} bytes, but for its shape {shape} and type "
                f"{dtype} {expected} are expected; is the file complete?"
            )
        return cls(source, member, shape, dtype, start + (offset if stored else 0), stored)

    @classmethod
    def of_npy(cls, source: Path) -> NpzRows:
        """The array of a .npy file, in the form of a stored member; SourceError as of `of`."""
        try:
            if not source.is_file():  # a pipe would block
                raise FileNotFoundError(f"{source} is not a regular file")
            with source.open("rb") as file:
                shape, dtype = _header(file)
                start = file.tell()
        except _NO_HEADER as error:
            raise SourceError(f"{source} cannot be read: {error}") from error
        expected = start + math.prod(shape) * dtype.itemsize
        if source.stat().st_size != expected:
            raise SourceError(
                f"{source} has {source.stat().st_size} bytes, but for its shape {shape} and type "
                f"{dtype} {expected} are expected; is the file complete?"
            )
        return cls(source, source.name, shape, dtype, start, True)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self, first: int, count: int) -> npt.NDArray[Any]:
        """Rows `first` to `first + count`; what `UNREADABLE` lists when the file is damaged."""
        size = count * self.row_bytes
        position = self.start + first * self.row_bytes
        if self.stored:
            with self.source.open("rb") as file:
                content = _read(file, position, size)
        else:
            if self._stream is None:
                archive = zipfile.ZipFile(self.source)
                self._stream = archive.open(self.member)
            content = _read(self._stream, position, size)
        return np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])


def _read(file: IO[bytes], position: int, size: int) -> bytes:
    file.seek(position)
    content = file.read(size)
    if len(content) != size:
        raise EOFError(f"{len(content)} bytes, expected {size}")
    return content


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a .npy file, which is left at its first value."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"format version {version}, expected one of {[*readers]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers as Python 2 wrote them
        shape, fortran, dtype = readers[version](file)
    if dtype.kind not in "fiub" or not shape or (fortran and len(shape) > 1):
        order = ", Fortran order" if fortran else ""
        raise ValueError(f"shape {shape}, type {dtype}{order}; expected numbers in C order")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"shape {shape} is no tuple of sizes")
    return shape, dtype


def _data_offset(source: Path, header_offset: int) -> int:
    """Where the content of a stored member begins: after its header, name and extra field."""
    with source.open("rb") as file:
        file.seek(header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
    name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    return header_offset + _LOCAL_HEADER_BYTES + name + extra
