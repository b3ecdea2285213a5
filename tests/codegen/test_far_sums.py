"""Sums of exponentials over other axes, in other orders, beside others: right at 100 as at 1."""

import warnings
from typing import Any

import numpy as np
import pytest
from sympy import Eq, Idx, IndexedBase, Ne, Piecewise, Sum, Symbol, exp, log, symbols

from rmsnorm_math import Refused, layer_source
from rmsnorm_math.notation import b, i, k, m, n, x

p, o, c = map(Idx, ("p", "o", "c"))
O, C = symbols("O C", integer=True, positive=True)
s, z, label, e, largest, Y = map(IndexedBase, ("s", "z", "label", "e", "largest", "Y"))
tau = Symbol("tau", positive=True)
row = Sum(exp(x[b, k]), (k, 1, n))
own = Sum(exp(x[b, k]) * Piecewise((1, Eq(label[k], label[b])), (0, True)), (k, 1, m))


def lse(v, axis=-1):
    """Return the logarithm of the sum of exponentials by hand."""
    top = v.max(axis, keepdims=True)
    return (top + np.log(np.exp(v - top).sum(axis, keepdims=True))).squeeze(axis)


def beside(v, *others):
    return np.concatenate(
        [v, *(np.broadcast_to(w, (*v.shape[:-1], w.shape[-1])) for w in others)], -1
    )


LAYERS: dict[
    str, Any
] = {  # the element of the output, the layer, its arrays by shape, and its value by hand
    "a sink for each column": (
        Y[b, i],
        exp(x[b, i]) / (exp(s[i]) + Sum(exp(x[p, i]), (p, 1, m))),
        {x: (3, 4), s: (4,)},
        lambda v, w: np.exp(v - lse(np.concatenate([v, w[None]]), 0)),
    ),
    "rows last": (
        Y[i, b],
        exp(x[i, b]) / (exp(s[b]) + Sum(exp(x[k, b]), (k, 1, n))),
        {x: (4, 3), s: (3,)},
        lambda v, w: np.exp(v - lse(np.concatenate([v, w[None]]), 0)),
    ),
    "a sink with a temperature": (
        Y[b, i],
        exp(x[b, i] / tau) / (2 * exp(s[b] / tau) + Sum(exp(x[b, k] / tau), (k, 1, n))),
        {x: (3, 4), s: (3,), tau: ()},
        lambda v, w, t: np.exp(v / t - lse(beside(v / t, w[:, None] / t + np.log(2)))[:, None]),
    ),
    "a sum that all rows share": (
        Y[b],
        log(row + Sum(exp(z[o]), (o, 1, O))),
        {x: (3, 4), z: (5,)},
        lambda v, w: lse(beside(v, w[None])),
    ),
    "those of a label over all": (
        Y[b],
        log(own) - log(Sum(exp(x[b, k]), (k, 1, m))),
        {x: (3, 3), label: np.array([1, 2, 1])},
        lambda v, t: lse(np.where(t == t[:, None], v, -np.inf)) - lse(v),
    ),
    "a sum over two axes": (
        Y[b],
        log(exp(s[b]) + Sum(exp(x[b, c, k]), (k, 1, n), (c, 1, C))),
        {x: (3, 2, 4), s: (3,)},
        lambda v, w: lse(beside(v.reshape(len(v), -1), w[:, None])),
    ),
    "a mean beside a sink": (
        Y[b],
        log(exp(s[b]) + row / n),
        {x: (3, 4), s: (3,)},
        lambda v, w: lse(beside(v - np.log(v.shape[-1]), w[:, None])),
    ),
    "three sums": (
        Y[b],
        log(row / (row + Sum(exp(z[b, o]), (o, 1, O))))
        + log(Sum(exp(z[b, o]), (o, 1, O)) + exp(s[b])),
        {x: (3, 4), z: (3, 5), s: (3,)},
        lambda v, w, t: lse(v) - lse(beside(v, w)) + lse(beside(w, t[:, None])),
    ),
    "arrays called e and largest": (
        Y[b, i],
        exp(e[b, i]) / (exp(largest[b]) + Sum(exp(e[b, k]), (k, 1, n))),
        {e: (3, 4), largest: (3,)},
        lambda v, w: np.exp(v - lse(beside(v, w[:, None]))[:, None]),
    ),
}


