"""From the labels of a source, ids or names, to class indices 0..K-1 and class names.

Ids need names from somewhere: a list in the order of the ids, given as a file or on the command
line. Without one, the classes are called after their ids.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shapmix.data.clip import ClipError
from shapmix.data.importers.base import SourceError
from shapmix.suggest import did_you_mean

MOST_CLASSES = 100_000  # an id beyond is no class
MULTI_LABEL = (
    "a clip has one class here; cut it into one clip a label, or choose its main label, and import "
    "again"
)


@dataclass(frozen=True)
class Classes:
    """The classes of a source.

    Attributes:
        names: K class names in label order.
        base: the id that becomes label 0, 0 or 1.
    """

    names: tuple[str, ...]
    base: int = 0

    def label(self, value: object, clip: str) -> int:
        """Class index of an id or a name; ClipError, for a clip of this name, when unknown."""
        if isinstance(value, str) and value in self._index:
            return self._index[value]
        number = as_id(value)
        if number is not None and 0 <= number - self.base < len(self.names):
            return number - self.base
        if isinstance(value, list | tuple | set):
            raise ClipError("several labels", clip, f"labels are {value!r}; {MULTI_LABEL}")
        if number is not None:
            expected = f"{self.base} to {self.base + len(self.names) - 1}"
            detail = f"label {value!r}, expected an id from {expected} or a class name"
        else:
            hint = did_you_mean(str(value), self.names)
            detail = f"label {value!r}{hint} is none of the {len(self.names)} classes"
        raise ClipError("unknown label", clip, detail)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.names)}


def as_id(value: object) -> int | None:
    """A whole number, or text that is one; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        return int(value) if len(value.strip()) < 10 else None
    return None


def find_classes(
    labels: Iterable[object], class_names: str | None, label_base: int | None = None
) -> Classes:
    """The classes of all labels that a source has.

    Args:
        labels: each label that occurs (repetitions do no harm): all ids, or all names.
        class_names: names in label order; see `read_class_names`. Without them, names are those
            that occur, in alphabetical order, and ids up to the largest are called "0", "1", ...
        label_base: the id of the first class, 0 or 1. Without it, 0 if the id 0 occurs or there
            is no `class_names`; with names and ids from 1 to their number, 1.

    Raises:
        SourceError: no label, a mixture of ids and names, several labels in one, an id below the
            base or beyond the names, a name that `class_names` lacks.
    """
    found = set()
    for label in labels:
        if isinstance(label, list | tuple | set):
            raise SourceError(f"a clip has labels {label!r}; {MULTI_LABEL}")
        found.add(label)
    if not found:
        raise SourceError("no clip of the source has a label")
    names = None if class_names is None else read_class_names(class_names)
    ids = {label: as_id(label) for label in found}
    known = () if names is None else names
    if all(isinstance(label, str) and label in known for label in found):
        return Classes(tuple(known))
    numbers = {number for number in ids.values() if number is not None}
    if len(numbers) and any(number is None for number in ids.values()):
        odd = next(str(label) for label, number in ids.items() if number is None)
        raise SourceError(f"labels are partly ids such as {min(numbers)}, partly text like {odd!r}")
    if not numbers:
        texts = sorted(str(label) for label in found)
        if names is None:
            return Classes(tuple(texts))
        strange = next(text for text in texts if text not in names)
        hint = did_you_mean(strange, names)
        raise SourceError(f"label {strange!r}{hint} is none of the {len(names)} class names given")
    return _classes_of_ids(numbers, names, label_base)


def _classes_of_ids(
    numbers: set[int], names: Sequence[str] | None, label_base: int | None
) -> Classes:
    low, high = min(numbers), max(numbers)
    base = label_base
    if base is None:
        base = 1 if names is not None and low >= 1 and high == len(names) else 0
    if base not in (0, 1):
        raise SourceError(f"label_base is {base}, expected 0 or 1")
    if low < base or high >= MOST_CLASSES:
        raise SourceError(
            f"labels are ids from {low} to {high}, expected ids from {base}; if they count from "
            f"{low}, say so with --label-base (0 or 1)"
        )
    if names is None:
        return Classes(tuple(str(k) for k in range(base, high + 1)), base)
    if high - base >= len(names):
        raise SourceError(
            f"labels are ids from {low} to {high}, but {len(names)} class names were given: "
            f"expected {base} to {base + len(names) - 1}. Do the ids count from 1? (--label-base 1)"
        )
    return Classes(tuple(names), base)


def read_class_names(given: str) -> tuple[str, ...]:
    """Class names in label order, from a file or as text.

    Args:
        given: names with commas between them; or a file: .txt with one name a line; .json with a
            list, or an object {name: id} or {id: name}; .csv with columns id and name.

    Raises:
        SourceError: the file cannot be read, is of another form, or names a class twice.
    """
    path = Path(given)
    if path.suffix not in (".txt", ".json", ".csv"):
        names: list[Any] = [name.strip() for name in given.split(",")]
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
            names = _from_file(path.suffix, text)
        except (OSError, ValueError, RecursionError, KeyError, csv.Error) as error:
            raise SourceError(f"cannot read the class names in {path}: {error}") from error
    if not names or not all(isinstance(name, str) and name for name in names):
        raise SourceError(f"class names are {given!r}: expected at least one, none of them empty")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"the class name {twice!r} occurs twice in {given}")
    return tuple(names)


def _from_file(suffix: str, text: str) -> list[Any]:
    if suffix == ".txt":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        if not rows or not {"id", "name"} <= rows[0].keys():
            raise ValueError("expected the columns id and name")
        return _by_id({int(row["id"]): row["name"] for row in rows})
    content = json.loads(text)
    if isinstance(content, list):
        return content
    if isinstance(content, dict) and all(type(v) is int for v in content.values()):
        return _by_id({number: name for name, number in content.items()})
    if isinstance(content, dict):
        return _by_id({int(number): name for number, name in content.items()})
    raise ValueError(f"it holds a {type(content).__name__}, expected a list or an object")


def _by_id(names: dict[int, Any]) -> list[Any]:
    first = min(names, default=0)
    if first not in (0, 1) or sorted(names) != list(range(first, first + len(names))):
        raise ValueError("expected each id once, from 0 or 1 without a gap")
    return [names[number] for number in sorted(names)]
