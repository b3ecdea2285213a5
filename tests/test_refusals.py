"""What would silently be wrong is refused, with words that say what to write instead."""

import pytest
from sympy import (
    Derivative,
    Function,
    Idx,
    IndexedBase,
    Integral,
    MatrixSymbol,
    S,
    Sum,
    Symbol,
    sqrt,
)

from rmsnorm_math import differentiate

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k = (Idx(letter) for letter in "ijk")
n = Symbol("n", integer=True, positive=True)
square = Sum(a[i] ** 2, (i, 1, n))
r = sqrt(square / n)


X, real_a, shaped = (
    MatrixSymbol("X", 3, 1),
    IndexedBase("a", real=True),
    IndexedBase("a", shape=(n,)),
)


x, f = Symbol("x"), Function("f")


REFUSED = {
    "a Symbol that is a dummy": (
        sqrt(Sum(x**2, (x, 1, n)) / n),
        x,
        ValueError,
        "x is the dummy of a sum",
    ),
    "a Symbol that is a dummy and free": (
        x * Sum(x**2, (x, 1, n)),
        x,
        ValueError,
        "x is the dummy of a sum",
    ),
    "a bare base as the variable": (square, a, TypeError, r"a is the whole vector.* a\[j\]"),
    "a bare base in the expression": (
        a * c[i] / r,
        a[j],
        ValueError,
        r"a stands in the expression .* Write a\[i\]",
    ),
    "nothing but a base": (a, a[j], ValueError, "without an index"),
    "a base with a shape": (
        shaped[i] * a[i],
        a[j],
        ValueError,
        "two different objects print as a: .*Tuple",
    ),
    "a base with an assumption": (
        square,
        real_a[j],
        ValueError,
        "two different objects print as a: .*real",
    ),
    "a Symbol named like a base": (Symbol("a") / r, a[j], ValueError, r"with its index: a\[i\]"),
    "a Function named like a base": (
        Function("a")(i),
        a[j],
        ValueError,
        "two different objects print as a",
    ),
    "look-alike indices": (a[Symbol("i")], a[i], ValueError, "two different objects print as i"),
    "look-alike dummy": (
        Sum(a[i], (Symbol("i"), 1, n)),
        a[j],
        ValueError,
        "the sum over i does not reach",
    ),
    "a MatrixSymbol norm": (X[0, 0] / sqrt((X.T * X)[0, 0]), a[j], TypeError, r"Sum\(x\[k\]\*\*2"),
    "a MatrixSymbol as the variable": (square, X, TypeError, "X is a matrix expression"),
    "an entry of a MatrixSymbol": (square, X[0, 0], TypeError, "is a matrix expression"),
    "a Function of an index": (
        Sum(f(k) ** 2, (k, 1, n)),
        f(j),
        TypeError,
        r"f = IndexedBase\('f'\)",
    ),
    "an index": (square, j, TypeError, "j is an index"),
    "an index that is a Symbol": (a[x], x, TypeError, "x is an index"),
    "a length": (square, n, TypeError, "n is in the limits of a sum"),
    "a shorter length": (Sum(a[k], (k, 1, n - 1)), n, TypeError, "n is in the limits of a sum"),
    "wrong rank": (Sum(A[i, k], (k, 1, n)), A[j], ValueError, r"A\[i, k\] has 2 .* A\[j\] has 1"),
    "an index taken from the base": (c[a[i]], a[j], ValueError, "takes an index from a"),
    "an integral": (Integral(a[i] * x, (x, 0, 1)), a[j], TypeError, "Integral"),
    "an unevaluated derivative": (Derivative(f(x), x) * a[i], a[j], TypeError, "Derivative"),
    "a number as the variable": (square, S(2), TypeError, "cannot differentiate by 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_silently_wrong_is_refused(case):
    expr, wrt, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        differentiate(expr, wrt)
