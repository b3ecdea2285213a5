"""Every derivative is right at every index, or it is refused."""

from functools import cache
from itertools import product

import pytest
from mpmath import mpmathify, workdps
from sympy import (
    Abs,
    Dummy,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Max,
    Piecewise,
    Product,
    Rational,
    S,
    Sum,
    Symbol,
    cos,
    exp,
    log,
    sign,
    sin,
    sqrt,
    tanh,
)

from rmsnorm_math import (
    differentiate,
    evaluate,
    finite_difference,
    instantiate,
)
from rmsnorm_math.index.walk import free_indices, limits_of
from tests.differences import assert_derivative, difference, elements, value

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k, l, p, q = (Idx(letter) for letter in "ijklpq")
n = Symbol("n", integer=True, positive=True)
t = Symbol("t", integer=True)
epsilon = Symbol("epsilon", positive=True)

VALUES = {
    a: [Rational(2, 3), Rational(-5, 4), Rational(7, 5), Rational(9, 8)],
    c: [Rational(1, 2), Rational(3, 7), Rational(-4, 3), Rational(6, 5)],
    A: [
        [Rational(3 * row - 2 * column + 1, row + column + 2) for column in range(4)]
        for row in range(4)
    ],
    epsilon: Rational(1, 10),
}

NUMBERS = elements(VALUES)

square = Sum(a[i] ** 2, (i, 1, n))
r = sqrt(square / n + epsilon)
mean = Sum(a[k], (k, 1, n)) / n
EXPRESSIONS = {
    "the question's rms, i bound": (r, a[i]),
    "rmsnorm": (c[i] * a[i] / r, a[j]),
    "rmsnorm, the diagonal": (c[i] * a[i] / r, a[i]),
    "rmsnorm by gamma": (c[i] * a[i] / r, c[j]),
    "mean square over a number of elements": (Sum(a[k] ** 2, (k, 1, 2)), a[j]),
    "limit that is an index": (Sum(a[k] ** 2, (k, 1, i)), a[j]),
    "sum that starts at 2": (Sum(a[k] ** 3, (k, 2, n)), a[j]),
    "neighbours": (Sum(a[k] * a[k + 1], (k, 1, n - 1)), a[j]),
    "neighbours backwards": (Sum(a[k] * a[k - 1], (k, 2, n)), a[j]),
    "reversed": (Sum(a[k] * c[n + 1 - k] * a[n + 1 - k], (k, 1, n)), a[j]),
    "even elements": (Sum(a[2 * k], (k, 1, 2)), a[j]),
    "a fixed element": (a[1] * Sum(a[k], (k, 1, n)), a[j]),
    "nested sums with one name": (Sum(a[i] * Sum(a[i] ** 2, (i, 1, n)), (i, 1, n)), a[i]),
    "two sums with one name": (Sum(a[k] ** 2, (k, 1, n)) * Sum(sin(a[k]), (k, 1, n)), a[k]),
    "sum of squared sums": (Sum(a[k], (k, 1, n)) ** 3, a[k]),
    "quadratic form": (Sum(a[i] * A[i, k] * a[k], (i, 1, n), (k, 1, n)), a[k]),
    "quadratic form by its matrix": (Sum(a[i] * A[i, k] * a[k], (i, 1, n), (k, 1, n)), A[i, j]),
    "trace": (Sum(A[k, k] ** 2, (k, 1, n)), A[i, j]),
    "Frobenius norm": (sqrt(Sum(A[i, k] ** 2, (i, 1, n), (k, 1, n))), A[i, j]),
    "Gram entry": (Sum(A[i, k] * A[j, k], (k, 1, n)), A[p, q]),
    "dependent limits": (Sum(a[i] * a[k], (k, 1, i), (i, 1, n)), a[j]),
    "dependent limits with one name": (Sum(a[k] ** 2 * c[k], (k, 1, k), (k, 1, n)), a[k]),
    "strictly lower triangle": (Sum(A[i, k] * a[k], (k, 1, i - 1), (i, 1, n)), a[j]),
    "prefix sum": (Sum(a[k], (k, 1, i)) ** 2, a[j]),
    "softmax": (exp(a[i]) / Sum(exp(a[k]), (k, 1, n)), a[j]),
    "log-sum-exp": (log(Sum(exp(a[k]), (k, 1, n))), a[j]),
    "LayerNorm": (
        c[i] * (a[i] - mean) / sqrt(Sum((a[k] - mean) ** 2, (k, 1, n)) / n + epsilon),
        a[j],
    ),
    "elementwise": (tanh(a[i]) * a[i] ** 3 + cos(a[i] * c[i]), a[j]),
    "absolute value and maximum": (Abs(a[i]) + Max(a[i], a[1]), a[j]),
    "power with an element as exponent": (Sum(2 ** a[k], (k, 1, n)), a[j]),
    "product of all": (Product(a[k], (k, 1, n)), a[j]),
    "product of sums": (Product(a[k] + Sum(c[l], (l, 1, k)), (k, 1, n)), c[j]),
    "product of two indices": (Product(1 + A[i, k] ** 2, (i, 1, n), (k, 1, n)), A[p, q]),
    "shifted variable": (Sum(a[k] ** 2, (k, 1, n)), a[j + 1]),
    "element squared in a sum of its own index": (Sum(a[i] * c[i], (i, 1, n)) * a[i], a[i]),
    "a plain symbol": (r, epsilon),
    "a plain symbol in a sum": (Sum(sqrt(a[k] ** 2 + epsilon), (k, 1, n)), epsilon),
    "inactive delta": (Sum(KroneckerDelta(i, k) * a[k], (k, 1, n)) * a[i], a[j]),
    "an index that is a Symbol": (Sum(a[t] ** 2 * c[t], (t, 1, n)), a[j]),
    "a shorter sum that ends at a number": (Sum(a[k], (k, 1, l), (l, 1, 3)), a[j]),
    "product of the same name in a sum": (Sum(c[k] * Product(a[k], (k, 1, n)), (k, 1, n)), a[k]),
    "another base": (Sum(c[k], (k, 1, n)), a[j]),
}


