"""The forward pass is the definition, written out."""

import pytest
from sympy import Idx, IndexedBase, Rational, Sum, Symbol, sqrt

from rmsnorm_math import evaluate, finite_difference, instantiate, mean_square, rms, rmsnorm, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, n, x, ybar

POINT = {x: [1, 2, 3], gamma: [2, -1, 5], epsilon: Rational(1, 3)}


def test_rms_is_the_root_of_the_mean_square_and_epsilon():
    assert instantiate(mean_square(), n=2) == x[1] ** 2 / 2 + x[2] ** 2 / 2
    assert evaluate(rms(), POINT, n=3) == sqrt(Rational(14, 3) + Rational(1, 3))


def test_the_mean_square_of_each_row():
    assert instantiate(mean_square(b), n=2, b=1) == x[1, 1] ** 2 / 2 + x[1, 2] ** 2 / 2


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


def test_epsilon_stands_inside_outside_or_as_the_least_mean_square():
    square = Rational(14, 3)
    assert evaluate(rms(eps="outside"), POINT, n=3) == sqrt(square) + Rational(1, 3)
    assert evaluate(rms(eps="max"), POINT, n=3) == sqrt(square)
    assert evaluate(rms(eps="max"), POINT | {epsilon: 9}, n=3) == 3
    with pytest.raises(ValueError, match="'inside', 'outside', 'max'"):
        rms(eps="under")  # type: ignore[arg-type]


def test_the_offset_is_added_to_gamma():
    assert evaluate(rmsnorm(offset=1), POINT, n=3, i=2) == (1 - 1) * 2 / sqrt(5)
    assert evaluate(rmsnorm(offset=1), POINT, n=3, i=3) == (1 + 5) * 3 / sqrt(5)


def test_the_mean_over_a_part_takes_the_first_elements_and_scales_all():
    part = rmsnorm(part=Symbol("p"))
    assert evaluate(part, POINT, n=3, p=2, i=3) == 15 / sqrt(Rational(5, 2) + Rational(1, 3))


@pytest.mark.parametrize("at", [2, 3])
def test_the_vjp_over_a_part_is_right_within_and_beyond_it(at):
    part, point = rmsnorm(part=Symbol("p")), POINT | {ybar: [1, -2, 4]}
    dx = vjp(part, x[j], ybar[i], {i: (1, n), j: (1, n)})
    loss = Sum(part * ybar[i], (i, 1, n))
    right = finite_difference(loss, x[at], point, n=3, p=2)
    assert abs(evaluate(dx, point, n=3, p=2, j=at) - right) < 1e-25
