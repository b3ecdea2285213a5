"""Printed code runs, agrees with the derivation, and needs no array larger than its result."""

import ast
from functools import cache

import numpy as np
import pytest
from sympy import Function, Idx, IndexedBase, Piecewise, Sum, Symbol, exp, log, pi, sin, sqrt

from rmsnorm_math import differentiate, evaluate, function, jacobian, rms, rmsnorm, source, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, r, x, xhat, ybar
from tests.differences import elements, value

R, s = IndexedBase("r"), IndexedBase("s")
S = Symbol("S", positive=True)
mean = Sum(x[k], (k, 1, n)) / n
total = Sum(exp(x[k]), (k, 1, n))
NAMES = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}
layer_norm = gamma[i] * (x[i] - mean) / sqrt(Sum((x[k] - mean) ** 2, (k, 1, n)) / n + epsilon)

rng = np.random.default_rng(7)
X, DY, GAMMA, EPS = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=3), 0.1
POINTS = [
    elements({x: [*X[row]], ybar: [*DY[row]], gamma: [*GAMMA], epsilon: EPS}) for row in (0, 1)
]
BATCH = {x: X, ybar: DY, gamma: GAMMA, epsilon: EPS}

CASES = {
    "RMSNorm": (rmsnorm(), {}),
    "RMSNorm, r by name": (rmsnorm(), {r: rms()}),
    "RMSNorm, x-hat form": (rmsnorm(), {r: rms(), xhat[i]: x[i] / r}),
    "RMSNorm, epsilon outside": (rmsnorm(eps="outside"), {r: rms(eps="outside")}),
    "RMSNorm, epsilon as a floor": (rmsnorm(eps="max"), {r: rms(eps="max")}),
    "RMSNorm, 1 + gamma": (rmsnorm(offset=1), {r: rms()}),
    "softmax": (exp(x[i]) / total, {}),
    "softmax, by its output": (exp(x[i]) / total, {S: total, s[i]: exp(x[i]) / S}),
    "LayerNorm": (layer_norm, {}),
    "elementwise": (x[i] * sqrt(2 / pi) * exp(-(x[i] ** 2)) + 0 * total, {}),
}


@cache
def vjp_of(case):
    return vjp(CASES[case][0], x[j], ybar[i], {i: (1, n)})


@pytest.mark.parametrize("case", CASES)
def test_the_printed_vjp_agrees_with_the_derivation_in_every_row(case):
    got = function({"dx": vjp_of(case)}, NAMES, CASES[case][1])(DY, X, GAMMA, EPS)
    for row, point in enumerate(POINTS):
        expected = [float(value(vjp_of(case), point | {n: 3, j: at})) for at in (1, 2, 3)]
        np.testing.assert_allclose(got[row], expected, rtol=1e-12)


def test_below_the_floor_the_rms_is_constant():
    dx = vjp(rmsnorm(eps="max"), x[j], ybar[i])
    got = function({"dx": dx}, NAMES, {r: rms(eps="max")})(DY, X, GAMMA, 25.0)
    np.testing.assert_allclose(got, DY * GAMMA / 5)


@pytest.mark.parametrize(
    ("framework", "line"),
    [
        ("numpy", "np.maximum(eps, mean)"),
        ("jax", "jnp.maximum(eps, mean)"),
        ("torch", "torch.clamp(mean, min=eps)"),
    ],
)
def test_a_maximum_is_printed_for_each_framework(framework, line):
    assert line in source({"r": rms(eps="max")}, NAMES, framework=framework)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 5)])
def test_the_same_code_takes_any_batch(shape):
    backward = batch_backward()
    x_, dy = rng.normal(size=(*shape, 3)), rng.normal(size=(*shape, 3))
    dx, dgamma = backward(dy, x_, GAMMA, EPS)
    rows = [
        backward(d, row, GAMMA, EPS)
        for d, row in zip(dy.reshape(-1, 3), x_.reshape(-1, 3), strict=True)
    ]
    np.testing.assert_allclose(dx, np.reshape([row for row, _ in rows], dx.shape), rtol=1e-12)
    np.testing.assert_allclose(dgamma, np.sum([g for _, g in rows], axis=0), rtol=1e-12)
    assert dx.shape == x_.shape
    assert dgamma.shape == (3,)


@cache
def batch_backward():
    ranges = {b: (1, m)}
    gradients = {
        "dx": vjp(rmsnorm(b), x[b, j], ybar[b, i], ranges),
        "dgamma": vjp(rmsnorm(b), gamma[j], ybar[b, i], ranges),
    }
    return function(gradients, NAMES, {R[b]: rms(b), xhat[b, i]: x[b, i] / R[b]})


