"""What the site needs beyond Markdown and its theme: formulas, and documents outside of docs/."""

import io
import posixpath
import re
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
RESULTS = "benchmarks/results"  # whose leaderboards become pages
FORMULA = re.compile(r"^\$\$(.+?)\$\$$", re.DOTALL | re.MULTILINE)
GROUPED = re.compile(
    r"<b><code><span title=[^>]*>(\w+),</span></code></b>\s*\(<code>\((.*?)\)</code>\)", re.DOTALL
)
LITERAL = re.compile(r"::(?=</p>\s*<div [^>]*highlight)")
LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#\s]*)\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Take the leaderboards into the site, with a page that lists them."""
    found = sorted((ROOT / RESULTS).glob("*/leaderboard.md"))
    listed = "".join(f"- [{path.parent.name}]({path.parent.name}/{path.name})\n" for path in found)
    content = f"# Tables of results\n\nWhat `shapmix benchmark` found, suite by suite:\n\n{listed}"
    files.append(File.generated(config, f"{RESULTS}/tables.md", content=content))
    for path in found:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Draw formulas; follow links out of docs/ where they lead to pages, drop them elsewhere."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def inside(link: re.Match[str]) -> str:
        text, target = link.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith("docs/"):
            return link[0]
        name = f"{path}/tables.md" if path == RESULTS else path
        if not re.fullmatch(f"{RESULTS}/(.+/leaderboard|tables).md", name):
            return text  # a file of the repository
        return f"[{text}]({posixpath.relpath(f'docs/{name}', folder)})"

    drawn = FORMULA.sub(lambda found: formula(found[1]), markdown)
    return drawn if page.file.src_uri.startswith(RESULTS) else LINK.sub(inside, drawn)


def on_post_page(output: str, **_: Any) -> str:
    """Mend what shows: grouped attributes and `::` of docstrings, and the search without a name."""
    output = LITERAL.sub(":", output)
    output = output.replace('role="dialog"', 'role="dialog" aria-label="Search"', 1)
    return GROUPED.sub(
        lambda found: f"<b><code>{found[1]}, {re.sub('<.*?>', '', found[2])}</code></b>", output
    )


def formula(latex: str) -> str:
    """A formula as a picture in the colour of the text, its LaTeX being what is read aloud."""
    file = io.StringIO()
    with mpl.rc_context({"mathtext.fontset": "stix", "svg.hashsalt": "shapmix"}):
        figure = Figure()
        figure.patch.set_visible(False)
        figure.text(0, 0, f"${latex}$", fontsize=14)
        figure.savefig(file, format="svg", bbox_inches="tight")
    drawing = re.sub(r"<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)
    drawing = drawing[drawing.index("<svg") :].replace("\n", " ")
    label = escape(latex, quote=True)
    return drawing.replace("<svg ", f'<svg class="formula" role="img" aria-label="{label}" ', 1)
