"""Axes by name: which array has which, in which order, and what is computed along them."""

import numpy as np
import pytest
from sympy import (
    Idx,
    IndexedBase,
    KroneckerDelta,
    Piecewise,
    Sum,
    Symbol,
    exp,
    log,
    sqrt,
    symbols,
    tanh,
)

from rmsnorm_math import Refused, differentiate, function, jacobian, rmsnorm, source, vjp
from rmsnorm_math.codegen.nodes import Contraction, Mean
from rmsnorm_math.codegen.program import program
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x, ybar

W, V, A, t, beta, label = map(IndexedBase, ["W", "V", "A", "t", "beta", "label"])
dx, dw, db, J = map(IndexedBase, ["dx", "dW", "dB", "J"])
o, p, q, h, l, c = map(Idx, ["o", "p", "q", "h", "l", "c"])
O, H = symbols("O H", integer=True, positive=True)
RANGES = {b: (1, m), p: (1, m), o: (1, O), q: (1, O), i: (1, n), j: (1, n), h: (1, H), l: (1, H)}
cc = Symbol("c")

rng = np.random.default_rng(2)
X, DY, WEIGHT, BIAS = (
    rng.normal(size=(3, 5)),
    rng.normal(size=(3, 4)),
    rng.normal(size=(4, 5)),
    [1.0, 2, 3, 4],
)
linear = Sum(W[o, i] * x[b, i], (i, 1, n)) + beta[o]


def test_a_linear_layer_takes_any_batch():
    wanted = {dx[p, j]: x[p, j], dw[q, j]: W[q, j], db[q]: beta[q]}
    outputs = {key: vjp(linear, wrt, ybar[b, o], RANGES) for key, wrt in wanted.items()}
    f = function(outputs, {ybar: "dy", x: "x", W: "w"})
    for shape in [(3,), (2, 3)]:
        x_, dy = rng.normal(size=(*shape, 5)), rng.normal(size=(*shape, 4))
        got = f(dy, x_, WEIGHT)
        rows = dy.reshape(-1, 4)
        np.testing.assert_allclose(got[0], dy @ WEIGHT)
        np.testing.assert_allclose(got[1], rows.T @ x_.reshape(-1, 5))
        np.testing.assert_allclose(got[2], rows.sum(0))


def test_sums_over_rows_take_any_batch_without_definitions():
    centred = x[b, i] - Sum(x[p, i], (p, 1, m)) / m
    y = centred / sqrt(Sum(centred.subs(b, q) ** 2, (q, 1, m)) / m + epsilon)
    f = function({"y": y}, {x: "x", epsilon: "eps"})
    x_ = rng.normal(size=(2, 3, 5))
    want = (x_ - x_.mean((0, 1))) / np.sqrt(x_.var((0, 1)) + 0.1)
    np.testing.assert_allclose(f(x_, 0.1), want)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (), (0,)])
def test_what_a_row_has_one_of_takes_any_batch(shape):
    loss = log(Sum(exp(x[b, k]), (k, 1, n))) - Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
    outputs = {"loss": loss, dx[b, i]: vjp(loss, x[b, i], ybar[b], RANGES)}
    x_, dy = rng.normal(size=(*shape, 5)), rng.normal(size=shape)
    labels = rng.integers(5, size=shape)
    got = function(outputs, {ybar: "dy", x: "x", label: "label"})(dy, x_, labels + 1)
    total, one = np.exp(x_).sum(-1), np.eye(5)[labels]
    np.testing.assert_allclose(got[0], np.log(total) - (one * x_).sum(-1))
    np.testing.assert_allclose(
        got[1], dy[..., None] * (np.exp(x_) / total[..., None] - one), rtol=1e-9
    )


