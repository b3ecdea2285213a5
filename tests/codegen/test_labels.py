"""The probability of a label: its logarithm is right where it is too small for its type."""

from typing import Any

import numpy as np
import pytest
from sympy import Expr, IndexedBase, KroneckerDelta, Sum, exp, log

from rmsnorm_math import function, vjp
from rmsnorm_math.notation import b, i, k, m, n, x, ybar

label, dx = IndexedBase("label"), IndexedBase("dx")
picked = Sum(KroneckerDelta(k, label[b]) * exp(x[b, k]), (k, 1, n))
chosen = picked / Sum(exp(x[b, k]), (k, 1, n))
ranges = {b: (1, m), i: (1, n)}
FAR = np.array([[-100, 100, 0], [1, -100, 200], [3, 2, 1]], "f")
AT = np.array([1, 2, 2])
HIT = np.arange(1, 4) == AT[:, None]


def softmax(v: Any) -> Any:
    e = np.exp(v.astype(float) - v.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("loss", [-log(chosen), log(1 / chosen)])
def test_the_logarithm_of_a_probability(loss: Expr) -> None:
    gradient = vjp(loss, x[b, i], ybar[b], ranges)
    backward = function({"y": loss, dx[b, i]: gradient}, {ybar: "dy", x: "x", label: "label"})
    y, slope = backward(np.ones(3, "f"), FAR, AT)
    np.testing.assert_allclose(y, [200, 300, 1 + np.log(1 + np.exp(-1) + np.exp(-2))], rtol=1e-6)
    np.testing.assert_allclose(slope, softmax(FAR) - HIT, atol=1e-6)
    assert slope.dtype == y.dtype == np.float32


def test_the_value_of_a_focal_loss() -> None:
    y = function({"y": -((1 - chosen) ** 2) * log(chosen)}, {x: "x", label: "label"})(FAR, AT)
    np.testing.assert_allclose(y[:2], [200, 300], rtol=1e-6)


def test_no_probability_is_made_up_for_a_label_that_is_nowhere() -> None:
    y = function({"y": chosen}, {x: "x", label: "label"})(FAR, np.array([-100, 2, 1]))
    assert y[0] == 0


def test_a_ratio_to_an_earlier_probability() -> None:
    earlier = IndexedBase("earlier")
    score = Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
    ratio = exp(score - log(Sum(exp(x[b, k]), (k, 1, n))) - earlier[b])
    far = np.array([[100, 99, 0], [-100, -100, -100]], "f")
    known = {x: "x", label: "label", earlier: "earlier"}
    before = np.array([-1, 0], "f")
    got = function({"y": ratio}, known)(far, np.array([1, 3]), before)
    np.testing.assert_allclose(got, [np.exp(1) / (1 + np.exp(-1)), 1 / 3], rtol=1e-5)
    slope = vjp(ratio, x[b, i], ybar[b], ranges)
    backward = function({dx[b, i]: slope}, {ybar: "dy"} | known)
    want = (np.arange(1, 4) == np.array([[1], [3]])) - softmax(far)
    got = backward(np.ones(2, "f"), far, np.array([1, 3]), before)
    scale = [[np.exp(1) / (1 + np.exp(-1))], [1 / 3]]
    np.testing.assert_allclose(got, want * scale, rtol=1e-5, atol=1e-30)