@cache
def derivative_of(case):
    return differentiate(*EXPRESSIONS[case])


def assert_right_everywhere(derivative, expr, wrt, sizes=(3, 4)):
    free = [s for s in (i, j, k, l, p, q) if wrt.has(s) or s in free_indices(expr)]
    for size in sizes:
        assert_derivative(derivative, expr, wrt, NUMBERS | {n: size}, free, size)


@pytest.mark.parametrize("case", EXPRESSIONS)
def test_derivative_is_the_limit_of_the_difference_quotient(case):
    expr, wrt = EXPRESSIONS[case]
    assert_right_everywhere(derivative_of(case), expr, wrt)


@pytest.mark.parametrize("case", EXPRESSIONS)
def test_values_and_difference_quotients_are_those_of_the_definition(case):
    expr, wrt = EXPRESSIONS[case]
    free = {s: 1 + at % 3 for at, s in enumerate((i, j, k, l, p, q))}
    at = {str(s): number for s, number in free.items()}
    element = wrt.xreplace({s: S(number) for s, number in free.items()})
    scope = NUMBERS | free | {n: 4}
    with workdps(40):
        got = mpmathify(evaluate(expr, VALUES, n=4, **at).evalf(30))
        quotient = mpmathify(finite_difference(expr, element, VALUES, n=4, **at))
        assert abs(got - value(expr, scope)) < 1e-25
        assert abs(quotient - difference(expr, wrt, scope)) < 1e-15


SECOND = {
    "quadratic form": (Sum(a[i] * A[i, k] * a[k], (i, 1, n), (k, 1, n)), a[j], a[k]),
    "rms, with clashing names": (r, a[k], a[i]),
    "log-sum-exp": (log(Sum(exp(a[k]), (k, 1, n))), a[j], a[k]),
    "neighbours": (Sum(a[k] ** 2 * a[k + 1], (k, 1, n - 1)), a[j], a[i]),
    "sum over a number": (Sum(a[k] ** 3, (k, 1, 2)) ** 2, a[j], a[i]),
}