def test_the_gradient_of_gamma_is_summed_over_the_rows():
    dgamma = vjp(rmsnorm(b), gamma[j], ybar[b, i], {b: (1, m)})
    expected = [float(evaluate(dgamma, BATCH, n=3, m=2, j=at)) for at in (1, 2, 3)]
    np.testing.assert_allclose(batch_backward()(DY, X, GAMMA, EPS)[1], expected, rtol=1e-12)


def test_an_index_over_rows_in_one_output_may_run_over_the_axis_in_another():
    rows = Sum(x[i, j] * R[i], (i, 1, m))
    entries = x[b, j] * Sum(x[b, i] * gamma[i], (i, 1, n)) + 0 * R[b]
    arguments = {x: "x", gamma: "gamma", epsilon: "eps"}
    got = function({"rows": rows, "entries": entries}, arguments, {R[b]: rms(b)})
    rms_ = np.sqrt(np.mean(X**2, axis=-1, keepdims=True) + EPS)
    by_row, by_entry = got(X, GAMMA, EPS)
    np.testing.assert_allclose(by_row, (X * rms_).sum(0), rtol=1e-12)
    np.testing.assert_allclose(by_entry, X * (X @ GAMMA)[:, None], rtol=1e-12)


def test_a_scalar_for_each_row_loses_the_summed_axis():
    forward = function({"y": log(total)}, {x: "x"})
    np.testing.assert_allclose(forward(X), np.log(np.exp(X).sum(-1)), rtol=1e-12)


def test_the_gradient_of_a_scalar_parameter_is_one_number():
    slope = vjp(rmsnorm(b), epsilon, ybar[b, i], {b: (1, m)})
    got = function({"deps": slope}, NAMES)(DY, X, GAMMA, EPS)
    assert got == pytest.approx(float(evaluate(slope, BATCH, n=3, m=2)), rel=1e-12)


def test_the_x_hat_form_is_what_people_write():
    code = source({"dx": vjp(rmsnorm(), x[j], ybar[i])}, NAMES, {r: rms(), xhat[i]: x[i] / r})
    assert (
        "t = dy*gamma\n    dot = np.mean(t*xhat, axis=-1, keepdims=True)\n    dx = (t - dot*xhat)/r"
        in code
    )


@pytest.mark.parametrize(
    ("framework", "reduction"),
    [
        ("torch", "torch.mean(x**2, dim=-1, keepdim=True)"),
        ("jax", "jnp.mean(x**2, axis=-1, keepdims=True)"),
    ],
)
def test_other_frameworks_have_their_own_words(framework, reduction):
    code = source({"y": rmsnorm()}, NAMES, {r: rms()}, framework)
    ast.parse(code)
    assert reduction in code
    assert "np." not in code.replace("jnp.", "")


def test_names_of_the_code_do_not_hide_arguments():
    names = {ybar: "dot", x: "t", gamma: "mean", epsilon: "n"}
    got = function({"dx": vjp_of("LayerNorm")}, names)(DY, X, GAMMA, EPS)
    expected = function({"dx": vjp_of("LayerNorm")}, NAMES)(DY, X, GAMMA, EPS)
    np.testing.assert_array_equal(got, expected)


def test_a_definition_that_is_not_used_is_not_printed():
    assert "r = " not in source({"y": x[i] + mean}, {x: "x"}, {r: rms()})


