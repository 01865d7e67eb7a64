"""Some of the classes of a source: those with clips, or those that the user names."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from pathlib import Path

from shapmix.data.importers.base import SourceError
from shapmix.data.importers.classes import read_class_names
from shapmix.suggest import composed, did_you_mean

PRESENT = "present"  # those of which a clip was imported
RANGE = re.compile(r"(\d{1,9})\s*-\s*(\d{1,9})", re.ASCII)


def find_chosen(given: str, names: Sequence[str]) -> list[int] | None:
    """The labels that are chosen, ascending; None for those of which there is a clip.

    Args:
        given: "present"; or a list, with commas between its entries or in a .txt, .json or .csv
            file: names, labels counted from 0, or ranges of them ("40-48", both ends included).
            Where classes are called by numbers, a number is a name and a range is one of names.
        names: of all classes, in label order.

    Raises:
        SourceError: an entry is no class.
    """
    if given == PRESENT:
        return None
    known = {composed(name): k for k, name in enumerate(names)}
    if not any(name.isdecimal() for name in names):
        known = {str(k): k for k in range(len(names))} | known
    if composed(given) in known:  # a name may have a comma
        return [known[composed(given)]]
    return sorted({label for entry in _entries(given) for label in _labels(entry, known, names)})


def _entries(given: str) -> Sequence[str]:
    """Of a list, or of a file that the user names."""
    if Path(given).suffix in (".txt", ".json", ".csv") and "," not in given:
        return read_class_names(given).names
    return [composed(entry.strip()) for entry in given.split(",")]


def _labels(entry: str, known: dict[str, int], names: Sequence[str]) -> Sequence[int]:
    if entry in known:
        return [known[entry]]
    match = RANGE.fullmatch(entry)
    if match and match[1] in known and match[2] in known and known[match[1]] <= known[match[2]]:
        return range(known[match[1]], known[match[2]] + 1)
    labels = "" if any(name.isdecimal() for name in names) else f" or labels 0 to {len(names) - 1}"
    raise SourceError(
        f"--classes has {entry!r}{did_you_mean(entry, names)}: expected {PRESENT}, or names of the "
        f"{len(names)} classes{labels}, such as {names[0]!r}, with commas between them"
    )


def kept_labels(chosen: list[int] | None, there: Container[int], count: int) -> list[int]:
    """The labels that stay of `count`; SourceError when no clip has one of the chosen ones.

    Args:
        there: labels of the sound clips.
    """
    kept = [k for k in range(count) if k in there] if chosen is None else chosen
    if not any(k in there for k in kept):
        raise SourceError("no clip is of the classes that --classes names")
    return kept