@pytest.mark.parametrize("case", SECOND)
def test_second_derivative_is_right_and_symmetric(case):
    expr, first, second = SECOND[case]
    once = differentiate(expr, first)
    assert_right_everywhere(differentiate(once, second), once, second, sizes=(3,))
    twice, swapped = differentiate(once, second), differentiate(differentiate(expr, second), first)
    for indices in product((1, 2, 3), repeat=2):
        scope = NUMBERS | {n: 3, first.indices[0]: indices[0], second.indices[0]: indices[1]}
        with workdps(40):
            assert abs(value(twice, scope) - value(swapped, scope)) < 1e-30


def test_the_accepted_answers_expression_differentiated_by_its_own_bound_index():
    assert differentiate(r, a[i]) == a[i] / (n * r.xreplace({i: k}))


def test_results_are_readable_and_the_same_each_time():
    for case, (expr, wrt) in EXPRESSIONS.items():
        result = derivative_of(case)
        bound = {str(index) for index, _, _ in limits_of(result)}
        assert not result.atoms(Dummy)
        assert not bound & {str(s) for s in free_indices(result)}
        assert str(result) == str(differentiate(expr, wrt))


def test_elements_are_real():
    total = Sum(c[k], (k, 1, n))
    assert differentiate(Abs(a[i] * c[i]), a[i]) == sign(a[i] * c[i]) * c[i]
    assert differentiate(Abs(a[i] * total), a[i]) == sign(a[i] * total) * total


def test_the_other_factors_of_a_product_keep_their_index():
    others = Product(a[l], (l, 1, j - 1)) * Product(a[l], (l, j + 1, n))
    expr = Product(a[l], (l, 1, n)) * Sum(c[k], (k, 1, n))
    assert differentiate(expr, a[j]) == others * Sum(c[k], (k, 1, n))


def test_an_unshifted_sum_to_n_leaves_no_condition():
    assert differentiate(square, a[j]) == 2 * a[j]
    assert differentiate(Sum(a[k] ** 2, (k, 0, n - 1)), a[j]) == 2 * a[j]


@pytest.mark.parametrize(
    ("expr", "out_of_range"),
    [
        (Sum(a[k] ** 2, (k, 1, 2)), 3),
        (Sum(a[k] ** 2, (k, 2, n)), 1),
        (Sum(a[k] ** 2, (k, 1, n - 1)), 3),
        (Sum(a[k] ** 2, (k, 1, i)), 3),
    ],
)
def test_every_other_condition_stays(expr, out_of_range):
    derivative = differentiate(expr, a[j])
    assert derivative.has(Piecewise)
    assert evaluate(derivative, VALUES, n=3, i=2, j=out_of_range) == 0


def test_a_condition_is_solved_for_the_index():
    derivative = differentiate(Sum(a[n + 1 - k], (k, 2, n)), a[j])
    assert derivative == Piecewise((1, (j >= 1) & (j <= n - 1)), (0, True))


def test_two_lengths_leave_both_conditions():
    m = Symbol("m", integer=True, positive=True)
    derivative = differentiate(Sum(a[k], (k, 1, n)) + Sum(a[k], (k, 1, m)), a[j])
    assert [instantiate(derivative, n=4, m=2, j=at) for at in (1, 2, 3, 4)] == [2, 2, 1, 1]


def test_a_stated_range_decides_its_conditions():
    neighbours = Sum(a[k] * a[k + 1], (k, 1, n - 1))
    assert differentiate(neighbours, a[j], ranges={j: (2, n - 1)}) == a[j - 1] + a[j + 1]
    assert not differentiate(Sum(a[k], (k, 1, 2)), a[j], ranges={j: (1, 2)}).has(Piecewise)
    assert differentiate(Sum(a[k], (k, 1, 2)), a[j], ranges={j: (3, n)}) == 0


def test_a_declared_shape_is_a_range():
    m = Symbol("m", integer=True, positive=True)
    s = IndexedBase("s", shape=(m,))
    assert differentiate(Sum(s[k], (k, 1, m)), s[j]) == 1
    assert differentiate(Sum(s[k], (k, 1, n)), s[j]).has(Piecewise)
