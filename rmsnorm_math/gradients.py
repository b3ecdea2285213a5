"""Jacobian, VJP and JVP of any expression in index notation.

Each is a derivative and a contraction, so an O(n) result comes out without an
n by n array in between.
"""

from sympy import (
    Add,
    DiagMatrix,
    Expr,
    Identity,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    MatMul,
    MatrixExpr,
    MatrixSymbol,
    Mul,
    OneMatrix,
    Piecewise,
    S,
    Sum,
    Symbol,
    expand_mul,
    sympify,
)

from rmsnorm_math.calculus import differentiate
from rmsnorm_math.contraction import contract, tidy
from rmsnorm_math.indices import (
    Ranges,
    dummies_of,
    free_indices,
    freshen,
    index_symbols,
    limits_of,
    nodes,
    plain,
    spare_dummies,
)
from rmsnorm_math.refusals import refuse_lookalikes


def jacobian(y: Expr, wrt: Expr, ranges: Ranges | None = None) -> Expr:
    r"""Return the entry :math:`J_{ij} = \partial y_i/\partial x_j` of the Jacobian.

    Parameters
    ----------
    y
        The output ``y`` with its free index i, in index notation.
    wrt
        The input element, such as ``x[j]``. With ``x[i]`` the result is the diagonal.
    ranges
        As in `differentiate`.

    Raises
    ------
    TypeError, ValueError
        As `differentiate`.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, jacobian, rms, rmsnorm
    >>> from rmsnorm_math.notation import j, r, x
    >>> abbreviate(jacobian(rmsnorm(), x[j]), {r: rms()})
    KroneckerDelta(i, j)*gamma[i]/r - gamma[i]*x[i]*x[j]/(n*r**3)

    For the explicit matrix of a given size, see `instantiate`.
    """
    return differentiate(y, wrt, ranges)


def vjp(y: Expr, wrt: Expr, cotangent: Expr, ranges: Ranges | None = None) -> Expr:
    r"""Return the vector-Jacobian product :math:`\sum_i \bar y_i\,\partial y_i/\partial x_j`.

    It is what a backward pass computes: the cotangent of an input, from that
    of the output.

    Parameters
    ----------
    y
        The output, in index notation.
    wrt
        The input element, such as ``x[j]`` or ``gamma[j]``; the result has its
        free indices. They may have the same names as those of `y`.
    cotangent
        The cotangent of `y`, with every free index of `y`, such as ``ybar[i]``
        or, for a batch, ``ybar[b, i]``. A scalar `y` takes a symbol.
    ranges
        ``{i: (lower, upper)}`` for indices whose range `y` does not show. The
        range of i is taken from a sum over the whole of the same axis, 1..n.

    Raises
    ------
    ValueError
        If the cotangent lacks an index of `y`, or the range of an index is unclear.

    Examples
    --------
    >>> from sympy import IndexedBase
    >>> from rmsnorm_math import abbreviate, rms, rmsnorm, vjp
    >>> from rmsnorm_math.notation import b, gamma, i, j, m, r, x, ybar
    >>> abbreviate(vjp(rmsnorm(), x[j], ybar[i]), {r: rms()})
    gamma[j]*ybar[j]/r - x[j]*Sum(gamma[i]*x[i]*ybar[i], (i, 1, n))/(n*r**3)
    >>> abbreviate(vjp(rmsnorm(), gamma[j], ybar[i]), {r: rms()})
    x[j]*ybar[j]/r

    In a batch, the gradient of gamma is a sum over the rows:

    >>> dgamma = vjp(rmsnorm(b), gamma[j], ybar[b, i], ranges={b: (1, m)})
    >>> abbreviate(dgamma, {IndexedBase("r")[b]: rms(b)})
    Sum(x[b, j]*ybar[b, j]/r[b], (b, 1, m))
    """
    y, cotangent, ranges = sympify(y), sympify(cotangent), ranges or {}
    outputs = _plain_indices(cotangent, "cotangent")
    names, y = [*map(plain, outputs), *dummies_of(y)], freshen(y)
    if missing := [str(s) for s in free_indices(y) if s not in outputs]:
        raise ValueError(
            f"y has the free index {', '.join(missing)}, and the cotangent {cotangent} lacks it: "
            f"the sum over it would be missing. Give the cotangent all of {free_indices(y)}."
        )
    spare = spare_dummies(y)
    fresh = {index: spare(index.name) for index in outputs}
    spans = {fresh[index]: ranges.get(index) or _span(y, index) for index in outputs}
    summand = cotangent.xreplace(fresh) * differentiate(y.xreplace(fresh), wrt, ranges | spans)
    return _sum_over(summand, spans, names, ranges)


