"""Conditions over a data set's columns, such as `view != 3 and subject in (1, 2)`.

The language is the part of Python that a condition needs, read with `ast` against a list of what is
allowed and evaluated by NumPy over whole columns; nothing is ever executed. There are columns,
numbers, texts, comparisons (also `in` and `not in` a list), `and`, `or`, `not`, the remainder
`subject % 2` of an integer column, and `True` for all clips.

Where the value of a column is unknown, a comparison with it neither holds nor fails, `!=`, `not in`
and `not` included: a clip whose subject nobody knows is in neither of `subject <= 6` and
`not subject <= 6`. `and` and `or` take the unknown as SQL does: `view == 1 or subject <= 6` holds
where the view is 1, whoever the subject is. `subject is None` and `subject is not None` ask for it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import known
from shapmix.suggest import composed, did_you_mean

Mask = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]

MAX_LENGTH = 10_000

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class ExpressionError(ValueError):
    """An expression that cannot be read, names an unknown column, or compares unlike things."""


class Truth(NamedTuple):
    """For which rows a condition holds, and for which it fails: (N,) bool each, never both true.

    It does neither where a value that decides it is unknown.
    """

    holds: Mask
    fails: Mask

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.holds & other.holds, self.fails | other.fails)

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.holds | other.holds, self.fails & other.fails)

    def __invert__(self) -> Truth:
        return Truth(self.fails, self.holds)


def decide(expression: str, columns: Mapping[str, Column]) -> Truth:
    """For which rows `expression` holds and for which it fails.

    Args:
        expression: see the module's text.
        columns: name -> (N,) numbers, masked where unknown; or (N,) object holding `str`, "" where
            unknown; at least one.

    Raises:
        ExpressionError: saying what was found in which expression; an unknown column with the
            nearest known one.
    """
    if len(expression) > MAX_LENGTH:
        raise ExpressionError(f"expression of {len(expression)} characters; at most {MAX_LENGTH}")
    try:
        tree = ast.parse(composed(expression.strip()), mode="eval")
        return _condition(tree.body, columns)
    except ExpressionError as error:
        raise ExpressionError(f"{error} in expression {_shortened(expression)}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"cannot read {_shortened(expression)}: {error}") from None


def columns_of(expression: str) -> set[str]:
    """The columns that an expression without errors names."""
    return {n.id for n in ast.walk(ast.parse(expression.strip())) if isinstance(n, ast.Name)}


def _condition(node: ast.expr, columns: Mapping[str, Column]) -> Truth:
    match node:
        case ast.BoolOp(op=op, values=values):
            combine = operator.and_ if isinstance(op, ast.And) else operator.or_
            return reduce(combine, [_condition(value, columns) for value in values])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_condition(operand, columns)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            pairs = zip([left, *comparators], ops, comparators, strict=False)
            return reduce(operator.and_, [_comparison(a, op, b, columns) for a, op, b in pairs])
        case ast.Constant(value=bool(value)):
            return _everywhere(value, columns)
    raise ExpressionError(f"{ast.unparse(node)!r} is not a condition, such as 'view != 3',")


def _comparison(
    left: ast.expr, op: ast.cmpop, right: ast.expr, columns: Mapping[str, Column]
) -> Truth:
    if isinstance(op, ast.Is | ast.IsNot):
        return _is_none(left, op, right, columns)
    a = _operand(left, columns)
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.Tuple | ast.List | ast.Set):
            raise ExpressionError(f"{ast.unparse(right)!r} is not a list, such as (1, 2),")
        among = Truth(_everywhere(False, columns).holds, _have_values(columns, a))
        for item in right.elts:
            among |= _compared(operator.eq, a, _operand(item, columns), left, item, columns)
        return among if isinstance(op, ast.In) else ~among
    return _compared(_COMPARE[type(op)], a, _operand(right, columns), left, right, columns)


def _is_none(
    left: ast.expr, op: ast.cmpop, right: ast.expr, columns: Mapping[str, Column]
) -> Truth:
    """`subject is None`: the one condition about the unknown."""
    match left, right:
        case ast.Name(id=name), ast.Constant(value=None):
            has_value = known(_column(name, columns))
            truth = Truth(~has_value, has_value)
            return truth if isinstance(op, ast.Is) else ~truth
    raise ExpressionError("'is' goes with None only, such as 'subject is None'; write '=='")


def _everywhere(value: bool, columns: Mapping[str, Column]) -> Truth:
    mask = np.full(_num_rows(columns), value)
    return Truth(mask, ~mask)


def _compared(
    compare: Callable[[Any, Any], Any],
    a: Any,
    b: Any,
    left: ast.expr,
    right: ast.expr,
    columns: Mapping[str, Column],
) -> Truth:
    if _is_text(a) != _is_text(b):
        texts, numbers = (left, right) if _is_text(a) else (right, left)
        raise ExpressionError(
            f"{ast.unparse(texts)!r} is text and {ast.unparse(numbers)!r} is a number: "
            "they cannot be compared"
        )
    decided = _have_values(columns, a, b)
    a, b = (np.ma.getdata(x) if isinstance(x, np.ndarray) else x for x in (a, b))
    mask = np.asarray(compare(a, b), dtype=bool)
    return Truth(decided & mask, decided & ~mask)


def _have_values(columns: Mapping[str, Column], *operands: Any) -> Mask:
    """(N,) bool: where all of some columns and constants have a value."""
    told = [known(operand) for operand in operands if isinstance(operand, np.ndarray)]
    return reduce(operator.and_, told, _everywhere(True, columns).holds)


def _operand(node: ast.expr, columns: Mapping[str, Column]) -> Any:
    """A column, (N,), or a constant."""
    match node:
        case ast.Name(id=name):
            return _column(name, columns)
        case ast.Constant(value=""):
            raise ExpressionError("'' is no value: ask whether one is unknown by 'is None'")
        case ast.Constant(value=value) if type(value) in (int, float, str):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.BinOp(left=ast.Name(id=name), op=ast.Mod(), right=ast.Constant(value=value)):
            column = _column(name, columns)
            if _is_text(column) or type(value) is not int or not 0 < value < 2**63:
                raise ExpressionError(f"{ast.unparse(node)!r} is not integer % positive integer")
            return column % value
    raise ExpressionError(f"{ast.unparse(node)!r} is not a column, a number or a text")


def _column(name: str, columns: Mapping[str, Column]) -> Column:
    if name not in columns:
        hint = did_you_mean(name, columns)
        raise ExpressionError(f"unknown column {name!r}{hint}; columns: {', '.join(columns)}")
    return columns[name]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind == "O")


def _num_rows(columns: Mapping[str, Column]) -> int:
    return len(next(iter(columns.values())))


def _shortened(expression: str) -> str:
    return repr(expression if len(expression) <= 200 else expression[:200] + "...")
