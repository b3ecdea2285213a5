"""Arrays of integers in a printed sum over rows."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import Expr, Idx, IndexedBase, Piecewise, Rational, Sum, Symbol, erf, exp, symbols

from rmsnorm_math import function

x, z = IndexedBase("x"), IndexedBase("z")
b, i, c = Idx("b"), Idx("i"), Symbol("c")
m = symbols("m", integer=True, positive=True)
X, Z = np.array([[1, 2], [2, 2], [0, 4]]), np.array([[3, 1], [2, 2], [5, 7]])


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.bool_, np.float16])
@pytest.mark.parametrize(
    ("expr", "want"),
    [
        (Sum(x[b, i], (b, 1, m)), lambda a, _: a.sum(0)),
        (Sum(x[b, i], (b, 1, m)) / m, lambda a, _: a.mean(0)),
        (Sum(c * x[b, i], (b, 1, m)), lambda a, _: a.sum(0) / 4),
        (Sum(x[b, i] * z[b, i], (b, 1, m)), lambda a, d: (a * d).sum(0)),
    ],
)
def test_a_sum_over_rows_is_not_cut_to_integers(
    expr: Expr, want: Callable[..., Any], kind: type
) -> None:
    given: Any = X.astype(kind)
    other: Any = Z.astype(kind)
    got = function({"s": expr}, {x: "x", z: "z", c: "c"} if expr.has(z) else {x: "x", c: "c"})
    values = (given, other, 0.25) if expr.has(z) else (given, 0.25)
    right = want(given.astype(float), other.astype(float))
    np.testing.assert_allclose(got(*values), right, rtol=1e-3)  # of float16


def test_an_array_called_as_a_type_is_added_up_in_float64() -> None:
    rows = np.full((2**14, 3), 0.1, np.float32)
    sums = function({"s": Sum(x[b, i] * z[b, i], (b, 1, m))}, {x: "float", z: "z"})
    right = (rows.astype(float) * rows.astype(float)).sum(0)
    np.testing.assert_allclose(sums(rows, rows), right, rtol=1e-7)


@pytest.mark.parametrize(
    ("expr", "want"),
    [
        (x[i] * exp(c), lambda a: a * np.exp(0.25)),
        (Piecewise((1, x[i] > 1), (Rational(1, 3), True)), lambda a: np.where(a > 1, 1, 1 / 3)),
        (erf(x[i]), np.vectorize(math.erf)),
    ],
)
def test_whole_numbers_give_real_ones(expr: Expr, want: Callable[..., Any]) -> None:
    given = {x: "x"} | ({c: "c"} if expr.has(c) else {})
    got = function({"y": expr}, given)(X, *[0.25] * expr.has(c))
    np.testing.assert_allclose(got, want(X), rtol=1e-15)
