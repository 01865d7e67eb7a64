"""From the labels of a source, ids or names, to class indices 0..K-1 and class names.

Ids need names from somewhere: a list in the order of the ids, given as a file or on the command
line. Without one, the classes are called after their ids. All names are composed (Unicode's NFC).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from shapmix.data.clip import ClipError
from shapmix.data.importers.base import SourceError
from shapmix.data.reading import reason
from shapmix.suggest import composed, did_you_mean

MOST_CLASSES = 100_000  # an id beyond is no class
LIST = re.compile(r"""\[\s*(|\d+|(?P<quote>["']).*(?P=quote)|[^\[\]]*,[^\[\]]*)\s*\]""")
MULTI_LABEL = (
    "a clip has one class here; cut it into one clip a label, or choose its main label, and import "
    "again"
)


@dataclass(frozen=True)
class Classes:
    """The classes of a source.

    Attributes:
        names: K class names in label order.
        base: the id that becomes label 0; None where ids are names themselves.
    """

    names: tuple[str, ...]
    base: int | None = 0

    def label(self, value: object, clip: str) -> int:
        """Class index of an id or a name; ClipError, for a clip of this name, when unknown."""
        if isinstance(value, list | tuple | set):
            raise ClipError("several labels", clip, f"labels are {value!r}; {MULTI_LABEL}")
        if isinstance(value, str) and composed(value) in self._index:
            return self._index[composed(value)]
        number = as_id(value)
        if number is not None and self.base is None and str(number) in self._index:
            return self._index[str(number)]
        if number is not None and self.base is not None:
            if 0 <= number - self.base < len(self.names):
                return number - self.base
            expected = f"{self.base} to {self.base + len(self.names) - 1}"
            detail = f"label {value!r}, expected an id from {expected} or a class name"
        else:
            detail = f"label {value!r} is none of the {len(self.names)} classes"
        raise ClipError("unknown label", clip, detail)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.names)}


def as_id(value: object) -> int | None:
    """A whole number, or text that is one ("3", "3.0"); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and (
        match := re.fullmatch(r"\s*(\d{1,9})(\.0+)?\s*", value, re.ASCII)
    ):
        return int(match[1])
    return None


def find_classes(
    labels: Iterable[object], class_names: str | None, label_base: int | None = None
) -> Classes:
    """The classes of all labels that a source has.

    Args:
        labels: each label that occurs (repetitions do no harm): all ids, or all names.
        class_names: names in label order; see `read_class_names`. Without them the classes are the
            labels that occur, names in alphabetical order, ids by size and called after themselves.
        label_base: the id of the first class, 0 or 1; every id from there to the largest is a class
            then. Not needed where a file of class names has ids, or the ids 0 or K occur.

    Raises:
        SourceError: no label, a mixture of ids and names, several labels in one, an id below the
            base or beyond the names, ids and names that leave open whether 0 is among the ids,
            a name that `class_names` lacks.
    """
    found = set()
    for label in labels:
        if isinstance(label, list | tuple | set):
            raise SourceError(f"a clip has labels {label!r}; {MULTI_LABEL}")
        found.add(composed(label) if isinstance(label, str) else label)
    if not found:
        raise SourceError("no clip of the source has a label")
    if label_base not in (None, 0, 1):
        raise SourceError(f"label_base is {label_base}, expected 0 or 1")
    given = None if class_names is None else read_class_names(class_names)
    if given is None:
        _refuse_several(found)
    elif all(isinstance(label, str) and label in given.names for label in found):
        return Classes(given.names)
    numbers = {number for label in found if (number := as_id(label)) is not None}
    texts = sorted(str(label) for label in found if as_id(label) is None)
    if numbers and texts:
        raise SourceError(
            f"labels are partly ids such as {min(numbers)}, partly text like {texts[0]!r}"
        )
    if texts and given is None:
        return Classes(tuple(texts))
    if texts:
        assert given is not None
        strange = next(text for text in texts if text not in given.names)
        hint = did_you_mean(strange, given.names)
        raise SourceError(
            f"label {strange!r}{hint} is none of the {len(given.names)} class names given"
        )
    return _classes_of_ids(numbers, given, label_base)


def _refuse_several(labels: set[object]) -> None:
    """SourceError for text that joins labels which also occur alone, such as "walk, sit".

    A comma may well be part of a name, so all its parts must occur; of a bar or semicolon, one. A
    list as Python or JSON writes it is never a name; "[left] wave" may be one.
    """
    texts = {label.strip() for label in labels if isinstance(label, str)}
    for text in sorted(texts):
        if LIST.fullmatch(text):
            raise SourceError(f"the label {text!r} is a list; {MULTI_LABEL}")
        for separator, enough in ((",", all), ("+", all), ("|", any), (";", any)):
            parts = [part.strip() for part in text.split(separator)]
            if len(parts) > 1 and enough(part in texts for part in parts):
                raise SourceError(f"the label {text!r} joins {' and '.join(parts)}; {MULTI_LABEL}")


def _classes_of_ids(numbers: set[int], given: Names | None, label_base: int | None) -> Classes:
    low, high = min(numbers), max(numbers)
    base = label_base
    if base is None and given is not None:
        base = given.base
    if given is None and base is None:
        if low < 0:
            raise SourceError(f"labels are ids from {low} to {high}, expected ids from 0 or 1")
        return Classes(tuple(map(str, sorted(numbers))), None)
    K = high + 1 if given is None else len(given.names)
    if base is None and low >= 1 and high < K:
        raise SourceError(
            f"labels are ids from {low} to {high} and there are {K} class names: do the ids count "
            "from 0 or from 1? Say --label-base 0 or --label-base 1"
        )
    base = int(low >= 1) if base is None else base
    if low < base or high >= MOST_CLASSES:
        raise SourceError(
            f"labels are ids from {low} to {high}, expected ids from {base}"
            + (" (--label-base 0 counts from 0)" if low == 0 else "")
        )
    if given is None:
        return Classes(tuple(str(k) for k in range(base, high + 1)), base)
    if high - base >= K:
        raise SourceError(
            f"labels are ids from {low} to {high}, but {K} class names were given: expected {base} "
            f"to {base + K - 1}"
            + (". Do the ids count from 1? (--label-base 1)" if base == 0 else "")
        )
    return Classes(given.names, base)


class Names(NamedTuple):
    """Class names in label order, and the id of the first one where the list has ids."""

    names: tuple[str, ...]
    base: int | None = None


def read_class_names(given: str) -> Names:
    """Class names in label order, from a file or as text.

    Args:
        given: names with commas between them; or a file: .txt with one name a line; .json with a
            list, or an object {name: id} or {id: name}; .csv with columns id and name. Ids count
            from 0 or 1.

    Raises:
        SourceError: the file cannot be read, is of another form, or names a class twice.
    """
    path, base = Path(given), None
    if path.suffix not in (".txt", ".json", ".csv"):
        if path.is_file() or len(path.parts) > 1:
            raise SourceError(f"class names are in {given!r}, expected a .txt, .json or .csv file")
        names: list[Any] = [name.strip() for name in given.split(",")]
    else:
        try:
            names, base = _from_file(path.suffix, path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError, KeyError, csv.Error) as error:
            raise SourceError(f"cannot read the class names in {path}: {reason(error)}") from error
    if not names or not all(isinstance(name, str) and name for name in names):
        raise SourceError(f"class names are {given!r}: expected at least one, none of them empty")
    names = [composed(name) for name in names]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"the class name {twice!r} occurs twice in {given}")
    return Names(tuple(names), base)


def _from_file(suffix: str, text: str) -> tuple[list[Any], int | None]:
    if suffix == ".txt":
        return [line.strip() for line in text.splitlines() if line.strip()], None
    if suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        if not rows or not {"id", "name"} <= rows[0].keys():
            raise ValueError("expected the columns id and name")
        return _by_id({int(row["id"]): row["name"] for row in rows})
    content = json.loads(text)
    if isinstance(content, list):
        return content, None
    if isinstance(content, dict) and all(type(v) is int for v in content.values()):
        return _by_id({number: name for name, number in content.items()})
    if isinstance(content, dict):
        return _by_id({int(number): name for number, name in content.items()})
    raise ValueError(f"it holds a {type(content).__name__}, expected a list or an object")


def _by_id(names: dict[int, Any]) -> tuple[list[Any], int]:
    first = min(names, default=0)
    if first not in (0, 1) or sorted(names) != list(range(first, first + len(names))):
        raise ValueError("expected each id once, from 0 or 1 without a gap")
    return [names[number] for number in sorted(names)], first
