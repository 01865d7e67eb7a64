"""One self-contained HTML page of tables and pictures: no script, no request, opens from disk."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from shapmix.reporting.grid import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6472; --line: #d9dee6; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #a4adbb; --line: #39414f; --page: #161a21; }
}
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--page);
       max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: left;
         vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
.note { color: var(--soft); max-width: 60rem; margin: .4rem 0; }
.warning { font-weight: 600; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .5rem; }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, and perhaps a table or a matplotlib figure, described."""

    title: str
    body: "Table | Figure | None"
    description: str = ""


def write_page(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the page, whole or not at all; its path."""
    body = "\n".join(_section(section) for section in sections)
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def _section(section: Section) -> str:
    body = section.body
    if body is None:
        shown = ""
    else:
        shown = body.html() if isinstance(body, Table) else _image(body, section.description)
    said = f'<p class="note">{escape(section.description)}</p>\n' if section.description else ""
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{shown}\n{said}</section>"


def _image(figure: "Figure", description: str) -> str:
    """A figure as a PNG inside the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(description, quote=True)}">'
