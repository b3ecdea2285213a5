"""A given length, a value, a difference quotient."""

import pytest
from sympy import Idx, IndexedBase, Sum, Symbol

from rmsnorm_math import finite_difference, instantiate

a, c = IndexedBase("a"), IndexedBase("c")
i, j, k = (Idx(letter) for letter in "ijk")
n = Symbol("n", integer=True, positive=True)
square = Sum(a[i] ** 2, (i, 1, n))


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


def test_instantiate_takes_whole_numbers_and_two_different_axes():
    with pytest.raises(ValueError, match=r"epsilon=0.5: lengths and indices are whole numbers"):
        instantiate(square + Symbol("epsilon"), n=2, epsilon=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="i is given for both axes"):
        instantiate(a[i], i, i, n=2)
    with pytest.raises(TypeError, match="'i' is no axis"):
        instantiate(a[i], "i", n=2)
    with pytest.raises(ValueError, match="two different objects print as i"):
        instantiate(a[i], Symbol("i"), n=2)


def test_the_difference_quotient_is_as_exact_for_floats():
    quotient = finite_difference(Sum(a[k] ** 2, (k, 1, n)), a[1], {a: [0.1, 0.2]}, n=2)
    assert abs(quotient - 0.2) < 1e-16
