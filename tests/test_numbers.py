"""A given length, a value, a difference quotient."""

import pytest
from sympy import (
    Idx,
    IndexedBase,
    KroneckerDelta,
    Ne,
    Piecewise,
    Rational,
    S,
    Sum,
    Symbol,
    exp,
    log,
    nan,
    sqrt,
)

from rmsnorm_math import Refused, evaluate, finite_difference, instantiate
from tests.refusals import refusal

a, c = IndexedBase("a"), IndexedBase("c")
i, j, k = (Idx(letter) for letter in "ijk")
m, n = (Symbol(letter, integer=True, positive=True) for letter in "mn")
epsilon = Symbol("epsilon")
square = Sum(a[i] ** 2, (i, 1, n))


def test_instantiate_keeps_the_base():
    s = IndexedBase("s", shape=(n,))
    assert instantiate(Sum(s[k] ** 2, (k, 1, n)), n=3).diff(s[1]) == 2 * s[1]


def test_instantiate_makes_a_matrix_with_the_first_index_as_row():
    matrix = instantiate(a[i] * c[j], i, (j, 1, 3), n=2)
    assert matrix.shape == (2, 3)
    assert matrix[0, 2] == a[1] * c[3]


REFUSED = {
    "a sum without a length": (
        lambda: instantiate(square),
        "Refused: the sum from 1 to n has no definite range: also give n=....",
    ),
    "a sum between two lengths": (
        lambda: instantiate(Sum(a[k], (k, m, n))),
        "Refused: the sum from m to n has no definite range: also give m=..., n=....",
    ),
    "a sum between halves": (
        lambda: instantiate(Sum(a[k], (k, S.Half, S(5) / 2))),
        "Refused: Sum(a[k], (k, 1/2, 5/2)) has the limit 1/2, which is no whole number.",
    ),
    "an axis and two sizes": (
        lambda: instantiate(a[i] * square, i, n=3, j=2),
        "Refused: the expression has no j: it has i, n.",
    ),
    "three axes": (
        lambda: instantiate(a[i], i, j, k, n=3),
        "Refused: 3 axes make no matrix: give one or two, and fix the others, as in b=1.",
    ),
    "fractions": (
        lambda: instantiate(square + epsilon, n=1.5, epsilon=0.5),  # type: ignore[call-overload]
        "Refused: n=1.5, epsilon=0.5: lengths and indices are whole numbers.",
    ),
    "one axis twice": (
        lambda: instantiate(a[i], i, i, n=2),
        "Refused: i is given for both axes: give two indices.",
    ),
    "the name of an axis": (
        lambda: instantiate(a[i], "i", n=2),
        "Refused: 'i' is no axis: give an index such as i, or (i, 1, 3).",
    ),
    "an element without a value": (
        lambda: evaluate(square * c[2] + epsilon, {a: [1, 2], epsilon: 0}, n=3),
        "Refused: epsilon + c[2]*Sum(a[i]**2, (i, 1, n)) needs a value for a[3], c[2].",
    ),
    "symbols without a value": (
        lambda: evaluate(square + epsilon + m, {a: [1, 2]}, n=2),
        "Refused: epsilon + m + Sum(a[i]**2, (i, 1, n)) needs a value for epsilon, m.",
    ),
    "a variable without a value": (
        lambda: finite_difference(square, c[1], {a: [1, 2]}, n=2),
        "Refused: c[1] has no value in {a: [1, 2]}: differentiate by one of a[1], a[2].",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_number_is_named(case):
    call, message = REFUSED[case]
    assert refusal(call) == message


def test_an_axis_that_prints_like_another_index_is_refused():
    with pytest.raises(ValueError, match="two different objects print as i"):
        instantiate(a[i], Symbol("i"), n=2)


def test_the_difference_quotient_has_the_digits_asked_for():
    for digits in (15, 30, 41):
        quotient = finite_difference(exp(a[1]), a[1], {a: [1]}, digits=digits)
        assert abs(quotient - exp(1).evalf(2 * digits)) < 10 ** (1 - S(digits))


def test_the_difference_quotient_is_as_exact_for_floats():
    quotient = finite_difference(Sum(a[k] ** 2, (k, 1, n)), a[1], {a: [0.1, 0.2]}, n=2)
    assert abs(quotient - 0.2) < 1e-16


def test_an_axis_runs_over_what_its_index_declares_or_the_sums_show():
    zero = Idx("j", n)
    assert list(instantiate(a[zero] ** 2, zero, n=3)) == [a[0] ** 2, a[1] ** 2, a[2] ** 2]
    shown = a[i] * Sum(a[k], (k, 0, n - 1))
    assert list(instantiate(shown, i, n=2)) == [a[0] * (a[0] + a[1]), a[1] * (a[0] + a[1])]
    assert list(instantiate(i, i, n=3)) == [1, 2, 3]
    assert instantiate(c[j], i, j, n=2).shape == (2, 2), "a row may be the same in each place"
    for beside, at in ((a[0], 0), (a[4], 4), (Sum(a[k + 1], (k, 1, n)), 4)):
        with pytest.raises(Refused, match=f"nothing says .* has an element at {at}, too"):
            instantiate(a[i] * beside, i, n=3)
        assert instantiate(a[i] * beside, (i, 0, 1), n=3).shape == (2, 1)
    with pytest.raises(Refused, match="has an element at 0, too"):
        instantiate(a[zero] * a[i], zero, i, n=3)


def test_what_a_condition_leaves_out_needs_no_value():
    far = Sum(Piecewise((1 / (a[i] - a[k]), Ne(i, k)), (0, True)), (k, 1, n))
    assert evaluate(far, {a: [1, 3]}, n=2, i=1) == -S.Half
    assert evaluate((1 - KroneckerDelta(i, j)) / (a[i] - a[j]), {a: [1, 3]}, i=2, j=2) == 0
    assert evaluate(a[1] / a[2], {a: [0, 0]}) is nan


def test_an_exact_power_stays_exact_until_its_root_is_huge():
    p, powers = Symbol("p", positive=True), {a: ["2/3", "1/5"]}
    assert evaluate(a[1] ** p, powers | {p: "2/3"}) == Rational(2, 3) ** Rational(2, 3)
    value = evaluate(a[1] ** p, powers | {p: "123457/100003"})
    assert abs(value - exp(log(Rational(2, 3)) * Rational(123457, 100003)).evalf(60)) < 1e-48


def test_the_difference_quotient_takes_exact_roots():
    quotient = finite_difference(a[1] ** 2, a[1], {a: [sqrt(2)]}, digits=30)
    assert abs(quotient - 2 * sqrt(2).evalf(40)) < 1e-28
