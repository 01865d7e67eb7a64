"""Tables brought to tidy form: a row for each joint, the columns by the names that are known.

A wide table has a row for each frame and columns for each joint: x0, y0, s0, x1, ... or nose_x,
nose_y, nose_score, ... or x_nose, ... It is turned block by block, so it may be larger than memory.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shapmix.data.importers.base import SourceError
from shapmix.data.importers.label_files import INDEX, metadata_names
from shapmix.data.importers.table_files import Positions, Span, TableFile, texts

NEEDED = ("clip", "frame", "joint", "x", "y", "label")
OPTIONAL = ("z", "score", "person", "fps")
SCORES = ("score", "s", "confidence", "conf", "c", "likelihood", "visibility", "v", "p")
_CHANNEL = rf"(?P<channel>x|y|z|{'|'.join(SCORES)})"
WIDE = (
    re.compile(rf"(?P<joint>.+)[_. -]{_CHANNEL}", re.IGNORECASE),  # nose_x
    re.compile(rf"{_CHANNEL}[_. -]?(?P<joint>\d+|(?<=[_. -]).+)", re.IGNORECASE),  # x0, x_nose
)


@dataclass(frozen=True)
class Wide:
    """The joints of a wide table, and coordinate or score -> its column for each joint."""

    joints: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]


def find_wide(columns: Collection[str], where: str) -> Wide | None:
    """The joints that have columns of their own; None for fewer than two, or a tidy table.

    Raises:
        SourceError: the joints have different columns.
    """
    if {"joint", "x", "y"} & set(columns):
        return None
    found: dict[str, dict[str, str]] = {}
    for column in columns:
        match = next((m for form in WIDE if (m := form.fullmatch(column))), None)
        if match and column not in NEEDED + OPTIONAL:
            channel = match["channel"].lower()
            channel = "score" if channel in SCORES else channel
            found.setdefault(match["joint"], {}).setdefault(channel, column)
    found = {joint: its for joint, its in found.items() if {"x", "y"} <= its.keys()}
    if len(found) < 2:
        return None
    parts = next(iter(found.values()))
    for joint, its in found.items():
        if its.keys() != parts.keys():
            raise SourceError(
                f"{where} has {', '.join(parts.values())}, but of {joint!r} it has "
                f"{', '.join(its.values())}: all joints need the same; --drop leaves columns out"
            )
    return Wide(
        tuple(found),
        {part: tuple(its[part] for its in found.values()) for part in parts},
    )


@dataclass(frozen=True)
class TidyFile:
    """A table that is read as a tidy one; positions are those of the file.

    Attributes:
        names: column -> what the file calls it.
        constants: columns that have one value in the whole file.
        wide: the columns that are turned into rows, if any.
    """

    file: TableFile
    names: Mapping[str, str]
    constants: Mapping[str, str]
    wide: Wide | None

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.file.path

    @property
    def columns(self) -> list[str]:
        """Those that can be read."""
        turned = () if self.wide is None else ("joint", *self.wide.parts)
        return [*self.constants, *self.names, *turned]

    def blocks(self, wanted: Sequence[str]) -> Iterator[tuple[Any, Positions]]:
        """Tables of some columns, in order, and the position of each row."""
        for table, positions in self.file.blocks(self._needed(wanted)):
            yield self._tidy(table, wanted), np.repeat(positions, self._rows_each)

    def tables(self, spans: Sequence[Span], wanted: Sequence[str]) -> Iterator[Any]:
        """A table for each span; spans are in order."""
        for table in self.file.tables(spans, self._needed(wanted)):
            yield self._tidy(table, wanted)

    @property
    def _rows_each(self) -> int:
        return 1 if self.wide is None else len(self.wide.joints)

    def _needed(self, wanted: Sequence[str]) -> list[str]:
        parts = {} if self.wide is None else self.wide.parts
        needed = [self.names[name] for name in wanted if name in self.names]
        needed += [column for name in wanted for column in parts.get(name, ())]
        return needed or [self.names["frame"]]  # to count the rows

    def _tidy(self, table: Any, wanted: Sequence[str]) -> Any:
        import pyarrow as pa

        rows, each = len(table), self._rows_each
        columns = {}
        for name in wanted:
            if name in self.constants:
                codes = pa.array(np.zeros(rows * each, dtype=np.int32))
                columns[name] = pa.DictionaryArray.from_arrays(codes, [self.constants[name]])
            elif name in self.names:
                column = table[self.names[name]]
                if self.wide is not None:
                    codes = np.repeat(np.arange(rows), each)
                    column = texts(table, self.names[name]).dictionary_encode().take(codes)
                columns[name] = column
            elif self.wide is not None and name == "joint":
                codes = pa.array(np.tile(np.arange(each, dtype=np.int32), rows))
                columns[name] = pa.DictionaryArray.from_arrays(codes, list(self.wide.joints))
            elif self.wide is not None:
                values = [texts(table, column) for column in self.wide.parts[name]]
                order = np.arange(rows * each).reshape(each, rows).T.ravel()
                columns[name] = pa.chunked_array(
                    [chunk for value in values for chunk in value.chunks], pa.string()
                ).take(order)
        return pa.table(columns)


def tidied(file: TableFile, dropped: Collection[str], constants: Mapping[str, str]) -> TidyFile:
    """A table without some columns, with constants where it has no column of that name.

    Raises:
        SourceError: wide columns do not fit together, or two columns would have one name.
    """
    kept = [name for name in file.columns if name not in dropped and not INDEX.fullmatch(name)]
    wide = find_wide(kept, str(file.path))
    turned = {column for part in wide.parts.values() for column in part} if wide else set()
    kept = [name for name in kept if name not in turned]
    others = metadata_names(name for name in kept if name not in NEEDED + OPTIONAL)
    names = {others.get(name, name): name for name in kept}
    lacking = {name: value for name, value in constants.items() if name not in names}
    return TidyFile(file, names, lacking, wide)
