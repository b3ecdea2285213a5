"""A condition on indices or values holds where it did: strict is not loose, and none is lost."""

import pytest
from sympy import (
    And,
    Eq,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Mod,
    Ne,
    Not,
    Or,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    exp,
    sqrt,
)

from rmsnorm_math import contract, differentiate
from tests.differences import assert_derivative, elements, value

x, r, a = map(IndexedBase, "xra")
i, j, k, l, s = (Idx(letter) for letter in "ijkls")
n = Symbol("n", integer=True, positive=True)
NUMBERS = elements(
    {
        x: [2, -1, Rational(1, 2), 5, Rational(-7, 3)],
        a: [1, Rational(-1, 3), 2, Rational(4, 5), 3],
        r: [[0, 1], [2, Rational(1, 2)], [1, -1], [3, 1], [-1, 4]],
    }
)


def where(condition, term):
    return Piecewise((term, condition), (0, True))


ONE = {
    "less": k < i,
    "at most": k <= i,
    "more": k > i,
    "at least": k >= i,
    "less than a number": k < 3,
    "between numbers that are no integers": And(k > Rational(3, 2), k < Rational(7, 2)),
    "less than half": 2 * k < i + 2,
    "at most half": 2 * k <= i + 1,
    "equal": Eq(k, i),
    "different": Ne(k, i),
    "one of two": Or(k < i, k > i + 1),
    "three ways": Or(k < 2, Eq(k, i), k > 3),
    "not between": Not(And(k > 1, k <= i)),
    "odd": Eq(Mod(k, 2), 1),
    "odd together": Eq(Mod(k + i, 2), 1),
    "odd, and less": And(Eq(Mod(k, 2), 1), k < i),
    "of a value": x[k] > 0,
    "of two values": x[k] > a[k],
    "of a value, or of an index": Or(x[k] > 0, k < i),
    "a square": k**2 < i + 3,
}


@pytest.mark.parametrize("case", ONE)
def test_a_sum_keeps_its_condition(case):
    expr = Sum(where(ONE[case], x[k] ** 2 * a[k]), (k, 1, n))
    assert_same(contract(expr), expr, [i])
    assert_right(expr, [i, j])


@pytest.mark.parametrize("case", ONE)
def test_a_double_sum_keeps_its_condition(case):
    for limits in ([(k, 1, n), (i, 1, n)], [(i, k - 1, n), (k, 2, n)]):
        expr = Sum(where(ONE[case], x[k] ** 2 * x[i] * a[k]), *limits)
        assert_same(contract(expr), expr, [])
        assert contract(contract(expr)) == contract(expr)
        assert_right(expr, [j])


def assert_same(one, other, free):
    for size in (1, 3):
        for at in range(1, size + 1) if free else (1,):
            scope = NUMBERS | {n: size, i: at}
            assert abs(value(one, scope) - value(other, scope)) < 1e-12


def assert_right(expr, free):
    first = differentiate(expr, x[j])
    for size in (1, 3):
        assert_derivative(first, expr, x[j], NUMBERS | {n: size}, free, size)


def test_a_strict_bound_is_a_limit_one_further():
    assert contract(Sum(where(k < i, x[k]), (k, 1, n)), {i: (1, n)}) == Sum(x[k], (k, 1, i - 1))
    assert contract(Sum(where(k > i, x[k]), (k, 1, n)), {i: (1, n)}) == Sum(x[k], (k, i + 1, n))


far = sqrt(Sum((r[i, k] - r[j, k]) ** 2, (k, 1, 2)))
PAIRS = {
    "pairs in order": Sum(where(k < i, 1 / (x[i] - x[k])), (k, 1, n), (i, 1, n)),
    "pairs that differ": Sum(where(Ne(i, k), 1 / (x[i] - x[k]) ** 2), (k, 1, n), (i, 1, n)),
    "a delta": Sum((1 - KroneckerDelta(i, k)) / (x[i] - x[k]) ** 2, (i, 1, n), (k, 1, n)),
    "a delta squared": Sum((1 - KroneckerDelta(i, k)) ** 2 / (x[i] - x[k]), (i, 1, n)) * x[k],
}


@pytest.mark.parametrize("case", PAIRS)
def test_a_term_that_a_condition_leaves_out_has_no_say(case):
    expr = PAIRS[case]
    first = differentiate(expr, x[j])
    free = [j, k] if case == "a delta squared" else [j]
    assert_derivative(first, expr, x[j], NUMBERS | {n: 4}, free, 4)
    assert_derivative(differentiate(first, x[l]), first, x[l], NUMBERS | {n: 3}, [*free, l], 3)


def test_a_distance_of_a_point_to_itself_is_left_out():
    expr = Sum((1 - KroneckerDelta(i, j)) * exp(-far), (i, 1, n), (j, 1, n))
    assert_derivative(differentiate(expr, r[s, 1]), expr, r[s, 1], NUMBERS | {n: 4}, [s], 4)


def test_a_choice_between_values_is_made_where_its_element_is():
    leaky = Piecewise((x[k], x[k] > 0), (x[k] / 100, True))
    cases = Piecewise((x[k] ** 2, x[k] > 1), (a[k] * x[k], k < 3), (exp(x[k]), True))
    for choice in (leaky, cases, leaky * cases):
        assert_right(Sum(a[k] * choice, (k, 1, n)), [j])
        assert_right(Sum(a[i] * choice, (i, 1, k), (k, 1, n)), [j])
