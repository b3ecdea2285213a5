"""From index notation to whole arrays: the same expression without indices.

A sum over the last axis becomes `Mean` or `Total`, which keep that axis with
length 1; a sum over rows becomes `OverRows`. Everything else is elementwise.
"""

from collections.abc import Iterable, Mapping

from sympy import (
    Abs,
    Add,
    Dummy,
    Expr,
    Function,
    Heaviside,
    Idx,
    Indexed,
    KroneckerDelta,
    Max,
    Mul,
    Number,
    NumberSymbol,
    Piecewise,
    Pow,
    Sum,
    Symbol,
    cos,
    cosh,
    exp,
    log,
    sign,
    sin,
    sinh,
    tan,
    tanh,
)

from rmsnorm_math.codegen.roles import refuse_other_rows, refuse_two_roles, row_indices, shown
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.names import freshen
from rmsnorm_math.index.walk import free_indices


class Mean(Function):  # type: ignore[misc]
    """The mean over the last axis, which stays with length 1."""


class Total(Function):  # type: ignore[misc]
    """The sum over the last axis, which stays with length 1."""


class OverRows(Function):  # type: ignore[misc]
    """The sum over all axes but the last."""


class OverAll(Function):  # type: ignore[misc]
    """The sum over all axes."""


REDUCTIONS = (Mean, Total)
ELEMENTWISE = (Abs, Heaviside, Max, cos, cosh, exp, log, sign, sin, sinh, tan, tanh)


def lower(
    expr: Expr,
    names: Mapping[Expr, str],
    rows: set[str],
    sizes: set[Symbol],
    of_rows: Iterable[Expr] = (),
) -> Expr:
    """Return `expr` over whole arrays, which are symbols.

    Parameters
    ----------
    expr
        An expression in index notation, with at most one free index that is
        none of the rows'.
    names
        The name of the array of each base, and of each symbol.
    rows
        Names of the free indices over the rows of a batch.
    sizes
        The lengths: symbols that need no value.
    of_rows
        The bases with one element for each row, such as the rms.

    Raises
    ------
    ValueError
        If an array larger than the result is needed, or something has no value
        or no code.
    """
    of_rows = set(of_rows)
    fresh = freshen(expr)
    refuse_two_roles(fresh, of_rows)
    columns = [s for s in free_indices(expr) if s.name not in rows]
    if len(columns) > 1:
        raise Refused(
            f"{expr} has the free indices {columns}: its values are an array of n by n. "
            f"Print a VJP or a JVP instead, which is as long as its input."
        )

    bound_rows = {s for s in row_indices(fresh, of_rows=of_rows) if isinstance(s, Dummy)}

    def is_row(index: Expr) -> bool:
        if isinstance(index, Dummy):
            return index in bound_rows
        return isinstance(index, Symbol | Idx) and index.name in rows

    def walk(node: Expr, column: Expr | None) -> Expr:
        if node in names:
            return Symbol(names[node])
        if isinstance(node, Number | NumberSymbol) or node in sizes:
            return node
        if isinstance(node, Symbol):
            raise Refused(_no_value(node))
        if isinstance(node, Indexed):
            return element(node, column)
        if isinstance(node, Sum):
            return reduction(node, column)
        if isinstance(node, (Add, Mul, Pow, *ELEMENTWISE)):
            return node.func(*(walk(arg, column) for arg in node.args))
        if isinstance(node, Piecewise) and any(case.cond.has(Indexed) for case in node.args):
            raise Refused(
                f"{shown(node)} chooses by a value, and there is no code for it: "
                f"write it with Max, Abs or sign, as in Max(x[i], 0)."
            )
        if isinstance(node, KroneckerDelta | Piecewise):
            raise Refused(
                f"{shown(node)} depends on the position: there is no code for it. "
                f"Print a VJP instead, or state the ranges so that no condition is left."
            )
        known = ", ".join(f.__name__ for f in ELEMENTWISE)
        raise Refused(
            f"there is no code for {type(node).__name__} in {shown(node)}: "
            f"only for sums, powers, {known}."
        )

    def element(node: Indexed, column: Expr | None) -> Expr:
        if node.base not in names:
            raise Refused(_no_value(node.base))
        *before, last = node.indices
        if all(map(is_row, before)) and (last == column or node.base in of_rows):
            return Symbol(names[node.base])
        if is_row(last):
            raise Refused(
                f"{shown(node)} has one value for each row: write {shown(node)} as its key in "
                f"the arguments, and pass an array of shape (..., 1)."
            )
        if isinstance(last, Symbol | Idx):
            raise Refused(
                f"{shown(node)} stands in a sum over another index, so that an array of n by n "
                f"would be needed: take it out of the sum."
            )
        raise Refused(f"{shown(node)} is no whole array: only plain indices are printed.")

    def reduction(node: Sum, column: Expr | None) -> Expr:
        if any(lower != 1 or upper not in sizes for _, lower, upper in node.limits):
            raise Refused(
                f"{shown(node)} takes a part of an axis: "
                f"only sums over whole axes, from 1 to n, are printed."
            )
        over = {index for index, _, _ in node.limits if is_row(index)}
        along = [limit for limit in node.limits if limit[0] not in over]
        if len(along) > 1:
            raise Refused(
                f"{shown(node)} does not come apart into sums over one index each, so that an "
                f"array of n by n would be needed."
            )
        if over:
            body = Sum(node.function, *along) if along else node.function
            refuse_other_rows(body, over, of_rows)
            value = walk(body, column)
            return OverRows(value) if column is not None and body.has(column) else OverAll(value)
        ((index, _, upper),) = along
        return upper * Mean(walk(node.function, index))

    return _fewest_lengths(walk(fresh, columns[0] if columns else None), sizes)


def _no_value(node: Expr) -> str:
    return f"{node} has no value: add it to the arguments, as in {{{node}: '{node}'}}."


def _fewest_lengths(expr: Expr, sizes: Iterable[Symbol]) -> Expr:
    """Write n*Mean(...) as Total(...), unless the n before it cancels another."""
    for mean in sorted(expr.atoms(Mean), key=lambda node: node.count_ops()):
        for size in sizes:
            total = expr.xreplace({mean: Total(*mean.args) / size})
            if total.count(size) < expr.count(size):
                expr = total
    return expr
