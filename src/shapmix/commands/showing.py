"""What several commands show: text of archives, findings, and how far a pass over clips is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from shapmix.data.health import Finding

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
SHOW_PROGRESS_FROM = 2000  # clips


def print_findings(findings: "Sequence[Finding]", console: "Console") -> None:
    """Each finding with its clips, why it matters and what to do."""
    from rich.padding import Padding
    from rich.text import Text

    if not findings:
        console.print("nothing suspicious was found")
    for finding in findings:
        style = STYLES[finding.severity]
        title = printable(finding.title)
        console.print(Text.assemble((finding.severity, style), ": ", (title, "bold")))
        lines = (
            ("clips", finding.first_clips()),
            ("why", finding.why),
            ("do", finding.remedy),
        )
        for name, text in lines:
            if text:
                console.print(Padding(Text(printable(f"{name}: {text}")), (0, 0, 0, 2)))


def printable(text: str) -> str:
    """Text from an archive, without characters that would move a terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@contextmanager
def progress(clips: int) -> "Iterator[Callable[[int], None] | None]":
    """A progress bar for a pass over many clips; none for few."""
    if clips < SHOW_PROGRESS_FROM:
        yield None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("reading clips", total=clips)
        yield lambda done: bar.update(task, completed=done)