def jvp(y: Expr, wrt: Expr, tangent: Expr, ranges: Ranges | None = None) -> Expr:
    r"""Return the Jacobian-vector product :math:`\sum_j \partial y_i/\partial x_j\,\dot x_j`.

    Parameters
    ----------
    y
        The output, in index notation; the result has its free indices.
    wrt
        The input element, such as ``x[j]``.
    tangent
        The tangent of the input with the same indices, such as ``xdot[j]``.
    ranges
        As in `vjp`.

    Raises
    ------
    ValueError
        If tangent and `wrt` differ in their indices, or a range is unclear.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, jvp, rms, rmsnorm
    >>> from rmsnorm_math.notation import j, r, x, xdot
    >>> abbreviate(jvp(rmsnorm(), x[j], xdot[j]), {r: rms()})
    gamma[i]*xdot[i]/r - gamma[i]*x[i]*Sum(x[j]*xdot[j], (j, 1, n))/(n*r**3)
    """
    y, wrt, tangent, ranges = sympify(y), sympify(wrt), sympify(tangent), ranges or {}
    inputs = _plain_indices(tangent, "tangent")
    names, y = [*map(plain, inputs), *dummies_of(y)], freshen(y)
    if list(getattr(wrt, "indices", ())) != inputs:
        raise ValueError(f"the tangent {tangent} of {wrt} needs the same indices as {wrt}.")
    spare = spare_dummies(y)
    fresh = {index: spare(index.name) for index in inputs}
    spans = {
        fresh[index]: ranges.get(index) or _span_of_axis(y, wrt.base, axis, index)
        for axis, index in enumerate(inputs)
    }
    summand = differentiate(y, wrt.xreplace(fresh), ranges | spans) * tangent.xreplace(fresh)
    return _sum_over(summand, spans, names, ranges)


def _sum_over(summand: Expr, spans: Ranges, names: list[Expr], ranges: Ranges) -> Expr:
    """Sum over the indices in `spans`; the sums take their names from `names`."""
    if not spans:
        return contract(summand, ranges)
    # A Sum of several terms would gather them all under each condition that one of them has.
    terms = Add.make_args(expand_mul(summand) if summand.has(Piecewise) else summand)
    limits = [(index, *span) for index, span in reversed(spans.items())]
    total = Add(*(Sum(term, *limits) for term in terms))
    fresh = freshen(total)
    refuse_lookalikes(fresh)
    return tidy(fresh, [total], ranges, names)


def _plain_indices(element: Expr, role: str) -> list[Expr]:
    indices = list(element.indices) if isinstance(element, Indexed) else []
    if isinstance(element, IndexedBase):
        raise TypeError(f"the {role} {element} stands without an index: write {element}[i].")
    if not all(isinstance(s, Idx | Symbol) for s in indices) or len(set(indices)) < len(indices):
        raise ValueError(
            f"the indices of the {role} {element} must be different symbols, "
            f"such as {element.base}[i]."
        )
    return indices


