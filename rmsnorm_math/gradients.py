"""Jacobian, VJP and JVP of any expression in index notation.

Each is a derivative and a contraction, so an O(n) result comes out without an
n by n array in between.
"""

from sympy import Add, Dummy, Expr, Idx, Indexed, IndexedBase, Symbol

from rmsnorm_math.calculus import differentiate, finished
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.contraction import contracted, total
from rmsnorm_math.index.derivative import terms_of_derivative
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.ranges import is_length, known_ranges, span_or_refusal
from rmsnorm_math.index.rebuild import put
from rmsnorm_math.index.survey import Survey, survey
from rmsnorm_math.index.terms import times
from rmsnorm_math.index.walk import Ranges, dummies_of, free_indices, plain
from rmsnorm_math.inputs import Stated, as_expression, as_ranges
from rmsnorm_math.refusals import refuse_expression, refuse_lookalikes, refuse_variable


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
        As in `differentiate`. Where nothing says where i runs, it is asked for.

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
    wrt = as_expression(wrt, "the variable")
    ranges = as_ranges(ranges)
    outputs = _plain_indices(cotangent, "cotangent")
    return _product(y, wrt, cotangent, outputs, ranges, tangent=False)


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
    tangent = as_expression(tangent, "the tangent")
    ranges = as_ranges(ranges)
    inputs = _plain_indices(tangent, "tangent")
    if list(getattr(wrt, "indices", ())) != inputs:
        raise Refused(f"the tangent {tangent} of {wrt} needs the same indices as {wrt}.")
    return _product(y, wrt, tangent, inputs, ranges, tangent=True)


def _product(
    y: Expr, wrt: Expr, vector: Expr, summed: list[Expr], ranges: Ranges, *, tangent: bool
) -> Expr:
    """Sum the derivative of `y`, times `vector`, over the indices in `summed`.

    They are those of the output or, if `vector` is a `tangent`, of the variable.
    """
    refuse_variable(y, wrt)
    refuse_expression(y)
    refuse_expression(vector)
    inner, factor = enter(y), enter(vector)
    refuse_lookalikes(inner, factor, wrt, *ranges)
    shown, by = survey([inner, factor], ranges), wrt
    if not tangent:
        _refuse_missing(y, vector, shown)
    axes = {index: (wrt.base, at) for at, index in enumerate(summed)} if tangent else {}
    spans = {index: span_or_refusal(index, shown, axes.get(index)) for index in summed}
    limits = [(Dummy(index.name, integer=True), *span) for index, span in spans.items()]
    for index, limit in zip(summed, limits, strict=True):
        factor = put(factor, index, limit[0])
        if tangent:
            by = put(by, index, limit[0])
        else:
            inner = put(inner, index, limit[0])
    stated = ranges | {index: (first, last) for index, first, last in limits}
    bounds = known_ranges(survey([inner, factor, by], stated))
    factor = contracted(factor, bounds)
    terms = terms_of_derivative(contracted(inner, bounds), by, bounds)
    result = Add(*(times(factor, term) for term in terms))
    for limit in reversed(limits):
        result = total(result, limit, bounds)
    return finished(result, [y, wrt, vector], ranges, [*dummies_of(y), *map(plain, summed)])


def _refuse_missing(y: Expr, cotangent: Expr, shown: Survey) -> None:
    indices = [s for s in free_indices(y) if not is_length(s, shown)]
    if missing := [str(s) for s in indices if s not in getattr(cotangent, "indices", ())]:
        raise Refused(
            f"y has the free index {', '.join(missing)}, and the cotangent {cotangent} lacks it: "
            f"the sum over it would be missing. Give the cotangent all of {indices}."
        )


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