f = Function("f")
REFUSED = {
    "a Jacobian": (jacobian(rmsnorm(), x[j]), r"free indices \[i, j\].*Print a VJP"),
    "a sum that does not come apart": (
        Sum(exp(x[i] * x[k]), (k, 1, n)),
        r"^x\[i\]\*x\[i_2\] does not come apart into sums .* Print it for one i, with",
    ),
    "a neighbour": (x[i + 1], "only plain indices"),
    "an element": (x[1] * mean, "only plain indices"),
    "a double sum that does not come apart": (
        Sum(exp(x[i] * x[k]), (k, 1, n), (i, 1, n)),
        "does not come apart into sums over one index each",
    ),
    "neighbours": (
        differentiate(Sum(x[k] * x[k + 1], (k, 1, n - 1)), x[j]),
        "only plain indices",
    ),
    "no value elsewhere": (Piecewise((x[i], x[i] > 0)), "no value where none of its conditions"),
    "an unknown function": (f(x[i]), "no code for f"),
    "a base that is no argument": (s[i], r"s has no value: .*\{s: 's'\}"),
    "a symbol that is no argument": (S * x[i], r"S has no value: .*\{S: 'S'\}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_printed_is_named(case):
    expr, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        source({"out": expr}, NAMES)


def test_an_unknown_framework_is_named():
    with pytest.raises(
        ValueError, match="no framework 'tensorflow': choose one of numpy, torch, jax"
    ):
        source({"y": rmsnorm()}, NAMES, framework="tensorflow")  # type: ignore[arg-type]


def test_a_sum_over_two_axes_of_an_element_is_one_number():
    square = Sum(x[k, b] ** 2, (k, 1, m), (b, 1, n)) / (m * n)
    assert "np.mean(x**2)" in source({"s": square}, {x: "x"})
    assert function({"s": square}, {x: "x"})(X) == pytest.approx(np.mean(X**2))


def test_the_root_of_a_length_is_a_number():
    length = sqrt(Sum(x[k] ** 2, (k, 1, n)))
    code = source({"y": S + x[i] * sqrt(n)}, {x: "x"}, {S: length}, "torch")
    assert "n**0.5" in code
    assert "torch.sqrt(n)" not in code


l = Idx("l")


def test_an_argument_may_have_one_value_for_each_row():
    scale = IndexedBase("scale")
    got = function({"y": scale[b] * x[b, i]}, {scale[b]: "scale", x: "x"})(np.array([[2], [3]]), X)
    np.testing.assert_allclose(got, X * [[2], [3]])


def test_a_sum_of_the_values_of_rows_is_one_number():
    scale, weights = IndexedBase("scale"), np.array([[2], [3]])
    outputs = {"y": scale[b] * x[b, i], "total": Sum(scale[b], (b, 1, m))}
    y, total = function(outputs, {scale[b]: "scale", x: "x"})(weights, X)
    np.testing.assert_allclose(y, X * weights)
    assert total == 5


def test_a_sum_over_rows_may_stand_in_another():
    inner = Sum(ybar[l, j], (l, 1, m))
    got = function({"out": Sum(sin(x[b, j] + inner), (b, 1, m))}, {x: "x", ybar: "dy"})(X, DY)
    np.testing.assert_allclose(got, np.sin(X + DY.sum(0)).sum(0), rtol=1e-12)


def test_an_output_may_be_an_argument_itself():
    np.testing.assert_array_equal(function({"y": x[i]}, {x: "x"})(X), X)


def test_a_norm_over_all_rows_is_one_number():
    whole = gamma[j] * Sum(x[b, k] ** 2, (k, 1, n), (b, 1, m))
    got = function({"out": whole}, {gamma: "gamma", x: "x"})(GAMMA, X)
    np.testing.assert_allclose(got, GAMMA * np.sum(X**2), rtol=1e-12)


@pytest.mark.parametrize(
    ("outputs", "arguments", "message"),
    [
        ({"x": 2 * x[i], "y": 3 * x[i]}, {x: "x"}, "'x' would stand for two things"),
        ({"y": x[i] * gamma[i]}, {x: "a", gamma: "a"}, "'a' would stand for two things"),
        ({"y": x[i]}, {x: "np"}, "'np' would stand for two things"),
        ({"y": x[i]}, {x: "lambda"}, "'lambda' is no name in Python"),
        ({"d x": x[i]}, {x: "x"}, "'d x' is no name in Python"),
        ({}, {x: "x"}, "no outputs"),
        ({"y": x}, {x: "x"}, "without an index"),
    ],
)
def test_a_name_that_would_mislead_is_refused(outputs, arguments, message):
    with pytest.raises(ValueError, match=message):
        source(outputs, arguments)


def test_definitions_come_in_the_order_of_their_use():
    with pytest.raises(ValueError, match="define r before it"):
        source({"y": rmsnorm()}, NAMES, {xhat[i]: x[i] / r, r: rms()})


def test_a_derivative_that_is_zero_runs():
    assert (
        function({"dx": vjp(gamma[i] + 0 * mean, x[j], ybar[i], {i: (1, n)})}, NAMES)(
            DY, X, GAMMA, EPS
        )
        == 0
    )


def test_a_sum_over_rows_takes_a_complex_step():
    dgamma = vjp(rmsnorm(b), gamma[j], ybar[b, i], {b: (1, m)})
    printed = function({"dgamma": dgamma}, NAMES)
    place = np.zeros_like(X)
    place[0, 1] = 1
    slope = printed(DY, X + 1e-30j * place, GAMMA, EPS).imag / 1e-30
    ahead, behind = (printed(DY, X + h * place, GAMMA, EPS) for h in (1e-6, -1e-6))
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-7, atol=1e-9)
    assert abs(slope[1]) > 0.01


def test_a_program_that_is_kept_is_not_taken_for_another():
    def last(outputs, name="gamma"):
        return source(outputs, {x: "x", gamma: name}).splitlines()[-1].strip()

    two = {"p": 2 * x[i], "q": gamma[i]}
    assert last(two) == "return p, gamma"
    assert last(dict(reversed(two.items()))) == "return gamma, p"
    assert last(two, "weight") == "return p, weight"
    for whole in (x[i] * 0 + 2, 2 * x[i]):
        assert source({"p": whole}, {x: "x"}) != source({"p": whole * 1.0}, {x: "x"})
