"""The check of values against their types and ranges."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapmix.settings import Range, SettingError, as_typed, check_range

Mixer = Literal["shapmix", "stmix", "none"]


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, 3),
        (3.0, int, 3),
        (1e9, int, 10**9),
        (np.int64(3), int, 3),
        (3, float, 3),
        (True, bool, True),
        ("x", str, "x"),
        (None, float | None, None),
        ([0.5, 1], tuple[float, float], (0.5, 1)),
        ([2.0, 3.0], tuple[int, ...] | None, (2, 3)),
        ([0.1], Sequence[float], (0.1,)),
        ([1.0, 2], list[int], [1, 2]),
        ((1, 2), list, [1, 2]),
        (np.array([0.5, 0.7]), tuple[float, ...], (0.5, 0.7)),
        (np.float32(0.5), float, 0.5),
        (np.True_, bool, True),
        ("none", Mixer, "none"),
        (Path("a"), Path | None, Path("a")),
        ("a", Path | None, Path("a")),
        ({"tau": 1}, dict[str, float], {"tau": 1}),
        (object, Any, object),
    ],
)
def test_what_fits_comes_back_in_its_type(value, hint, expected):
    found = as_typed("it", value, hint)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        (2.5, int, "it is 2.5; expected a whole number"),
        (True, int, "a whole number"),
        (True, float, "a finite number"),
        ("3", float, "it is '3'; expected a finite number"),
        (float("nan"), float, "it is nan; expected a finite number"),
        (float("inf"), int | None, "a whole number or nothing"),
        (None, float, "it is None; expected a finite number"),
        (1, bool, "true or false"),
        (1, str, "a text"),
        ("shapmx", Mixer, r"one of shapmix, stmix, none \(did you mean 'shapmix'\?\)"),
        (False, Mixer, "one of shapmix"),
        (0.5, tuple[float, float], "a list of 2 finite numbers"),
        ([1, 2, 3], tuple[float, float], "a list of 2 finite numbers"),
        (["a"], tuple[int, ...], "a list of whole numbers"),
        ("ab", Sequence[str], "a list of texts"),
        (1, Path, "a path"),
        ([1], dict[str, int], "a mapping of names"),
        ({1: 2}, dict[str, int], "a mapping of names"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(value, hint, words):
    with pytest.raises(SettingError, match=words):
        as_typed("it", value, hint)


@given(st.integers(-3, 3), st.booleans(), st.booleans())
def test_ends_belong_to_a_range_unless_it_says_otherwise(value, above, below):
    inside = (value > -1 if above else value >= -1) and (value < 2 if below else value <= 2)
    assert (value in Range(-1, 2, above=above, below=below)) is inside


@pytest.mark.parametrize(
    ("value", "allowed", "words"),
    [
        (0, Range(0, above=True), "it is 0; expected more than 0"),
        (-1, Range(0), "expected 0 or more"),
        (1, Range(0, 1, below=True), "expected from 0 to below 1"),
        (2, Range(0, 1, above=True), "expected from above 0 to 1"),
    ],
)
def test_a_range_in_words(value, allowed, words):
    with pytest.raises(SettingError, match=words):
        check_range("it", value, allowed)
    check_range("it", None, allowed)
