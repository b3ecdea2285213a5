"""Check anyone's forward and backward of RMSNorm against the derivation.

Everything here needs NumPy; the rest of the package does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from sympy import IndexedBase

from rmsnorm_math import notation as symbols
from rmsnorm_math.codegen import function
from rmsnorm_math.errors import Refused
from rmsnorm_math.gradients import vjp
from rmsnorm_math.layers import rms as derived_rms
from rmsnorm_math.layers import rmsnorm
from rmsnorm_math.notation import b, i, j, m
from rmsnorm_math.verify.cases import UNIT, Array, grid
from rmsnorm_math.verify.mistakes import RMS, Formula, Mistake, mean, rms
from rmsnorm_math.verify.report import Report, report
from rmsnorm_math.verify.trial import Formulas, attempt
from rmsnorm_math.verify.wrong_forwards import FORWARD
from rmsnorm_math.verify.wrong_gradients import BACKWARD

__all__ = ["Report", "assert_backward", "assert_forward", "check_backward", "check_forward"]


def check_backward(backward: Callable[..., Any], *, dtype: str = "float64") -> Report:
    """Run a backward pass of RMSNorm over designed inputs and compare it with the derivation.

    Parameters
    ----------
    backward : callable
        ``backward(dy, x, gamma, eps)`` returns ``(dx, dgamma)``. It is given NumPy arrays: dy and x
        of shape (..., n), gamma of shape (n,), and eps as a float. Its results may be anything that
        ``numpy.asarray`` takes: dx of x's shape, dgamma of gamma's.
    dtype : {'float64', 'float32', 'float16', 'bfloat16'}
        The dtype of the inputs and the precision asked of the results. For bfloat16, which NumPy
        lacks, the inputs are float32 arrays whose values bfloat16 holds exactly.

    Returns
    -------
    Report
        With ``ok``, ``worst`` and ``diagnosis``; ``str`` gives the whole text.

    Raises
    ------
    TypeError, ValueError
        If ``backward`` cannot be called or ``dtype`` is none of the four. Whatever ``backward``
        itself raises is part of the report.

    Examples
    --------
    >>> from rmsnorm_math.verify import check_backward
    >>> def backward(dy, x, gamma, eps):
    ...     rms = ((x * x).mean(-1, keepdims=True) + eps) ** 0.5
    ...     return gamma * dy / rms, (dy * x / rms).reshape(-1, len(gamma)).sum(0)
    >>> report = check_backward(backward)
    >>> report.ok
    False
    >>> print(report.diagnosis)
    dx: the second term is missing: the rms was taken for a constant, but it depends on x
    """
    return _check(
        backward, "backward(dy, x, gamma, eps)", ("dx", "dgamma"), dtype, _truth, _scale, BACKWARD
    )


def assert_backward(backward: Callable[..., Any], *, dtype: str = "float64") -> None:
    """Raise AssertionError with the text of `check_backward`'s report unless all is right.

    Examples
    --------
    >>> from rmsnorm_math.verify import assert_backward
    >>> assert_backward(lambda dy, x, gamma, eps: (dy, gamma))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: backward(dy, x, gamma, eps) in float64: wrong in ... cases
    ...
    """
    _assert(check_backward(backward, dtype=dtype))


def check_forward(
    forward: Callable[..., Any], *, dtype: str = "float64", eps: str = "inside", offset: float = 0
) -> Report:
    """Run a forward of RMSNorm over designed inputs and compare it with its definition.

    Parameters
    ----------
    forward : callable
        ``forward(x, gamma, eps)`` returns y, of x's shape (..., n).
    dtype : {'float64', 'float32', 'float16', 'bfloat16'}
        As for `check_backward`.
    eps : {'inside', 'outside', 'max'}
        sqrt(mean(x**2) + eps), sqrt(mean(x**2)) + eps, or sqrt(max(mean(x**2), eps)).
    offset : float
        Added to gamma: 1 for the convention y = (1 + gamma) * x / r.

    Returns
    -------
    Report
        With ``ok``, ``worst`` and ``diagnosis``; ``str`` gives the whole text.

    Raises
    ------
    TypeError, ValueError
        If ``forward`` cannot be called, or ``dtype`` or ``eps`` is none of those named.

    Examples
    --------
    >>> from rmsnorm_math.verify import check_forward
    >>> def forward(x, gamma, eps):
    ...     return gamma * x / ((x * x).mean(-1, keepdims=True) ** 0.5 + eps)
    >>> print(check_forward(forward).diagnosis)
    y: eps is added outside the root, to the rms; if that is meant, say eps='outside'
    >>> check_forward(forward, eps="outside").ok
    True
    """
    if eps not in RMS:
        message = f"eps is {eps!r}; write one of {', '.join(map(repr, RMS))}"
        raise Refused(message)

    def truth(x: Array, gamma: Array, epsilon: float) -> tuple[Array]:
        return ((offset + gamma) * x / RMS[eps](x, epsilon),)

    def scale(x: Array, gamma: Array, epsilon: float) -> tuple[Array]:
        return ((abs(offset) + abs(gamma)) * abs(x) / RMS[eps](x, epsilon),)

    mistakes = [replace(mistake, y=_shifted(mistake.y, offset)) for mistake in FORWARD]
    return _check(forward, "forward(x, gamma, eps)", ("y",), dtype, truth, scale, mistakes)


def assert_forward(
    forward: Callable[..., Any], *, dtype: str = "float64", eps: str = "inside", offset: float = 0
) -> None:
    """Raise AssertionError with the text of `check_forward`'s report unless all is right."""
    _assert(check_forward(forward, dtype=dtype, eps=eps, offset=offset))


