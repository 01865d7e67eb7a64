"""Markup of the report: templates, blocks of data, plots and tabs.

Names of classes, clips and folders come from files of other people: everything goes through the
autoescape of jinja2 or through `json_block`, and nothing else writes markup.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_HERE = files(__package__)


def render(template: str, **context: Any) -> "Markup":
    """A template of the folder `templates/` with values, all of them escaped.

    Raises:
        ImportError: jinja2 is not installed.
    """
    from markupsafe import Markup

    text = _environment().get_template(template).render(**context)  # escapes all values
    return Markup(text)  # noqa: S704


def json_block(name: str, data: Any) -> "Markup":
    """Data for the scripts of the page: an element of this id that no text in it can close.

    Raises:
        ValueError: data holds NaN or infinity, which JSON does not have.
    """
    return render("data.html", id=name, data=data)


def plot(
    name: str,
    traces: Sequence[Mapping[str, Any]],
    layout: Mapping[str, Any],
    label: str,
    *,
    height: int = 320,
) -> "Markup":
    """A picture by plotly, drawn when it scrolls into view and again when the theme changes.

    Args:
        name: id of the element, unique in the page.
        traces, layout: as plotly.js takes them, names of other people through `plain`. Colours are
            names of the style sheet, such as `"var(--series-1)"`; fonts, margins and grids are
            those of the page.
        label: what a person who cannot see the picture is told.
        height: in CSS pixels.
    """
    spec = {"traces": list(traces), "layout": dict(layout)}
    return render("plot.html", id=name, label=label, height=height, spec=spec)


def plain(text: str) -> str:
    """A text for plotly, which reads tags in names and labels."""
    return escape(text, quote=False)


def choices(name: str, label: str, panels: Sequence[tuple[str, "Markup"]]) -> "Markup":
    """Tabs: one panel shown at a time, with a title each; a single panel has no tabs.

    Args:
        name: prefix of the ids. label: what is chosen. panels: titles and safe markup.
    """
    return render("choices.html", id=name, label=label, panels=panels)


def static_text(name: str) -> str:
    """A file of the folder `static/`."""
    return (_HERE / "static" / name).read_text(encoding="utf-8")


def styles() -> str:
    """All style sheets, by name."""
    sheets = sorted(f.name for f in (_HERE / "static").iterdir() if f.name.endswith(".css"))
    return "\n".join(map(static_text, sheets))


def series_colour(number: int) -> str:
    """Colour of a method in all plots; after six they begin anew."""
    return f"var(--series-{number % 6 + 1})"


def rounded(values: Any, digits: int = 4) -> Any:
    """Numbers as lists for JSON, short; None for NaN."""
    array = np.round(np.asarray(values, dtype=np.float64), digits)
    return np.where(np.isnan(array), np.array(None), array.astype(object)).tolist()


def percent(value: float | None, *, sign: bool = False) -> str:
    """A fraction as people read it: `"52.3 %"`."""
    if value is None:
        return "n/a"
    text = f"{100 * value:{'+' if sign else ''}.1f}"
    return f"{text if float(text) else text.lstrip('+-')} %".replace("-", "−")


def points(value: float) -> str:
    """A difference of fractions in percentage points, signed."""
    return percent(value, sign=True).removesuffix(" %")


@cache
def _environment() -> "Environment":
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ImportError(
            "the report needs jinja2 and plotly: pip install jinja2 plotly (or shapmix[report])"
        ) from error
    environment = Environment(
        autoescape=True,
        loader=PackageLoader(str(__package__)),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
    }
    environment.filters |= {"percent": percent, "points": points}
    return environment
