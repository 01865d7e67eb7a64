"""One self-contained HTML page of tables and pictures: no request, opens from disk."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import shapmix
from shapmix.reporting.grid import Table
from shapmix.writing import write_whole

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
.note.warning { font-weight: 600; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .5rem; }
.card { border: 1px solid var(--line); border-left: .3rem solid var(--soft); border-radius: .4rem;
        padding: .6rem .9rem; margin: .7rem 0; overflow-wrap: anywhere; }
.card.error { border-left-color: #d55e00; } .card.warning { border-left-color: #e69f00; }
.card h3 { font-size: 1rem; margin: 0 0 .3rem; }
.card .kind { font-size: .8rem; text-transform: uppercase; letter-spacing: .05em;
              color: var(--soft); margin-right: .5rem; }
.card dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; margin: 0;
           font-size: .9rem; }
.card dt { color: var(--soft); } .card dd { margin: 0; }
@media (max-width: 600px) {
  body { padding: .9rem; }
  .scroll img { min-width: 46rem; }
}
"""


@dataclass(frozen=True)
class Card:
    """Something found: its kind ("error", "warning", "note", ...), a title, and named texts."""

    kind: str
    title: str
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, and perhaps a table, cards or a figure, with a description."""

    title: str
    body: "Table | Sequence[Card] | Figure | None"
    description: str = ""


def write_page(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the page, whole or not at all; its path."""
    body = "\n".join(_section(section) for section in sections)
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="shapmix {shapmix.__version__}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
    return write_whole(path, text.encode())


def _section(section: Section) -> str:
    body = section.body
    if body is None:
        shown = ""
    elif isinstance(body, Table):
        shown = body.html()
    elif isinstance(body, Sequence):
        shown = "\n".join(map(_card, body))
    else:
        shown = _image(body, section.description)
    said = f'<p class="note">{escape(section.description)}</p>\n' if section.description else ""
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{shown}\n{said}</section>"


def _card(card: Card) -> str:
    texts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
        for name, text in card.texts.items()
        if text
    )
    kind = escape(card.kind, quote=True)
    return (
        f'<div class="card {kind}"><h3><span class="kind">{kind}</span>{escape(card.title)}</h3>'
        f"<dl>{texts}</dl></div>"
    )


def _image(figure: "Figure", description: str) -> str:
    """A figure as a PNG inside the page; on a narrow screen it scrolls, lest it be too small."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = escape(description, quote=True)
    return f'<div class="scroll"><img src="data:image/png;base64,{data}" alt="{alt}"></div>'
