"""Far out, at a kink, in half precision: the printed code is what the derivative says."""

import warnings

import mpmath
import numpy as np
import pytest
from sympy import (
    Abs,
    Heaviside,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Max,
    Min,
    Ne,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    cosh,
    erf,
    exp,
    log,
    pi,
    sqrt,
    tanh,
)

from rmsnorm_math import evaluate, function, rmsnorm, source, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x, ybar
from tests.differences import elements, value

HERE = {i: (1, n), j: (1, n)}
c, t, W = Symbol("c"), IndexedBase("t"), IndexedBase("W")
p, q, o, O = Idx("p"), Idx("q"), Idx("o"), Symbol("O", integer=True, positive=True)
logistic, total = 1 / (1 + exp(-x[i])), Sum(exp(x[k]), (k, 1, n))
share = exp(x[i]) / total
LAYERS = {
    "logistic": logistic,
    "SiLU": x[i] * logistic,
    "softplus": log(1 + exp(x[i])),
    "log-cosh": log(cosh(x[i])),
    "Mish": x[i] * tanh(log(1 + exp(x[i]))),
    "tanh by exponentials": (exp(x[i]) - exp(-x[i])) / (exp(x[i]) + exp(-x[i])),
    "cross-entropy of a logistic": -Rational(3, 10) * log(logistic)
    - Rational(7, 10) * log(1 - logistic),
    "ELU": Piecewise((x[i], x[i] > 0), (exp(x[i]) - 1, True)),
    "GeLU": x[i] * (1 + tanh(sqrt(2 / pi) * (x[i] + Rational(44715, 10**6) * x[i] ** 3))) / 2,
    "softmax": share,
    "softmax of negatives": exp(-x[i]) / Sum(exp(-x[k]), (k, 1, n)),
    "softmax with one more": exp(x[i]) / (1 + total),
    "softmax at a half": exp((x[i] + 1) / 2) / Sum(exp((x[k] + 1) / 2), (k, 1, n)),
    "log-softmax": log(share),
    "softmax of softmax": exp(share) / Sum(exp(share.subs(i, q)), (q, 1, n)),
    "focal loss": -((1 - share) ** 2) * log(share),
}
ROWS = [[-100.0, 100, 0.5], [0, 100, -3], [1, 2, 3]]
COTANGENT = [1.0, 0.5, -2]