def values(shapes, scale, kind):
    rng = np.random.default_rng(5)
    draw = lambda shape: rng.uniform(-scale, scale, shape).astype(kind) if shape else 0.5  # noqa: E731
    return [draw(shape) if isinstance(shape, tuple) else shape for shape in shapes.values()]


def run(name, arrays, dy=None):
    """Return the output, and the gradients of what is differentiated by."""
    key, y, shapes, _ = LAYERS[name]
    wrt = [array for array, shape in shapes.items() if isinstance(shape, tuple)]
    scope: dict[str, Any] = {}
    exec(layer_source({key: y}, {array: str(array) for array in shapes}, wrt=wrt), scope)
    f, backward = scope["layer"], scope["layer_backward"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, *kept = out if isinstance(out := f(*arrays), tuple) else (out,)
        if dy is None:
            return first
        names = backward.__code__.co_varnames[: backward.__code__.co_argcount]
        here = dict(zip(map(str, shapes), arrays, strict=True)) | {"dY": dy, "Y": first}
        here |= dict(zip([name for name in names if name not in here], kept, strict=True))
        gradients = backward(*(here[name] for name in names))
    return first, gradients if isinstance(gradients, tuple) else (gradients,)


@pytest.mark.parametrize(("scale", "kind"), [(1, "f8"), (100, "f8"), (100, "f4"), (1, "f2")])
@pytest.mark.parametrize("name", LAYERS)
def test_what_is_added_to_a_sum_of_exponentials(name, scale, kind):
    _, _, shapes, forward = LAYERS[name]
    arrays = values(shapes, scale, kind)
    exact = [np.asarray(a, "f8") if np.asarray(a).dtype.kind == "f" else a for a in arrays]
    y = forward(*exact)
    dy = np.random.default_rng(6).normal(size=y.shape)
    got, gradients = run(name, arrays, dy.astype(kind))
    close = {"f8": 1e-6, "f4": 1e-4, "f2": 1e-2}[kind]
    np.testing.assert_allclose(got, y, rtol=close, atol=close)
    smooth = [at for at, shape in enumerate(shapes.values()) if isinstance(shape, tuple)]
    for at, gradient in zip(smooth, gradients, strict=True):
        want = np.zeros_like(exact[at])
        for place in np.ndindex(want.shape):
            moved = []
            for step in (1e-6, -1e-6):
                v = exact[at].copy()
                v[place] += step
                moved.append((forward(*exact[:at], v, *exact[at + 1 :]) * dy).sum())
            want[place] = (moved[0] - moved[1]) / 2e-6
        assert np.ndim(gradient) == 0 or gradient.dtype == kind
        np.testing.assert_allclose(gradient, want, rtol=close, atol=close * max(1, abs(want).max()))


@pytest.mark.parametrize(
    "name", ["a sum that all rows share", "three sums", "a mean beside a sink"]
)
@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one(name, rows):
    _, _, shapes, forward = LAYERS[name]
    arrays = [v[:rows] if v.shape[0] == 3 else v for v in values(shapes, 1, "f8")]
    np.testing.assert_allclose(run(name, arrays), forward(*arrays))


def test_one_column():
    v = np.array([[3.0], [-200.0]])
    got = run("arrays called e and largest", [v, np.array([3.0, 100.0])])
    np.testing.assert_allclose(got, [[0.5], [np.exp(-300.0)]])


def test_a_sum_over_all_but_one_says_what_it_loses():
    others = Sum(exp(x[b, k]) * Piecewise((1, Ne(k, i)), (0, True)), (k, 1, n))
    assert "over all but one" in layer_source({Y[b, i]: x[b, i] - log(others)}, {x: "x"})
    assert "over all but one" not in layer_source({Y[b, i]: exp(x[b, i]) / row}, {x: "x"})


def test_a_mask_of_another_length_than_its_sum_is_refused():
    P = Symbol("P", integer=True, positive=True)
    y = Sum(x[b, k] * Piecewise((1, k <= i), (0, True)), (k, 1, n))
    with pytest.raises(Refused, match="would have two lengths, n and P"):
        layer_source({Y[b, i]: y}, {x: "x"}, ranges={i: (1, P)})
