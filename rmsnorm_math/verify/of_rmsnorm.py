"""The check of RMSNorm's backward and forward pass, with its conventions."""

from collections.abc import Callable, Sequence
from typing import Any

from rmsnorm_math.verify.of_layer import Shapes, asserted
from rmsnorm_math.verify.report import Report
from rmsnorm_math.verify.rmsnorm import Convention, backward_of, forward_of
from rmsnorm_math.verify.run import checked, run


def check_backward(
    backward: Callable[..., Any],
    *,
    dtype: str = "float64",
    eps: str = "inside",
    offset: float = 0,
    gamma: bool = True,
    residual: bool = False,
    outputs: Sequence[str] | None = None,
    epsilons: Sequence[float] | None = None,
    shapes: Shapes = None,
    tolerance: float = 1,
) -> Report:
    """Run a backward pass of RMSNorm over designed inputs and compare it with the derivation.

    Parameters
    ----------
    backward : callable
        ``backward(dy, x, gamma, eps)`` returns ``(dx, dgamma)``. It is given NumPy arrays: dy and x
        of shape (..., n), gamma of shape (n,), and eps as a float. Its results may be anything that
        ``numpy.asarray`` takes: dx of x's shape, dgamma of gamma's.
    dtype, shapes, tolerance
        As for `check`; shapes are those of x.
    eps : {'inside', 'outside', 'max'}
        sqrt(mean(x**2) + eps), sqrt(mean(x**2)) + eps, or sqrt(max(mean(x**2), eps)).
    offset : float
        Added to gamma: 1 for the convention y = (1 + gamma) * x / r.
    gamma : bool
        False for a layer without a weight: ``backward(dy, x, eps)`` returns dx.
    residual : bool
        True for ``backward(dy, x, gamma, eps, dres)``, which adds dres to dx.
    outputs : sequence of {'dx', 'dgamma'}, optional
        What comes back, in its order: ``("dx",)`` where dgamma is computed elsewhere.
    epsilons : sequence of float, optional
        The values of eps, if not all will do: ``(1e-5,)`` for one that is fixed in the source.

    Returns
    -------
    Report
        With ``ok``, ``worst`` and ``diagnosis``; ``str`` gives the whole text.

    Raises
    ------
    TypeError, ValueError
        If ``backward`` cannot be called, or an option is none of those named. Whatever
        ``backward`` itself raises is part of the report.

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
    convention = backward_of(eps, offset, gamma, residual, outputs)
    return _report(backward, "backward", convention, dtype, epsilons, shapes, tolerance)


def assert_backward(backward: Callable[..., Any], **options: Any) -> None:
    """Raise AssertionError with the text of `check_backward`'s report unless all is right.

    Examples
    --------
    >>> from rmsnorm_math.verify import assert_backward
    >>> assert_backward(lambda dy, x, gamma, eps: (dy, gamma))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: backward(dy, x, gamma, eps) in float64: wrong in ... cases
    ...
    """
    asserted(check_backward(backward, **options))


def check_forward(
    forward: Callable[..., Any],
    *,
    dtype: str = "float64",
    eps: str = "inside",
    offset: float = 0,
    gamma: bool = True,
    residual: bool = False,
    epsilons: Sequence[float] | None = None,
    shapes: Shapes = None,
    tolerance: float = 1,
) -> Report:
    """Run a forward of RMSNorm over designed inputs and compare it with its definition.

    Parameters
    ----------
    forward : callable
        ``forward(x, gamma, eps)`` returns y, of x's shape (..., n); ``forward(x, eps)`` where
        gamma is False, ``forward(x, gamma, eps, residual)`` where residual is True: y is that of
        x + residual.
    dtype, eps, offset, gamma, residual, epsilons, shapes, tolerance
        As for `check_backward`.

    Returns
    -------
    Report
        With ``ok``, ``worst`` and ``diagnosis``; ``str`` gives the whole text.

    Raises
    ------
    TypeError, ValueError
        If ``forward`` cannot be called, or an option is none of those named.

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
    convention = forward_of(eps, offset, gamma, residual)
    return _report(forward, "forward", convention, dtype, epsilons, shapes, tolerance)


def assert_forward(forward: Callable[..., Any], **options: Any) -> None:
    """Raise AssertionError with the text of `check_forward`'s report unless all is right."""
    asserted(check_forward(forward, **options))


def _report(
    function: Callable[..., Any],
    name: str,
    convention: Convention,
    dtype: str,
    epsilons: Sequence[float] | None,
    shapes: Shapes,
    tolerance: float,
) -> Report:
    call, title = checked(function, convention.layer, name)
    return run(
        call,
        convention.layer,
        title,
        dtype=dtype,
        shapes=shapes,
        values=convention.epsilons(epsilons),
        factor=tolerance,
        others=convention.others,
    )
