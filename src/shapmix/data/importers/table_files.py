"""CSV and Parquet files read in pieces: a first time from end to end, then any span of rows.

A position is where a row begins, in bytes (CSV) or rows (Parquet), so that a span of positions can
be read on its own. pyarrow is imported when a file is opened.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shapmix.data.importers.base import MIB, SourceError
from shapmix.data.importers.label_files import INDEX, MISSING, known_name, sniff_separator
from shapmix.data.reading import reason
from shapmix.suggest import composed, did_you_mean

BLOCK_BYTES = 8 * MIB
BATCH_ROWS = 65_536
MOST_GROUP_BYTES = 512 * MIB  # of a Parquet row group, unpacked
MOST_COLUMNS = 10_000
SUFFIXES = (".csv", ".tsv", ".parquet")
NOT_UTF8 = 'not UTF-8 text; save it with encoding="utf-8"'

Span = tuple[int, int]  # positions: first, and after the last
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CsvFile:
    """A text table with a header, one line a row.

    Attributes:
        columns: names, as they are after renaming.
        separator: comma, semicolon or tab.
        start, end: positions: of the first row, and after the last.
        row_bytes: of the source for one position.
    """

    path: Path
    columns: tuple[str, ...]
    separator: str
    start: int
    end: int
    row_bytes: int = 1

    def blocks(self, wanted: Sequence[str]) -> Iterator[tuple[Any, Positions]]:
        """Tables of some columns, in order, and the position of each row."""
        with self.path.open("rb") as file:
            at, rest = file.seek(self.start), b""
            while chunk := file.read(BLOCK_BYTES):
                whole, newline, cut = (rest + chunk).rpartition(b"\n")
                rest = cut
                if whole or newline:
                    yield self._parsed(whole + newline, at, wanted)
                    at += len(whole) + 1
                if len(rest) > BLOCK_BYTES:
                    raise SourceError(f"{self.path}, line {self._line(at)}: too long for a row")
            if rest:
                yield self._parsed(rest, at, wanted)

    def tables(self, spans: Sequence[Span], wanted: Sequence[str]) -> Iterator[Any]:
        """A table for each span."""
        with self.path.open("rb") as file:
            for start, stop in spans:
                file.seek(start)
                yield self._parsed(file.read(stop - start), start, wanted)[0]

    def _parsed(self, content: bytes, at: int, wanted: Sequence[str]) -> tuple[Any, Positions]:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        starts = _line_starts(content)
        if not len(starts):
            return pa.table({name: pa.array([], pa.string()) for name in wanted}), starts
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(content),
                arrow_csv.ReadOptions(
                    column_names=self.columns, use_threads=False, block_size=len(content) + 1
                ),
                arrow_csv.ParseOptions(delimiter=self.separator),
                arrow_csv.ConvertOptions(
                    include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
                ),
            )
        except (pa.ArrowException, ValueError) as error:
            if "UTF8" in str(error):
                raise SourceError(self._not_utf8(content, at)) from error
            row = re.search(r"Row #(\d+)", str(error))
            first = at + int(starts[min(int(row[1]), len(starts)) - 1]) if row else at
            detail = re.sub(r"^.*Row #\d+: |^CSV parse error: ", "", str(error))[:300]
            raise SourceError(f"{self.path}, line {self._line(first)}: {detail}") from error
        if len(table) != len(starts):
            raise SourceError(
                f"{self.path}, line {self._line(at)} or after: expected a row a line, ended as in "
                "Unix or Windows, without line breaks in quotes"
            )
        return table, starts + at

    def _not_utf8(self, content: bytes, at: int) -> str:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            at += error.start
        return f"{self.path}, line {self._line(at)}: {NOT_UTF8}"

    def _line(self, position: int) -> int:
        """Number, from 1, of the line at a position."""
        with self.path.open("rb") as file:
            lines = 1
            while position > 0 and (chunk := file.read(min(position, BLOCK_BYTES))):
                lines += chunk.count(b"\n")
                position -= len(chunk)
        return lines


def _line_starts(content: bytes) -> Positions:
    """Where each line begins that is not empty."""
    data = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    if len(data) and (not len(ends) or ends[-1] != len(data) - 1):
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    lengths = ends - starts
    empty = (lengths == 0) | ((lengths == 1) & (data[np.minimum(starts, len(data) - 1)] == 13))
    found: Positions = starts[~empty].astype(np.int64)
    return found


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file; attributes as of `CsvFile`."""

    path: Path
    columns: tuple[str, ...]
    originals: tuple[str, ...]  # names in the file
    start: int
    end: int
    row_bytes: int = 64

    def blocks(self, wanted: Sequence[str]) -> Iterator[tuple[Any, Positions]]:
        """Tables of some columns, in order, and the position of each row."""
        at = 0
        for table in self._batches(wanted, None):
            yield table, np.arange(at, at + len(table))
            at += len(table)

    def tables(self, spans: Sequence[Span], wanted: Sequence[str]) -> Iterator[Any]:
        """A table for each span; spans are in order."""
        import pyarrow as pa

        groups, at = self._groups(spans[0][0], spans[-1][1])
        waiting, pieces = list(spans), []
        for table in self._batches(wanted, groups):
            while waiting and waiting[0][0] < at + len(table):
                start, stop = waiting[0]
                first = max(start, at)
                pieces.append(table.slice(first - at, min(stop, at + len(table)) - first))
                if stop > at + len(table):
                    break
                yield pa.concat_tables(pieces)
                waiting, pieces = waiting[1:], []
            if not waiting:
                return
            at += len(table)

    def _groups(self, start: int, stop: int) -> tuple[list[int], int]:
        """Row groups that hold some rows, and the first row of the first of them."""
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(self.path)
        sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        edges = np.cumsum([0, *sizes])
        groups = [g for g in range(len(sizes)) if edges[g] < stop and edges[g + 1] > start]
        return groups, int(edges[groups[0]]) if groups else 0

    def _batches(self, wanted: Sequence[str], groups: list[int] | None) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [self.originals[self.columns.index(name)] for name in wanted]
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH_ROWS, groups, names):
                    table = pa.Table.from_batches([batch]).select(names)
                    table.validate(full=True)  # texts that are not UTF-8, offsets beyond the end
                    yield table.rename_columns(list(wanted))
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise SourceError(f"{self.path} is damaged: {str(error)[:300]}") from error


