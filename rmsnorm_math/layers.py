"""RMSNorm with its variants, and the layers beside it, in index notation, for every length n."""

from typing import Literal

from sympy import Expr, Idx, Max, Sum, exp, sqrt

from rmsnorm_math.errors import Refused
from rmsnorm_math.inputs import as_expression, as_index, as_length
from rmsnorm_math.notation import epsilon, gamma, i, k, n, x

Placement = Literal["inside", "outside", "max"]


def mean_square(*rows: Idx, part: Expr = n) -> Expr:
    r"""Return the mean square :math:`\frac1n\sum_{k=1}^n x_k^2`.

    Parameters
    ----------
    *rows
        Indices that stand before `k` in a batch: ``mean_square(b)`` is of row b.
    part
        How many of the first elements the mean is over; by default all n.

    Raises
    ------
    TypeError
        If `part` is no expression.

    Examples
    --------
    >>> from rmsnorm_math import mean_square
    >>> mean_square()
    Sum(x[k]**2, (k, 1, n))/n
    """
    part = as_length(part, "the part")
    return Sum(x[(*_rows(rows), k)] ** 2, (k, 1, part)) / part


def rms(*rows: Idx, eps: Placement = "inside", part: Expr = n) -> Expr:
    r"""Return the root mean square :math:`r=\sqrt{\frac1n\sum_k x_k^2+\epsilon}`.

    Parameters
    ----------
    *rows, part
        As in `mean_square`.
    eps
        Where epsilon stands: ``"inside"`` the root; ``"outside"``, added to
        the root; or ``"max"``, the least value of the mean square.

    Raises
    ------
    TypeError
        As `mean_square`.
    ValueError
        If `eps` is none of the three.

    Examples
    --------
    >>> from rmsnorm_math import rms
    >>> rms()
    sqrt(epsilon + Sum(x[k]**2, (k, 1, n))/n)
    >>> rms(eps="outside")
    epsilon + sqrt(Sum(x[k]**2, (k, 1, n)))/sqrt(n)
    """
    square = mean_square(*rows, part=part)
    places = {
        "inside": sqrt(square + epsilon),
        "outside": sqrt(square) + epsilon,
        "max": sqrt(Max(square, epsilon)),
    }
    if eps not in tuple(places):
        choices = ", ".join(map(repr, places))
        raise Refused(f"there is no place {eps!r} for epsilon: choose one of {choices}.")
    return places[eps]


def rmsnorm(*rows: Idx, eps: Placement = "inside", offset: Expr | int = 0, part: Expr = n) -> Expr:
    r"""Return the i-th output of RMSNorm, :math:`y_i=\gamma_i x_i/r`.

    Parameters
    ----------
    *rows, eps, part
        As in `rms`: ``rmsnorm(b)`` is the output of row b. With a `part` it is
        pRMSNorm, whose sum no longer shows the range of i: state it, as in
        ``ranges={i: (1, n), j: (1, n)}``, where the output is differentiated.
    offset
        What is added to gamma: 1 where the weight is stored as its distance from 1.

    Raises
    ------
    TypeError
        As `rms`, or if `offset` is no expression.
    ValueError
        As `rms`.

    Notes
    -----
    Zhang and Sennrich (2019), "Root Mean Square Layer Normalization",
    arXiv:1910.07467, equation 4, with epsilon under the root as the
    frameworks have it; the part is its section 4. For a bias, add ``beta[i]``.

    Examples
    --------
    >>> from rmsnorm_math import rmsnorm
    >>> rmsnorm()
    gamma[i]*x[i]/sqrt(epsilon + Sum(x[k]**2, (k, 1, n))/n)
    >>> rmsnorm(offset=1, eps="outside")
    (gamma[i] + 1)*x[i]/(epsilon + sqrt(Sum(x[k]**2, (k, 1, n)))/sqrt(n))
    """
    weight = gamma[i] + as_expression(offset, "the offset")
    return weight * x[(*_rows(rows, i), i)] / rms(*rows, eps=eps, part=part)


def layer_norm(*rows: Idx) -> Expr:
    r"""Return the i-th output of LayerNorm without a bias, :math:`\gamma_i (x_i-\mu)/\sigma`.

    Parameters
    ----------
    *rows
        As in `rms`. For a bias, add ``beta[i]``.

    Notes
    -----
    Ba, Kiros and Hinton (2016), "Layer Normalization", arXiv:1607.06450; epsilon
    is under the root, as the frameworks have it.

    Examples
    --------
    >>> from rmsnorm_math import evaluate, layer_norm
    >>> from rmsnorm_math.notation import epsilon, gamma, x
    >>> evaluate(layer_norm(), {x: [1, 3], gamma: [5, 5], epsilon: 0}, n=2, i=2)
    5
    """
    rows = _rows(rows, i)
    mean = Sum(x[(*rows, k)], (k, 1, n)) / n
    variance = Sum((x[(*rows, k)] - mean) ** 2, (k, 1, n)) / n
    return gamma[i] * (x[(*rows, i)] - mean) / sqrt(variance + epsilon)


def softmax(*rows: Idx) -> Expr:
    r"""Return the i-th output of softmax, :math:`e^{x_i}/\sum_k e^{x_k}`.

    Parameters
    ----------
    *rows
        As in `rms`.

    Examples
    --------
    >>> from rmsnorm_math import softmax
    >>> softmax()
    exp(x[i])/Sum(exp(x[k]), (k, 1, n))
    """
    rows = _rows(rows, i)
    return exp(x[(*rows, i)]) / Sum(exp(x[(*rows, k)]), (k, 1, n))


def l2_norm(*rows: Idx) -> Expr:
    r"""Return the i-th output of the L2 normalisation, :math:`x_i/\sqrt{\sum_k x_k^2+\epsilon}`.

    Parameters
    ----------
    *rows
        As in `rms`.

    Examples
    --------
    >>> from rmsnorm_math import l2_norm
    >>> l2_norm()
    x[i]/sqrt(epsilon + Sum(x[k]**2, (k, 1, n)))
    """
    rows = _rows(rows, i)
    return x[(*rows, i)] / sqrt(Sum(x[(*rows, k)] ** 2, (k, 1, n)) + epsilon)


def _rows(rows: tuple[Idx, ...], *taken: Idx) -> tuple[Idx, ...]:
    """Return the indices of the rows, if they are indices that a layer does not use itself."""
    for row in map(as_index, rows):
        if row in (k, *taken):
            raise Refused(f"{row} counts the elements of a row: take another index, such as b.")
    return rows