def test_an_array_may_be_as_large_as_a_comparison():
    chosen = Sum(KroneckerDelta(i, label[b]) * t[i], (i, 1, n))
    loss = Sum(chosen**2, (b, 1, m))
    labels, values = np.array([3, 1, 1, 5, 9]), rng.normal(size=5)
    outputs = {A[b]: chosen, "loss": loss, "dt": differentiate(loss, t[j], ranges={j: (1, n)})}
    got = function(outputs, {label: "label", t: "t"})(labels, values)
    picked = np.append(values, 0)[[2, 0, 0, 4, 5]]  # no element has the label 9
    slope = np.bincount(labels - 1, 2 * picked, 9)[:5]
    for a, e in zip(got, (picked, (picked**2).sum(), slope), strict=True):
        assert np.shape(a) == np.shape(e)
        np.testing.assert_allclose(a, e)
    pairs = Sum(Piecewise((exp(t[p] - t[b]), beta[b] > beta[p]), (0, True)), (b, 1, m), (p, 1, m))
    better = labels[:, None] > labels
    want = (np.exp(values - values[:, None]) * better).sum()
    np.testing.assert_allclose(function({"y": pairs}, {t: "t", beta: "a"})(values, labels), want)


def test_the_order_of_a_result_is_that_of_its_key():
    gradient = vjp(linear, W[q, j], ybar[b, o], RANGES)
    arguments = {ybar: "dy", x: "x"}
    np.testing.assert_allclose(function({dw[q, j]: gradient}, arguments)(DY, X), DY.T @ X)
    np.testing.assert_allclose(function({dw[j, q]: gradient}, arguments)(DY, X), X.T @ DY)


@pytest.mark.parametrize(
    "key",
    ["out", A[i], A[i, i], 3],
    ids=["a text", "an index lacking", "an index twice", "a number"],
)
def test_an_order_that_nothing_shows_is_refused(key):
    with pytest.raises(Refused, match=r"free ind|different symbols|is no key"):
        source({key: A[i, j] + A[j, i]}, {A: "a"})


def test_a_result_has_the_axes_of_its_key_though_it_is_the_same_along_one():
    mean = Sum(x[b, i], (i, 1, n)) / n
    f = function({"y": mean, dx[b, i]: vjp(mean, x[b, i], ybar[b], RANGES)}, {ybar: "dy", x: "x"})
    y, got = f(np.array([1.0, 2, 3]), X)
    np.testing.assert_allclose(y, X.mean(1))
    np.testing.assert_allclose(got, np.repeat([[1.0], [2], [3]], 5, axis=1) / 5)


def test_a_length_is_that_of_its_axis():
    f = function({"s": m * Sum(x[i], (i, 1, n)) + Sum(t[k], (k, 1, m))}, {x: "x", t: "t"})
    assert f(np.ones(2), np.ones(3)) == 9


def test_two_lengths_of_one_axis_are_refused():
    with pytest.raises(Refused, match="two lengths, n and m"):
        source({"s": Sum(x[i], (i, 1, n)) + Sum(x[k], (k, 1, m))}, {x: "x"})


def test_a_length_that_is_given_is_a_part_of_the_axis():
    f = function({"s": Sum(x[i], (i, 1, m)) / m}, {x: "x", m: "m"})
    assert f(np.array([1.0, 2, 30]), 2) == 1.5


def test_sums_may_count_from_zero():
    whole = Sum(x[i] ** 2, (i, 0, n - 1)) / n
    assert "np.mean(x**2" in source({"s": whole}, {x: "x"})


def test_a_name_that_is_also_a_length_is_an_argument():
    f = function({"y": n * rmsnorm()}, {x: "x", gamma: "n", epsilon: "e"})
    want = 5 * np.arange(5) * X / np.sqrt((X * X).mean(-1, keepdims=True) + 0.1)
    np.testing.assert_allclose(f(X, np.arange(5), 0.1), want)


def test_a_label_chooses_an_element():
    picked = Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
    at = np.array([5, 1, 2])
    got = function({"y": picked}, {x: "x", label: "label"})(X, at)
    np.testing.assert_allclose(got, X[range(3), at - 1])


def test_a_jacobian_is_a_matrix_where_its_key_says_so():
    f = function({J[i, j]: jacobian(rmsnorm(), x[j])}, {x: "x", gamma: "g", epsilon: "e"})
    v, g, step = X[0], np.arange(1.0, 6), 1e-6 * np.eye(5)
    y = lambda v: g * v / np.sqrt(np.mean(v * v) + 0.1)  # noqa: E731
    want = np.stack([(y(v + s) - y(v - s)) / 2e-6 for s in step], axis=1)
    np.testing.assert_allclose(f(v, g, 0.1), want, atol=1e-8)


