"""Symbolic lengths become numbers, indices become integers, sums are written out."""

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any, SupportsIndex, TypeAlias, overload

from sympy import Dummy, Expr, Idx, Integer, Matrix, MatrixBase, S, Symbol, Tuple

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.names import freshen
from rmsnorm_math.index.ranges import beyond, known_range
from rmsnorm_math.index.walk import declared, free_indices, nodes
from rmsnorm_math.inputs import as_expression
from rmsnorm_math.refusals import refuse_escaped, refuse_expression, refuse_lookalikes
from rmsnorm_math.writing import written

Axis: TypeAlias = Expr | tuple[Expr, SupportsIndex, SupportsIndex]


@overload
def instantiate(expr: Expr, **sizes: SupportsIndex) -> Expr: ...
@overload
def instantiate(expr: Expr, *axes: Axis, **sizes: SupportsIndex) -> Any: ...
def instantiate(expr: Expr, *axes: Axis, **sizes: SupportsIndex) -> Expr | MatrixBase:
    """Return `expr` with its sums written out for given sizes.

    The bases stay what they are: ``x[1]`` of the result is an element of the
    same ``x``, so the result can be differentiated by it.

    Parameters
    ----------
    expr
        An expression in index notation.
    *axes
        No, one or two free indices: the result is a scalar, a column, or a
        matrix with the first index as its row. An index runs over what its
        `Idx` declares, else over what the sums of that axis show, else from 1
        to the only length given, unless the axis has an element beyond; write
        ``(j, 1, 4)`` for another range.
    **sizes
        A number for each length, and for each index that is to be fixed, by
        name. A sum from 1 to 0 is 0.

    Raises
    ------
    Refused
        If an axis or a name is not in `expr`, or `expr` no expression; if the
        range of a sum or an axis is still symbolic, a size is no whole number,
        or both axes are the same.

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
    given: tuple[Any, ...] = axes
    indices = [axis[0] if isinstance(axis, tuple | Tuple) and axis else axis for axis in given]
    _refuse_axes(expr, indices, sizes)
    fresh = freshen(expr)
    refuse_lookalikes(fresh, *indices)
    numbers = named(fresh, sizes, indices)
    spans = [_span(axis, expr, numbers, sizes) for axis in axes]
    entries = [
        written(fresh, numbers | dict(zip(indices, map(Integer, place), strict=True)))
        for place in product(*spans)
    ]
    refuse_escaped(Tuple(*entries), expr)
    if not spans:
        return entries[0]
    rows, *columns = map(len, spans)
    return Matrix(rows, prod(columns), entries)


def named(expr: Expr, sizes: Mapping[str, Any], axes: list[Expr] | None = None) -> dict[Expr, Expr]:
    """Return the number of each symbol and index of `expr` that `sizes` names.

    Without `axes`, a name that `expr` does not have is of no use and no harm; else it is refused,
    but for the only length given, which an axis may need.
    """
    if broken := [f"{key}={value!r}" for key, value in sizes.items() if not _is_whole(value)]:
        raise Refused(f"{', '.join(broken)}: lengths and indices are whole numbers.")
    known = {str(s): s for s in _names(expr)}
    unknown = [key for key in sizes if key not in known]
    if axes is not None and unknown and not (axes and len(sizes) == 1):
        has = ", ".join(sorted(known)) or "no symbol"
        raise Refused(f"the expression has no {', '.join(unknown)}: it has {has}.")
    if negative := [
        s for s in sizes if int(sizes[s]) < 0 and s in known and known[s].is_nonnegative
    ]:
        raise Refused(f"{negative[0]}={sizes[negative[0]]}: a length is not negative.")
    return {known[key]: Integer(value) for key, value in sizes.items() if key in known}


def _names(expr: Expr) -> set[Expr]:
    """Return the free symbols and indices of `expr`, and the lengths that it declares."""
    every = declared(expr).union(nodes(expr))
    return {s for s in every if isinstance(s, Symbol | Idx) and not isinstance(s, Dummy)}


def _is_whole(value: Any) -> bool:
    try:
        return bool(value == int(value)) and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        return False


def _refuse_axes(expr: Expr, indices: list[Any], sizes: Mapping[str, Any]) -> None:
    for index in indices:
        if not isinstance(index, Symbol | Idx):
            raise Refused(f"{index!r} is no axis: give an index such as i, or (i, 1, 3).")
        if str(index) in sizes:
            raise Refused(f"{index} is an axis, and {index}=... fixes it: give one of them.")
    if len(indices) > 2:
        raise Refused(
            f"{len(indices)} axes make no matrix: give one or two, and fix the others, as in b=1."
        )
    if len(set(indices)) < len(indices):
        raise Refused(f"{indices[0]} is given for both axes: give two indices.")
    free = free_indices(expr)
    left = [s for s in free if s not in indices and str(s) not in sizes]
    missing = [s for s in indices if s not in free]
    if left and missing and not {*map(str, left)} & {*map(str, missing)}:
        raise Refused(f"{expr} has no index {missing[0]}: it has {', '.join(map(str, left))}.")


def _span(axis: Any, expr: Expr, numbers: Mapping[Expr, Expr], sizes: Mapping[str, Any]) -> range:
    """Return the values of an axis: as stated, declared or shown, else 1 to the only length."""
    index, *limits = axis if isinstance(axis, tuple | Tuple) else (axis,)
    if limits:
        if len(limits) != 2 or not all(map(_is_whole, limits)):
            raise Refused(f"{axis} is no range: write whole numbers, as in ({index}, 1, 3).")
        return range(int(limits[0]), int(limits[1]) + 1)
    if known := known_range(index, expr):
        ends = [end.xreplace(numbers) for end in known]
        if not all(end.is_Integer for end in ends):
            missing = sorted(str(s) for end in ends for s in end.free_symbols)
            raise Refused(
                f"{index} runs from {known[0]} to {known[1]}: also give {missing[0]}=..., "
                f"or write ({index}, 1, 3)."
            )
        return range(int(ends[0]), int(ends[1]) + 1)
    lengths = [
        int(number) for key, number in sizes.items() if key not in map(str, free_indices(expr))
    ]
    if len(lengths) != 1:
        raise Refused(
            f"nothing says where {index} runs: write ({index}, 1, 3), with the number of elements."
        )
    if (found := beyond(index, (S.One, Integer(lengths[0])), expr, numbers)) is not None:
        raise Refused(
            f"nothing says that {index} runs from 1 to {lengths[0]}: its axis has an element at "
            f"{found}, too. Write ({index}, 0, 2), with its first and its last value."
        )
    return range(1, lengths[0] + 1)
