"""What figures write: names as they are, in any script, and a word on letters no font has."""

import dataclasses
import warnings

import numpy as np
import pytest
from matplotlib.font_manager import findfont, fontManager, get_font

from shapmix.reporting import canvas
from shapmix.reporting.drawing import new_figure
from shapmix.reporting.timeline import timeline_figure


@pytest.fixture(autouse=True)
def _fonts_of_matplotlib(monkeypatch):
    """As on a machine with no other fonts."""
    shipped = [font for font in fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", shipped)
    monkeypatch.setattr(canvas, "findSystemFonts", list)
    canvas._fallbacks.cache_clear()
    yield
    canvas._fallbacks.cache_clear()


def pixels(*words):
    figure = new_figure(4, 1)
    for i, word in enumerate(words):
        figure.text(0.05, 0.5 - 0.3 * i, word, size=14)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., 0]


def letter_of(family):
    """One that this font has and the usual one lacks."""
    usual, other = (get_font(findfont(name)).get_charmap() for name in (canvas.FONT, family))
    letters = map(chr, sorted(other.keys() - usual.keys()))
    return next(letter for letter in letters if letter.isprintable())


def test_letters_of_other_installed_fonts_are_drawn():
    letter = letter_of("STIXGeneral")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = pixels(f"walk {letter}")
    with pytest.warns(UserWarning, match="no font"):
        boxes = pixels("walk 행")
    assert (drawn < 128).any()
    assert not np.array_equal(drawn, boxes)


def test_one_warning_names_the_letters_that_no_font_has():
    with pytest.warns(UserWarning, match="no font of this machine has 走 跑: .*noto") as told:
        pixels("走", "跑 walk\n走")
    assert len(told) == 1


def test_names_are_no_mathematics():
    figure = new_figure(2, 1)
    text = figure.text(0, 0.5, "from $5$ to $6^2$")
    tick = figure.add_axes((0.2, 0.2, 0.6, 0.6)).set_xticks([0], ["$a_1$"])[0]
    figure.canvas.draw()
    assert not text.get_parse_math()
    assert not tick.label1.get_parse_math()
    pixels("$an open dollar {", r"\frac{")


def test_a_font_installed_since_matplotlib_listed_them_is_found(monkeypatch):
    letter = letter_of("STIXGeneral")
    path = findfont("STIXGeneral")
    others = [font for font in fontManager.ttflist if not font.name.startswith("STIX")]
    monkeypatch.setattr(fontManager, "ttflist", others)
    with pytest.warns(UserWarning, match="no font"):
        pixels(letter)
    canvas._fallbacks.cache_clear()
    monkeypatch.setattr(canvas, "findSystemFonts", lambda: [path, __file__])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels(letter)


def test_a_font_that_is_damaged_is_passed_over(monkeypatch, tmp_path):
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"no font")
    damaged = dataclasses.replace(
        fontManager.ttflist[0], fname=str(bad), name="Bad", style="normal"
    )
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist, damaged])
    with pytest.warns(UserWarning, match="no font of this machine has 走:"):
        pixels("走")


def test_names_are_measured_before_they_are_drawn_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = timeline_figure(
            np.array([[1.0, 0.0]]), np.array([0, 9]), [(0, 9, 0)], ["走", "b"], title="$1$"
        )
    assert any(text.get_text() == "走" for axes in figure.axes for text in axes.texts)
