"""The page: sections of finished runs in one HTML file that opens from disk and asks for nothing.

Everything is inside: data, style, scripts and plotly.js. A content security policy in the page
forbids every request.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import shapmix
from shapmix.reporting.files import RunError
from shapmix.reporting.report.bundle import packed_plotly
from shapmix.reporting.report.inputs import ReportRun, load_inputs, methods_of
from shapmix.reporting.report.markup import render, static_text, styles
from shapmix.reporting.report.section import Section
from shapmix.reporting.runs import Which
from shapmix.writing import write_whole

LONGEST_TITLE = 70  # letters; of more methods only the number is told

MOST_BYTES = 12_000_000  # of a page
MakeSection = Callable[[Sequence[ReportRun]], Section | None]


def write_report(folders: Sequence[str | Path], out: str | Path, which: Which = "last") -> Path:
    """Write the report of one or more finished runs; its path.

    Args:
        folders: run folders with the same classes; the first is what the others are compared with.
        out: the file, replaced whole or not at all.
        which: the last epoch, or the one selected on validation clips.

    Raises:
        RunError: a folder is missing or damaged, the classes differ, or the runs are too many.
        ImportError: jinja2 or plotly is not installed.
    """
    page = make_page(load_inputs(folders, which)).encode("utf-8")
    if len(page) > MOST_BYTES:
        raise RunError(
            f"the page of these {len(folders)} runs would have {len(page) / 1e6:.0f} MB, more than "
            f"the {MOST_BYTES / 1e6:.0f} MB that browsers open at once: report on fewer runs"
        )
    return write_whole(out, page)


def make_page(runs: Sequence[ReportRun]) -> str:
    """The text of the page."""
    sections = [section for make in section_makers() if (section := make(runs)) is not None]
    needed = (script for section in sections for script in section.scripts)
    return render(
        "page.html",
        title=_title(runs),
        version=shapmix.__version__,
        sections=sections,
        styles=styles(),
        plotly=packed_plotly(),
        scripts=list(dict.fromkeys((static_text("page.js"), static_text("plots.js"), *needed))),
    )


def section_makers() -> tuple[MakeSection, ...]:
    """The sections in the order of the page: is it good, where does it fail, why, and how made."""
    from shapmix.reporting.report import (
        classes,
        configuration,
        confusion,
        curves,
        health,
        mixes,
        overview,
        reliability,
        saliency,
    )

    modules = (
        overview,
        classes,
        confusion,
        saliency,
        mixes,
        reliability,
        curves,
        health,
        configuration,
    )
    return tuple(module.make_section for module in modules)


def _title(runs: Sequence[ReportRun]) -> str:
    *names, last = (method.name for method in methods_of(runs))
    title = f"{', '.join(names)} and {last}" if names else last
    return title if len(title) <= LONGEST_TITLE else f"{len(names) + 1} methods compared"
