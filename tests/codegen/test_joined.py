"""Sums of exponentials beside other terms, each far from the others: nothing overflows or is lost.

The truth comes from the layer by hand in 120 digits, and its difference quotients.
"""

import warnings
from itertools import product
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from sympy import Idx, IndexedBase, Sum, Symbol, exp, log

from rmsnorm_math import function, vjp
from rmsnorm_math.notation import b, i, k, m, n, x, ybar

s, u, dx, du, ds = map(IndexedBase, ("s", "u", "dx", "du", "ds"))
o, H = Idx("o"), Symbol("H", integer=True, positive=True)
inner, other = Sum(exp(x[b, k]), (k, 1, n)), Sum(exp(u[b, o]), (o, 1, H))
ln = mpmath.log
LAYERS = {  # and the layer by hand, of a row's exp(x_i), sums of exp(x) and of exp(u), and exp(s)
    "share beside a sink": (exp(x[b, i]) / (exp(s[b]) + inner), lambda t: t.x / (t.s + t.xs)),
    "sink": (exp(s[b]) / (exp(s[b]) + inner), lambda t: t.s / (t.s + t.xs)),
    "one among others": (log(exp(s[b]) + inner) - s[b], lambda t: ln((t.s + t.xs) / t.s)),
    "two sums": (log(inner + other), lambda t: ln(t.xs + t.us)),
    "share of a sum": (inner / (inner + other), lambda t: t.xs / (t.xs + t.us)),
    "logarithm of it": (log(inner) - log(inner + other), lambda t: ln(t.xs / (t.xs + t.us))),
    "as a ratio": (log(other / (inner + other)), lambda t: ln(t.us / (t.xs + t.us))),
    "beside a sink": (log(inner) - log(exp(s[b]) + inner), lambda t: ln(t.xs / (t.s + t.xs))),
    "beside 2": (log(inner) - log(2 + inner), lambda t: ln(t.xs / (2 + t.xs))),
    "all": (
        log(1 + 3 * exp(s[b]) + inner + other),
        lambda t: ln(1 + 3 * t.s + t.xs + t.us),
    ),
}
PLACES = [*product((-100, 0, 100), repeat=3)]  # of the row's x, u and s


def summed(forward, weights, row):
    """Return the sum of a row's outputs with these weights."""
    powers = [mpmath.exp(v) for v in row]
    t = SimpleNamespace(xs=mpmath.fsum(powers[:3]), us=mpmath.fsum(powers[3:5]), s=powers[5])
    total = mpmath.mpf(0)
    for weight, t.x in zip(weights, powers, strict=False):
        total += weight * forward(t)
    return total


@pytest.mark.parametrize("layer", LAYERS)
def test_terms_far_apart_are_added_as_they_are(layer):
    y, forward = LAYERS[layer]
    out = (b, i) if y.has(x[b, i]) else (b,)
    by = {x: (x[b, i], dx[b, i]), u: (u[b, o], du[b, o]), s: (s[b], "ds")}
    by = {base: pair for base, pair in by.items() if y.has(base)}
    ranges = {b: (1, m), i: (1, n), o: (1, H)}
    outputs = {IndexedBase("y")[out]: y}
    outputs |= {key: vjp(y, at, ybar[out], ranges) for at, key in by.values()}
    f = function(outputs, {base: str(base) for base in by} | {ybar: "dy"})
    rows = np.array([[p, p - 3, p - 7, q, q - 2, r] for p, q, r in PLACES], "f4")
    arrays = {x: rows[:, :3], u: rows[:, 3:5], s: rows[:, 5]}
    dy = np.array([0.5, -1.5, 2.0][: 3 if len(out) > 1 else 1], "f4")
    given = np.broadcast_to(dy, (len(rows), len(dy))) if len(out) > 1 else np.full(len(rows), dy[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, *gradients = f(*(arrays[base] for base in by), given)
    got = np.hstack([g.reshape(len(rows), -1) for g in gradients])
    own = {x: [0, 1, 2], u: [3, 4], s: [5]}
    places = [place for base in by for place in own[base]]
    for number, row in enumerate(rows):
        with mpmath.workdps(120):
            weights, at = ([mpmath.mpf(float(v)) for v in values] for values in (dy, row))
            step = mpmath.mpf(10) ** -50
            value = summed(forward, weights, at)
            want = []
            for place in places:
                moved = [v + step * (k == place) for k, v in enumerate(at)]
                want.append(float((summed(forward, weights, moved) - value) / step))
        np.testing.assert_allclose(got[number], want, rtol=2e-6, atol=2e-6)
        np.testing.assert_allclose((first[number] * dy).sum(), float(value), rtol=2e-6, atol=2e-6)


def shares(v, axis):
    """Return softmax by hand."""
    powers = np.exp(v - v.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def sums(v, axis):
    """Return the logarithm of the sum of exponentials by hand."""
    return v.max(axis) + np.log(np.exp(v - v.max(axis, keepdims=True)).sum(axis))


@pytest.mark.parametrize("scale", [1, 100])
def test_each_sum_has_the_largest_of_its_own_axis(scale):
    c, G, dG = Idx("c"), IndexedBase("G"), IndexedBase("dG")
    down, along = Sum(exp(G[c, b]), (c, 1, m)), Sum(exp(G[b, c]), (c, 1, m))
    y = Sum(log(down) + log(along), (b, 1, m))
    ranges = {i: (1, m), b: (1, m)}
    gradient = vjp(y, G[i, b], Symbol("dy"), ranges)
    f = function({"y": y, dG[i, b]: gradient}, {G: "v", Symbol("dy"): "dy"})
    v = scale * np.array([[1, 0, -1], [0, -1, 1], [-1, 0.5, 0]], "f4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got, dv = f(v, np.float32(0.5))
    exact = v.astype("f8")
    np.testing.assert_allclose(got, sums(exact, 0).sum() + sums(exact, 1).sum(), rtol=1e-6)
    want = 0.5 * (shares(exact, 0) + shares(exact, 1))
    np.testing.assert_allclose(dv, want, rtol=3e-6, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 100])
def test_rows_that_are_compared_with_one_another_are_far_out(scale):
    c = Idx("c")
    y = Sum(log(Sum(exp(Sum(x[b, k] * x[c, k], (k, 1, n))), (c, 1, m))), (b, 1, m))
    gradient = vjp(y, x[b, i], Symbol("dy"), {i: (1, n), b: (1, m)})
    f = function({"y": y, dx[b, i]: gradient}, {x: "x", Symbol("dy"): "dy"})
    v = np.sqrt(scale) * np.array([[1, 0], [0.5, -0.5], [-1, 0.25]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got, dv = f(v, 1.0)
    p = shares(v @ v.T, 1)
    np.testing.assert_allclose(got, sums(v @ v.T, 1).sum())
    np.testing.assert_allclose(dv, (p + p.T) @ v)
