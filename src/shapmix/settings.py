"""What a person may set: the check of a value against its type and its range."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from shapmix.suggest import did_you_mean


class SettingError(ValueError):
    """A setting is unknown or impossible; the text says what was found and what is expected."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; an end is left out where they are `above` or `below` it."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        inside = value > self.low if self.above else value >= self.low
        return inside and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"more than {self.low}" if self.above else f"{self.low} or more"
        begin, end = "above " * self.above, "below " * self.below
        return f"from {begin}{self.low} to {end}{self.high}"


def check_range(name: str, value: float | None, allowed: Range) -> None:
    """SettingError when a number is not in its range; one that was not given is not looked at."""
    if value is not None and value not in allowed:
        raise SettingError(f"{name} is {value!r}; expected {allowed}")


def as_typed(name: str, value: object, hint: Any) -> Any:
    """A value as its type hint wants it: tuples, whole numbers as int, paths as Path.

    Numbers are finite; those of numpy become Python's. Hints of other kinds than numbers, texts,
    switches, paths, choices, sequences, mappings and unions of these take anything.

    Raises:
        SettingError: the value does not fit the hint; the nearest choice is suggested.
    """
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    try:
        return _typed(value, hint)
    except _MisfitError:
        choices = [c for h in _alternatives(hint) for c in get_args(h) if isinstance(c, str)]
        guess = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise SettingError(f"{name} is {value!r}; expected {_told(hint)}{guess}") from None


class _MisfitError(Exception):
    pass


def _typed(value: object, hint: Any) -> Any:
    kind, args = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return _first_fitting(value, args)
    if kind is Literal:
        fits = any(type(value) is type(choice) and value == choice for choice in args)
    elif kind in (tuple, list, Sequence):
        if isinstance(value, list | tuple):
            items = _items(value, args, fixed=kind is tuple and args[-1:] != (...,))
            return items if kind is Sequence else kind(items)
        fits = False
    elif kind is int:
        return _whole(value)
    elif kind is float:
        fits = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    elif kind in (dict, Mapping):
        fits = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    elif kind is Path:
        fits = isinstance(value, str | Path)
        value = Path(value) if isinstance(value, str) else value
    elif kind in _TOLD:
        fits = isinstance(value, kind)
    else:
        return value
    if not fits:
        raise _MisfitError
    return value


def _first_fitting(value: object, hints: Sequence[Any]) -> Any:
    for hint in hints:
        try:
            return _typed(value, hint)
        except _MisfitError:
            continue
    raise _MisfitError


def _items(values: Any, hints: tuple[Any, ...], *, fixed: bool) -> tuple[Any, ...]:
    if not hints:
        return tuple(values)
    if not fixed:
        return tuple(_typed(value, hints[0]) for value in values)
    if len(values) != len(hints):
        raise _MisfitError
    return tuple(_typed(value, hint) for value, hint in zip(values, hints, strict=True))


def _whole(value: object) -> int:
    """A whole number; a file may give it as 2.0 or 1e3."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _MisfitError
    number: Any = value
    if number % 1 != 0:
        raise _MisfitError
    return int(number)


_TOLD = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    NoneType: "nothing",
}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _told(hint: Any) -> str:
    """What a hint takes, in words."""
    kind, args = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(_told(each) for each in args)
    if kind is Literal:
        return f"one of {', '.join(map(str, args))}"
    if kind in (tuple, list, Sequence):
        items = [_told(each).removeprefix("a ") for each in args if each is not ...]
        number = f"{len(items)} " if kind is tuple and args[-1:] != (...,) else ""
        return f"a list of {number}{items[0]}s" if items else "a list"
    if kind in (dict, Mapping):
        return "a mapping of names"
    told: str = _TOLD.get(kind, getattr(kind, "__name__", str(kind)))
    return told
