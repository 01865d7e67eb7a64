"""Figures that write the names of classes as they are, in any script and without mathematics."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, findSystemFonts, fontManager, get_font
from matplotlib.text import Text

FONT = "DejaVu Sans"  # comes with matplotlib, so that pictures are the same on every machine
_NO_LETTERS = (
    "Last Resort High-Efficiency",
    "LastResort",
    ".LastResort",
)  # fonts of boxes, which stand for letters that no font has


class Canvas(Figure):
    """A figure of which every text is taken literally; numbers of axes need a plain format, too.

    Letters that `FONT` lacks are drawn in other fonts of this machine. What none has comes out as
    boxes, with one warning that names it.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=100, facecolor="white")
        FigureCanvasAgg(self)

    def draw(self, renderer: Any) -> None:
        """Draw everything."""
        with self.spelt() as left:
            super().draw(renderer)
        if left:
            warnings.warn(
                f"no font of this machine has {' '.join(sorted(left)[:20])}: drawn as boxes; "
                "install one that has (Debian: fonts-noto-cjk for Chinese, Japanese and Korean, "
                "fonts-noto-core for others) and draw the picture again",
                stacklevel=1,
            )

    @contextmanager
    def spelt(self) -> Iterator[frozenset[str]]:
        """Set all texts as they are drawn, to measure or to draw them; the letters no font has."""
        texts = self.findobj(Text)
        usual = _letters(findfont(FONT))
        missing = {letter for text in texts for letter in text.get_text()} - usual
        families, left = _fallbacks(frozenset(letter for letter in missing if letter.isprintable()))
        for text in texts:
            text.set_parse_math(False)
            others = () if usual.issuperset(text.get_text()) else families
            text.set_fontfamily([FONT, *others])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
            yield left


@cache
def _fallbacks(missing: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families that have letters which `FONT` lacks, best first, and the letters that none has."""
    families: list[str] = []
    fonts = {name: _letters(path) for name, path in _installed().items()} if missing else {}
    while missing:
        best = max(fonts, key=lambda name: len(fonts[name] & missing))
        if not fonts[best] & missing:
            break
        families.append(best)
        missing -= fonts[best]
    return tuple(families), missing


def _installed() -> dict[str, str]:
    """Files of the upright fonts by family, also of those newer than matplotlib's own list."""
    known = {font.fname for font in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:
            with suppress(OSError, RuntimeError, UnicodeDecodeError):  # damaged
                fontManager.addfont(path)
    upright = {font.name: font.fname for font in fontManager.ttflist if font.style == "normal"}
    return {name: upright[name] for name in sorted(upright) if name not in _NO_LETTERS}


@cache
def _letters(path: str) -> frozenset[str]:
    """The letters of a font's file; none of one that cannot be drawn."""
    try:
        font = get_font(path)
    except (OSError, RuntimeError):  # gone or damaged
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
