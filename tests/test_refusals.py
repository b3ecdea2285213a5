"""What would silently be wrong is refused, with words that say what to write instead."""

# What is given here is often of the wrong type, on purpose.
# mypy: disable-error-code="arg-type, dict-item"

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
    sin,
    sqrt,
)

from rmsnorm_math import differentiate
from tests.refusals import refusal

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
        (
            "Refused: x is the dummy of a sum: outside the sum it does not exist, so SymPy's "
            "derivative by it is 0. Make the vector an IndexedBase and give the sum an index: x = "
            "IndexedBase('x'), Sum(x[k], (k, 1, n)). Then differentiate by x[j]."
        ),
    ),
    "a Symbol that is a dummy and free": (
        x * Sum(x**2, (x, 1, n)),
        x,
        (
            "Refused: x is the dummy of a sum: outside the sum it does not exist, so SymPy's "
            "derivative by it is 0. Make the vector an IndexedBase and give the sum an index: x = "
            "IndexedBase('x'), Sum(x[k], (k, 1, n)). Then differentiate by x[j]."
        ),
    ),
    "a bare base as the variable": (
        square,
        a,
        "Refused: a is the whole vector. Differentiate by one element of it: a[j].",
    ),
    "a bare base in the expression": (
        a * c[i] / r,
        a[j],
        (
            "Refused: a stands in the expression without an index, so it is not the vector's "
            "element. Write a[i] for its i-th element."
        ),
    ),
    "nothing but a base": (
        a,
        a[j],
        (
            "Refused: a stands in the expression without an index, so it is not the vector's "
            "element. Write a[i] for its i-th element."
        ),
    ),
    "a base with a shape": (
        shaped[i] * a[i],
        a[j],
        (
            "Refused: two different objects print as a: IndexedBase(Symbol('a')) and "
            "IndexedBase(Symbol('a'), Tuple(Symbol('n', integer=True, positive=True))). SymPy takes"
            " them for unrelated, and the result would silently be wrong. Create a once and use"
            " that object everywhere; shape and assumptions are part of an IndexedBase's identity."
        ),
    ),
    "a base with an assumption": (
        square,
        real_a[j],
        (
            "Refused: two different objects print as a: IndexedBase(Symbol('a')) and "
            "IndexedBase(Symbol('a', real=True)). SymPy takes them for unrelated, and the "
            "result would silently be wrong. Create a once and use that object everywhere; "
            "shape and assumptions are part of an IndexedBase's identity."
        ),
    ),
    "a Symbol named like a base": (
        Symbol("a") / r,
        a[j],
        (
            "Refused: two different objects print as a: Symbol('a') and "
            "IndexedBase(Symbol('a')). SymPy takes them for unrelated, and the result would "
            "silently be wrong. Create a once and use that object everywhere, with its index: a[i]."
        ),
    ),
    "a Function named like a base": (
        Function("a")(i),
        a[j],
        (
            "Refused: two different objects print as a: Function('a')(Idx(Symbol('i', "
            "integer=True))) and IndexedBase(Symbol('a')). SymPy takes them for unrelated, and the "
            "result would silently be wrong. Create a once and use that object everywhere, with"
            " its index: a[i]."
        ),
    ),
    "look-alike indices": (
        a[Symbol("i")],
        a[i],
        (
            "Refused: two different objects print as i: Symbol('i') and Idx(Symbol('i', "
            "integer=True)). SymPy takes them for unrelated, and the result would silently be "
            "wrong. Create i once and use that object everywhere."
        ),
    ),
    "look-alike dummy": (
        Sum(a[i], (Symbol("i"), 1, n)),
        a[j],
        (
            "Refused: the sum over i does not reach the i inside it: they print alike, but the "
            "dummy is Symbol('i') and the other is Idx(Symbol('i', integer=True)). Write both with "
            "one and the same object."
        ),
    ),
    "a MatrixSymbol norm": (
        X[0, 0] / sqrt((X.T * X)[0, 0]),
        a[j],
        (
            "Refused: the expression holds the matrix X, and SymPy loses terms when it "
            "differentiates a norm of one. Write the norm with an IndexedBase: Sum(x[k]**2, (k, 1, "
            "n))."
        ),
    ),
    "a MatrixSymbol as the variable": (
        square,
        X,
        (
            "Refused: the variable X is of type MatrixSymbol. Give one element, with an index for"
            " its place: x = IndexedBase('x'), then x[i]."
        ),
    ),
    "an entry of a MatrixSymbol": (
        square,
        X[0, 0],
        ("Refused: X[0, 0] is an entry of a matrix. Use an IndexedBase and differentiate by x[j]."),
    ),
    "a Function of an index": (
        Sum(f(k) ** 2, (k, 1, n)),
        f(j),
        (
            "Refused: f(j) is a function of an index, and SymPy takes its values for unrelated. "
            "Use f = IndexedBase('f') and differentiate by f[j]."
        ),
    ),
    "an index": (
        square,
        j,
        "Refused: j is an index: it counts elements, and there is no derivative by it.",
    ),
    "an index that is a Symbol": (
        a[x],
        x,
        "Refused: x is an index: it counts elements, and there is no derivative by it.",
    ),
    "a length": (
        square,
        n,
        (
            "Refused: n is in the limits of a sum: it counts elements, so there is no derivative "
            "by it."
        ),
    ),
    "a shorter length": (
        Sum(a[k], (k, 1, n - 1)),
        n,
        (
            "Refused: n is in the limits of a sum: it counts elements, so there is no derivative "
            "by it."
        ),
    ),
    "wrong rank": (
        Sum(A[i, k], (k, 1, n)),
        A[j],
        ("Refused: A[i, k] has 2 index(es) and A[j] has 1: A needs the same number everywhere."),
    ),
    "an index taken from the base": (
        c[a[i]],
        a[j],
        "Refused: c[a[i]] takes an index from a: there is no derivative by an index.",
    ),
    "an integral": (
        Integral(a[i] * x, (x, 0, 1)),
        a[j],
        (
            "Refused: Integral(x*a[i], (x, 0, 1)) is of type Integral: only sums, products and "
            "functions of elements are differentiated. Call .doit() on it first, or write it as a "
            "Sum."
        ),
    ),
    "an unevaluated derivative": (
        Derivative(sin(x), x) * a[i],
        a[j],
        (
            "Refused: Derivative(sin(x), x) is of type Derivative: only sums, products and "
            "functions of elements are differentiated. Call .doit() on it first, or write it as a "
            "Sum."
        ),
    ),
    "a number as the variable": (
        square,
        S(2),
        "Refused: cannot differentiate by 2: give an element such as x[j], or a plain symbol.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_silently_wrong_is_refused(case):
    expr, wrt, message = REFUSED[case]
    assert refusal(lambda: differentiate(expr, wrt)) == message