@pytest.mark.parametrize("kind", ["f4", "f2"])
@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_overflows_or_leaves_the_type(layer, kind):
    y = LAYERS[layer]
    dx = vjp(y, x[j], ybar[i], HERE)
    f = function({"y": y, "dx": dx}, {x: "x", ybar: "dy"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = f(np.array(ROWS, kind), np.array(COTANGENT, kind))
    for row, at in enumerate(ROWS):
        scope = {**elements({x: at, ybar: COTANGENT}), n: 3}
        for array, expr, index in ((got[0], y, i), (got[1], dx, j)):
            assert array.dtype == kind
            with mpmath.workdps(120):
                want = [float(value(expr, {**scope, index: place})) for place in (1, 2, 3)]
            error = abs(array[row] - want) / np.maximum(1, np.abs(want))
            assert error.max() < {"f4": 2e-6, "f2": 4e-3}[kind], (array[row], want)


def test_a_sum_of_exponentials_that_has_a_name_is_right_far_out():
    where = {Symbol("S"): total}
    f = function({"y": share, "l": log(total)}, {x: "x"}, where)
    y, l_ = f(np.array([0, 100, 101], "f4"))
    np.testing.assert_allclose(y, [0, 1 / (1 + np.e), np.e / (1 + np.e)], rtol=1e-6, atol=1e-20)
    assert l_ == pytest.approx(101.31326)


KINKS = {
    "a rectifier": Max(x[i], 0),
    "a bounded one": Min(Max(x[i], 0), 6),
    "a magnitude": Abs(x[i]),
    "a hinge": Max(0, 1 - x[i]),
}


@pytest.mark.parametrize("layer", KINKS)
def test_at_a_kink_the_code_is_what_the_derivative_and_differences_say(layer):
    dx = vjp(KINKS[layer], x[j], ybar[i], HERE)
    at = np.array([0.0, 1, 6, -2])
    got = function({"dx": dx}, {ybar: "dy", x: "x"})(np.ones(4), at)
    forward = function({"y": KINKS[layer]}, {x: "x"})
    np.testing.assert_allclose(got, (forward(at + 1e-6) - forward(at - 1e-6)) / 2e-6, atol=1e-9)
    exact = [evaluate(dx, {x: [0, 1, 6, -2], ybar: [1] * 4}, n=4, j=p) for p in (1, 2, 3, 4)]
    np.testing.assert_allclose(got, [float(a) for a in exact])


@pytest.mark.parametrize("scale", [1, 30])
def test_exponents_that_are_distances_are_right_far_out(scale):
    apart = Sum((x[b, k] - W[o, k]) ** 2, (k, 1, n))
    nearest = -log(Sum(exp(-apart), (o, 1, O)))  # as of prototypes
    f = function(
        {IndexedBase("dx")[b, i]: vjp(nearest, x[b, i], ybar[b])}, {ybar: "dy", x: "x", W: "W"}
    )
    rng = np.random.default_rng(5)
    at, centres = scale * rng.normal(size=(3, 5)), scale * rng.normal(size=(4, 5))
    scores = -((at[:, None] - centres) ** 2).sum(-1)
    share = np.exp(scores - scores.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    want = 2 * (at - share @ centres)
    given = [v.astype(np.float32) for v in (np.ones(3), at, centres)]
    np.testing.assert_allclose(f(*given), want, rtol=1e-3, atol=1e-3 * scale)


def test_a_mixture_is_right_far_from_its_centres():
    apart = Sum((x[b, k] - W[o, k]) ** 2, (k, 1, n))
    loss = -Sum(log(Sum(exp(t[o]) * exp(-apart / 2), (o, 1, O))), (b, 1, m))
    by = {IndexedBase("dx")[b, i]: x[b, i], IndexedBase("dW")[o, i]: W[o, i], "dt": t[o]}
    outputs = {key: vjp(loss, one, c) for key, one in by.items()}
    rng = np.random.default_rng(5)
    at, centres, weights = 30 * rng.normal(size=(3, 5)), rng.normal(size=(4, 5)), rng.normal(size=4)
    scores = weights - ((at[:, None] - centres) ** 2).sum(-1) / 2
    share = np.exp(scores - scores.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    want = at - share @ centres, share.sum(0)[:, None] * centres - share.T @ at, -share.sum(0)
    f = function({"loss": loss} | outputs, {c: "dloss", x: "x", W: "W", t: "t"})
    got = f(1.0, *(v.astype(np.float32) for v in (at, centres, weights)))
    for ours, right in zip(got[1:], want, strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-3, atol=1e-3)


def test_a_norm_with_a_bound_is_right_at_zero():
    layer = x[i] / Max(sqrt(Sum(x[k] ** 2, (k, 1, n))), epsilon)
    f = function({"dx": vjp(layer, x[j], ybar[i])}, {ybar: "dy", x: "x", epsilon: "e"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(f(np.ones(3), np.zeros(3), 1e-3), np.full(3, 1e3))


def test_a_delta_function_is_zero_and_said_so():
    once = vjp(Max(x[i], 0) ** 2 + Abs(x[i]), x[j], ybar[i], HERE)
    twice = vjp(once, x[k], ybar[j], {j: (1, n), k: (1, n)})
    text = source({"d": twice}, {ybar: "dy", x: "x"})
    assert "The delta function DiracDelta(x[k]) is 0 but at one point, and is taken as 0." in text
    dy = np.array([2.0, 3])
    got = function({"d": twice}, {ybar: "dy", x: "x"})(dy, np.array([1.0, -1]))
    np.testing.assert_allclose(got, [8, 0])


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_long_constants_are_one_number(framework):
    text = source({"y": LAYERS["GeLU"]}, {x: "x"}, framework=framework)
    code = text[text.rindex('"""') :]
    assert "0.7978845608028654" in code
    assert "0.044715" in code
    assert "200000" not in code


def test_what_numpy_lacks_keeps_the_type():
    got = function({"y": erf(x[i])}, {x: "x"})(np.array([0.5, 1], "f4"))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [0.5204999, 0.8427008], rtol=1e-6)


def test_what_is_left_out_of_a_sum_of_exponentials_takes_no_digits():
    score = lambda at: Sum(x[b, k] * x[at, k], (k, 1, n))  # noqa: E731
    others = Sum(Piecewise((exp(score(p)), Ne(p, b)), (0, True)), (p, 1, m))
    f = function({"y": log(others)}, {x: "x"})
    rows = np.array([[9, 0], [0, 9], [1, 1]], "f4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = f(rows)
    want = [log_of_sum(score[np.arange(3) != at]) for at, score in enumerate(rows @ rows.T)]
    np.testing.assert_allclose(got, want, rtol=1e-6)


def log_of_sum(v):
    return v.max() + np.log(np.exp(v - v.max()).sum())


@pytest.mark.parametrize("mask", [Piecewise((1, p <= b), (0, True)), Heaviside(t[p] - t[b], 1)])
def test_what_is_masked_may_be_large(mask):
    layer = exp(x[b, p]) * mask / Sum((exp(x[b, p]) * mask).subs(p, q), (q, 1, m))
    f = function({IndexedBase("y")[b, p]: layer}, {x: "x", t: "t"})
    rows, times = np.full((3, 3), 1.0, "f4"), np.array([3, 2, 1], "f4")
    rows[0, 1:] = 200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = f(rows, times)
    np.testing.assert_allclose(got[0], [1, 0, 0])
    np.testing.assert_allclose(got.sum(-1), 1)


def test_sums_over_rows_keep_their_digits():
    rng = np.random.default_rng(0)
    x_, dy = rng.normal(size=(2, 2048, 64)).astype("f4")
    dgamma = vjp(rmsnorm(b), gamma[j], ybar[b, i], {b: (1, m), i: (1, n), j: (1, n)})
    f = function({"dgamma": dgamma}, {ybar: "dy", x: "x", epsilon: "eps"})
    got, want = f(dy, x_, 1e-6), f(dy.astype("f8"), x_.astype("f8"), 1e-6)
    assert got.dtype == np.float32
    assert np.max(np.abs(got - want)) < 3e-7 * np.max(np.abs(want))


def test_a_label_that_comes_first_gives_no_type():
    chosen = Sum(KroneckerDelta(k, t[b]) * x[b, k], (k, 1, n))
    d = vjp(log(Sum(exp(x[b, k]), (k, 1, n))) - chosen, x[b, j], ybar[b], {b: (1, m), j: (1, n)})
    f = function({IndexedBase("dx")[b, j]: d}, {t: "label", x: "x", ybar: "dy"})
    got = f(np.array([1, 2]), np.zeros((2, 2), "f4"), np.ones(2, "f4"))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[-0.5, 0.5], [0.5, -0.5]])


def test_a_sum_over_rows_takes_complex_arrays_as_they_are():
    total = function({"s": Sum(x[b, j] ** 2, (b, 1, m))}, {x: "x"})
    at = np.array([[1 + 2j, 3j], [1j, 2]])
    assert np.array_equal(total(at), (at**2).sum(0))
    assert total(at.astype(np.complex64)).dtype == np.complex64
    assert total(at.real.astype(np.float32)).dtype == np.float32
