"""Names that a caller gives hide nothing: what is stable without them is stable with them."""

from typing import Any

import numpy as np
import pytest
from sympy import Idx, IndexedBase, KroneckerDelta, Rational, Sum, exp, log, symbols

from rmsnorm_math import function, layer_source, vjp
from rmsnorm_math.notation import b, gamma, i, k, m, n, x, ybar

s, h, y, z, beta, label = map(IndexedBase, ["s", "h", "y", "z", "beta", "label"])
FAR = np.array([[-100, 100, 0, -90], [1, 2, -300, 400]], "f")


def logistic(v: Any) -> Any:
    return 1 / (1 + exp(-v))


gate = {s[b, i]: logistic(x[b, i])}
k_classes = symbols("C", integer=True, positive=True)
total = Sum(exp(x[b, k]), (k, 1, n))


def far_out(v: Any) -> tuple[Any, Any]:
    """Return the logistic function and its derivative, in float64."""
    v = v.astype(float)
    e = np.exp(-np.abs(v))
    return np.where(v > 0, 1, e) / (1 + e), e / (1 + e) ** 2


def run(text: str, *values: Any, more: tuple[str, ...] = ()) -> tuple[Any, list[Any]]:
    """Return the output of a printed file, and its gradients for a cotangent of ones."""
    file: dict[str, Any] = {}
    exec(text, file)
    layer, backward = file["layer"], file["layer_backward"]
    given = dict(zip(layer.__code__.co_varnames, values, strict=False))
    out = layer(*values)
    out, *kept = out if isinstance(out, tuple) else (out,)
    given |= {"dy": np.ones_like(out), "y": out, **dict(zip(more, kept, strict=True))}
    taken = backward.__code__.co_varnames[: backward.__code__.co_argcount]
    found = backward(*(given[name] for name in taken))
    return out, list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("kept", [None, [s[b, i]]], ids=["computed again", "kept"])
def test_a_logistic_function_with_a_name(kept: Any) -> None:
    layer = x[b, i] * logistic(x[b, i])
    text = layer_source({"y": layer}, {x: "x"}, gate, kept=kept)
    out, (dx,) = run(text, FAR, more=("s",) if kept else ())
    value, slope = far_out(FAR)
    np.testing.assert_allclose(out, FAR * value, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(dx, value + FAR * slope, rtol=1e-5, atol=1e-30)


def test_a_logistic_function_with_a_name_in_source() -> None:
    gradient = vjp(logistic(x[b, i]), x[b, i], ybar[b, i], {b: (1, m), i: (1, n)})
    backward = function({y[b, i]: gradient}, {ybar: "dy", x: "x"}, gate)
    np.testing.assert_allclose(backward(np.ones_like(FAR), FAR), far_out(FAR)[1], 1e-5, 1e-30)


def test_a_name_that_only_hides_is_left_out() -> None:
    where = {h[b, i]: exp(-x[b, i])}
    out, (dx,) = run(layer_source({"y": logistic(x[b, i])}, {x: "x"}, where), FAR)
    np.testing.assert_allclose(out, far_out(FAR)[0], rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(dx, far_out(FAR)[1], rtol=1e-5, atol=1e-30)


def test_the_output_hides_no_logistic_function() -> None:
    quick = x[b, i] * logistic(Rational(1702, 1000) * x[b, i])
    _, (dx,) = run(layer_source({"y": quick}, {x: "x"}), FAR)
    value, slope = far_out(1.702 * FAR)
    np.testing.assert_allclose(dx, value + 1.702 * FAR * slope, rtol=1e-5, atol=1e-30)
    swish = x[b, i] * logistic(gamma[i] * x[b, i] + beta[i])
    text = layer_source({"y": swish}, {x: "x", gamma: "gamma", beta: "beta"})
    _, (_, dgamma, _) = run(text, FAR, np.ones(4, "f"), np.ones(4, "f"))
    np.testing.assert_allclose(dgamma, (FAR**2 * far_out(FAR + 1)[1]).sum(0), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_the_output_may_have_a_name_of_its_own(framework: Any) -> None:
    where = {s[b, i]: exp(x[b, i]) / total}
    text = layer_source({"y": exp(x[b, i]) / total}, {x: "x"}, where, framework)
    assert "dx = _backward(_wide(dy), _wide(y), total)" in text
    if framework == "numpy":
        out, (dx,) = run(text, FAR, more=("total",))
        np.testing.assert_allclose(out.sum(-1), 1, rtol=1e-6)
        np.testing.assert_allclose(dx, 0 * FAR, atol=1e-6)


def test_a_sum_of_exponentials_with_a_name_divides() -> None:
    text = layer_source({"y": exp(x[b, i]) / total}, {x: "x"}, {s[b]: total})
    out, (dx,) = run(text, FAR)
    np.testing.assert_allclose(out, [[0, 1, 0, 0], [0, 0, 0, 1]], atol=1e-30)
    np.testing.assert_allclose(dx, 0 * FAR, atol=1e-6)


def test_a_loss_of_vectors() -> None:
    loss = -Sum(log(logistic(x[b] - z[b])), (b, 1, m)) / m
    text = layer_source({"y": loss}, {x: "x", z: "z"})
    assert "np.mean(np.logaddexp(" in text
    file: dict[str, Any] = {}
    exec(text, file)
    one, other = np.array([1.0, -100, 3], "e"), np.array([0.5, 2, 100], "e")
    value = file["layer"](one, other)
    assert value.dtype == np.float16
    assert value == pytest.approx((np.log1p(np.exp(-0.5)) + 102 + 97) / 3, rel=1e-3)
    dx, dz = file["layer_backward"](2.0, one, other)
    assert dx.dtype == dz.dtype == np.float16
    want = -2 / 3 * far_out(other - one)[0]
    np.testing.assert_allclose([dx, dz], [want, -want], rtol=2e-3, atol=1e-7)
    with pytest.raises(ValueError, match=r"must be those of x \(b\), z \(b\)"):
        file["layer"](np.ones((2, 3)), np.ones(3))


def test_a_length_that_the_sum_over_a_label_alone_shows() -> None:
    w, c, i_ = IndexedBase("w"), Idx("c"), Idx("i")
    score = Sum(x[b, i_] * w[c, i_], (i_, 1, n)) - KroneckerDelta(c, label[b])
    margin = function(
        {"y": Sum(KroneckerDelta(c, label[b]) * score, (c, 1, k_classes))},
        {x: "x", w: "w", label: "label"},
    )
    rows, weights = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(4, 3)
    want = [rows[0] @ weights[3] - 1, rows[1] @ weights[0] - 1]
    np.testing.assert_allclose(margin(rows, weights, np.array([4, 1])), want)
