"""The derivative of any expression made of indexed symbols and sums.

Nothing here knows of RMSNorm. The expression is brought into the inner form, in which a bound
index has no name, so that no index is ever captured; a Kronecker delta is contracted as soon as
it meets its sum, under the condition that the sum reaches its index, and the condition is
dropped only where the range of the index is known.
"""

from collections.abc import Iterable

from sympy import Expr, S

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.contraction import contracted
from rmsnorm_math.index.derivative import derivative
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.leave import leave
from rmsnorm_math.index.ranges import known_ranges
from rmsnorm_math.index.survey import survey
from rmsnorm_math.index.walk import Ranges, dummies_of
from rmsnorm_math.inputs import Stated, as_expression, as_ranges, as_variable
from rmsnorm_math.refusals import (
    refuse_escaped,
    refuse_expression,
    refuse_lookalikes,
    refuse_variable,
)


def differentiate(expr: Expr, wrt: Expr, ranges: Stated | None = None) -> Expr:
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
        ``{j: (lower, upper)}``, inclusive. By default an index runs where its
        `Idx` declares, ``Idx("j", n)`` from 0 to n-1; else where the sums over
        its axis run, from 1 or 0 to the end, if every element of that axis in
        `expr` lies there; a shape says how long an axis is. What is stated or
        declared of an index says nothing of another. No condition is left for
        what is known, and every other remains, as a `Piecewise`.

    Raises
    ------
    TypeError
        If `expr` or `wrt` is of a kind that has no such derivative: a bare
        `IndexedBase`, a `MatrixSymbol`, an index, a `Function` of an index; or
        is no expression, such as an `Eq` or a list.
    ValueError
        If the result would silently be wrong: `wrt` is the dummy of a sum, two
        different objects print alike, an element has the wrong number of
        indices, SymPy has moved a condition out of the sum that binds its index.

    Notes
    -----
    SymPy's own answer to the first example is a sum over all elements
    (https://github.com/sympy/sympy/issues/21891). A sum from k to k - 1 or less
    is empty here.

    Examples
    --------
    >>> from sympy import Idx, IndexedBase, Sum, Symbol, sqrt
    >>> a, i, n = IndexedBase("a"), Idx("i"), Symbol("n", positive=True, integer=True)
    >>> differentiate(sqrt(Sum(a[i]**2, (i, 1, n))), a[i])
    a[i]/sqrt(Sum(a[k]**2, (k, 1, n)))

    In a shifted sum an element stands in two terms:

    >>> differentiate(Sum(a[i]*a[i + 1], (i, 1, 2)), a[2])
    a[1] + a[3]
    """
    expr, wrt = as_expression(expr), as_variable(wrt)
    ranges = as_ranges(ranges)
    inner = entered(expr, ranges, wrt)
    bounds = known_ranges(survey([inner, wrt], ranges))
    result = derivative(contracted(inner, bounds), wrt, bounds)
    return finished(result, [expr, wrt], ranges, dummies_of(expr))


def contract(expr: Expr, ranges: Stated | None = None) -> Expr:
    """Return `expr` with the Kronecker deltas in its sums summed away.

    Sums are split at their terms, factors without the bound index stand before
    the sum, and sums that differ only in their dummy's name become one.

    Parameters
    ----------
    expr
        An expression in index notation.
    ranges
        As in `differentiate`.

    Raises
    ------
    TypeError
        If `expr` is no expression, or `ranges` no dictionary of ranges.
    ValueError
        If SymPy would carry a condition out of the sum that binds its index.

    Examples
    --------
    >>> from sympy import Idx, IndexedBase, KroneckerDelta, Sum, Symbol
    >>> a, j, k, n = IndexedBase("a"), Idx("j"), Idx("k"), Symbol("n", positive=True, integer=True)
    >>> contract(Sum(n*a[k]*KroneckerDelta(j, k), (k, 1, n)))
    n*a[j]
    >>> contract(Sum(a[k]*KroneckerDelta(j, k), (k, 2, n)), ranges={j: (1, n)})
    Piecewise((a[j], j >= 2), (0, True))
    """
    expr = as_expression(expr)
    ranges = as_ranges(ranges)
    inner = entered(expr, ranges)
    result = contracted(inner, known_ranges(survey([inner], ranges)))
    return finished(result, [expr], ranges, dummies_of(expr))


def entered(
    expr: Expr, ranges: Ranges, wrt: Expr | None = None, vector: Expr | None = None
) -> Expr:
    """Return `expr` in the inner form, if it and what it meets can be worked with."""
    if wrt is not None:
        refuse_variable(expr, wrt)
    exprs = [expr] if vector is None else [expr, vector]
    for each in exprs:
        refuse_expression(each)
    inner, *others = map(enter, exprs)
    refuse_lookalikes(inner, *others, *([] if wrt is None else [wrt]), *ranges)
    return inner


def finished(expr: Expr, given: list[Expr], ranges: Ranges, candidates: Iterable[Expr]) -> Expr:
    """Return `expr` as SymPy writes it, unless it shows what was not `given`."""
    result = leave(expr, candidates)
    refuse_escaped(result, *given, *ranges, *(S(end) for span in ranges.values() for end in span))
    if result.has(S.NaN, S.ComplexInfinity) and not any(e.has(S.ComplexInfinity) for e in given):
        raise Refused(
            "a term of the result has no value: where two indices are equal, there is a division "
            "by 0. Leave it out with a condition, as in Piecewise((..., Ne(i, k)), (0, True))."
        )
    return result
