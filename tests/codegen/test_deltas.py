"""Kronecker deltas in printed code: those in sums have met them, those that are left choose."""

from typing import Any

import numpy as np
import pytest
from sympy import IndexedBase, KroneckerDelta, Piecewise, Sum

from rmsnorm_math import function, source
from rmsnorm_math.notation import b, gamma, i, j, k, n, x

A, V = IndexedBase("A"), IndexedBase("V")
RNG = np.random.default_rng(5)
X, G = RNG.normal(size=(4, 5)), RNG.normal(size=5)
DELTA = KroneckerDelta(i, k)

SUMS: dict[str, tuple[Any, Any, Any]] = {
    "a factor": (Sum(DELTA * x[b, k] ** 2, (k, 1, n)) * gamma[i], {}, X**2 * G),
    "a square": (
        Sum((x[b, k] - DELTA * gamma[k]) ** 2, (k, 1, n)),
        {},
        ((X[:, None] - np.diag(G)) ** 2).sum(-1),
    ),
    "of a part": (
        Sum(DELTA * x[b, k], (k, 2, n)) + gamma[i] * Sum(x[b, k], (k, 1, n)),
        {},
        X * (np.arange(5) > 0) + G * X.sum(-1, keepdims=True),
    ),
    "in a definition": (
        V[b, i] + x[b, i],
        {V[b, i]: Sum(DELTA * x[b, k] * gamma[k], (k, 1, n))},
        X * G + X,
    ),
}


@pytest.mark.parametrize("case", SUMS)
def test_a_delta_has_met_its_sum(case: str) -> None:
    y, where, right = SUMS[case]
    given = {x: "x", gamma: "gamma"}
    np.testing.assert_allclose(function({"y": y}, given, where)(X, G), right, rtol=1e-12)


def test_a_delta_that_each_branch_has_stands_before_the_choice() -> None:
    delta, positive = KroneckerDelta(i, j), x[b, j] > 0
    y = Piecewise((delta * x[b, i], positive), (delta * x[b, j] ** 2, True))
    assert source({A[b, i, j]: y}, {x: "x"}).count("==") == 1
    diagonal = np.where(X > 0, X, X**2)
    got = function({A[b, i, j]: y}, {x: "x"})(X)
    np.testing.assert_allclose(got, diagonal[..., None] * np.eye(5), rtol=1e-12)
