"""What a pickle may hold here: plain values, and NumPy arrays whose bytes stay in the file.

The globals that a pickle names become inert `Global`s. `construct` knows the few that stand for
data and makes their values itself; nothing is ever imported or called because a file says so.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Buffer = bytes | mmap.mmap

MOST_ARRAY_BYTES = 2**27  # of one array; a clip of NTU RGB+D has up to 180 000
MOST_DIMENSIONS = 16
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[US][1-9]\d{0,3}", re.ASCII)
_KEYS = (str, int, float, bytes, type(None))


class UnreadablePickle(ValueError):  # noqa: N818 - what it is says that it is an error
    """A pickle that is damaged, or that asks for more than data."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A long text or byte string that was left where it is.

    Attributes:
        start: its first byte in the file.
        stop: one past its last.
        encoding: of the text; None for bytes.
    """

    start: int
    stop: int
    encoding: str | None = None

    def read(self, file: Buffer) -> bytes:
        """Its bytes, or of a text the Latin-1 bytes, as old pickles write arrays."""
        content = file[self.start : self.stop]
        if self.encoding is None:
            return content
        return content.decode(self.encoding).encode("latin-1")


@dataclass(slots=True)
class PickledDtype:
    """A NumPy dtype of fixed size: numbers, booleans or short texts."""

    code: str
    order: str = "="

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)

    def set_state(self, state: Any) -> None:
        """Take the byte order from what `numpy.dtype` pickles; the rest follows from the code."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise UnreadablePickle("a dtype of NumPy is not of its usual form")
        self.order = state[1]


@dataclass(slots=True)
class PickledArray:
    """A NumPy array, its values still in the file.

    Attributes:
        shape: as declared; believed only by `load`, which compares it with the bytes.
        dtype: of its values.
        order: "C" or "F", whether the last or the first axis varies fastest.
        data: its bytes, or where they are.
    """

    shape: tuple[int, ...] = (0,)
    dtype: np.dtype[Any] = np.dtype("f4")  # noqa: RUF009 - immutable
    order: Literal["C", "F"] = "C"
    data: bytes | Stored = b""

    @property
    def num_bytes(self) -> int:
        """That it takes in the file."""
        data = self.data
        return data.stop - data.start if isinstance(data, Stored) else len(data)

    def load(self, file: Buffer) -> npt.NDArray[Any]:
        """The array (read-only).

        Raises:
            UnreadablePickle: its bytes are not as many as its shape says, or too many.
        """
        expected = math.prod(self.shape) * self.dtype.itemsize
        size = max(expected, self.num_bytes)
        if size > MOST_ARRAY_BYTES:
            raise UnreadablePickle(f"an array of {size} bytes, expected at most {MOST_ARRAY_BYTES}")
        try:
            data = self.data.read(file) if isinstance(self.data, Stored) else self.data
            if len(data) == expected:
                return np.ndarray(self.shape, self.dtype, data, order=self.order)
        except ValueError as error:
            raise UnreadablePickle(f"damaged array: {error}") from error
        raise UnreadablePickle(
            f"an array of shape {self.shape} and type {self.dtype} has {len(data)} bytes, "
            f"expected {expected}"
        )

    def set_state(self, state: Any) -> None:
        """Take the (version, shape, dtype, Fortran order, data) that `numpy.ndarray` pickles."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise UnreadablePickle("an array of NumPy is not of its usual form")
        _, shape, dtype, fortran, data = state
        self._fill(shape, dtype, "F" if fortran is True or fortran == 1 else "C", data)

    def _fill(self, shape: Any, dtype: Any, order: Any, data: Any) -> None:
        if not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS:
            raise UnreadablePickle(
                f"the shape of an array is no tuple of {MOST_DIMENSIONS} or less"
            )
        if not all(type(n) is int and n >= 0 for n in shape):
            raise UnreadablePickle("the shape of an array is no tuple of sizes")
        if not isinstance(dtype, PickledDtype) or order not in ("C", "F"):
            raise UnreadablePickle("an array of NumPy is not of its usual form")
        self.shape, self.dtype, self.order = shape, dtype.dtype, order
        self.data = _as_bytes(data)


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that a pickle names; nothing but its name."""

    name: str