score = Sum(t[b, h] * V[k, h], (h, 1, H))
attention = Sum(exp(score) * A[k, c], (k, 1, m)) / Sum(exp(score), (k, 1, m))


def test_attention_multiplies_by_the_values_first():
    gradient = vjp(attention, t[p, l], ybar[b, c], {b: (1, n), c: (1, O), p: (1, n), l: (1, H)})
    recorded = program({dx[p, l]: gradient}, {ybar: "dy", t: "q", V: "k", A: "v"})
    assert max(len(statement.axes) for statement in recorded.statements) == 2
    products = [s.expr for s in recorded.statements if s.expr.has(Contraction)]
    assert any("v[" in str(e) and "dy[" in str(e) for e in products), products


def test_what_needs_a_larger_array_is_refused():
    with pytest.raises(Refused, match="does not come apart"):
        source({"y": Sum(tanh(x[b, i] * x[b, k]), (k, 1, n))}, {x: "x"})


def test_squares_of_differences_are_multiplied_out_only_where_they_must():
    distances = Sum((x[b, i] - W[o, i]) ** 2, (i, 1, n))
    got = function({A[b, o]: distances}, {x: "x", W: "w"})(X, WEIGHT)
    np.testing.assert_allclose(got, ((X[:, None] - WEIGHT) ** 2).sum(-1))
    errors = Sum((x[b, i] - t[b, i]) ** 2, (i, 1, n), (b, 1, m)) / (m * n)
    assert "np.mean((x - t)**2)" in source({"loss": errors}, {x: "x", t: "t"})


def test_the_record_names_axes_and_lengths():
    recorded = program({"y": sqrt(n) * x[b, i] / Sum(x[b, k], (k, 1, n))}, {x: "x"})
    (array,) = recorded.parameters
    assert [axis.name for axis in array.axes] == ["b", "i"]
    assert str(recorded.batch) == "b"
    assert {str(size): axis.name for size, axis in recorded.lengths.items()} == {"n": "i"}
    rows = program({"y": Sum(x[k], (k, 1, n)) / n}, {x: "x"})
    assert str(rows.batch) == "rows"
    assert rows.statements[0].expr.has(Mean)


def test_an_axis_may_be_called_like_an_array():
    s, e, d = map(Idx, ("t", "e", "dot"))
    weights = exp(Sum(x[b, d] * V[s, d], (d, 1, n)))
    y = Sum(weights * A[s, e], (s, 1, m)) / Sum(weights, (s, 1, m))
    keys, values = rng.normal(size=(4, 5)), rng.normal(size=(4, 2))
    shares = np.exp(X @ keys.T)
    want = shares / shares.sum(1, keepdims=True) @ values
    got = function({t[b, e]: y}, {x: "x", V: "v", A: "a"})(X, keys, values)
    np.testing.assert_allclose(got, want)


def test_products_that_share_a_factor_are_one():
    text = source(
        {
            IndexedBase("y")[b, i]: Sum(tanh(A[b, o]) * W[o, i], (o, 1, O))
            + t[b] * Sum(exp(A[b, o]) * W[o, i], (o, 1, O))
        },
        {A: "a", W: "w", t: "t"},
    )
    assert text.count(" @ ") == 1
    f = function(
        {
            IndexedBase("y")[b, i]: Sum(tanh(A[b, o]) * W[o, i], (o, 1, O))
            + t[b] * Sum(exp(A[b, o]) * W[o, i], (o, 1, O))
        },
        {A: "a", W: "w", t: "t"},
    )
    a, by = rng.normal(size=(3, 4)), rng.normal(size=3)
    want = np.tanh(a) @ WEIGHT + by[:, None] * (np.exp(a) @ WEIGHT)
    np.testing.assert_allclose(f(a, WEIGHT, by), want, rtol=1e-12)


def test_it_is_said_where_squares_of_differences_are_multiplied_out():
    far = Sum((x[b, k] - W[o, k]) ** 2, (k, 1, n))
    said = "where the two are nearly equal"
    assert said in " ".join(source({J[b, o]: far}, {x: "x", W: "w"}).split())
    assert said not in source({"s": Sum((x[b, k] - t[k]) ** 2, (k, 1, n))}, {x: "x", t: "t"})
