"""Sums over Kronecker deltas, and the tidy form in which every result comes."""

from sympy import Add, Expr, Idx, KroneckerDelta, Mul, Piecewise, Pow, Sum, Symbol

from rmsnorm_math.conditions import Limit, known_ranges, narrow, only_if, settle
from rmsnorm_math.errors import Refused
from rmsnorm_math.indices import (
    Ranges,
    dummies_of,
    freshen,
    index_symbols,
    limits_of,
    nodes,
    rename_bound,
)
from rmsnorm_math.inputs import as_expression, as_ranges
from rmsnorm_math.refusals import refuse_expression, refuse_lookalikes


def contract(expr: Expr, ranges: Ranges | None = None) -> Expr:
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
    NotImplementedError
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
    expr, ranges = as_expression(expr), as_ranges(ranges)
    refuse_expression(expr)
    fresh = freshen(expr)
    refuse_lookalikes(fresh, *ranges)
    return tidy(fresh, [expr], ranges)


def tidy(
    expr: Expr, given: list[Expr], ranges: Ranges | None, names: list[Expr] | None = None
) -> Expr:
    """Return `expr`, whose bound indices are unique, contracted and with readable names.

    Parameters
    ----------
    expr
        The result of a calculation.
    given
        What it was calculated from: ranges are taken from there.
    ranges
        What the caller states.
    names
        For the bound indices; by default those of `given`.
    """
    met: list[Limit] = []
    names = dummies_of(*given) if names is None else names
    # Alike sums cancel once they are named alike, which may empty a sum around them.
    contracted = rename_bound(sum_deltas(_indicators_outside(expr), met), names)
    lengths = index_symbols(contracted).union(*map(index_symbols, given))
    known = known_ranges(met, lengths, given, ranges or {})
    result = rename_bound(settle(freshen(contracted), known), names)
    if escaped := _free(result).difference(*map(_free, [expr, *given])):
        raise Refused(
            f"the condition on {', '.join(sorted(s.name for s in escaped))} would leave the sum "
            f"that binds it, by SymPy's own rules. Make that sum the outermost one, "
            f"or split the expression."
        )
    return result


def _free(expr: Expr) -> set[Expr]:
    """Return every symbol and index that `expr` does not bind."""
    fresh = freshen(expr)
    bound = {index for index, _, _ in limits_of(fresh)}
    return {node for node in nodes(fresh) if isinstance(node, Symbol | Idx)} - bound


def sum_deltas(expr: Expr, met: list[Limit]) -> Expr:
    """Contract each delta in a sum; add to `met` what index met which limits."""
    if not expr.has(Sum):
        return expr
    args = [sum_deltas(arg, met) for arg in expr.args]
    if isinstance(expr, Mul):
        return _times(*args)
    if not isinstance(expr, Sum):
        return expr.func(*args)
    body = args[0]
    for index, lower, upper in expr.limits:
        body = _sum(body, (index, lower, upper), met)
    return body


def _sum(body: Expr, limit: Limit, met: list[Limit]) -> Expr:
    index, lower, upper = limit
    total = []
    for term in Add.make_args(_distribute(_indicators_outside(body), index)):
        before, inside = term.as_independent(index)
        delta, value = _solvable(inside, index)
        if inside == 1 and (upper - lower + 1).is_nonnegative:
            total.append(before * (upper - lower + 1))
        elif value is not None:
            met.append((value, lower, upper))
            rest = Mul(*(f for f in Mul.make_args(inside) if f != delta)).xreplace({index: value})
            total.append(_times(before, rest, only_if(value, lower, upper)))
        elif isinstance(inside, Add):
            total.append(before * _sum(inside, limit, met))
        else:
            total.append(before * Sum(*narrow(inside, limit)))
    return Add(*total)


def _times(*factors: Expr) -> Expr:
    """Multiply, the numbers taken out of each sum: SymPy turns 2*(p + q) into 2*p + 2*q."""
    parts = [factor.primitive() for product in factors for factor in Mul.make_args(product)]
    return Mul(*(number for number, _ in parts), *(part for _, part in parts))


def _distribute(expr: Expr, index: Expr) -> Expr:
    """Expand just enough of `expr` to make every delta with `index` a factor of its term."""
    if isinstance(expr, Add):
        return Add(*(_distribute(arg, index) for arg in expr.args))
    if (
        isinstance(expr, Pow)
        and isinstance(expr.base, Add)
        and expr.exp.is_Integer
        and expr.exp.is_positive
        and _has_delta(expr.base, index)
    ):
        rest = expr.base ** (expr.exp - 1)
        return Add(*(_distribute(arg * rest, index) for arg in expr.base.args))
    if isinstance(expr, Mul):
        for factor in expr.args:
            if isinstance(factor, Add | Pow) and _has_delta(factor, index):
                rest = Mul(*(f for f in expr.args if f is not factor))
                terms = Add.make_args(_distribute(factor, index))
                if terms != (factor,):
                    return Add(*(_distribute(rest * term, index) for term in terms))
    return expr


def _has_delta(expr: Expr, index: Expr) -> bool:
    return any(delta.has(index) for delta in expr.atoms(KroneckerDelta))


def _solvable(term: Expr, index: Expr) -> tuple[Expr | None, Expr | None]:
    """Return a delta factor of `term` and the value that it gives `index`."""
    for factor in Mul.make_args(term):
        if isinstance(factor, KroneckerDelta) and factor.has(index):
            difference = (factor.args[0] - factor.args[1]).expand()
            slope = difference.coeff(index)
            rest = difference - slope * index
            if slope in (1, -1) and not rest.has(index):
                return factor, (-slope * rest).expand()
    return None, None


def _indicators_outside(expr: Expr) -> Expr:
    """Write each condition of an earlier result as a factor, where a delta can pass it."""
    return expr.replace(
        lambda node: (
            isinstance(node, Piecewise) and len(node.args) == 2 and node.args[1] == (0, True)
        ),
        lambda node: node.args[0].expr * Piecewise((1, node.args[0].cond), (0, True)),
    )
