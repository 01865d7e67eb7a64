"""The opcodes of a pickle, one after another, without executing any.

How long the argument of each is, the tables of the standard library's `pickletools` say.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator

from shapmix.data.importers.pickle_values import Buffer, UnreadablePickle

MOST_SHARED = 2_000_000  # memoised objects that are used again
MOST_DIGITS = 24

_LENGTHS = {ord(op.code): op.arg.n if op.arg else 0 for op in pickletools.opcodes}
NAMES = {ord(op.code): op.name for op in pickletools.opcodes}
_WIDTHS = {  # of the count that precedes an argument of any length
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_STOP = ord(".")
_TWO_LINES = b"ci"  # GLOBAL and INST: module and name
GET = b"ghj"


def opcodes(file: Buffer) -> Iterator[tuple[int, int, int]]:
    """Each opcode, and where its argument starts and stops, up to the STOP."""
    position, end = 0, len(file)
    while position < end:
        code = file[position]
        length = _LENGTHS.get(code)
        start = position + 1
        if length is None:
            raise UnreadablePickle(f"byte {position} is {code:#04x}, which is no opcode")
        if length >= 0:
            stop = position = start + length
        elif length == pickletools.UP_TO_NEWLINE:
            stop = file.find(b"\n", start)
            if code in _TWO_LINES and stop >= 0:
                stop = file.find(b"\n", stop + 1)
            position = stop + 1
        else:
            width = _WIDTHS[length]
            count = int.from_bytes(file[start : start + width], "little")
            start += width
            stop = position = start + count
        if not start <= stop <= end:
            break
        yield code, start, stop
        if code == _STOP:
            return
    raise UnreadablePickle(f"it is cut off: {end} bytes without the end of a pickle")


def used_again(file: Buffer) -> set[int]:
    """Numbers of the memoised objects that are fetched."""
    numbers: set[int] = set()
    for code, start, stop in opcodes(file):
        if code in GET:
            numbers.add(memo_number(file, start, stop))
            if len(numbers) > MOST_SHARED:
                raise UnreadablePickle(f"more than {MOST_SHARED} shared objects")
    return numbers


def memo_number(file: Buffer, start: int, stop: int) -> int:
    """The number in the argument of a GET or PUT."""
    if file[start - 1] in b"gp":
        return decimal(file, start, stop)
    return int.from_bytes(file[start:stop], "little")


def decimal(file: Buffer, start: int, stop: int) -> int:
    """A line as an integer; UnreadablePickle when it is none, or has very many digits."""
    if stop - start > MOST_DIGITS:
        raise UnreadablePickle(f"an integer of {stop - start} digits")
    try:
        return int(file[start:stop].removesuffix(b"L"))
    except ValueError:
        raise UnreadablePickle(f"damaged at byte {start}: the line is no integer") from None
