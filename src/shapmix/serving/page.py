"""The page: one file without anything from elsewhere, and a policy that keeps it so."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files

_STATIC = files("shapmix.serving") / "static"


def page_html(name: str) -> str:
    """The page of a model of this name, with its script and style inside."""
    html, style, player, script = (
        (_STATIC / file).read_text(encoding="utf-8")
        for file in ("page.html", "page.css", "player.js", "page.js")
    )
    inside = {"STYLE": style, "SCRIPT": f"{player}\n{script}", "NAME": escape(name)}
    for key, text in inside.items():
        html = html.replace(f"@{key}@", text)
    return html


def content_security_policy(html: str) -> str:
    """What the page may do: run its own script and style, and talk to its own server."""
    script, style = (_hash(html, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(html: str, tag: str) -> str:
    text = html.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
