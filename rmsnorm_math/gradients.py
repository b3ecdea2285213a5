"""Jacobian, VJP and JVP of any expression in index notation.

Each is a derivative and a contraction, so an O(n) result comes out without an
n by n array in between.
"""

from sympy import Add, Expr, Idx, Indexed, IndexedBase, Piecewise, Sum, Symbol, expand_mul

from rmsnorm_math.calculus import differentiate
from rmsnorm_math.contraction import contract, tidy
from rmsnorm_math.errors import Refused
from rmsnorm_math.indices import Ranges, dummies_of, free_indices, freshen, plain, spare_dummies
from rmsnorm_math.inputs import as_expression, as_ranges
from rmsnorm_math.refusals import refuse_lookalikes
from rmsnorm_math.spans import span_of_axis, span_of_index


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
    TypeError
        As `differentiate`, or if the cotangent is no element.
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
    y, cotangent = as_expression(y, "the output"), as_expression(cotangent, "the cotangent")
    ranges = as_ranges(ranges)
    outputs = _plain_indices(cotangent, "cotangent")
    names, y = [*map(plain, outputs), *dummies_of(y)], freshen(y)
    if missing := [str(s) for s in free_indices(y) if s not in outputs]:
        raise Refused(
            f"y has the free index {', '.join(missing)}, and the cotangent {cotangent} lacks it: "
            f"the sum over it would be missing. Give the cotangent all of {free_indices(y)}."
        )
    spare = spare_dummies(y)
    fresh = {index: spare(index.name) for index in outputs}
    spans = {fresh[index]: ranges.get(index) or span_of_index(y, index) for index in outputs}
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
    TypeError
        As `differentiate`, or if the tangent is no element.
    ValueError
        If tangent and `wrt` differ in their indices, or a range is unclear.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, jvp, rms, rmsnorm
    >>> from rmsnorm_math.notation import j, r, x, xdot
    >>> abbreviate(jvp(rmsnorm(), x[j], xdot[j]), {r: rms()})
    gamma[i]*xdot[i]/r - gamma[i]*x[i]*Sum(x[j]*xdot[j], (j, 1, n))/(n*r**3)
    """
    y, wrt = as_expression(y, "the output"), as_expression(wrt, "the variable")
    tangent, ranges = as_expression(tangent, "the tangent"), as_ranges(ranges)
    inputs = _plain_indices(tangent, "tangent")
    names, y = [*map(plain, inputs), *dummies_of(y)], freshen(y)
    if list(getattr(wrt, "indices", ())) != inputs:
        raise Refused(f"the tangent {tangent} of {wrt} needs the same indices as {wrt}.")
    spare = spare_dummies(y)
    fresh = {index: spare(index.name) for index in inputs}
    spans = {
        fresh[index]: ranges.get(index) or span_of_axis(y, wrt.base, axis, index)
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
        raise Refused(f"the {role} {element} stands without an index: write {element}[i].")
    if not all(isinstance(s, Idx | Symbol) for s in indices) or len(set(indices)) < len(indices):
        raise Refused(
            f"the indices of the {role} {element} must be different symbols, "
            f"such as {element.base}[i]."
        )
    return indices