def _assert(found: Report) -> None:
    if not found.ok:
        raise AssertionError(str(found))


def _check(
    callee: Any,
    signature: str,
    outputs: Sequence[str],
    dtype: str,
    truth: Formulas,
    scale: Formulas,
    mistakes: Sequence[Mistake],
) -> Report:
    if not callable(callee):
        message = f"expected a function {signature}, got {type(callee).__name__}"
        raise Refused(message)
    if dtype not in UNIT:
        message = f"dtype is {dtype!r}; write one of {', '.join(map(repr, UNIT))}"
        raise Refused(message)
    inputs = signature.partition("(")[2].rstrip(")").split(", ")
    with np.errstate(all="ignore"):
        trials = [attempt(callee, inputs, outputs, case, truth, scale) for case in grid(dtype)]
        return report(signature, outputs, dtype, trials, mistakes)


def _shifted(formula: Formula | None, offset: float) -> Formula:
    """Return the formula with `offset` added to gamma."""
    assert formula is not None
    return lambda x, gamma, eps: formula(x, gamma + offset, eps)


def _truth(dy: Array, x: Array, gamma: Array, eps: float) -> tuple[Array, Array]:
    """Return the right dx and dgamma, by the code printed from the derivation."""
    dx, dgamma = _derived()(dy, x, gamma, eps)
    return dx, dgamma


@cache
def _derived() -> Callable[..., Any]:
    y, cotangent, batch = rmsnorm(b), symbols.ybar[b, i], {b: (1, m)}
    outputs = {
        "dx": vjp(y, symbols.x[b, j], cotangent, batch),
        "dgamma": vjp(y, symbols.gamma[j], cotangent, batch),
    }
    names = {symbols.ybar: "dy", symbols.x: "x", symbols.gamma: "gamma", symbols.epsilon: "eps"}
    r, xhat = IndexedBase("r"), symbols.xhat
    where = {r[b]: derived_rms(b), xhat[b, i]: symbols.x[b, i] / r[b]}
    return function(outputs, names, where)


def _scale(dy: Array, x: Array, gamma: Array, eps: float) -> tuple[Array, Array]:
    """Return what rounding is relative to: the sums of the magnitudes of the terms."""
    r = rms(x, eps)
    xhat, v = abs(x / r), abs(gamma * dy)
    return (v + xhat * mean(v * xhat)) / r, (abs(dy) * xhat).reshape(-1, gamma.size).sum(0)
