"""Pickles read as data, never executed, in bounded memory.

A pickle is a program for a small stack machine, and Python's own reader lets that program import
and call whatever it likes. This reader is another machine for the same opcodes (protocols 0 to 5).
It knows plain values, containers and NumPy arrays; whatever else a file asks for is refused by
name.

Files of many gigabytes are read in two passes over a memory map. The first finds which memoised
objects are used again, so that the second need not keep all. Long byte strings, which is where
arrays have their values, are skipped: an array is where it lies in the file, and is loaded later,
one at a time, in any process.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from shapmix.data.importers.pickle_opcodes import (
    GET,
    NAMES,
    decimal,
    memo_number,
    opcodes,
    used_again,
)
from shapmix.data.importers.pickle_values import (
    Buffer,
    PickledArray,
    PickledDtype,
    Stored,
    UnreadablePickle,
    as_key,
    construct,
    find_global,
)
from shapmix.data.reading import reason

__all__ = ["PickledArray", "UnreadablePickle", "load_pickle", "mapped_file"]

LONG = 512  # bytes from which a text or byte string stays in the file
MOST_HELD = 2**29  # bytes that the objects in memory take, roughly
OPCODE_COST = 100  # bytes that an opcode may add, besides those of a text
ITEM_COST = 1000  # of a shrunk item
MOST_INT_BYTES = 9

_CONTAINERS = (list, dict, set, tuple)

Shrink = Callable[[Any], Any]


@contextmanager
def mapped_file(path: Path) -> Iterator[mmap.mmap]:
    """A regular file as a memory map; UnreadablePickle when it is none or empty."""
    try:
        if not path.is_file():  # a pipe would block
            raise OSError("it is not a regular file")
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise UnreadablePickle(f"{path} cannot be read: {reason(error)}") from error
    with content:
        yield content


def load_pickle(file: Buffer, shrink: Shrink | None = None) -> Any:
    """The object that a pickle describes.

    Dictionaries, lists, tuples, sets, texts, 64-bit integers, floats, booleans, None and bytes are
    what they are in Python; ordered and default dictionaries are plain ones, byte arrays are bytes,
    frozen sets sets, NumPy's scalars Python's. Arrays are `PickledArray`, long texts and byte
    strings `Stored`.

    Args:
        file: the whole file, best as a memory map.
        shrink: what to keep of an item, when it is put into a list, or as a value into a
            dictionary: the item itself or something smaller. What it shrinks no longer counts
            against `MOST_HELD`.

    Raises:
        UnreadablePickle: it is damaged, too large, or asks for anything else.
    """
    machine = _Machine(file, shrink or (lambda item: item))
    try:
        return machine.run()
    except UnreadablePickle:
        raise
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise UnreadablePickle(f"damaged at byte {machine.position} or before") from error


class _Mark(NamedTuple):
    """Where on the stack something begins, and what was held and shared until then."""

    depth: int
    held: int
    shared: int


class _Machine:
    """The stack, the memo and what each opcode does to them.

    Attributes:
        held: bytes of all that was built and not shrunk, roughly.
        shared: containers in the memo; what is shrunk may live on in one of these.
    """

    def __init__(self, file: Buffer, shrink: Shrink) -> None:
        self.file, self.shrink = file, shrink
        self.position = self.held = self.shared = self.memoised = 0
        self.stack: list[Any] = []
        self.marks: list[_Mark] = []
        self.memo: dict[int, Any] = {}
        self.used_again = used_again(file)

    def run(self) -> Any:
        for code, start, stop in opcodes(self.file):
            self.position = start - 1
            self.held += OPCODE_COST
            if self.held > MOST_HELD:
                raise UnreadablePickle(
                    f"its objects take more than {MOST_HELD} bytes of memory; if it is written "
                    "with protocol 0 or 1, write it again with 2 or later"
                )
            if code in _CONSTANTS:
                self.stack.append(_CONSTANTS[code])
            elif code in _VALUES:
                self.stack.append(_VALUES[code](self, start, stop))
            elif code in _ACTIONS:
                _ACTIONS[code](self)
            elif code in _PUT:
                self.remember(memo_number(self.file, start, stop))
            elif code not in _NO_EFFECT:
                self.refuse(code, start, stop)
        return self.stack.pop()

    def refuse(self, code: int, start: int, stop: int) -> None:
        if code == _INST:
            self.global_lines(start, stop)  # which refuses most of them by name
        raise UnreadablePickle(f"refuses the opcode {NAMES[code]}: no data needs it")

    # -- values from the file

    def text(self, start: int, stop: int, encoding: str) -> str | Stored:
        if stop - start > LONG:
            return Stored(start, stop, encoding)
        self.held += 4 * (stop - start)
        errors = "surrogatepass" if encoding == "utf-8" else "strict"
        return self.file[start:stop].decode(encoding, errors)

    def data(self, start: int, stop: int) -> bytes | Stored:
        return Stored(start, stop) if stop - start > LONG else self.file[start:stop]

    def quoted(self, start: int, stop: int) -> str | Stored:
        if b"\\" in self.file[start : min(stop, start + LONG)] or stop - start > LONG:
            raise UnreadablePickle(
                "byte strings as Python 2 wrote them; pickle it again with protocol 2"
            )
        return self.text(start + 1, stop - 1, "latin-1")

    def integer(self, start: int, stop: int) -> int:
        if stop - start > MOST_INT_BYTES:
            raise UnreadablePickle(f"an integer of {stop - start} bytes")
        return int.from_bytes(self.file[start:stop], "little", signed=True)

    def unsigned(self, start: int, stop: int) -> int:
        return int.from_bytes(self.file[start:stop], "little")

    def decimal(self, start: int, stop: int) -> int | bool:
        if self.file[start : start + 3] in (b"00\n", b"01\n"):  # False and True of protocol 0
            return self.file[start + 1] == ord("1")
        return decimal(self.file, start, stop)

    def float_line(self, start: int, stop: int) -> float:
        return float(self.file[start : min(stop, start + LONG)])

    def double(self, start: int, stop: int) -> float:
        value: float = struct.unpack(">d", self.file[start:stop])[0]
        return value

    def fetched(self, start: int, stop: int) -> Any:
        return self.memo[memo_number(self.file, start, stop)]

    def global_lines(self, start: int, stop: int) -> Any:
        if stop - start > LONG:
            raise UnreadablePickle(f"the name of a class has {stop - start} bytes")
        module, _, name = self.file[start:stop].decode("utf-8", "backslashreplace").partition("\n")
        return find_global(module, name)

    # -- the memo and the stack

    def remember(self, number: int) -> None:
        if number not in self.used_again:
            return
        value = self.memo[number] = self.stack[-1]
        if isinstance(value, tuple) and len(value) <= 8:  # img_shape, and its like, are small
            self.shared += any(isinstance(part, _CONTAINERS) for part in value)
        else:
            self.shared += isinstance(value, _CONTAINERS)

    def memoise(self) -> None:
        self.remember(self.memoised)
        self.memoised += 1

    def mark(self) -> None:
        self.marks.append(_Mark(len(self.stack), self.held, self.shared))

    def since_mark(self) -> tuple[list[Any], _Mark]:
        mark = self.marks.pop()
        items = self.stack[mark.depth :]
        del self.stack[mark.depth :]
        return items, mark

    def items(self) -> list[Any]:
        return self.since_mark()[0]

    def pop(self) -> None:
        if self.marks and self.marks[-1].depth == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def top(self, kind: type[Any]) -> Any:
        target = self.stack[-1]
        if not isinstance(target, kind):
            raise UnreadablePickle(f"items are put into a {type(target).__name__}")
        return target

    # -- containers

    def last(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def append(self) -> None:
        item = self.stack.pop()
        self.top(list).append(self.shrink(item))

    def extend(self) -> None:
        items, mark = self.since_mark()
        self.top(list).extend(self.shrunk(items, mark))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.top(dict)[as_key(key)] = self.shrink(value)

    def set_items(self) -> None:
        items, mark = self.since_mark()
        keys = map(as_key, items[::2])
        self.top(dict).update(zip(keys, self.shrunk(items[1::2], mark), strict=True))

    def add_items(self) -> None:
        items = self.items()
        self.top(set).update(map(as_key, items))

    def shrunk(self, items: list[Any], mark: _Mark) -> list[Any]:
        """What to keep of `items`; when all are small now, only that counts as held."""
        small = [self.shrink(item) for item in items]
        pairs = zip(items, small, strict=True)
        if self.shared == mark.shared and all(
            new is not old or isinstance(old, PickledArray) for old, new in pairs
        ):
            self.held = min(self.held, mark.held + ITEM_COST * len(items))
        return small

    def new_dict(self) -> None:
        items = self.items()
        self.stack.append(dict(zip(map(as_key, items[::2]), items[1::2], strict=True)))

    # -- objects

    def global_names(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(find_global(module, name))

    def call(self) -> None:
        args, callee = self.stack.pop(), self.stack.pop()
        copied = [arg for arg in args if isinstance(arg, _CONTAINERS)]
        self.held += OPCODE_COST * sum(map(len, copied))
        self.stack.append(construct(callee, args))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, PickledArray | PickledDtype):
            raise UnreadablePickle(f"refuses to set the state of a {type(target).__name__}")
        target.set_state(state)


_NO_EFFECT = b"\x80\x95."  # PROTO, FRAME, STOP
_PUT = b"pqr"
_INST = ord("i")
_CONSTANTS: dict[int, Any] = {ord("N"): None, 0x88: True, 0x89: False, ord(")"): ()}
_VALUES: dict[int, Callable[[_Machine, int, int], Any]] = {
    **dict.fromkeys(b"X\x8c\x8d", lambda m, start, stop: m.text(start, stop, "utf-8")),
    **dict.fromkeys(b"TU", lambda m, start, stop: m.text(start, stop, "latin-1")),
    ord("V"): lambda m, start, stop: m.text(start, stop, "raw-unicode-escape"),
    ord("S"): _Machine.quoted,
    **dict.fromkeys(b"BC\x8e\x96", _Machine.data),
    **dict.fromkeys(b"KM", _Machine.unsigned),
    **dict.fromkeys(b"J\x8a\x8b", _Machine.integer),
    **dict.fromkeys(b"IL", _Machine.decimal),
    ord("F"): _Machine.float_line,
    ord("G"): _Machine.double,
    **dict.fromkeys(GET, _Machine.fetched),
    ord("c"): _Machine.global_lines,
    ord("]"): lambda m, start, stop: [],
    ord("}"): lambda m, start, stop: {},
    0x8F: lambda m, start, stop: set(),
}
_ACTIONS: dict[int, Callable[[_Machine], None]] = {
    ord("("): _Machine.mark,
    ord("0"): _Machine.pop,
    ord("1"): lambda m: m.items().clear(),
    ord("2"): lambda m: m.stack.append(m.stack[-1]),
    0x94: _Machine.memoise,
    ord("t"): lambda m: m.stack.append(tuple(m.items())),
    0x85: lambda m: m.last(1),
    0x86: lambda m: m.last(2),
    0x87: lambda m: m.last(3),
    ord("l"): lambda m: m.stack.append(m.items()),
    ord("d"): _Machine.new_dict,
    ord("a"): _Machine.append,
    ord("e"): _Machine.extend,
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_items,
    0x90: _Machine.add_items,
    0x91: lambda m: m.stack.append(set(map(as_key, m.items()))),
    0x93: _Machine.global_names,
    ord("R"): _Machine.call,
    ord("b"): _Machine.build,
}
