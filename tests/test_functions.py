"""Functions, known and undefined, powers, products and logarithms: derivatives that one can use."""

import pickle

import pytest
from sympy import (
    Abs,
    Derivative,
    Function,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Max,
    Product,
    Rational,
    Subs,
    Sum,
    Symbol,
    besselj,
    conjugate,
    exp,
    floor,
    log,
    sign,
    sin,
    solve,
    sqrt,
    zeta,
)

from rmsnorm_math import contract, differentiate, instantiate, rms, rmsnorm
from rmsnorm_math.notation import epsilon, gamma
from tests.differences import assert_derivative, elements
from tests.refusals import refusal

x, y, w, a = map(IndexedBase, "xywa")
i, j, k, l = (Idx(letter) for letter in "ijkl")
n = Symbol("n", integer=True, positive=True)
t = Symbol("t")
f, g = Function("f"), Function("g")
xi_1, xi_2 = (Symbol(f"xi_{place}", real=True) for place in (1, 2))
total = Sum(w[i] * x[i], (i, 1, n))
NUMBERS = elements({x: [2, -1, Rational(1, 2)], y: [3, 1, -2], w: [1, Rational(-1, 3), 2]}) | {n: 3}

FORMS = {
    "of one element": (f(x[i]), x[j], KroneckerDelta(i, j) * Derivative(f(x[i]), x[i])),
    "of each element": (Sum(f(x[i]), (i, 1, n)), x[j], Derivative(f(x[j]), x[j])),
    "of a sum": (f(total), w[j], x[j] * Subs(Derivative(f(xi_1), xi_1), xi_1, total)),
    "of two elements that may be one": (
        Sum(f(x[i], x[k]), (i, 1, n)),
        x[k],
        Subs(Derivative(f(xi_1, x[k]), xi_1), xi_1, x[k])
        + Sum(Subs(Derivative(f(x[i], xi_2), xi_2), xi_2, x[k]), (i, 1, n)),
    ),
    "of two vectors": (f(x[i], y[i]), x[i], Derivative(f(x[i], y[i]), x[i])),
    "of a parameter": (Sum(f(t, x[k]), (k, 1, n)), t, Sum(Derivative(f(t, x[k]), t), (k, 1, n))),
}


@pytest.mark.parametrize("case", FORMS)
def test_an_undefined_function_is_differentiated_by_its_places(case):
    expr, wrt, expected = FORMS[case]
    assert differentiate(expr, wrt) == expected


KNOWN = {
    "f(u) = sin(u)": (f(total) * f(x[j]), lambda e: e.replace(f, sin)),
    "g(u, v) = u**2*v": (
        Sum(g(x[i], x[j]), (i, 1, n)) + g(x[1], x[1]),
        lambda e: e.replace(g, lambda u, v: u**2 * v),
    ),
    "f(g(u, v))": (
        f(Sum(g(x[i], y[i]), (i, 1, n))),
        lambda e: e.replace(g, lambda u, v: u**2 * v).replace(f, sin),
    ),
}


@pytest.mark.parametrize("case", KNOWN)
def test_what_is_derived_of_any_function_holds_for_a_known_one(case):
    expr, known = KNOWN[case]
    first = differentiate(expr, x[k])
    second = differentiate(contract(first), x[l])
    at_a_point = known(expr).doit()
    free = [s for s in (j, k, l) if expr.has(s) or s in (k, l)]
    assert_derivative(known(first).doit(), at_a_point, x[k], NUMBERS, free, 3)
    assert_derivative(known(second).doit(), known(first).doit(), x[l], NUMBERS, free, 3)
    sizes = {str(s): 1 for s in first.free_symbols if isinstance(s, Idx)}
    assert not instantiate(first, n=2, **sizes).has(Sum)


def test_a_derivative_of_something_else_is_refused():
    assert refusal(lambda: differentiate(Derivative(x[i] ** 2, x[i]), x[j])) == (
        "Refused: Derivative(x[i]**2, x[i]) is of type Derivative: only sums, products and "
        "functions of elements are differentiated. Call .doit() on it first, or write it as a Sum."
    )


