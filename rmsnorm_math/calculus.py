"""The derivative of any expression made of indexed symbols and sums.

Nothing here knows of RMSNorm. A bound index is made unique before anything is
substituted, so no index is ever captured; a Kronecker delta is contracted with
the range of its sum as a condition, and the condition is dropped only where
the range of the index is known.
"""

from functools import cache

from sympy import Add, Dummy, Expr, Indexed, KroneckerDelta, Mul, Product, S, Sum, Symbol

from rmsnorm_math.contraction import tidy
from rmsnorm_math.indices import BINDERS, Ranges, depends, freshen
from rmsnorm_math.inputs import as_expression, as_ranges
from rmsnorm_math.refusals import refuse_expression, refuse_lookalikes, refuse_variable


def differentiate(expr: Expr, wrt: Expr, ranges: Ranges | None = None) -> Expr:
    r"""Return the partial derivative of an expression in index notation.

    Unlike `expr.diff(wrt)`, it is right when the index of `wrt` has the name of
    a bound index, and its Kronecker deltas are contracted. Elements are real.

    Parameters
    ----------
    expr
        A scalar expression of indexed symbols, sums, products and functions of
        them. Its free indices are the indices of the result, too.
    wrt
        An element such as ``x[j]``, or a plain symbol such as ``epsilon``.
    ranges
        ``{j: (lower, upper)}``, inclusive. By default a free index that meets
        a sum over 1..n, with n a symbol, runs over 1..n: no condition is left
        for it. Every other condition remains, as a `Piecewise`.

    Raises
    ------
    TypeError
        If `expr` or `wrt` is of a kind that has no such derivative: a bare
        `IndexedBase`, a `MatrixSymbol`, an index, a `Function` of an index; or
        is no expression, such as an `Eq` or a list.
    ValueError
        If the result would silently be wrong: `wrt` is the dummy of a sum, two
        different objects print alike, an element has the wrong number of indices.

    Notes
    -----
    SymPy's own answer to the first example is a sum over all elements
    (https://github.com/sympy/sympy/issues/21891).

    Examples
    --------
    >>> from sympy import Idx, IndexedBase, Sum, Symbol, sqrt
    >>> a, i, n = IndexedBase("a"), Idx("i"), Symbol("n", positive=True, integer=True)
    >>> differentiate(sqrt(Sum(a[i]**2, (i, 1, n))), a[i])
    a[i]/sqrt(Sum(a[k]**2, (k, 1, n)))

    At the ends of a shifted sum the conditions stay:

    >>> differentiate(Sum(a[i]*a[i + 1], (i, 1, 2)), a[2])
    a[1] + a[3]
    """
    expr, wrt = as_expression(expr), as_expression(wrt, "the variable")
    ranges = as_ranges(ranges)
    refuse_variable(expr, wrt)
    refuse_expression(expr)
    fresh = freshen(expr, wrt)
    refuse_lookalikes(fresh, wrt, *ranges)
    return tidy(_derivative(fresh, wrt), [expr, wrt], ranges)


def _derivative(expr: Expr, wrt: Expr) -> Expr:
    """Differentiate `expr`, whose bound indices are unique; leave the deltas."""
    if not depends(expr, wrt):
        return S.Zero
    if expr == wrt:
        return S.One
    if isinstance(expr, Indexed):
        return Mul(*map(KroneckerDelta, expr.indices, wrt.indices))
    if isinstance(expr, Sum):
        return Sum(_derivative(expr.function, wrt), *expr.limits)
    if isinstance(expr, Product):
        return _product_rule(expr, wrt)
    parts: dict[Expr, Dummy] = {}
    outer = _cut(expr, parts)
    terms = [
        outer.diff(place).xreplace({d: part for part, d in parts.items()}) * _derivative(part, wrt)
        for part, place in parts.items()
        if depends(part, wrt)
    ]
    if isinstance(wrt, Symbol):
        terms.append(outer.diff(wrt).xreplace({d: part for part, d in parts.items()}))
    return Add(*terms)


def _cut(expr: Expr, parts: dict[Expr, Dummy]) -> Expr:
    """Put a real symbol for every outermost element, sum and product: elements are real."""
    if isinstance(expr, (Indexed, *BINDERS)):
        return parts.setdefault(expr, _place(len(parts)))
    return expr.func(*(_cut(arg, parts) for arg in expr.args)) if expr.args else expr


@cache
def _place(number: int) -> Dummy:
    return Dummy(f"place_{number}", real=True)


def _product_rule(expr: Product, wrt: Expr) -> Expr:
    *inner, (index, lower, upper) = expr.limits
    factor = Product(expr.function, *inner) if inner else expr.function
    before, at, after = (Dummy(index.name) for _ in range(3))
    others = Product(factor.xreplace({index: before}), (before, lower, at - 1)) * Product(
        factor.xreplace({index: after}), (after, at + 1, upper)
    )
    return Sum(_derivative(factor, wrt).xreplace({index: at}) * freshen(others), (at, lower, upper))
