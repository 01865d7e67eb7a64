"""Expressions mean what Python means by them, row by row, and nothing else gets in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shapmix.data.expression import ExpressionError, evaluate

ROWS: list[dict[str, Any]] = [
    {"view": view, "subject": subject, "camera": camera, "name": f"{camera}{view}"}
    for view in (1, 2, 3)
    for subject in (-2, 1, 7)
    for camera in ("left", "right", "")
]
COLUMNS = {
    key: np.array([row[key] for row in ROWS], dtype=object if key in ("camera", "name") else None)
    for key in ROWS[0]
}

ints = st.integers(-3, 8).map(str)
int_columns = st.sampled_from(["view", "subject"])
strings = st.sampled_from(["left", "right", "", "left1", "zzz"]).map(repr)
string_columns = st.sampled_from(["camera", "name"])
order = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
contains = st.sampled_from(["in", "not in"])
numbers = (
    ints | int_columns | st.tuples(int_columns, st.integers(1, 4)).map("{0[0]} % {0[1]}".format)
)
words = strings | string_columns


def listed(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(items, max_size=3).map(lambda xs: "[" + ", ".join(xs) + "]")


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(" ".join)


comparisons = (
    joined(numbers, order, numbers)
    | joined(numbers, order, numbers, order, numbers)
    | joined(words, order, words)
    | joined(numbers, contains, listed(ints))
    | joined(words, contains, listed(strings))
)
expressions = st.recursive(
    comparisons | st.sampled_from(["True", "False"]),
    lambda inner: (
        joined(inner, st.sampled_from(["and", "or"]), inner)
        | inner.map("not ({})".format)
        | inner.map("({})".format)
    ),
    max_leaves=6,
)


@given(expressions)
def test_agrees_with_python_row_by_row(expression: str) -> None:
    expected = [bool(eval(expression, {"__builtins__": {}}, row)) for row in ROWS]
    mask = evaluate(expression, COLUMNS)
    assert mask.dtype == bool
    assert mask.tolist() == expected


def test_the_examples_of_the_manual() -> None:
    found = [ROWS[i] for i in np.flatnonzero(evaluate("view != 3 and subject in (1, 2)", COLUMNS))]
    assert found == [row for row in ROWS if row["view"] != 3 and row["subject"] == 1]
    assert evaluate("subject % 2 == 1", COLUMNS).sum() == 18
    assert evaluate(" True\n", COLUMNS).all()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "veiw != 3",
            r"unknown column 'veiw' \(did you mean 'view'\?\); columns: view, subj",
        ),
        ("qqqq == 3", r"unknown column 'qqqq'; columns: "),
        ("view", "'view' is not a condition, such as 'view != 3', in expression 'view'"),
        ("3", "'3' is not a condition"),
        ("view = 3", "cannot read 'view = 3': invalid syntax"),
        ("", "cannot read"),
        ("\0", "cannot read"),
        ("view == 'left'", "'left'. is text and 'view' is a number: they cannot be compared"),
        ("camera in (1, 'left')", "'camera' is text and '1' is a number"),
        ("camera % 2 == 1", "'camera % 2' is not integer % positive integer"),
        ("view % 0 == 1", "not integer % positive integer"),
        ("view in 3", "'3' is not a list"),
        ("view in subject", "'subject' is not a list"),
        ("view is 3", "'is' is not allowed; write '=='"),
        ("view == True", "'True' is not a column, a number or a text"),
        ("view == None", "'None' is not"),
        ("view == -'a'", "is not a column"),
        ("view + 1 == 2", "'view \\+ 1' is not a column"),
        ("view == 9 ** 9 ** 9", "is not a column"),
        ("view == (view := 3)", "is not a column"),
        ("__import__('os').system('true')", "is not a condition"),
        ("view.__class__ == 3", "is not a column"),
        ("name[0] == 'l'", "is not a column"),
        ("f'{view}' == '1'", "is not a column"),
        ("(lambda: view)() == 1", "is not a column"),
        ("[v for v in view] == 1", "is not a column"),
        ("not " * 3000 + "True", "expression of 12004 characters; at most 10000"),
    ],
)
def test_everything_else_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        evaluate(expression, COLUMNS)
    assert len(str(caught.value)) < 1000


@given(st.text(max_size=30) | st.text("view=!3 ()[]%<>'\"andornoti,-", max_size=30))
@example("not " * 2400 + "True")
@example("(" * 4000 + "True" + ")" * 4000)
@example("-" * 9000 + "1 == view")
def test_any_text_is_understood_or_refused(expression: str) -> None:
    try:
        mask = evaluate(expression, COLUMNS)
    except ExpressionError:
        return
    assert mask.shape == (len(ROWS),)
