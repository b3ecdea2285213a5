"""Every derivative is right at every index, or it is refused."""

from functools import cache
from itertools import product

import pytest
from mpmath import mpmathify, workdps
from sympy import (
    Abs,
    Derivative,
    Dummy,
    Function,
    Idx,
    IndexedBase,
    Integral,
    KroneckerDelta,
    MatrixSymbol,
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
    abbreviate,
    contract,
    differentiate,
    evaluate,
    finite_difference,
    instantiate,
)
from rmsnorm_math.indices import free_indices, limits_of
from tests.differences import assert_derivative, difference, elements, value

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k, l, p, q = (Idx(letter) for letter in "ijklpq")
n = Symbol("n", integer=True, positive=True)
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


def test_sums_over_different_names_of_the_dummy_become_one():
    assert contract(Sum(a[k], (k, 1, n)) - Sum(a[j], (j, 1, n))) == 0


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


@pytest.mark.parametrize(
    ("expr", "out_of_range"),
    [
        (Sum(a[k] ** 2, (k, 1, 2)), 3),
        (Sum(a[k] ** 2, (k, 2, n)), 1),
        (Sum(a[k] ** 2, (k, 1, n - 1)), 3),
        (Sum(a[k] ** 2, (k, 0, n - 1)), 3),
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


def test_contract_pulls_out_what_does_not_depend_on_the_index():
    assert (
        contract(Sum(n * a[j] * c[k] + a[j], (k, 1, n)))
        == n * a[j] * Sum(c[k], (k, 1, n)) + n * a[j]
    )


def test_contract_keeps_a_sum_within_both_its_limits():
    shifted = Sum(KroneckerDelta(l, k + 1) * c[l], (l, 1, n))
    expected = Sum(a[k] * c[k + 1], (k, 1, n - 1))
    assert contract(Sum(a[k] * shifted, (k, 1, n))) == expected
    assert contract(Sum(a[k] * shifted, (k, 0, n - 1))).limits[0][1:] == (0, n - 1)
    assert contract(Sum(a[k] * shifted.xreplace({k: k - 2}), (k, 1, n))).limits[0][1:] == (2, n)


def test_contract_leaves_a_delta_that_it_cannot_solve():
    expr = Sum(KroneckerDelta(2 * k, j) * a[k], (k, 1, 4))
    assert [instantiate(contract(expr), j=at) for at in (1, 2, 4)] == [0, a[1], a[2]]


def test_instantiate_keeps_the_base():
    s = IndexedBase("s", shape=(n,))
    assert instantiate(Sum(s[k] ** 2, (k, 1, n)), n=3).diff(s[1]) == 2 * s[1]


def test_instantiate_makes_a_matrix_with_the_first_index_as_row():
    matrix = instantiate(a[i] * c[j], i, (j, 1, 3), n=2)
    assert matrix.shape == (2, 3)
    assert matrix[0, 2] == a[1] * c[3]


def test_instantiate_wants_every_range():
    with pytest.raises(ValueError, match="the sum from 1 to n has no definite range: also give n="):
        instantiate(square)
    with pytest.raises(ValueError, match=r"the range of i is not clear .* write \(i, 1, ...\)"):
        instantiate(a[i] * square, i, n=3, j=2)
    with pytest.raises(ValueError, match="3 axes make no matrix"):
        instantiate(a[i], i, j, k, n=3)


def test_abbreviate_finds_every_power_whatever_the_dummy_is_called():
    R = Symbol("R")
    expr = r.xreplace({i: l}) ** -3 + r + c[j] * r**2
    assert abbreviate(expr, {R: r}) == R**-3 + R + c[j] * R**2


def test_abbreviate_knows_exponentials_and_means():
    R, total, mean = Symbol("R"), Sum(exp(a[k]), (k, 1, n)), Sum(a[k], (k, 1, n)) / n
    short = {R: total, c[i]: exp(a[i]) / R}
    squares = exp(2 * a[j]) / total**2 + exp(-a[i]) * total
    assert abbreviate(squares, short) == c[j] ** 2 + 1 / c[i]
    assert abbreviate(a[j] - mean, {R: mean}) == a[j] - R
    assert abbreviate(n * mean**2, {R: mean}) == n * R**2


def test_abbreviate_knows_a_quantity_with_an_index():
    row = sqrt(Sum(A[i, k] ** 2, (k, 1, n)))
    R = IndexedBase("R")
    assert abbreviate(Sum(row, (i, 1, n)), {R[j]: row.xreplace({i: j})}) == Sum(R[i], (i, 1, n))


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


def test_an_empty_sum_of_a_constant_stays_empty():
    assert contract(Sum(a[i], (k, 5, 3))).has(Sum)
    assert instantiate(contract(Sum(a[i], (k, 1, i - 2))), i=1) == 0
    assert instantiate(contract(Sum(a[j], (k, 1, n))), n=3) == 3 * a[j]


def test_abbreviate_takes_no_root_of_what_is_none():
    assert abbreviate(a[i] * c[i] + a[i] ** 2, {A[i]: a[i] ** 2}) == a[i] * c[i] + A[i]


def test_abbreviate_refuses_a_name_that_means_something_else():
    R = Symbol("R")
    with pytest.raises(ValueError, match="R occurs in the expression already"):
        abbreviate(R * a[i] / r, {R: r})
    with pytest.raises(ValueError, match="c is no key"):
        abbreviate(a[i] / r, {c: a[i] / r})


def test_instantiate_takes_whole_numbers_and_two_different_axes():
    with pytest.raises(ValueError, match=r"epsilon=0.5: lengths and indices are whole numbers"):
        instantiate(r, n=2, epsilon=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="i is given for both axes"):
        instantiate(a[i], i, i, n=2)
    with pytest.raises(TypeError, match="'i' is no axis"):
        instantiate(a[i], "i", n=2)
    with pytest.raises(ValueError, match="two different objects print as i"):
        instantiate(a[i], Symbol("i"), n=2)


def test_the_difference_quotient_is_as_exact_for_floats():
    quotient = finite_difference(Sum(a[k] ** 2, (k, 1, n)), a[1], {a: [0.1, 0.2]}, n=2)
    assert abs(quotient - 0.2) < 1e-16
