"""What a part of the report is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        id: of the element, lower case, unique in the page.
        title: heading, and entry of the navigation.
        html: what follows the heading; safe markup, with headings from `<h3>` on.
        scripts: JavaScript it needs; equal texts are put into the page once.
    """

    id: str
    title: str
    html: str
    scripts: tuple[str, ...] = ()
