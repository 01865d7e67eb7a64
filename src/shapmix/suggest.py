"""Words of people: in one Unicode form, found among known ones, or the nearest known one."""

import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def composed(text: str) -> str:
    """Text in Unicode's composed form, NFC: the names of files of a Mac are not, labels mostly are.

    Both look the same, so whatever is compared with what comes from elsewhere goes through this.
    """
    return unicodedata.normalize("NFC", text)


def position(word: str, known: Sequence[str]) -> int | None:
    """Where a word is among known ones, if need be in another Unicode form; None if nowhere."""
    if word in known:
        return list(known).index(word)
    forms = [composed(name) for name in known]
    return forms.index(composed(word)) if composed(word) in forms else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known word in brackets, or nothing."""
    nearest = get_close_matches(word, list(known), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
