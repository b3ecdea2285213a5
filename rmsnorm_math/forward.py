"""RMSNorm itself, in index notation, for a symbolic length n."""

from sympy import Expr, Idx, Sum, sqrt

from rmsnorm_math.notation import epsilon, gamma, i, k, n, x


def mean_square(*rows: Idx) -> Expr:
    r"""Return the mean square :math:`\frac1n\sum_{k=1}^n x_k^2`.

    Parameters
    ----------
    *rows
        Indices that stand before `k` in a batch: ``mean_square(b)`` is of row b.

    Examples
    --------
    >>> from rmsnorm_math import mean_square
    >>> mean_square()
    Sum(x[k]**2, (k, 1, n))/n
    """
    return Sum(x[(*rows, k)] ** 2, (k, 1, n)) / n


def rms(*rows: Idx) -> Expr:
    r"""Return the root mean square :math:`r=\sqrt{\frac1n\sum_k x_k^2+\varepsilon}`.

    Parameters
    ----------
    *rows
        As in `mean_square`.

    Examples
    --------
    >>> from rmsnorm_math import rms
    >>> rms()
    sqrt(epsilon + Sum(x[k]**2, (k, 1, n))/n)
    """
    return sqrt(mean_square(*rows) + epsilon)


def rmsnorm(*rows: Idx) -> Expr:
    r"""Return the i-th output of RMSNorm, :math:`y_i=\gamma_i x_i/r`.

    Parameters
    ----------
    *rows
        As in `mean_square`: ``rmsnorm(b)`` is the output of row b.

    Notes
    -----
    Zhang and Sennrich (2019), "Root Mean Square Layer Normalization",
    arXiv:1910.07467, equation 4, with epsilon under the root as the
    frameworks have it.

    Examples
    --------
    >>> from rmsnorm_math import rmsnorm
    >>> rmsnorm()
    gamma[i]*x[i]/sqrt(epsilon + Sum(x[k]**2, (k, 1, n))/n)
    """
    return gamma[i] * x[(*rows, i)] / rms(*rows)
