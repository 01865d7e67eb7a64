"""A table of figures as plain data, and its three faces: rich text, Markdown and CSV.

People get percent to one decimal; programs get CSV with fractions at full precision, spread and
interval in columns of their own.
"""

import csv
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as RichTable

EMPTY = "n/a"
Unit = Literal["percent", "points", "plain"]


@dataclass(frozen=True)
class Number:
    """A number with its spread or interval.

    Attributes:
        value: as data has it, accuracies as fractions.
        sd: standard deviation over seeds, or None.
        interval: (low, high), or None.
        unit: `percent` of a fraction, `points` (a signed difference of percents), or `plain`.
    """

    value: float
    sd: float | None = None
    interval: tuple[float, float] | None = None
    unit: Unit = "percent"

    def lines(self) -> tuple[str, ...]:
        """The value, and under it the spread or interval if there is one."""
        first = self._text(self.value)
        if self.interval is not None:
            low, high = map(self._text, self.interval)
            return first, f"[{low}, {high}]"
        if self.sd is not None:
            return first, f"± {self._text(self.sd).lstrip('+')}"
        return (first,)

    def _text(self, value: float) -> str:
        if self.unit == "plain":
            return f"{value:,.0f}"
        sign = "+" if self.unit == "points" else ""
        text = f"{100 * value:{sign}.1f}"
        return text.replace("-", "−") if float(text) else text.lstrip("-+")


@dataclass(frozen=True)
class Name:
    """A heading of a column or a row: `title` for people, `key` for CSV."""

    key: str
    title: str


Cell = str | int | Name | Number | None  # None: there is no such figure


@dataclass(frozen=True)
class Table:
    """A table; print it with rich (it is a renderable), or take `markdown()` or `csv()`.

    Attributes:
        title: what it shows.
        columns: headings.
        rows: cells, one for each column.
        notes: what a reader must know. warnings: what makes it less than it seems.
        turns: a terminal too narrow for it gets rows and columns exchanged.
    """

    title: str
    columns: tuple[Name, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    turns: bool = False

    def markdown(self) -> str:
        """GitHub-flavoured Markdown."""
        titles = [_escape(column.title) for column in self.columns]
        rule = [":---" if left else "---:" for left in self._left()]
        body = [[_escape(" ".join(_lines(cell))) for cell in row] for row in self.rows]
        lines = [f"**{_escape(self.title)}**", ""]
        lines += [f"| {' | '.join(row)} |" for row in (titles, rule, *body)]
        for text in (*(f"Warning: {warning}" for warning in self.warnings), *self.notes):
            lines += ["", _escape(text)]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Comma-separated values: fractions, no rounding, empty where there is no figure."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        parts = [_parts(self._cells(i)) for i in range(len(self.columns))]
        pairs = zip(self.columns, parts, strict=True)
        writer.writerow([column.key + part for column, used in pairs for part in used])
        for row in self.rows:
            pairs_of_cells = zip(row, parts, strict=True)
            writer.writerow([_part(cell, part) for cell, used in pairs_of_cells for part in used])
        return out.getvalue()

    def html(self) -> str:
        """An HTML table with its warnings and notes, to put into a page."""
        kinds = ["" if left else ' class="number"' for left in self._left()]
        titles = [escape(column.title) for column in self.columns]
        head = "".join(f"<th{k}>{t}</th>" for k, t in zip(kinds, titles, strict=True))
        body = []
        for row in self.rows:
            texts = ["<br>".join(map(escape, _lines(cell))) for cell in row]
            cells = (f"<td{k}>{t}</td>" for k, t in zip(kinds, texts, strict=True))
            body.append(f"<tr>{''.join(cells)}</tr>")
        said = [f'<p class="note warning">Warning: {escape(w)}</p>' for w in self.warnings]
        said += [f'<p class="note">{escape(note)}</p>' for note in self.notes]
        return "\n".join(
            [
                f'<div class="scroll"><table><caption>{escape(self.title)}</caption>',
                f"<thead><tr>{head}</tr></thead>",
                "<tbody>",
                *body,
                "</tbody></table></div>",
                *said,
            ]
        )

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Print title, grid, warnings and notes."""
        from rich.measure import Measurement
        from rich.text import Text

        grid = self._grid()
        boundless = options.update(max_width=100_000)
        if self.turns and Measurement.get(console, boundless, grid).maximum > options.max_width:
            grid = self._turned()._grid()
        yield grid
        for warning in self.warnings:
            yield Text(f"Warning: {warning}", style="bold yellow")
        for note in self.notes:
            yield Text(note, style="dim")

    def _grid(self) -> "RichTable":
        from rich import box, table
        from rich.text import Text

        grid = table.Table(title=Text(self.title), title_justify="left", box=box.SIMPLE_HEAD)
        for column, left in zip(self.columns, self._left(), strict=True):
            grid.add_column(
                Text(column.title), justify="left" if left else "right", overflow="fold"
            )
        for row in self.rows:
            grid.add_row(*(Text("\n".join(_lines(cell))) for cell in row))
        return grid

    def _turned(self) -> "Table":
        """Rows as columns, named by their first cells."""
        names = [" ".join(_lines(cell)) for cell in self._cells(0)]
        columns = (Name("", ""), *(Name(name, name) for name in names))
        rows = [(title, *self._cells(i)) for i, title in enumerate(self.columns)]
        return Table(self.title, columns, tuple(rows[1:]))

    def _cells(self, i: int) -> list[Cell]:
        """The cells of one column."""
        return [row[i] for row in self.rows]

    def _left(self) -> list[bool]:
        """Which columns hold words only."""
        return [
            all(isinstance(cell, (str, Name)) for cell in self._cells(i))
            for i in range(len(self.columns))
        ]


def _lines(cell: Cell) -> tuple[str, ...]:
    if cell is None:
        return (EMPTY,)
    if isinstance(cell, Name):
        return (cell.title,)
    return cell.lines() if isinstance(cell, Number) else (str(cell),)


def _parts(cells: list[Cell]) -> list[str]:
    """Suffixes of the CSV columns that a column of cells needs."""
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    parts = [""]
    if any(number.sd is not None for number in numbers):
        parts.append("_sd")
    if any(number.interval is not None for number in numbers):
        parts += ["_low", "_high"]
    return parts


def _part(cell: Cell, part: str) -> str | int | float | None:
    if isinstance(cell, Name):
        return cell.key
    if not isinstance(cell, Number):
        return cell if part == "" else None
    if part in ("_low", "_high"):
        return None if cell.interval is None else cell.interval[part == "_high"]
    return cell.sd if part == "_sd" else cell.value


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
