"""Rows of predictions: to a CSV, JSON or JSON lines file, to a pipe, or as a table to look at."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from shapmix.commands.showing import printable

PIPE = "-"
KINDS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
MOST_SHOWN = 40  # rows on the screen


class Row(NamedTuple):
    """One answer, in its three forms.

    Attributes:
        columns: of a CSV; every row has the same.
        content: the JSON object.
        cells: of a table on the screen.
    """

    columns: dict[str, Any]
    content: dict[str, Any]
    cells: dict[str, str]


Write = Callable[[Row], None]


def check_out(out: str | None) -> None:
    """ValueError when rows cannot be written to a place of this name."""
    if out not in (None, PIPE) and Path(str(out)).suffix.lower() not in KINDS:
        raise ValueError(
            f"--out is {out!r}; expected a name in {', '.join(KINDS)}, or - for the standard output"
        )


def is_piped(out: str | None, as_json: bool) -> bool:
    """Whether the standard output carries data."""
    return out == PIPE or (out is None and as_json)


@contextmanager
def rows_to(out: str | None, as_json: bool, columns: Sequence[str]) -> Iterator[Write]:
    """A function that writes one row.

    Args:
        out: a file, which appears when the block ends well, in the format of its ending; - for the
            standard output, as CSV, or as JSON lines if `as_json`; None for a table there, or JSON
            lines.
        as_json: JSON lines on the standard output.
        columns: of a CSV.
    """
    from shapmix.writing import atomic_file

    if is_piped(out, as_json):
        sys.stdout.flush()
        with _rows(sys.stdout.buffer, "jsonl" if as_json else "csv", columns) as write:
            yield write
        sys.stdout.buffer.flush()
    elif out is None:
        with _table() as write:
            yield write
    else:
        kind = KINDS[Path(out).suffix.lower()]
        with atomic_file(out) as file, _rows(file, kind, columns) as write:
            yield write


@contextmanager
def _rows(file: BinaryIO, kind: str, columns: Sequence[str]) -> Iterator[Write]:
    """Rows as bytes in UTF-8."""
    if kind == "csv":
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        try:
            table = csv.DictWriter(text, columns, lineterminator="\n")
            table.writeheader()
            yield lambda row: table.writerow(row.columns)
        finally:
            text.detach()  # without this the file would be closed with the wrapper
        return
    count = 0

    def write(row: Row) -> None:
        nonlocal count
        content = json.dumps(row.content, ensure_ascii=False, allow_nan=False).encode()
        before = b"" if kind == "jsonl" else b",\n" if count else b"[\n"
        file.write(before + content + (b"\n" if kind == "jsonl" else b""))
        count += 1

    yield write
    if kind == "json":
        file.write(b"\n]\n" if count else b"[]\n")


@contextmanager
def _table() -> Iterator[Write]:
    """The first rows on the screen, and how many others there are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown: list[dict[str, str]] = []
    count = 0

    def write(row: Row) -> None:
        nonlocal count
        count += 1
        if count <= MOST_SHOWN:
            shown.append(row.cells)

    yield write
    if shown:
        table = Table(box=None, header_style="bold")
        for title in shown[0]:
            table.add_column(title, overflow="fold")
        for cells in shown:
            table.add_row(*(Text(printable(cell)) for cell in cells.values()))
        Console().print(table)
    if count > MOST_SHOWN:
        print(f"and {count - MOST_SHOWN} more; --out FILE.csv writes all of them")
