"""The ways that go wrong, kept runnable: each returns what SymPy answers.

The expressions are those of `rmsnorm_math.layers`, but for the one mistake
that the function is named after.
"""

from sympy import (
    Array,
    Expr,
    Function,
    Idx,
    IndexedBase,
    MatrixSymbol,
    Sum,
    Symbol,
    derive_by_array,
    sqrt,
)

from rmsnorm_math.explicit import instantiate
from rmsnorm_math.layers import rms, rmsnorm
from rmsnorm_math.notation import epsilon, gamma, i, j, k, n, x


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


def late_index() -> Expr:
    """Return the derivative of a sum over i by x[j], in which i is put for j afterwards.

    The derivative is right until the sum captures the i that comes late.

    Examples
    --------
    >>> late_index()
    Sum(2*x[i], (i, 1, n))
    """
    return Sum(x[i] ** 2, (i, 1, n)).diff(x[j]).subs(j, i)


def shaped_base() -> Expr:
    """Return the derivative by x[1] after 3 was put for n, with n the shape of x.

    `subs` changes the shape as well, and with it the base: the expression is
    about another x.

    Examples
    --------
    >>> shaped_base()
    0
    """
    shaped = IndexedBase("x", shape=(n,))
    return sqrt(Sum(shaped[k] ** 2, (k, 1, n)) / n + epsilon).subs(n, 3).doit().diff(shaped[1])


def real_base() -> Expr:
    """Return the derivative of the rms of a real x by an element of the x without assumptions.

    Examples
    --------
    >>> real_base()
    0
    """
    real = IndexedBase("x", real=True)
    return sqrt(Sum(real[k] ** 2, (k, 1, n)) / n + epsilon).diff(x[j])


def matrix_norm() -> Expr:
    """Return the derivative of x/rms by x, with a `MatrixSymbol`: the outer product is gone.

    Examples
    --------
    >>> matrix_norm().args[1]
    I
    """
    vector = MatrixSymbol("x", n, 1)
    return (vector / sqrt((vector.T * vector)[0, 0] / n + epsilon)).diff(vector)


def matrix_square() -> Expr:
    """Return the derivative of x.T*x, taken as a scalar, by the `MatrixSymbol` x.

    Examples
    --------
    >>> matrix_square()
    0
    """
    vector = MatrixSymbol("x", n, 1)
    return (vector.T * vector)[0, 0].diff(vector)


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


def function_of_index() -> Expr:
    """Return the derivative of a sum over x(k) by x(j), with x a `Function`.

    To SymPy, the values of a function at two arguments are unrelated
    (https://github.com/sympy/sympy/issues/6967).

    Examples
    --------
    >>> function_of_index()
    0
    """
    vector = Function("x")
    return Sum(vector(k) ** 2, (k, 1, n)).diff(vector(j))


def lookalike_indices() -> Expr:
    """Return the derivative of x[i] by x[i], where one of the two i is an integer.

    Examples
    --------
    >>> lookalike_indices()
    KroneckerDelta(i, i)
    """
    return x[Symbol("i")].diff(x[Symbol("i", integer=True)])


def transposed_array() -> Expr:
    """Return the Jacobian of RMSNorm for n = 2 by `derive_by_array`: its transpose.

    The first axis of the result is the input's, the second the output's.

    Examples
    --------
    >>> transposed_array()[0, 1]
    -gamma[2]*x[1]*x[2]/(2*(epsilon + x[1]**2/2 + x[2]**2/2)**(3/2))
    """
    layer = Array([instantiate(rmsnorm(), n=2, i=at) for at in (1, 2)])
    return derive_by_array(layer, Array([x[1], x[2]]))


def ignored_subs() -> Expr:
    """Return the mean square of x after 2*x[k] was put for x[k], k being bound: nothing happened.

    SymPy substitutes for no bound index
    (https://github.com/sympy/sympy/issues/11829).

    Examples
    --------
    >>> ignored_subs()
    Sum(x[k]**2, (k, 1, n))
    """
    return Sum(x[k] ** 2, (k, 1, n)).subs(x[k], 2 * x[k])


def answers() -> dict[str, str]:
    """Return what each of the functions above answers, as text, by its name."""
    ways = (
        plain_symbol, bound_index, late_index, shaped_base, real_base, matrix_norm, matrix_square,
        unindexed_numerator, function_of_index, lookalike_indices, transposed_array, ignored_subs,
    )  # fmt: skip
    given = {way.__name__: way() for way in ways}
    return {
        name: str(answer[1] if isinstance(answer, tuple) else answer)
        for name, answer in given.items()
    }
