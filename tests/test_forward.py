"""The forward pass is the definition, written out."""

from sympy import Idx, IndexedBase, Rational, sqrt

from rmsnorm_math import evaluate, instantiate, mean_square, rms, rmsnorm
from rmsnorm_math.notation import b, epsilon, gamma, i, x

POINT = {x: [1, 2, 3], gamma: [2, -1, 5], epsilon: Rational(1, 3)}


def test_rms_is_the_root_of_the_mean_square_and_epsilon():
    assert instantiate(mean_square(), n=2) == x[1] ** 2 / 2 + x[2] ** 2 / 2
    assert evaluate(rms(), POINT, n=3) == sqrt(Rational(14, 3) + Rational(1, 3))


def test_rmsnorm_scales_each_element_by_its_gamma_and_the_rms():
    assert [evaluate(rmsnorm(), POINT, n=3, i=at) for at in (1, 2, 3)] == [
        weight * value / sqrt(5) for weight, value in ((2, 1), (-1, 2), (5, 3))
    ]


def test_rows_of_a_batch_do_not_mix():
    batch = {x: [[1, 2, 3], [4, 5, 6]], gamma: [1, 1, 1], epsilon: 0}
    assert evaluate(rmsnorm(b), batch, n=3, b=2, i=1) == 4 / sqrt(Rational(77, 3))


def test_the_notation_is_what_a_reader_would_write():
    assert x == IndexedBase("x")
    assert gamma == IndexedBase("gamma")
    assert i == Idx("i")


def test_a_value_may_be_a_fraction_in_a_string():
    assert evaluate(mean_square(), {x: ["1/2", 1]}, n=2) == Rational(5, 8)
