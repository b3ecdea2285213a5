"""The wrong ways stay wrong as the pages say, and their numbers mean what the pages say."""

from sympy import Derivative, Rational, Sum, sqrt

from rmsnorm_math import differentiate, evaluate, finite_difference, rms
from rmsnorm_math.notation import epsilon, i, n, x
from rmsnorm_math.pitfalls import bound_index, plain_symbol, unindexed_numerator

POINT = {x: [1, 2, 3], epsilon: 0}


def test_a_plain_symbol_gives_zero():
    root, derivative = plain_symbol()
    assert root.has(Sum)
    assert derivative == 0


def test_a_bound_index_gives_the_directional_derivative_along_ones():
    wrong = evaluate(bound_index()[1], POINT, n=3)
    gradient = [evaluate(differentiate(rms(), x[i]), POINT, n=3, i=at) for at in (1, 2, 3)]
    assert wrong == sqrt(42) / 7
    assert gradient == [
        sqrt(42) * part for part in (Rational(1, 42), Rational(1, 21), Rational(1, 14))
    ]
    assert wrong == sum(gradient)
    for at in (1, 2, 3):
        assert abs(finite_difference(rms(), x[at], POINT, n=3) - gradient[at - 1]) < 1e-25


def test_differentiate_is_right_for_the_same_expression():
    root, wrong = bound_index()
    right = differentiate(root, x[i])
    assert wrong.has(Sum(2 * x[i], (i, 1, n)))
    assert [evaluate(right, POINT, n=3, i=at) for at in (1, 2, 3)] == [
        evaluate(differentiate(rms(), x[i]), POINT, n=3, i=at) for at in (1, 2, 3)
    ]


def test_an_unindexed_numerator_keeps_a_derivative_without_a_value():
    assert unindexed_numerator().has(Derivative)
