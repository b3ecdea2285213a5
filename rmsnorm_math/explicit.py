"""Symbolic lengths become numbers, indices become integers, sums are written out."""

from collections.abc import Mapping
from typing import Any

from sympy import (
    Add,
    Dummy,
    Expr,
    Idx,
    IndexedBase,
    Integer,
    Matrix,
    MatrixBase,
    Mul,
    Sum,
    Symbol,
    Tuple,
)

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.names import freshen
from rmsnorm_math.index.walk import BINDERS, nodes
from rmsnorm_math.inputs import as_expression
from rmsnorm_math.refusals import refuse_expression, refuse_lookalikes


def instantiate(expr: Expr, *axes: Expr | tuple[Expr, int, int], **sizes: int) -> Expr | MatrixBase:
    """Return `expr` with its sums written out for given sizes.

    The bases stay what they are: ``x[1]`` of the result is an element of the
    same ``x``, so the result can be differentiated by it.

    Parameters
    ----------
    expr
        An expression in index notation.
    *axes
        No, one or two free indices: the result is a scalar, a column, or a
        matrix with the first index as its row. An index runs from 1 to the
        only size given; write ``(j, 1, 4)`` for another range.
    **sizes
        A number for each length, and for each index that is to be fixed, by
        name. A sum from 1 to 0 is 0.

    Raises
    ------
    TypeError
        If an axis is no index, or `expr` no expression.
    ValueError
        If the range of a sum or an axis is still symbolic, a size is no whole
        number, or both axes are the same.

    Examples
    --------
    >>> from rmsnorm_math import instantiate, mean_square
    >>> from rmsnorm_math.notation import gamma, i, j, x
    >>> instantiate(mean_square(), n=3)
    x[1]**2/3 + x[2]**2/3 + x[3]**2/3
    >>> instantiate(gamma[i]*x[j], i, j, n=2)
    Matrix([
    [gamma[1]*x[1], gamma[1]*x[2]],
    [gamma[2]*x[1], gamma[2]*x[2]]])
    """
    expr = as_expression(expr)
    refuse_expression(expr)
    fresh = freshen(expr)
    symbols = {
        str(s): s for s in nodes(fresh) if isinstance(s, Symbol | Idx) and not isinstance(s, Dummy)
    }
    if broken := [f"{key}={value}" for key, value in sizes.items() if not _is_whole(value)]:
        raise Refused(f"{', '.join(broken)}: lengths and indices are whole numbers.")
    numbers = {symbols[key]: Integer(value) for key, value in sizes.items() if key in symbols}
    spans = [_span(axis, sizes) for axis in axes]
    rows_and_columns = [index for index, _ in spans]
    refuse_lookalikes(fresh, *rows_and_columns)
    if len(set(rows_and_columns)) < len(spans):
        raise Refused(f"{rows_and_columns[0]} is given for both axes: give two indices.")
    if len(spans) > 2:
        raise Refused(
            f"{len(spans)} axes make no matrix: give one or two, and fix the others, as in b=1."
        )
    fixed = _put(fresh, numbers)
    if not spans:
        return _write_out(fixed)
    (row, rows), (column, columns) = (*spans, (None, [None]))[:2]
    return Matrix(
        len(rows),
        len(columns),
        lambda p, q: _write_out(
            _put(fixed, {row: rows[p]} | ({column: columns[q]} if column else {}))
        ),
    )


def _is_whole(value: Any) -> bool:
    try:
        return bool(value == int(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _put(expr: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """Substitute without entering a base, whose shape is part of what it is."""
    if expr in values:
        return values[expr]
    if not expr.args or isinstance(expr, IndexedBase | Idx):
        return expr
    return expr.func(*(_put(arg, values) for arg in expr.args))


def _write_out(expr: Expr) -> Expr:
    if not expr.has(*BINDERS):
        return expr
    if not isinstance(expr, BINDERS):
        return expr.func(*(_write_out(arg) for arg in expr.args))
    *inner, (index, lower, upper) = expr.limits
    if not (lower.is_Integer and upper.is_Integer):
        missing = sorted(map(str, lower.free_symbols | upper.free_symbols))
        advice = f": also give {', '.join(f'{s}=...' for s in missing)}" if missing else ""
        raise Refused(f"the sum from {lower} to {upper} has no definite range{advice}.")
    body = expr.func(expr.function, *inner) if inner else expr.function
    terms = [_write_out(_put(body, {index: Integer(v)})) for v in range(lower, upper + 1)]
    return Add(*terms) if isinstance(expr, Sum) else Mul(*terms)


def _span(axis: Expr | tuple[Expr, int, int], sizes: Mapping[str, int]) -> tuple[Expr, range]:
    index, *limits = axis if isinstance(axis, tuple | Tuple) else (axis,)
    if not isinstance(index, Symbol | Idx):
        raise Refused(f"{index!r} is no axis: give an index such as i, or (i, 1, 3).")
    if limits:
        first, last = map(int, limits)
        return index, range(first, last + 1)
    if len(sizes) != 1:
        raise Refused(
            f"the range of {axis} is not clear from {sizes}: write ({axis}, 1, ...) for it."
        )
    return axis, range(1, *(size + 1 for size in sizes.values()))
