"""Which elements an expression has, and which sums run over an axis: what a range is judged by."""

from collections import defaultdict
from contextlib import suppress
from typing import Any

from sympy import (
    Basic,
    Eq,
    Expr,
    Idx,
    Indexed,
    KroneckerDelta,
    Ne,
    Piecewise,
    Product,
    Subs,
    Sum,
    Symbol,
)

from tests.differences import Scope, holds, loops, value

#: An element that is not there, or no number: the case says nothing at this point.
UNDEFINED = (KeyError, ZeroDivisionError, OverflowError, ValueError)
Axes = dict[tuple[Any, ...], set[Any]]
Limits = tuple[Expr, Expr]


def free_of(expr: Basic, indices: tuple[Expr, ...]) -> set[Expr]:
    """Return those of the indices that occur free: the limits of a sum bind, its ends do not."""
    if expr in indices:
        return {expr}
    if isinstance(expr, Sum | Product):
        free = free_of(expr.function, indices)
        for index, *ends in expr.limits:
            free = (free - {index}).union(*(free_of(end, indices) for end in ends))
        return free
    if isinstance(expr, Subs):
        free = free_of(expr.expr, indices) - set(expr.variables)
        return free.union(*(free_of(point, indices) for point in expr.point))
    if isinstance(expr, Indexed):
        return set().union(*(free_of(index, indices) for index in expr.indices))
    if isinstance(expr, Idx | Symbol):
        return set()
    return set().union(*(free_of(arg, indices) for arg in expr.args))


def touch(
    expr: Basic,
    scope: Scope,
    into: Axes,
    bound: frozenset[Expr] = frozenset(),
    *,
    shown: bool = False,
) -> None:
    """Add to `into` the place, on each axis, of each element that the expression has.

    With `shown`, those under a condition that does not hold as well: an axis has them. Beside
    them are the indices that stand there: those that are bound in a sum show the axis.
    """
    if isinstance(expr, Indexed):
        for axis, index in enumerate(expr.indices):
            into[expr.base, axis, "shown"] |= free_of(index, tuple(bound))
            into[expr.base, axis, "free"] |= {index} - bound
            with suppress(KeyError):
                into[expr.base, axis] |= {int(value(index, scope))}
    elif isinstance(expr, Sum | Product):
        within = bound.union(index for index, *_ in expr.limits)
        try:
            inner = list(loops(expr.limits, scope))
        except KeyError:
            inner = [{key: v for key, v in scope.items() if key not in within}]
        if not inner:  # a sum without terms shows its axis, and no element of it
            empty: Axes = defaultdict(set)
            touch(expr.function, {}, empty, within, shown=shown)
            for key in [key for key in empty if key[2:]]:
                into[key] |= empty[key]
        for here in inner:
            touch(expr.function, here, into, within, shown=shown)
    elif isinstance(expr, Piecewise):
        for part, condition in expr.args:
            try:
                holding = holds(condition, scope)
            except UNDEFINED:
                holding = None
            if shown or holding is not False:
                touch(part, scope, into, bound, shown=shown)
            if holding and not shown:
                break
    else:
        for arg in expr.args:
            touch(arg, scope, into, bound, shown=shown)


def limits_on(expr: Basic, bound: dict[Expr, Limits], into: Axes) -> None:
    """Add to `into` the limits of each bound index that stands by itself on an axis."""
    if isinstance(expr, Indexed):
        for axis, index in enumerate(expr.indices):
            into[expr.base, axis] |= {bound[index]} if index in bound else set()
    elif isinstance(expr, Sum | Product):
        for index, *ends in reversed(expr.limits):
            for end in ends:
                limits_on(end, bound, into)
            bound = {**bound, index: tuple(ends)}
        limits_on(expr.function, bound, into)
    else:
        for arg in expr.args:
            limits_on(arg, bound, into)


def tied(expr: Expr, indices: tuple[Expr, ...]) -> set[Expr]:
    """Return the indices that a delta or an equation compares with something."""
    return set().union(*(free_of(node, indices) for node in expr.atoms(KroneckerDelta, Eq, Ne)))
