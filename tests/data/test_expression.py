"""Expressions mean what Python means by them, row by row, and nothing else gets in."""

from __future__ import annotations

import ast
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shapmix.data.expression import ExpressionError, columns_of, decide


def evaluate(expression: str, columns: Any) -> Any:
    """For which rows it holds."""
    return decide(expression, columns).holds


ROWS: list[dict[str, Any]] = [
    {"view": view, "subject": subject, "camera": camera, "name": f"{camera}{view}"}
    for view in (1, 2, 3)
    for subject in (-2, 1, 7)
    for camera in ("left", "right", "top")
]
COLUMNS = {
    key: np.array([row[key] for row in ROWS], dtype=object if key in ("camera", "name") else None)
    for key in ROWS[0]
}
# Some rows with unknown values: None here, masked or "" in a column.
GAPS = [
    row | {"subject": None if i % 3 == 0 else row["subject"]} | ({"camera": None} if i % 4 else {})
    for i, row in enumerate(ROWS)
]
COLUMNS_WITH_GAPS = COLUMNS | {
    "subject": np.ma.MaskedArray(
        [row["subject"] or 0 for row in GAPS], [row["subject"] is None for row in GAPS]
    ),
    "camera": np.array([row["camera"] or "" for row in GAPS], dtype=object),
}

ints = st.integers(-3, 8).map(str)
int_columns = st.sampled_from(["view", "subject"])
strings = st.sampled_from(["left", "right", "r", "left1", "zzz"]).map(repr)
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


def truth(node: ast.AST, row: dict[str, Any]) -> bool | None:
    """What a condition says of a row: None for neither."""
    if isinstance(node, ast.BoolOp):
        parts = [truth(value, row) for value in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    if isinstance(node, ast.UnaryOp):
        inner = truth(node.operand, row)
        return None if inner is None else not inner
    if isinstance(node, ast.Compare):
        verdicts: list[bool | None] = []
        for (a, b), op in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
            names = [n.id for side in (a, b) for n in ast.walk(side) if isinstance(n, ast.Name)]
            pair = ast.Expression(ast.Compare(a, [op], [b]))
            if any(row[name] is None for name in names):
                verdicts.append(None)
            else:
                verdicts.append(bool(eval(ast.unparse(pair), {"__builtins__": {}}, row)))
        return False if False in verdicts else None if None in verdicts else True
    return bool(ast.literal_eval(node))


@given(expressions)
@example("subject != 1")
@example("not subject <= 1")
@example("subject not in []")
@example("camera not in ('left', 'zzz')")
@example("view == 1 or subject > 1")
def test_the_unknown_is_neither_true_nor_false(expression: str) -> None:
    """As SQL has it, whatever an expression is made of; a complement takes in no unknown row."""
    tree = ast.parse(expression, mode="eval").body
    expected = [truth(tree, row) for row in GAPS]
    found = decide(expression, COLUMNS_WITH_GAPS)
    assert found.holds.tolist() == [verdict is True for verdict in expected]
    assert found.fails.tolist() == [verdict is False for verdict in expected]
    assert evaluate(f"not ({expression})", COLUMNS_WITH_GAPS).tolist() == found.fails.tolist()


def test_the_unknown_can_be_asked_for() -> None:
    unknown = np.array([row["subject"] is None for row in GAPS])
    assert evaluate("subject is None", COLUMNS_WITH_GAPS).tolist() == unknown.tolist()
    assert evaluate("subject is not None", COLUMNS_WITH_GAPS).tolist() == (~unknown).tolist()
    no_camera = [row["camera"] is None for row in GAPS]
    assert evaluate("camera is None", COLUMNS_WITH_GAPS).tolist() == no_camera
    found = evaluate("subject > 1 or subject is None", COLUMNS_WITH_GAPS)
    assert found.tolist() == [row["subject"] is None or row["subject"] > 1 for row in GAPS]
    assert not evaluate("view is None", COLUMNS).any()


def test_the_columns_of_an_expression() -> None:
    assert columns_of(" subject % 2 == 1 and view != 3") == {"subject", "view"}
    assert columns_of("True") == set()


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
        ("view is 3", "'is' goes with None only, such as 'subject is None'; write '=='"),
        ("None is view", "'is' goes with None only"),
        ("veiw is None", r"unknown column 'veiw' \(did you mean"),
        ("camera != ''", "'' is no value: ask whether one is unknown by 'is None'"),
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
