"""What would silently be wrong is refused, with words that say what to write instead."""

# What is given here is often of the wrong type, on purpose.
# mypy: disable-error-code="arg-type, dict-item"

import pytest
from sympy import (
    Derivative,
    Eq,
    Function,
    Idx,
    IndexedBase,
    Integral,
    Matrix,
    MatrixSymbol,
    Poly,
    S,
    Sum,
    Symbol,
    sqrt,
)

from rmsnorm_math import (
    abbreviate,
    contract,
    differentiate,
    evaluate,
    finite_difference,
    instantiate,
    jvp,
    matrix_form,
    source,
    vjp,
)

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
    "a MatrixSymbol as the variable": (
        square,
        X,
        TypeError,
        "X is of type MatrixSymbol",
    ),
    "an entry of a MatrixSymbol": (square, X[0, 0], TypeError, "is an entry of a matrix"),
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


NO_EXPRESSIONS = {
    "a text": ("a[i]**2", "'a[i]**2' is of type str. Build it from SymPy's objects"),
    "an equation": (Eq(a[i], 1), "Eq(a[i], 1) is of type Equality. Give one side of it"),
    "an inequality": (a[i] < 1, "a[i] < 1 is of type StrictLessThan. Give one side of it"),
    "a Poly": (
        Poly(a[i], a[i]),
        "Poly(a[i], a[i], domain='ZZ') is of type Poly. Give its .as",
    ),
    "a list": ([a[i]], "[a[i]] is of type list. Give one element, with an index for its place"),
    "a tuple": ((a[i], 1), "(a[i], 1) is of type tuple. Give one element"),
    "a Matrix": (
        Matrix([a[1], a[2]]),
        "Matrix([[a[1]], [a[2]]]) is of type MutableDenseMatrix. ",
    ),
    "nothing": (
        None,
        "None is of type NoneType. Give an expression in index notation, ",
    ),
    "a Function without its argument": (f, "f is of type UndefinedFunction. Give an expression"),
    "a truth value": (True, "True is of type bool. Give an expression"),
}
TAKES_ONE = {
    "the expression": [
        lambda given: differentiate(given, a[j]),
        contract,
        lambda given: instantiate(given, n=2),
        lambda given: evaluate(given, {a: [1, 2]}, n=2, i=1),
        lambda given: finite_difference(given, a[1], {a: [1, 2]}, n=2, i=1),
        lambda given: abbreviate(given, {Symbol("R"): r}),
    ],
    "the variable": [
        lambda given: differentiate(r, given),
        lambda given: vjp(a[i] / r, given, c[i]),
        lambda given: jvp(a[i] / r, given, c[i]),
        lambda given: finite_difference(r, given, {a: [1, 2]}, n=2),
    ],
    "the output": [
        lambda given: vjp(given, a[j], c[i]),
        lambda given: jvp(given, a[j], c[j]),
    ],
    "the cotangent": [lambda given: vjp(a[i] / r, a[j], given)],
    "the tangent": [lambda given: jvp(a[i] / r, a[j], given)],
    "the entry": [lambda given: matrix_form(given, i, j, n)],
    "the size": [lambda given: matrix_form(a[i] * a[j], i, j, given)],
    "in the range of j": [lambda given: differentiate(r, a[j], {j: (1, given)})],
    "y in the outputs:": [lambda given: source({"y": given}, {a: "a"})],
    "c in the definitions:": [
        lambda given: abbreviate(r, {Symbol("c"): given}),
        lambda given: source({"y": r}, {a: "a"}, {Symbol("c"): given}),
    ],
    "the value of epsilon:": [lambda given: evaluate(r, {a: [1], Symbol("epsilon"): given}, n=1)],
}


@pytest.mark.parametrize("role", TAKES_ONE)
@pytest.mark.parametrize("case", NO_EXPRESSIONS)
def test_what_is_no_expression_is_refused_wherever_one_is_taken(case, role):
    given, message = NO_EXPRESSIONS[case]
    for call in TAKES_ONE[role]:
        with pytest.raises(TypeError) as refused:
            call(given)
        assert str(refused.value).startswith(f"{role} {message}")


@pytest.mark.parametrize("number", [2, 2.5, S.Half])
def test_a_number_is_an_expression(number):
    assert differentiate(number, a[j]) == 0
    assert contract(number) == instantiate(number) == abbreviate(number, {}) == number


MISUSED = {
    "ranges that are a tuple": (
        lambda: differentiate(r, a[j], (j, 1, n)),
        "the ranges (j, 1, n) are no dictionary. Write {j: (1, n)}.",
    ),
    "ranges by name": (
        lambda: differentiate(r, a[j], {"j": (1, n)}),
        "'j' is no index. Write j, with j = Idx('j').",
    ),
    "ranges of an element": (
        lambda: vjp(a[i] / r, a[j], c[i], {a[i]: (1, n)}),
        "a[i] is no index. Write j, with j = Idx('j').",
    ),
    "a range without a start": (
        lambda: jvp(a[i] / r, a[j], c[j], {j: n}),
        "the range of j is n. Write its first and its last value, {j: (1, n)}.",
    ),
    "a range with three entries": (
        lambda: contract(square, {j: (j, 1, n)}),
        "the range of j is (j, 1, n). Write its first and its last value, {j: (1, n)}.",
    ),
    "a range that ends at a fraction": (
        lambda: differentiate(r, a[j], {j: (1, 2.5)}),
        "2.5",
    ),
    "a range for a look-alike": (
        lambda: differentiate(r, a[j], {Symbol("j"): (1, n)}),
        "two different objects print as j",
    ),
    "definitions in a list": (
        lambda: abbreviate(r, [(Symbol("R"), c[1])]),
        "the definitions [(R, c[1])] are no dictionary. Write {r: rms()}.",
    ),
    "outputs without a name": (
        lambda: source(c[1], {c: "c"}),
        "the outputs c[1] are no dictionary. Write {'dx': dx}.",
    ),
    "arguments in a list": (
        lambda: source({"y": r}, [a]),
        "the arguments [a] are no dictionary. Write {x: 'x'}.",
    ),
    "an argument that is named by its base": (
        lambda: source({"y": r}, {a: a}),
        "a is no name in Python: call it otherwise.",
    ),
    "values in a list": (
        lambda: evaluate(r, [1, 2], n=2),
        "the values [1, 2] are no dictionary. Write {x: [1, 2, 3]}.",
    ),
    "one value for a vector": (
        lambda: evaluate(r, {a: 3}, n=2),
        "a has several elements. Give a list, as in {a: [1, 2, 3]}.",
    ),
    "a length that is none": (
        lambda: instantiate(r, n=None),
        "n=None: lengths and indices are whole numbers.",
    ),
    "a length that is a symbol": (
        lambda: instantiate(r, n=n),
        "n=n: lengths and indices are whole numbers.",
    ),
    "a row that is no index": (
        lambda: matrix_form(a[i] * a[j], a[i], j, n),
        "a[i] is no index. Write j, with j = Idx('j').",
    ),
    "a matrix of a whole vector": (
        lambda: matrix_form(a, i, j, n),
        "a stands in the expression without an index",
    ),
}


@pytest.mark.parametrize("case", MISUSED)
def test_a_misused_argument_is_refused(case):
    call, message = MISUSED[case]
    with pytest.raises((TypeError, ValueError)) as refused:
        call()
    assert str(refused.value).startswith(message)
