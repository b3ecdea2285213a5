"""A symbol stands for a quantity wherever it occurs, and only there."""

import pytest
from sympy import Idx, IndexedBase, Sum, Symbol, exp, sqrt

from rmsnorm_math import abbreviate

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k, l = (Idx(letter) for letter in "ijkl")
n = Symbol("n", integer=True, positive=True)
r = sqrt(Sum(a[i] ** 2, (i, 1, n)) / n + Symbol("epsilon", positive=True))


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


def test_abbreviate_takes_no_root_of_what_is_none():
    assert abbreviate(a[i] * c[i] + a[i] ** 2, {A[i]: a[i] ** 2}) == a[i] * c[i] + A[i]


def test_abbreviate_refuses_a_name_that_means_something_else():
    R = Symbol("R")
    with pytest.raises(ValueError, match="R occurs in the expression already"):
        abbreviate(R * a[i] / r, {R: r})
    with pytest.raises(ValueError, match="c is no key"):
        abbreviate(a[i] / r, {c: a[i] / r})