def test_a_parameter_stands_outside_its_sums():
    b0 = Symbol("b0")
    loss = Sum((t * x[k] + b0 - y[k]) ** 2, (k, 1, n))
    assert differentiate(loss, t) == (
        2 * b0 * Sum(x[k], (k, 1, n))
        + 2 * t * Sum(x[k] ** 2, (k, 1, n))
        - 2 * Sum(x[k] * y[k], (k, 1, n))
    )
    mean = Sum(y[k], (k, 1, n)) / n
    assert solve(differentiate(Sum((t - y[k]) ** 2, (k, 1, n)), t), t) == [mean]
    assert solve(differentiate(log(Product(t ** y[k] * exp(-t), (k, 1, n))), t), t) == [mean]


def test_a_power_series_begins_where_it_is_not_zero():
    series = Sum(a[k] * t**k, (k, 0, n))
    first = differentiate(series, t)
    assert first == Sum(k * a[k] * t ** (k - 1), (k, 1, n))
    assert differentiate(first, t) == Sum(k * (k - 1) * a[k] * t ** (k - 2), (k, 2, n))


def test_a_likelihood_comes_together_again():
    bernoulli = Product(t ** y[k] * (1 - t) ** (1 - y[k]), (k, 1, n))
    assert not differentiate(log(bernoulli), t).has(Product)
    normal = Product(exp(-((y[k] - t) ** 2) / 2), (k, 1, n))
    assert differentiate(normal, t).expand() == ((Sum(y[k], (k, 1, n)) - n * t) * normal).expand()
    rate = Symbol("rate", positive=True)
    powers = Product(rate ** y[k], (k, 1, n))
    assert differentiate(powers, rate) == powers * Sum(y[k], (k, 1, n)) / rate


def test_what_has_steps_or_is_real_is_differentiated_as_such():
    assert differentiate(floor(x[i]) * x[i], x[i]) == floor(x[i])
    assert differentiate(conjugate(x[i]) ** 2, x[i]) == 2 * conjugate(x[i])
    assert differentiate(besselj(2, x[i]), x[i]) == (besselj(1, x[i]) - besselj(3, x[i])) / 2


@pytest.mark.parametrize("expr", [besselj(x[i], 2), zeta(x[i])])
def test_a_function_without_a_derivative_is_refused(expr):
    assert refusal(lambda: differentiate(expr, x[i])) == (
        f"Refused: SymPy knows no derivative of {expr.func.__name__} by its argument 1: write it "
        f"with functions that have one."
    )


def test_a_result_has_nothing_of_an_earlier_one_that_printed_alike():
    for index in (Idx("p", (1, n)), Idx("p"), Symbol("p", integer=True)):
        first = differentiate(sin(f(Max(n, x[index]))), x[i])
        second = differentiate(first, x[i])
        assert pickle.loads(pickle.dumps(second)) == second
        assert {s for s in second.atoms(Idx, Symbol) if str(s) == "p"} <= {index, *index.args}


def test_a_product_whose_factors_may_be_zero_leaves_each_out():
    derivative = differentiate(Product(x[k] - t, (k, 1, n)), t)
    assert instantiate(derivative, n=2).expand() == (2 * t - x[1] - x[2])


def test_the_logarithm_of_a_product_is_a_sum():
    expr = y[1] * log(3 * Product(x[k] ** 2 + 1, (k, 1, n)) ** 2 * exp(x[2]))
    first = differentiate(expr, x[j])
    assert not first.has(Product)
    assert_derivative(first, expr, x[j], NUMBERS, [j], 3)


def test_the_sign_of_a_norm_is_known():
    assert differentiate(Abs(rmsnorm()), x[j]).atoms(sign) == {sign(gamma[i] * x[i])}
    assert differentiate(Abs(rms() - epsilon), epsilon).has(sign)
    assert differentiate(Abs(rms()) * Abs(x[i]), x[i]).atoms(sign) <= {sign(x[i])}
    norm = sqrt(Sum(x[k] ** 2, (k, 1, n)))
    assert differentiate(Abs(norm * x[i]), x[j]).atoms(sign) == {sign(x[i])}