TableFile = CsvFile | ParquetFile


def open_table(path: Path, rename: Mapping[str, str], known: Collection[str] = ()) -> TableFile:
    """Read the header of a table.

    Args:
        rename: column of the file -> name that it shall have.
        known: names that a column also has when its case or outer space differs.

    Raises:
        SourceError: the header cannot be read, names a column twice, or lacks one to be renamed.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file")
    try:
        opened = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"cannot read the header of {path}: {reason(error)[:300]}") from error
    for name in rename:
        if name not in opened.columns:
            hint = did_you_mean(name, opened.columns)
            raise SourceError(f"{path} has no column {name!r} to rename{hint}")
    renamed = [rename.get(name, name) for name in opened.columns]
    columns = tuple(known_name(name, known, renamed) for name in renamed)
    named = [name for name in columns if not INDEX.fullmatch(name)]
    if len(set(named)) != len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise SourceError(f"{path} has two columns {twice!r}")
    if len(columns) > MOST_COLUMNS:
        raise SourceError(f"{path} has {len(columns)} columns")
    if isinstance(opened, CsvFile):
        return CsvFile(path, columns, opened.separator, opened.start, opened.end)
    return ParquetFile(path, columns, opened.originals, opened.start, opened.end)


def _csv(path: Path) -> CsvFile:
    with path.open("rb") as file:
        header = file.readline(MIB)
    if header.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in header:
        raise ValueError(NOT_UTF8)
    try:
        text = composed(header.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(NOT_UTF8) from None
    if "\r" in text.rstrip("\r\n"):
        raise ValueError("its lines end as on old Macs; save it with Unix or Windows line ends")
    separator = sniff_separator(text)
    names = [name.strip() for name in next(csv.reader([text], delimiter=separator), [])]
    if not any(names):
        raise ValueError("the first line is empty; expected the names of the columns")
    return CsvFile(path, tuple(names), separator, len(header), path.stat().st_size)


def _parquet(path: Path) -> ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        names = tuple(metadata.schema.to_arrow_schema().names)
        groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    if any(not 0 <= group.total_byte_size <= MOST_GROUP_BYTES for group in groups):
        raise ValueError(f"a row group has over {MOST_GROUP_BYTES // MIB} MiB; write smaller ones")
    return ParquetFile(
        path, tuple(map(composed, names)), names, 0, sum(group.num_rows for group in groups)
    )


def texts(table: Any, column: str) -> Any:
    """A column as composed text without space around it, missing values as "".

    Numbers and truth values are spelt as pandas writes them to a CSV: 1.0, True.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        found = _decoded(table[column])
        values = found.cast(pa.string())
        if pa.types.is_floating(found.type):
            whole = pc.and_(pc.equal(found, pc.floor(found)), pc.less(pc.abs(found), 2.0**53))
            digits = pc.if_else(whole, found, 0).cast(pa.int64()).cast(pa.string())
            values = pc.if_else(whole, pc.binary_join_element_wise(digits, ".0", ""), values)
            values = pc.if_else(pc.is_nan(found), pa.scalar(None, pa.string()), values)
        elif pa.types.is_boolean(found.type):
            values = pc.utf8_capitalize(values)
        values = pc.fill_null(pc.utf8_trim_whitespace(values), "")
        is_ascii = pc.all(pc.string_is_ascii(values)).as_py()
        return values if is_ascii else pc.utf8_normalize(values, "NFC")
    except pa.ArrowException as error:
        detail = f"column {column!r} holds {table[column].type}, expected texts or numbers"
        raise SourceError(detail) from error


def numbers(table: Any, column: str) -> npt.NDArray[np.float64]:
    """A column as numbers, NaN where missing; ValueError with the first value that is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _decoded(table[column])
    try:
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values = pc.utf8_trim_whitespace(values)
            missing = pc.is_in(pc.utf8_lower(values), pa.array(MISSING, values.type))
            values = pc.if_else(missing, pa.scalar(None, values.type), values)
        found: npt.NDArray[np.float64] = values.cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        odd = next((v for v in values.to_pylist() if v is not None and not _is_number(v)), None)
        comma = "; decimals have a point" if isinstance(odd, str) and "," in odd else ""
        raise ValueError(f"column {column!r} has {str(odd)[:40]!r}, no number{comma}") from error
    return found


def _decoded(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