def _span(y: Expr, index: Expr) -> tuple[Expr, Expr]:
    """Return the range of a free index of `y`, read from a sum over the same axis."""
    found = {
        span
        for node in nodes(y)
        if isinstance(node, Indexed)
        for axis, s in enumerate(node.indices)
        if s == index
        for span in _spans_of_axis(y, node.base, axis)
    }
    return _only(found, index)


def _span_of_axis(y: Expr, base: IndexedBase, axis: int, index: Expr) -> tuple[Expr, Expr]:
    return _only(_spans_of_axis(y, base, axis), index)


def _spans_of_axis(y: Expr, base: IndexedBase, axis: int) -> set[tuple[Expr, Expr]]:
    if base.shape:
        return {(S.One, base.shape[axis])}
    limits = {index: (lower, upper) for index, lower, upper in limits_of(y)}
    indices = index_symbols(y) | set(limits)
    found = {
        limits[node.indices[axis]]
        for node in nodes(y)
        if isinstance(node, Indexed) and node.base == base and node.indices[axis] in limits
    }
    # A sum over a part of an axis does not show where the axis ends.
    whole = all(low == 1 and isinstance(up, Symbol) and up not in indices for low, up in found)
    return found if whole else set()


def _only(found: set[tuple[Expr, Expr]], index: Expr) -> tuple[Expr, Expr]:
    if len(found) != 1:
        what = "several ranges are possible" if found else "no sum over a whole axis shows it"
        raise ValueError(
            f"the range of the index {index} is not clear: {what}. Pass ranges={{{index}: (1, n)}}."
        )
    return found.pop()


def matrix_form(entry: Expr, row: Expr, column: Expr, size: Expr) -> MatrixExpr:
    r"""Return the matrix with the given entry, as an expression in whole vectors.

    Parameters
    ----------
    entry
        A sum of products of elements, such as a Jacobian's entry.
    row, column
        Its free indices.
    size
        The length n of both; the result is n by n.

    Raises
    ------
    ValueError
        If a term is no product of a function of the row and one of the column.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, jacobian, matrix_form, rms, rmsnorm
    >>> from rmsnorm_math.notation import i, j, n, r, x
    >>> J = abbreviate(jacobian(rmsnorm(), x[j]), {r: rms()})
    >>> matrix_form(J, i, j, n)
    (-1/(n*r**3))*DiagMatrix(gamma)*x*x.T + 1/r*DiagMatrix(gamma)
    """
    terms = [_matrix_term(term, row, column, size) for term in Add.make_args(entry.expand())]
    return sum(terms[1:], start=terms[0])


def _matrix_term(term: Expr, row: Expr, column: Expr, size: Expr) -> MatrixExpr:
    scalar, inside = term.as_independent(row, column)
    delta = KroneckerDelta(row, column)
    factors = [f for f in Mul.make_args(inside) if f != delta]
    if len(factors) < len(Mul.make_args(inside)):
        diagonal = [_vector(f.xreplace({column: row}), row, size) for f in factors]
        return (
            MatMul(scalar, *map(DiagMatrix, diagonal)).doit()
            if diagonal
            else scalar * Identity(size)
        )
    if any(f.has(row) and f.has(column) for f in factors):
        raise ValueError(f"{term} is no product of a function of {row} and a function of {column}.")
    rows = [_vector(f, row, size) for f in factors if f.has(row)]
    columns = [_vector(f, column, size) for f in factors if f.has(column)]
    return scalar * _outer(rows, size) * _outer(columns, size).T


def _outer(vectors: list[MatrixExpr], size: Expr) -> MatrixExpr:
    *scales, last = vectors or [OneMatrix(size, 1)]
    return MatMul(*map(DiagMatrix, scales), last)


def _vector(factor: Expr, index: Expr, size: Expr) -> MatrixExpr:
    if not (isinstance(factor, Indexed) and factor.indices == (index,)):
        raise ValueError(f"{factor} is no element of a vector: abbreviate it first.")
    return MatrixSymbol(str(factor.base), size, 1)