def find_global(module: object, name: object) -> Global:
    """The global of this name; UnreadablePickle unless it stands for data."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise UnreadablePickle("a class is named by something that is no text")
    full = f"{module}.{name}"
    for old, new in (("__builtin__.", "builtins."), ("numpy._core.", "numpy.core.")):
        if full.startswith(old):
            full = new + full.removeprefix(old)
    if full not in _BUILDERS:
        shown = full if full.isprintable() and full.isascii() else ascii(full)
        raise UnreadablePickle(
            f"refuses to build {shown[:100]}: only texts, numbers, containers and NumPy arrays "
            "are read, as anything else could run a program"
        )
    return Global(full)


def construct(callee: object, args: object) -> Any:
    """The value that a call of a global stands for; UnreadablePickle unless it is data."""
    if not isinstance(callee, Global):
        raise UnreadablePickle(f"refuses to call an object of type {type(callee).__name__}")
    builder = _BUILDERS[callee.name]
    if builder is None or not isinstance(args, tuple):
        raise UnreadablePickle(f"refuses to call {callee.name}")
    return builder(*args)


def as_key(value: Any) -> Any:
    """`value`, which is to be a key or in a set: flat, so that its hash is cheap."""
    if isinstance(value, _KEYS):
        return value
    raise UnreadablePickle(f"a key of type {type(value).__name__}, expected text or a number")


def _as_bytes(data: Any) -> bytes | Stored:
    if isinstance(data, bytes | Stored):
        return data
    if isinstance(data, str):  # Python 2 wrote bytes as text
        return data.encode("latin-1")
    raise UnreadablePickle(f"an array holds a {type(data).__name__}; only plain values are read")


def _dtype(code: Any, *flags: Any) -> PickledDtype:
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        shown = ascii(code)[:40] if isinstance(code, str) else type(code).__name__
        raise UnreadablePickle(f"refuses arrays of dtype {shown}: only plain values are read")
    return PickledDtype(code)


def _scalar(dtype: Any, data: Any) -> Any:
    values = PickledArray()
    values._fill((), dtype, "C", data)
    try:
        return values.load(b"").item()
    except SystemError as error:  # a code point that no text has
        raise UnreadablePickle("a NumPy text holds characters that do not exist") from error


def _array(subtype: Any, shape: Any, code: Any) -> PickledArray:
    if subtype != Global("numpy.ndarray"):
        raise UnreadablePickle("refuses arrays of another class than numpy.ndarray")
    return PickledArray()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    values = PickledArray()
    values._fill(shape, dtype, order, data)
    return values


def _encode(text: Any, encoding: Any) -> bytes | Stored:
    if encoding not in ("latin1", "latin-1"):
        raise UnreadablePickle("refuses to call _codecs.encode except with latin1")
    return _as_bytes(text)


def _bytes(data: Any = b"", encoding: Any = "latin-1") -> bytes | Stored:
    return _encode(data, encoding)


def _elements(values: Any = ()) -> set[Any]:
    if not isinstance(values, list | tuple | set):
        raise UnreadablePickle(f"a set is made from a {type(values).__name__}")
    return {as_key(value) for value in values}


def _empty_dict(*factory: Any) -> dict[Any, Any]:
    if not all(value is None or isinstance(value, Global) for value in factory):
        raise UnreadablePickle("a dictionary is made from values of an unusual form")
    return {}


# What may be named, and what a call of it makes; None where it is never to be called.
_BUILDERS: dict[str, Callable[..., Any] | None] = {
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.dtype": _dtype,
    "numpy.ndarray": None,
    "_codecs.encode": _encode,
    "collections.OrderedDict": _empty_dict,
    "collections.defaultdict": _empty_dict,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.set": _elements,
    "builtins.frozenset": _elements,
    "builtins.dict": None,
    "builtins.list": None,
    "builtins.tuple": None,
    "builtins.int": None,
    "builtins.float": None,
    "builtins.str": None,
}
