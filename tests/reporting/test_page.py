from html.parser import HTMLParser

import pytest

from shapmix.reporting.grid import Name, Table
from shapmix.reporting.page import Card, Section, write_page


class Reader(HTMLParser):
    """Checks that tags are balanced, and keeps texts, images and anything that would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.images, self.fetched = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "img":
            self.images.append(attributes)
        for name in ("src", "href"):
            if name in attributes and not attributes[name].startswith("data:"):
                self.fetched.append(attributes[name])
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def table():
    return Table(
        title="a < b & c",
        columns=(Name("class", "Class"), Name("clips", "Clips")),
        rows=(("<script>alert(1)</script>", 3), ("walk", None)),
        notes=("a note",),
        warnings=("a warning",),
    )


def test_page_is_whole_escaped_and_asks_for_nothing(table, tmp_path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))
    path = write_page(
        tmp_path / "page.html",
        "A <title>",
        [Section("Table", table), Section("Picture", figure, "what it shows")],
    )
    reader = Reader()
    reader.feed(path.read_text())
    assert not reader.open
    assert not reader.fetched
    text = "".join(reader.texts)
    for expected in ("A <title>", "a < b & c", "<script>alert(1)</script>", "n/a", "a note"):
        assert expected in text
    assert "<script>" not in path.read_text()
    assert reader.images[0]["alt"] == "what it shows"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_cards_are_escaped_and_leave_out_what_is_empty(tmp_path):
    cards = [Card("error", "<b> is wrong", {"why": "a < b", "clips": ""}), Card("note", "fine", {})]
    path = write_page(tmp_path / "page.html", "A title", [Section("Found", cards)])
    reader = Reader()
    reader.feed(path.read_text())
    assert not reader.open
    text = "|".join(reader.texts)
    assert "error|<b> is wrong" in text
    assert "why|a < b" in text
    assert "clips" not in text


def test_pictures_scroll_on_narrow_screens(tmp_path):
    from matplotlib.figure import Figure

    path = write_page(tmp_path / "page.html", "A title", [Section("P", Figure(figsize=(1, 1)))])
    text = path.read_text()
    assert '<div class="scroll"><img' in text
    assert ".scroll img { min-width:" in text[text.index("@media (max-width: 600px)") :]
