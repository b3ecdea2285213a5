"""A right backward pass of another layer passes, however it is written, in two precisions."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from sympy import IndexedBase, Sum, exp, sqrt

from rmsnorm_math import layer_norm, rms, rmsnorm, softmax, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x, ybar
from rmsnorm_math.verify import check
from tests.verify.backwards import rows
from tests.verify.planted import NAMES, gradients

Z, DRES, RSTD = IndexedBase("z"), IndexedBase("dres"), IndexedBase("rstd")


def dx_of(y, wrt=x):
    return vjp(y, wrt[b, j], ybar[b, i], {b: (1, m)})


@cache
def layer(name):
    """Return the three arguments of `check`."""
    if name == "LayerNorm":
        return gradients(layer_norm(b)), NAMES, None
    if name == "softmax":
        return {"dx": dx_of(softmax(b))}, {ybar: "dy", x: "x"}, None
    if name == "gated RMSNorm":
        y = rmsnorm(b) * Z[b, i] / (1 + exp(-Z[b, i]))
        outputs = {"dx": dx_of(y), "dz": dx_of(y, Z), "dgamma": gradients(y)["dgamma"]}
        return outputs, {ybar: "dy", x: "x", Z: "z", gamma: "gamma", epsilon: "eps"}, None
    if name == "residual and rstd":
        outputs = gradients(rmsnorm(b))
        names = {ybar: "dy", x: "x", gamma: "gamma", RSTD[b]: "rstd", DRES: "dres"}
        return {**outputs, "dx": outputs["dx"] + DRES[b, j]}, names, {RSTD[b]: 1 / rms(b)}
    if name == "q norm, scaled":
        names = {ybar: "dy", x: "q", gamma: "gamma", epsilon: "eps"}
        return {"dq": dx_of(rmsnorm(b) / sqrt(n))}, names, None
    unit = x[b, i] / sqrt(Sum(x[b, k] ** 2, (k, 1, n)) + epsilon)
    return {"dx": dx_of(unit)}, {ybar: "dy", x: "x", epsilon: "eps"}, None


def mean(v):
    return v.mean(-1, keepdims=True)


def through_norm(v, xhat, rstd):
    return (v - xhat * mean(v * xhat)) * rstd


def by_moments(moments):
    """Make a backward pass of LayerNorm from what computes x - mean and the variance."""

    def backward(dy, x, gamma, eps):
        centred, variance = moments(x)
        rstd = 1 / np.sqrt(variance + x.dtype.type(eps))
        xhat, v = centred * rstd, gamma * dy
        return (v - mean(v) - xhat * mean(v * xhat)) * rstd, rows(dy * xhat)

    return backward


def two_passes(x):
    centred = x - mean(x)
    return centred, mean(centred**2)


def welford(x):
    average, squares = np.zeros((2, *x.shape[:-1]), x.dtype)
    for at in range(x.shape[-1]):
        away = x[..., at] - average
        average = average + away / x.dtype.type(at + 1)
        squares = squares + away * (x[..., at] - average)
    return x - average[..., None], squares[..., None] / x.dtype.type(x.shape[-1])


def welford_in_blocks(x, block=128):
    count, average, squares = 0, x[..., :1] * 0, x[..., :1] * 0
    for at in range(0, x.shape[-1], block):
        part = x[..., at : at + block]
        size, away = part.shape[-1], mean(part) - average
        share = x.dtype.type(size / (count + size))
        average = average + away * share
        squares = squares + ((part - mean(part)) ** 2).sum(-1, keepdims=True)
        squares = squares + away**2 * count * share
        count += size
    return x - average, squares / x.dtype.type(count)


def pairwise(x):
    def total(v):
        while v.shape[-1] > 1:
            half = v.shape[-1] // 2
            rest = v[..., 2 * half :]
            v = np.concatenate([v[..., :half] + v[..., half : 2 * half], rest], axis=-1)
        return v / x.dtype.type(x.shape[-1])

    centred = x - total(x)
    return centred, total(centred**2)


def one_term_after_another(dy, x, gamma, eps):
    centred, variance = two_passes(x)
    rstd, v = 1 / np.sqrt(variance + x.dtype.type(eps)), gamma * dy
    dx = rstd * v - rstd * mean(v) - centred * rstd**3 * mean(v * centred)
    return dx, rows(dy * centred * rstd)


def off_by_4_ulp(dy, x, gamma, eps):
    centred, variance = two_passes(x)
    rstd = (1 + 4 * np.finfo(x.dtype).eps) / np.sqrt(variance + x.dtype.type(eps))
    xhat, v = centred * rstd, gamma * dy
    return (v - mean(v) - xhat * mean(v * xhat)) * rstd, rows(dy * xhat)


def softmax_of(x):
    powers = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(-1, keepdims=True)


def by_logarithm(x):
    most = x.max(-1, keepdims=True, initial=-np.inf)
    return np.exp(x - most - np.log(np.exp(x - most).sum(-1, keepdims=True)))


def from_softmax(dy, s):
    return s * (dy - (s * dy).sum(-1, keepdims=True))


def in_two_terms(dy, x):
    s = softmax_of(x)
    return s * dy - s * (s * dy).sum(-1, keepdims=True)


def gated(slope):
    def backward(dy, x, z, gamma, eps):
        rstd = 1 / np.sqrt(mean(x * x) + x.dtype.type(eps))
        xhat, s = x * rstd, 1 / (1 + np.exp(-z))
        v = dy * z * s
        return through_norm(gamma * v, xhat, rstd), dy * gamma * xhat * slope(z, s), rows(v * xhat)

    return backward


def residual(dy, x, gamma, rstd, dres):
    return through_norm(gamma * dy, x * rstd, rstd) + dres, rows(dy * x * rstd)


def residual_first(dy, x, gamma, rstd, dres):
    v, dot = gamma * dy, mean(gamma * dy * x)
    return dres + rstd * v - x * (rstd * rstd * rstd) * dot, rows(dy * (x * rstd))


def q_norm(dy, q, gamma, eps):
    rstd = 1 / np.sqrt(mean(q * q) + q.dtype.type(eps))
    return through_norm(gamma * dy / q.dtype.type(np.sqrt(q.shape[-1])), q * rstd, rstd)


def q_norm_by_sums(dy, q, gamma, eps):
    size = q.dtype.type(q.shape[-1])
    square = (q * q).sum(-1, keepdims=True) + size * q.dtype.type(eps)
    v = gamma * dy
    return (v - q * (v * q).sum(-1, keepdims=True) / square) / np.sqrt(square)


def unit_length(dy, x, eps):
    rstd = 1 / np.sqrt((x * x).sum(-1, keepdims=True) + x.dtype.type(eps))
    return (dy - x * rstd * (dy * x * rstd).sum(-1, keepdims=True)) * rstd


RIGHT: dict[str, tuple[str, Any]] = {
    "two passes": ("LayerNorm", by_moments(two_passes)),
    "Welford": ("LayerNorm", by_moments(welford)),
    "Welford in blocks": ("LayerNorm", by_moments(welford_in_blocks)),
    "pairwise sums": ("LayerNorm", by_moments(pairwise)),
    "one term after another": ("LayerNorm", one_term_after_another),
    "a root off by 4 ulp": ("LayerNorm", off_by_4_ulp),
    "by the largest": ("softmax", lambda dy, x: from_softmax(dy, softmax_of(x))),
    "by the logarithm of the sum": ("softmax", lambda dy, x: from_softmax(dy, by_logarithm(x))),
    "two terms": ("softmax", in_two_terms),
    "the slope by 1 - s": ("gated RMSNorm", gated(lambda z, s: s * (1 + z * (1 - s)))),
    "the slope by s - s**2": ("gated RMSNorm", gated(lambda z, s: s + z * s - z * s * s)),
    "added last": ("residual and rstd", residual),
    "added first": ("residual and rstd", residual_first),
    "by rstd": ("q norm, scaled", q_norm),
    "by sums": ("q norm, scaled", q_norm_by_sums),
    "of length 1": ("L2", unit_length),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_backward_of_another_layer_passes(name, dtype):
    which, backward = RIGHT[name]
    report = check(backward, *layer(which), dtype=dtype)
    assert report.ok, str(report)
