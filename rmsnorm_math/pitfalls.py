"""The ways that go wrong, kept runnable: each returns what SymPy answers.

The expressions are those of `rmsnorm_math.forward`, but for the one mistake
that the function is named after.
"""

from sympy import Expr, Idx, Sum, Symbol, sqrt

from rmsnorm_math.forward import rms
from rmsnorm_math.notation import epsilon, gamma, i, j, n, x


def plain_symbol() -> tuple[Expr, Expr]:
    """Return the rms with a plain `Symbol` as the vector, and SymPy's derivative of it.

    The Symbol is the dummy of the sum. Outside the sum it does not exist, and
    the derivative by it is 0: right by SymPy's rules, and of no use.

    Examples
    --------
    >>> plain_symbol()
    (sqrt(epsilon + Sum(x**2, (x, 1, n))/n), 0)
    """
    vector = Symbol("x")
    root = sqrt(Sum(vector**2, (vector, 1, n)) / n + epsilon)
    return root, root.diff(vector)


def bound_index(index: Idx = i) -> tuple[Expr, Expr]:
    """Return the rms summed over an index, and SymPy's derivative by the element of that index.

    The index of the element is captured by the sum: SymPy differentiates every
    term by its own element, and returns the sum of all n partial derivatives
    (https://github.com/sympy/sympy/issues/21891).

    Examples
    --------
    >>> bound_index()[1]
    Sum(2*x[i], (i, 1, n))/(2*n*sqrt(epsilon + Sum(x[i]**2, (i, 1, n))/n))
    """
    root = sqrt(Sum(x[index] ** 2, (index, 1, n)) / n + epsilon)
    return root, root.diff(x[index])


def unindexed_numerator() -> Expr:
    """Return SymPy's derivative of a layer whose numerator has no index.

    SymPy keeps ``Derivative(x, x[j])``, without an error: the whole vector by
    one of its elements, which has no value.

    Examples
    --------
    >>> from sympy import Derivative
    >>> unindexed_numerator().atoms(Derivative)
    {Derivative(x, x[j])}
    """
    return (x * gamma / rms()).diff(x[j])
