"""What is given in the wrong form is refused, with the form that is wanted."""

# What is given here is often of the wrong type, on purpose.
# mypy: disable-error-code="arg-type, call-overload, dict-item"

import pytest
from sympy import (
    Eq,
    Function,
    Idx,
    IndexedBase,
    Matrix,
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
    mean_square,
    rms,
    rmsnorm,
    source,
    vjp,
)

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k = (Idx(letter) for letter in "ijk")
n = Symbol("n", integer=True, positive=True)
square = Sum(a[i] ** 2, (i, 1, n))
r = sqrt(square / n)

x, f = Symbol("x"), Function("f")

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
    "a Function without its argument": (
        f,
        "f is of type UndefinedFunction. Give its value at something: f(x[i]).",
    ),
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
    "the part": [
        lambda given: mean_square(part=given),
        lambda given: rms(part=given),
        lambda given: rmsnorm(part=given),
    ],
    "the offset": [lambda given: rmsnorm(offset=given)],
    "the output": [
        lambda given: vjp(given, a[j], c[i]),
        lambda given: jvp(given, a[j], c[j]),
    ],
    "the cotangent": [lambda given: vjp(a[i] / r, a[j], given)],
    "the tangent": [lambda given: jvp(a[i] / r, a[j], given)],
    "the entry": [lambda given: matrix_form(given, i, j, n)],
    "the size": [lambda given: matrix_form(a[i] * a[j], i, j, given)],
    "the range of j": [lambda given: differentiate(r, a[j], {j: (1, given)})],
    "y in the outputs:": [lambda given: source({"y": given}, {a: "a"})],
    "c in the definitions:": [
        lambda given: abbreviate(r, {Symbol("c"): given}),
        lambda given: source({"y": r}, {a: "a"}, {Symbol("c"): given}),
    ],
    "the value of epsilon:": [lambda given: evaluate(r, {a: [1], Symbol("epsilon"): given}, n=1)],
}


ADVICE = {  # where a number, a length or what a derivative is by is asked for
    "the part": "is no length: give a symbol such as n, or a number.",
    "the size": "is no length: give a symbol such as n, or a number.",
    "the value of epsilon:": "is no number: give one, such as 2, 0.5 or '1/3'.",
    "the range of j": "its ends are whole numbers or lengths. Write {j: (1, n)}.",
    "the variable": "Give an element such as x[j], or a plain symbol.",
    "the cotangent": "Give an element such as ybar[i], or a plain symbol.",
    "the tangent": "Give an element such as xdot[j], or a plain symbol.",
}


@pytest.mark.parametrize("role", TAKES_ONE)
@pytest.mark.parametrize("case", NO_EXPRESSIONS)
def test_what_is_no_expression_is_refused_wherever_one_is_taken(case, role):
    given, message = NO_EXPRESSIONS[case]
    for call in TAKES_ONE[role]:
        with pytest.raises(TypeError) as refused:
            call(given)
        said = str(refused.value)
        assert said.startswith(f"{role} ")
        assert said.startswith(f"{role} {message}") or said.endswith(ADVICE[role])


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
        "the range of j is (1, 2.5): its ends are whole numbers or lengths. Write {j: (1, n)}.",
    ),
    "a range for a look-alike": (
        lambda: differentiate(r, a[j], {Symbol("j"): (1, n)}),
        "two different objects print as j",
    ),
    "definitions in a list": (
        lambda: abbreviate(r, [(Symbol("R"), c[1])]),
        "the definitions [(R, c[1])] are no dictionary. Write {r: rms()}.",
    ),
    "definitions of printed code in a list": (
        lambda: source({"y": r}, {a: "a"}, [(Symbol("R"), c[1])]),
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
