"""Numeric arrays of MATLAB 5 files (.mat), read within limits; nothing else in them is looked at.

A file is a header of 128 bytes and elements, each a tag (type and size) and a body padded to 8
bytes; a matrix is an element of elements (flags, dimensions, name, values), and may be compressed.
Source: MathWorks, "MAT-File Format", the chapter on level 5. Structures, cells, objects, complex
and sparse arrays are not read, so a file from strangers can make nothing but numbers, and no more
of them than `max_bytes`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
INTEGERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 12: "i8", 13: "u8"}
NUMBERS = INTEGERS | {7: "f4", 9: "f8"}
NUMERIC_CLASSES = range(6, 16)  # double, single and the integers
COMPLEX_FLAG = 0x0800
MOST_DIMENSIONS = 8

Elements = Iterator[tuple[int, memoryview]]


class MatlabError(ValueError):
    """A .mat file is damaged, or not of the kind that is read."""


def read_array(content: bytes, name: str, *, max_bytes: int) -> npt.NDArray[Any]:
    """The array that a MATLAB 5 file has under a name.

    Args:
        content: of the file.
        name: of the variable.
        max_bytes: most bytes to which its compressed elements may grow, all together.

    Raises:
        MatlabError: no such array, or the file is damaged or beyond the limit.
    """
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(content[124:HEADER_BYTES])
    if order is None:
        raise MatlabError("not a MATLAB 5 file (expected one that `save -v6` or `-v7` writes)")
    for kind, body in _elements(memoryview(content)[HEADER_BYTES:], order):
        if kind == COMPRESSED:
            inflated = _inflated(body, max_bytes)
            max_bytes -= len(inflated)
            kind, body = next(_elements(memoryview(inflated), order), (kind, body))
        if kind == MATRIX:
            elements = _elements(body, order)
            header = [content for _, content in islice(elements, 3)]  # flags, dimensions, name
            if len(header) == 3 and header[2] == name.encode():
                return _array(header[0], header[1], elements, order)
    raise MatlabError(f"it has no variable {name!r}")


def _elements(data: memoryview, order: str) -> Elements:
    """Type and body of each element."""
    start = 0
    while start < len(data):
        tag = data[start : start + 8]
        if len(tag) < 8:
            raise MatlabError(f"it ends within a tag, after {len(tag)} bytes of 8")
        kind, size = np.frombuffer(tag, order + "u4").tolist()
        if kind >> 16:  # a small element: both in the first four bytes, the body in the others
            kind, size = kind & 0xFFFF, kind >> 16
            body, start = tag[4 : 4 + size], start + 8
        else:
            body = data[start + 8 : start + 8 + size]
            start += 8 + size + (0 if kind == COMPRESSED else -size % 8)
        if len(body) < size:
            raise MatlabError(f"an element of {size} bytes, but only {len(body)} are there")
        yield kind, body


def _inflated(body: memoryview, max_bytes: int) -> bytes:
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise MatlabError(f"its compressed data are damaged ({error})") from error
    if len(content) > max_bytes:
        raise MatlabError(f"its compressed data grow beyond {max_bytes} bytes")
    if not inflater.eof:
        raise MatlabError("its compressed data are cut off")
    return content


def _array(
    flags: memoryview, dimensions: memoryview, values: Elements, order: str
) -> npt.NDArray[Any]:
    if len(flags) != 8 or len(dimensions) % 4:
        raise MatlabError("its header is damaged")
    flag = int(np.frombuffer(flags, order + "u4")[0])
    shape = np.frombuffer(dimensions, order + "i4").tolist()
    if flag & 0xFF not in NUMERIC_CLASSES or flag & COMPLEX_FLAG:
        raise MatlabError("it is no array of real numbers")
    if not 2 <= len(shape) <= MOST_DIMENSIONS or min(shape) < 0:
        raise MatlabError(f"its dimensions are {shape[:MOST_DIMENSIONS]}")
    kind, body = next(values, (0, memoryview(b"")))
    if kind not in NUMBERS:
        raise MatlabError(f"its values are of the unknown type {kind}")
    dtype = np.dtype(order + NUMBERS[kind])
    if prod(shape) * dtype.itemsize != len(body):
        raise MatlabError(f"its dimensions are {shape}, but it has {len(body)} bytes of {dtype}")
    return np.frombuffer(body, dtype).reshape(shape, order="F")
