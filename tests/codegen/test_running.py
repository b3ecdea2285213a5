"""Sums along an axis up to a place, or around it: axes that only a condition shows."""

from inspect import signature
from typing import Any

import numpy as np
import pytest
from sympy import Abs, And, IndexedBase, Ne, Piecewise, Sum, exp

from rmsnorm_math import function, layer_source
from rmsnorm_math.notation import b, i, k, n, x

N = 5
AT = np.subtract.outer(np.arange(N), np.arange(N))  # the output's place less that of x
CONDITIONS = {
    "up to": (k <= i, AT >= 0),
    "from": (k >= i, AT <= 0),
    "before": (k < i, AT > 0),
    "after": (k > i, AT < 0),
    "others": (Ne(k, i), AT != 0),
    "around": (Abs(k - i) <= 1, abs(AT) <= 1),
    "last two": (And(k <= i, k > i - 2), (AT >= 0) & (AT < 2)),
}
LAYERS = {
    "sum": (lambda total, _: total, lambda total, _: total),
    "exp": (lambda total, _: exp(total), lambda total, _: np.exp(total)),
    "square": (lambda total, _: total**2, lambda total, _: total**2),
    "gate": (lambda total, at: total * at, lambda total, at: total * at),
}


LIMITS = {"up to": (1, i), "from": (i, n), "before": (1, i - 1), "after": (i + 1, n)}


@pytest.mark.parametrize("ranges", [None, {i: (1, n)}], ids=["as x", "stated"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_sums_are_as_long_as_what_they_sum(condition, layer, ranges):
    (where, mask), (build, forward) = CONDITIONS[condition], LAYERS[layer]
    check(
        build(Sum(x[b, k] * Piecewise((1, where), (0, True)), (k, 1, n)), x[b, i]),
        ranges,
        lambda v: forward(v @ mask.T, v),
    )


@pytest.mark.parametrize("ranges", [None, {i: (1, n)}], ids=["as x", "stated"])
@pytest.mark.parametrize("layer", ["sum", "exp", "square"])
@pytest.mark.parametrize("limits", LIMITS)
def test_limits_say_the_same(limits, layer, ranges):
    (_, mask), (build, forward) = CONDITIONS[limits], LAYERS[layer]
    check(
        build(Sum(x[b, k], (k, *LIMITS[limits])), x[b, i]), ranges, lambda v: forward(v @ mask.T, v)
    )


def check(y, ranges, f):
    """Compare a layer of x with a function, and its derivative with differences of that."""
    scope: dict[str, Any] = {}
    exec(layer_source({IndexedBase("y")[b, i]: y}, {x: "x"}, ranges=ranges), scope)
    rng = np.random.default_rng(3)
    v, dy = rng.normal(size=(2, 3, 2, N))
    out = scope["layer"](v)
    first, *kept = out if isinstance(out, tuple) else (out,)
    np.testing.assert_allclose(first, f(v))
    names = [*signature(scope["layer_backward"]).parameters]
    here = {"x": v, "dy": dy, "y": first}
    here |= dict(zip([name for name in names if name not in here], kept, strict=True))
    step = 1e-5 * np.eye(v.size).reshape(-1, *v.shape)
    want = [((f(v + e) - f(v - e)) * dy).sum() / 2e-5 for e in step]
    got = scope["layer_backward"](*(here[name] for name in names))
    np.testing.assert_allclose(got.ravel(), want, atol=1e-8)


def test_a_sum_alone_is_as_long_as_what_it_sums():
    y = Sum(x[b, k] * Piecewise((1, k < i), (0, True)), (k, 1, n))
    f = function({IndexedBase("y")[b, i]: y}, {x: "x"})
    v = np.arange(10.0).reshape(2, N)
    assert f(v).tolist() == [[0, 0, 1, 3, 6], [0, 5, 11, 18, 26]]
