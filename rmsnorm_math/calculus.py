"""Index calculus for any expression made of indexed symbols and sums.

Nothing here knows of RMSNorm. A bound index is made unique before anything is
substituted, so no index is ever captured; a Kronecker delta is contracted with
the range of its sum as a condition, and the condition is dropped only where
the range of the index is known.
"""

from collections.abc import Mapping
from itertools import permutations
from math import prod

from sympy import (
    Add,
    Derivative,
    Dummy,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    Integer,
    KroneckerDelta,
    Lambda,
    MatrixBase,
    MatrixExpr,
    Mul,
    Piecewise,
    Pow,
    Product,
    S,
    Subs,
    Sum,
    Symbol,
    sympify,
)
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from rmsnorm_math.conditions import Limit, known_ranges, only_if, settle
from rmsnorm_math.indices import (
    BINDERS,
    Ranges,
    anonymous,
    freshen,
    index_symbols,
    limits_of,
    nodes,
    plain,
    refuse_bare_bases,
    refuse_lookalikes,
    rename_bound,
)


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
        `IndexedBase`, a `MatrixSymbol`, an index, a `Function` of an index.
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
    expr, wrt = sympify(expr), sympify(wrt)
    _refuse_wrt(expr, wrt)
    _refuse_expr(expr)
    fresh = freshen(expr)
    refuse_lookalikes(fresh, wrt)
    _refuse_rank(expr, wrt)
    return _finish(_derivative(_indicators_outside(fresh), wrt), [expr, wrt], ranges)


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

    Examples
    --------
    >>> from sympy import Idx, IndexedBase, KroneckerDelta, Sum, Symbol
    >>> a, j, k, n = IndexedBase("a"), Idx("j"), Idx("k"), Symbol("n", positive=True, integer=True)
    >>> contract(Sum(n*a[k]*KroneckerDelta(j, k), (k, 1, n)))
    n*a[j]
    >>> contract(Sum(a[k]*KroneckerDelta(j, k), (k, 2, n)), ranges={j: (1, n)})
    Piecewise((a[j], j >= 2), (0, True))
    """
    expr = sympify(expr)
    _refuse_expr(expr)
    fresh = freshen(expr)
    refuse_lookalikes(fresh)
    return _finish(_indicators_outside(fresh), [expr], ranges)


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
    ValueError
        If the range of a sum or an axis is still symbolic.

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
    from sympy import Matrix

    expr = sympify(expr)
    _refuse_expr(expr)
    fresh = freshen(expr)
    symbols = {str(s): s for s in nodes(fresh) if isinstance(s, Symbol | Idx) and not isinstance(s, Dummy)}
    numbers = {symbols[key]: Integer(value) for key, value in sizes.items() if key in symbols}
    spans = [_span(axis, sizes) for axis in axes]
    if len(spans) > 2:
        raise ValueError(f"{len(spans)} axes make no matrix: give one or two, and fix the others, as in b=1.")
    fixed = _put(fresh, numbers)
    if not spans:
        return _write_out(fixed)
    (row, rows), (column, columns) = (*spans, (None, [None]))[:2]
    return Matrix(
        len(rows),
        len(columns),
        lambda p, q: _write_out(_put(fixed, {row: rows[p]} | ({column: columns[q]} if column else {}))),
    )


def abbreviate(expr: Expr, definitions: Mapping[Expr, Expr]) -> Expr:
    """Return `expr` with each defined quantity written as its symbol.

    A definition that is a root, such as ``{r: rms()}``, is found in all its
    powers. The names of dummies do not matter. To undo it, write
    ``expr.subs(definitions)``.

    Parameters
    ----------
    expr
        An expression in index notation.
    definitions
        ``{symbol: expression}``, applied in order, so that one may use those
        before it. An element as the key holds for each value of its indices:
        ``{xhat[i]: x[i]/r}`` puts ``r*xhat[k]`` for ``x[k]``.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, rms, rmsnorm, vjp
    >>> from rmsnorm_math.notation import i, j, r, x, xhat, ybar
    >>> dx = vjp(rmsnorm(), x[j], ybar[i])
    >>> abbreviate(dx, {r: rms(), xhat[i]: x[i]/r})
    gamma[j]*ybar[j]/r - xhat[j]*Sum(gamma[i]*xhat[i]*ybar[i], (i, 1, n))/(n*r)
    """
    result = freshen(expr)
    for symbol, definition in definitions.items():
        scale, core = S.One, anonymous(sympify(definition))
        if indices := getattr(symbol, "indices", ()):
            factors = Mul.make_args(core)
            core = Mul(*(f for f in factors if all(map(f.has, indices))))
            scale = Mul(*(f for f in factors if not all(map(f.has, indices))))
        result = _abbreviate(result, symbol / scale, indices, *core.as_base_exp())
    return rename_bound(_contract(freshen(result), []), _dummies_of(expr))


def _abbreviate(
    expr: Expr, short: Expr, indices: tuple[Expr, ...], base: Expr, exponent: Expr
) -> Expr:
    def of(node: Expr) -> Expr | None:
        """Return what stands for `node`, whatever its indices are called."""
        if type(node) is not type(base):
            return None
        free = index_symbols(node) - {index for index, _, _ in limits_of(node)}
        for chosen in permutations(sorted(free, key=str), len(indices)):
            names = dict(zip(indices, chosen, strict=True))
            if anonymous(node) == base.xreplace(names):
                return short.xreplace(names)
        return None

    def walk(node: Expr) -> Expr:
        power, p = node.as_base_exp() if isinstance(node, Expr) else (node, S.One)
        if (found := of(power)) is not None:
            return found ** (p / exponent)
        return node.func(*map(walk, node.args)) if node.args and not isinstance(node, Indexed) else node

    return walk(expr)


def _dummies_of(*exprs: Expr) -> list[Expr]:
    bound = {index for expr in exprs for index, _, _ in limits_of(expr) if not isinstance(index, Dummy)}
    return sorted(map(plain, bound), key=str)


def _finish(expr: Expr, given: list[Expr], ranges: Ranges | None) -> Expr:
    met: list[Limit] = []
    names = _dummies_of(*given)
    # Alike sums cancel once they are named alike, which may empty a sum around them.
    contracted = rename_bound(_contract(expr, met), names)
    lengths = index_symbols(contracted).union(*map(index_symbols, given))
    known = known_ranges(met, lengths, given, ranges or {})
    return rename_bound(settle(freshen(contracted), known), names)


def _depends(expr: Expr, wrt: Expr) -> bool:
    if isinstance(wrt, Indexed):
        return any(node == wrt.base for node in nodes(expr))
    return any(node == wrt for node in nodes(expr))


def _derivative(expr: Expr, wrt: Expr) -> Expr:
    """Differentiate `expr`, whose bound indices are unique; leave the deltas."""
    if not _depends(expr, wrt):
        return S.Zero
    if expr == wrt:
        return S.One
    if isinstance(expr, Indexed):
        return prod(map(KroneckerDelta, expr.indices, wrt.indices), start=S.One)
    if isinstance(expr, Sum):
        return Sum(_derivative(expr.function, wrt), *expr.limits)
    if isinstance(expr, Product):
        return _product_rule(expr, wrt)
    parts: dict[Expr, Dummy] = {}
    outer = _cut(expr, wrt, parts)
    terms = [
        outer.diff(place).xreplace({d: part for part, d in parts.items()}) * _derivative(part, wrt)
        for part, place in parts.items()
    ]
    if isinstance(wrt, Symbol):
        terms.append(outer.diff(wrt).xreplace({d: part for part, d in parts.items()}))
    return Add(*terms)


def _cut(expr: Expr, wrt: Expr, parts: dict[Expr, Dummy]) -> Expr:
    """Put a symbol for every outermost element, sum and product that depends on `wrt`."""
    if isinstance(expr, (Indexed, *BINDERS)):
        return parts.setdefault(expr, Dummy(real=True)) if _depends(expr, wrt) else expr
    return expr.func(*(_cut(arg, wrt, parts) for arg in expr.args)) if expr.args else expr


def _product_rule(expr: Product, wrt: Expr) -> Expr:
    *inner, (index, lower, upper) = expr.limits
    factor = Product(expr.function, *inner) if inner else expr.function
    before, at, after = (Dummy(str(index), integer=True) for _ in range(3))
    others = Product(factor.xreplace({index: before}), (before, lower, at - 1)) * Product(
        factor.xreplace({index: after}), (after, at + 1, upper)
    )
    return Sum(_derivative(factor, wrt).xreplace({index: at}) * freshen(others), (at, lower, upper))


def _contract(expr: Expr, met: list[Limit]) -> Expr:
    if not expr.has(*BINDERS, KroneckerDelta):
        return expr
    args = [_contract(arg, met) for arg in expr.args]
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
    for term in Add.make_args(_distribute(body, index)):
        before, inside = term.as_independent(index, as_Add=False)
        delta, value = _solvable(inside, index)
        if inside == 1:
            total.append(before * (upper - lower + 1))
        elif value is not None:
            met.append((value, lower, upper))
            rest = Mul(*(f for f in Mul.make_args(inside) if f != delta)).xreplace({index: value})
            total.append(_times(before, rest, only_if(value, lower, upper)))
        elif isinstance(inside, Add):
            total.append(before * _sum(inside, limit, met))
        else:
            total.append(before * Sum(inside, limit))
    return Add(*total)


def _times(*factors: Expr) -> Expr:
    """Multiply, the numbers taken out of each sum: SymPy turns 2*(p + q) into 2*p + 2*q."""
    parts = [factor.primitive() for product in factors for factor in Mul.make_args(product)]
    return Mul(*(number for number, _ in parts), *(part for _, part in parts))


def _distribute(expr: Expr, index: Expr) -> Expr:
    """Expand just enough of `expr` to make every delta with `index` a factor of its term."""
    if isinstance(expr, Add):
        return Add(*(_distribute(arg, index) for arg in expr.args))
    if isinstance(expr, Pow) and expr.exp.is_Integer and expr.exp > 0 and _has_delta(expr.base, index):
        if isinstance(expr.base, KroneckerDelta):
            return expr.base
        if isinstance(expr.base, Add):
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
                return factor, (-rest / slope).expand()
    return None, None


def _indicators_outside(expr: Expr) -> Expr:
    """Write each condition of an earlier result as a factor, where a delta can pass it."""
    return expr.replace(
        lambda node: isinstance(node, Piecewise) and len(node.args) == 2 and node.args[1] == (0, True),
        lambda node: node.args[0].expr * Piecewise((1, node.args[0].cond), (0, True)),
    )


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
        missing = ", ".join(f"{s}=..." for s in sorted(map(str, lower.free_symbols | upper.free_symbols)))
        raise ValueError(f"the sum from {lower} to {upper} has no definite range: also give {missing}.")
    body = expr.func(expr.function, *inner) if inner else expr.function
    terms = [_write_out(_put(body, {index: Integer(v)})) for v in range(lower, upper + 1)]
    return Add(*terms) if isinstance(expr, Sum) else Mul(*terms)


def _span(axis: Expr | tuple[Expr, int, int], sizes: Mapping[str, int]) -> tuple[Expr, range]:
    if isinstance(axis, tuple):
        index, first, last = axis
        return index, range(first, last + 1)
    if len(sizes) != 1:
        raise ValueError(f"the range of {axis} is not clear from {sizes}: write ({axis}, 1, ...) for it.")
    return axis, range(1, *(size + 1 for size in sizes.values()))


def _refuse_expr(expr: Expr) -> None:
    for node in nodes(expr):
        if isinstance(node, MatrixExpr | MatrixElement | MatrixBase):
            raise TypeError(
                f"{node} is a matrix expression, and SymPy loses terms when it differentiates a norm of one. "
                f"Write the norm with an IndexedBase: Sum(x[k]**2, (k, 1, n))."
            )
        if isinstance(node, Derivative | Subs | Lambda) or (
            isinstance(node, ExprWithLimits) and not isinstance(node, BINDERS)
        ):
            raise TypeError(
                f"{node} is a {type(node).__name__}: only sums, products and functions of elements are "
                f"differentiated here. Call .doit() on it first, or write it as a Sum."
            )
        if isinstance(node, BINDERS) and any(len(limit) != 3 for limit in node.limits):
            raise ValueError(f"{node} has no range. Write (k, 1, n) for its limits.")
    refuse_bare_bases(expr)


def _refuse_wrt(expr: Expr, wrt: Expr) -> None:
    if isinstance(wrt, IndexedBase):
        raise TypeError(f"{wrt} is the whole vector. Differentiate by one element of it: {wrt}[j].")
    if isinstance(wrt, MatrixExpr | MatrixElement | MatrixBase):
        raise TypeError(
            f"{wrt} is a matrix expression. Use IndexedBase, and differentiate by an element: x[j]."
        )
    if isinstance(wrt, AppliedUndef):
        raise TypeError(
            f"{wrt} is a function of an index, and SymPy takes its values for unrelated. "
            f"Use {wrt.func} = IndexedBase('{wrt.func}') and differentiate by {wrt.func}[j]."
        )
    if not isinstance(wrt, Indexed | Idx | Symbol):
        raise TypeError(f"cannot differentiate by {wrt}: give an element such as x[j], or a plain symbol.")
    if isinstance(wrt, Idx) or wrt in index_symbols(expr):
        raise TypeError(f"{wrt} is an index: it counts elements, and there is no derivative by it.")
    if wrt in {index for index, _, _ in limits_of(expr)}:
        raise ValueError(
            f"{wrt} is the dummy of a sum: outside the sum it does not exist, so SymPy's derivative by it is 0. "
            f"Make the vector an IndexedBase and give the sum an index: "
            f"{wrt} = IndexedBase('{wrt}'), Sum({wrt}[k], (k, 1, n)), then differentiate by {wrt}[j]."
        )
    if any(wrt in ends for _, *ends in limits_of(expr)):
        raise TypeError(f"{wrt} is the length of a sum: it counts elements, and there is no derivative by it.")


def _refuse_rank(expr: Expr, wrt: Expr) -> None:
    if not isinstance(wrt, Indexed):
        return
    for node in nodes(expr):
        if isinstance(node, Indexed) and node.base == wrt.base and len(node.indices) != len(wrt.indices):
            raise ValueError(
                f"{node} has {len(node.indices)} index(es) and {wrt} has {len(wrt.indices)}: "
                f"{wrt.base} needs the same number everywhere."
            )
        if isinstance(node, Indexed) and any(_depends(index, wrt) for index in node.indices):
            raise ValueError(f"{node} takes an index from {wrt.base}: there is no derivative by an index.")
