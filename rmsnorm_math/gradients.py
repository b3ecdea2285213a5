"""Jacobian, VJP and JVP of any expression in index notation.

Each is a derivative and a contraction, so an O(n) result comes out without an
n by n array in between.
"""

from sympy import Add, Dummy, Expr, Idx, Indexed

from rmsnorm_math.calculus import differentiate, entered, finished
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.conditions import within
from rmsnorm_math.index.contraction import contracted, total
from rmsnorm_math.index.derivative import derivative, terms_of_derivative
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.inner import bracket
from rmsnorm_math.index.names import named_like
from rmsnorm_math.index.ranges import (
    is_length,
    known_ranges,
    refuse_unclear,
    span_of,
)
from rmsnorm_math.index.rebuild import occurs, put
from rmsnorm_math.index.survey import Survey, survey
from rmsnorm_math.index.terms import times
from rmsnorm_math.index.walk import Ranges, depends, dummies_of, free_indices, plain
from rmsnorm_math.inputs import Stated, as_expression, as_indices, as_ranges, as_variable, as_vector


def jacobian(y: Expr, wrt: Expr, ranges: Stated | None = None) -> Expr:
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


def vjp(y: Expr, wrt: Expr, cotangent: Expr, ranges: Stated | None = None) -> Expr:
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
        As in `differentiate`. Where a sum over i is left, and nothing says where i
        runs, it is asked for.

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
    y, cotangent = as_expression(y, "the output"), as_vector(cotangent, "cotangent")
    wrt, ranges = as_variable(wrt), as_ranges(ranges)
    outputs = as_indices(cotangent, "cotangent")
    inner, factor = entered(y, ranges, wrt, cotangent), enter(cotangent)
    apart = all(isinstance(s, Idx) and s not in outputs for s in getattr(wrt, "indices", ()))
    free = survey([inner, factor, *([wrt] if apart else [])], ranges)  # else its i is another
    _refuse_missing(y, cotangent, free)
    limits, unknown = [], {}
    for index in outputs:
        bound, ends = Dummy(index.name, integer=True), (Dummy(integer=True), Dummy(integer=True))
        if (span := span_of(index, free)) is None:
            unknown[bound] = ends
        limits.append((bound, *(span or ends)))
        inner, factor = put(inner, index, bound), put(factor, index, bound)
    runs: Ranges = {bound: (*ends,) for bound, *ends in limits}
    shown = survey([inner, factor, wrt], ranges, runs)
    bounds = known_ranges(shown) | runs | _shared(wrt, unknown, shown)
    factor = contracted(factor, bounds)
    terms = terms_of_derivative(contracted(inner, bounds), wrt, bounds)
    result = Add(*(times(factor, term) for term in terms))
    for limit in reversed(limits):
        result = total(result, limit, bounds)
    for index, (bound, *_) in zip(outputs, limits, strict=True):
        if any(occurs(result, end) for end in unknown.get(bound, ())):
            refuse_unclear(index, free, y)
    return finished(result, [y, wrt, cotangent], ranges, [*dummies_of(y), *map(plain, outputs)])


def _shared(wrt: Expr, unknown: Ranges, shown: Survey) -> Ranges:
    """Return the unknown ranges of those indices of `wrt` beside which only an output's stands."""
    found: Ranges = {}
    for at, index in enumerate(getattr(wrt, "indices", ())):
        for output in unknown:
            if shown.places[wrt.base, at] - {index} == {output}:
                found[index] = unknown[output]
    return found


def jvp(y: Expr, wrt: Expr, tangent: Expr, ranges: Stated | None = None) -> Expr:
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
        As in `differentiate`; the tangent has every element that `y` has, or those
        of the range that is stated.

    Raises
    ------
    TypeError
        As `differentiate`, or if the tangent is no element.
    ValueError
        If tangent and `wrt` differ in their indices.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, jvp, rms, rmsnorm
    >>> from rmsnorm_math.notation import j, r, x, xdot
    >>> abbreviate(jvp(rmsnorm(), x[j], xdot[j]), {r: rms()})
    gamma[i]*xdot[i]/r - gamma[i]*x[i]*Sum(x[j]*xdot[j], (j, 1, n))/(n*r**3)
    """
    y, tangent = as_expression(y, "the output"), as_vector(tangent, "tangent")
    wrt, ranges = as_variable(wrt), as_ranges(ranges)
    inputs = as_indices(tangent, "tangent")
    if list(getattr(wrt, "indices", ())) != inputs:
        raise Refused(f"the tangent {tangent} of {wrt} needs the same indices as {wrt}.")
    inner = entered(y, ranges, wrt, tangent)
    spans = [survey(inputs, ranges).stated.get(index) for index in inputs]
    own = [Dummy(integer=True) for _ in inputs]  # y may have another index of the same name
    by = wrt.base[own] if inputs else wrt
    runs = {index: span for index, span in zip(own, spans, strict=True) if span}
    bounds = known_ranges(survey([inner, by], ranges, runs))

    def change(element: Indexed) -> Expr:
        places = zip(element.indices, spans, strict=True)
        there = [bracket(within(place, *span, bounds)) for place, span in places if span]
        return times(*there, tangent.base[element.indices])

    result = derivative(contracted(inner, bounds), wrt, bounds, change if inputs else None)
    if not inputs:
        result = times(result, contracted(enter(tangent), bounds))
    elif not depends(y, tangent):
        result = named_like(tangent, result)
    return finished(result, [y, wrt, tangent], ranges, [*dummies_of(y), *map(plain, inputs)])


def _refuse_missing(y: Expr, cotangent: Expr, shown: Survey) -> None:
    indices = [s for s in free_indices(y) if not is_length(s, shown)]
    if missing := [str(s) for s in indices if s not in getattr(cotangent, "indices", ())]:
        raise Refused(
            f"y has the free index {', '.join(missing)}, and the cotangent {cotangent} is no "
            f"element with it: the sum over it would be missing. Give ybar[{str(indices)[1:-1]}]."
        )
