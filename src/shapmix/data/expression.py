"""Conditions over a data set's columns, such as `view != 3 and subject in (1, 2)`.

The language is the part of Python that a condition needs, read with `ast` against a list of what is
allowed and evaluated by NumPy over whole columns; nothing is ever executed. There are columns,
numbers, texts, comparisons (also `in` and `not in` a list), `and`, `or`, `not`, the remainder
`subject % 2` of an integer column, and `True` for all clips.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shapmix.suggest import did_you_mean

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
_COMBINE: dict[type[ast.boolop], Callable[[Mask, Mask], Mask]] = {
    ast.And: operator.and_,
    ast.Or: operator.or_,
}


class ExpressionError(ValueError):
    """An expression that cannot be read, names an unknown column, or compares unlike things."""


def evaluate(expression: str, columns: Mapping[str, Column]) -> Mask:
    """(N,) bool: for which rows `expression` holds.

    Args:
        expression: see the module's text.
        columns: name -> (N,) numbers, or (N,) object holding `str`; at least one.

    Raises:
        ExpressionError: saying what was found in which expression; an unknown column with the
            nearest known one.
    """
    if len(expression) > MAX_LENGTH:
        raise ExpressionError(f"expression of {len(expression)} characters; at most {MAX_LENGTH}")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        return _condition(tree.body, columns)
    except ExpressionError as error:
        raise ExpressionError(f"{error} in expression {_shortened(expression)}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"cannot read {_shortened(expression)}: {error}") from None


def _condition(node: ast.expr, columns: Mapping[str, Column]) -> Mask:
    match node:
        case ast.BoolOp(op=op, values=values):
            mask = _condition(values[0], columns)
            for value in values[1:]:
                mask = _COMBINE[type(op)](mask, _condition(value, columns))
            return mask
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_condition(operand, columns)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            mask = np.ones(_num_rows(columns), dtype=bool)
            for compare, right in zip(ops, comparators, strict=True):
                mask &= _comparison(left, compare, right, columns)
                left = right
            return mask
        case ast.Constant(value=bool(value)):
            return np.full(_num_rows(columns), value)
    raise ExpressionError(f"{ast.unparse(node)!r} is not a condition, such as 'view != 3',")


def _comparison(
    left: ast.expr, op: ast.cmpop, right: ast.expr, columns: Mapping[str, Column]
) -> Mask:
    a = _operand(left, columns)
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.Tuple | ast.List | ast.Set):
            raise ExpressionError(f"{ast.unparse(right)!r} is not a list, such as (1, 2),")
        mask = np.zeros(_num_rows(columns), dtype=bool)
        for item in right.elts:
            mask |= _compared(operator.eq, a, _operand(item, columns), left, item)
        return mask if isinstance(op, ast.In) else ~mask
    if type(op) not in _COMPARE:  # `is`
        raise ExpressionError("'is' is not allowed; write '=='")
    return _compared(_COMPARE[type(op)], a, _operand(right, columns), left, right)


def _compared(
    compare: Callable[[Any, Any], Any], a: Any, b: Any, left: ast.expr, right: ast.expr
) -> Mask:
    if _is_text(a) != _is_text(b):
        texts, numbers = (left, right) if _is_text(a) else (right, left)
        raise ExpressionError(
            f"{ast.unparse(texts)!r} is text and {ast.unparse(numbers)!r} is a number: "
            "they cannot be compared"
        )
    return np.asarray(compare(a, b), dtype=bool)


def _operand(node: ast.expr, columns: Mapping[str, Column]) -> Any:
    """A column, (N,), or a constant."""
    match node:
        case ast.Name(id=name):
            return _column(name, columns)
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
