"""Normalisations, softmax and what is made of them."""

from sympy import IndexedBase, Max, Rational, Sum, Symbol, exp, log, sqrt, tanh

from rmsnorm_math import l2_norm, layer_norm, rms, rmsnorm
from rmsnorm_math import softmax as soft
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x
from tests.layers.record import (
    C,
    Layer,
    S,
    between,
    c,
    d,
    h,
    log_softmax,
    normal,
    o,
    p,
    s,
    sigmoid,
    softmax,
    u,
)

beta, z, V, g = map(IndexedBase, ("beta", "z", "V", "g"))
tau, alpha, gain = (Symbol(name, positive=True) for name in ("tau", "alpha", "gain"))
EPS = {epsilon: 0.1}
rows, plane = {x[b, i]: normal(b, i)}, {x[b, c, s]: normal(b, c, s)}
weight, bias = {gamma[i]: between(0.5, 1.5, i)}, {beta[i]: normal(i)}
channel_weight, channel_bias = {gamma[c]: between(0.5, 1.5, c)}, {beta[c]: normal(c)}


def standard(xp, v, e, *axes):
    """Return v less its mean over its root of variance plus e."""
    centred = v - v.mean(axes, keepdims=True)
    return centred / xp.sqrt((centred**2).mean(axes, keepdims=True) + e)


def r(xp, v, e):
    return xp.sqrt((v * v).mean(-1, keepdims=True) + e)


def over(at, *limits):
    """Return the mean over the limits, and the root of the variance with epsilon."""
    size = 1
    for _, _, end in limits:
        size *= end
    mean = Sum(at, *limits) / size
    return mean, sqrt(Sum((at - mean) ** 2, *limits) / size + epsilon)


column_mean = Sum(x[p, i], (p, 1, m)) / m
column_deviation = sqrt(Sum((x[p, i] - column_mean) ** 2, (p, 1, m)) / m + epsilon)
step_mean = Sum(x[b, c, u], (u, 1, S)) / S
step_variance = Sum((x[b, c, u] - step_mean) ** 2, (u, 1, S)) / S
group_mean = Sum(x[b, c, u, k], (u, 1, S), (k, 1, n)) / (S * n)
group_variance = Sum((x[b, c, u, k] - group_mean) ** 2, (u, 1, S), (k, 1, n)) / (S * n)
channel_mean = Sum(x[p, c, u], (p, 1, m), (u, 1, S)) / (m * S)
channel_variance = Sum((x[p, c, u] - channel_mean) ** 2, (p, 1, m), (u, 1, S)) / (m * S)
row_mean = Sum(V[o, k], (k, 1, n)) / n
row_variance = Sum((V[o, k] - row_mean) ** 2, (k, 1, n)) / n
gate = z[b, i] / (1 + exp(-z[b, i]))
total = Sum(exp(x[b, k] / tau), (k, 1, n))

NORMS = {
    "rmsnorm": Layer(
        rmsnorm(b), (b, i), lambda xp, v, w, e: w * v / r(xp, v, e), rows | weight, EPS
    ),
    "rmsnorm, epsilon outside": Layer(
        rmsnorm(b, eps="outside"),
        (b, i),
        lambda xp, v, w, e: w * v / (r(xp, v, 0) + e),
        rows | weight,
        EPS,
    ),
    "rmsnorm, epsilon as a floor": Layer(
        rmsnorm(b, eps="max"),
        (b, i),
        lambda xp, v, w, e: w * v / xp.sqrt(xp.clip((v * v).mean(-1, keepdims=True), e, None)),
        rows | weight,
        EPS,
    ),
    "rmsnorm with 1 + gamma and a bias": Layer(
        rmsnorm(b, offset=1) + beta[i],
        (b, i),
        lambda xp, v, w, a, e: (1 + w) * v / r(xp, v, e) + a,
        rows | weight | bias,
        EPS,
    ),
    "rmsnorm of a sum": Layer(
        gamma[i]
        * (x[b, i] + z[b, i])
        / sqrt(Sum((x[b, k] + z[b, k]) ** 2, (k, 1, n)) / n + epsilon),
        (b, i),
        lambda xp, v, res, w, e: w * (v + res) / r(xp, v + res, e),
        rows | {z[b, i]: normal(b, i)} | weight,
        EPS,
    ),
    "gated rmsnorm": Layer(
        gamma[i] * x[b, i] * gate / rms(b),
        (b, i),
        lambda xp, v, a, w, e: w * v / r(xp, v, e) * a * sigmoid(xp, a),
        rows | {z[b, i]: normal(b, i)} | weight,
        EPS,
    ),
    "rmsnorm of each head": Layer(
        gamma[h, i] * x[b, h, i] / sqrt(Sum(x[b, h, k] ** 2, (k, 1, n)) / n + epsilon),
        (b, h, i),
        lambda xp, v, w, e: w * v / r(xp, v, e),
        {x[b, h, i]: normal(b, h, i), gamma[h, i]: between(0.5, 1.5, h, i)},
        EPS,
    ),
    "rmsnorm, a weight for each channel": Layer(
        gamma[c] * x[b, c, s] / sqrt(Sum(x[b, c, u] ** 2, (u, 1, S)) / S + epsilon),
        (b, c, s),
        lambda xp, v, w, e: w[:, None] * v / r(xp, v, e),
        plane | channel_weight,
        EPS,
    ),
    "rmsnorm over two axes": Layer(
        gamma[c, s]
        * x[b, c, s]
        / sqrt(Sum(x[b, d, u] ** 2, (d, 1, C), (u, 1, S)) / (C * S) + epsilon),
        (b, c, s),
        lambda xp, v, w, e: w * v / xp.sqrt((v * v).mean((-2, -1), keepdims=True) + e),
        plane | {gamma[c, s]: between(0.5, 1.5, c, s)},
        EPS,
    ),
    "scalenorm": Layer(
        gain * x[b, i] / sqrt(Sum(x[b, k] ** 2, (k, 1, n)) + epsilon),
        (b, i),
        lambda xp, v, a, e: a * v / xp.sqrt((v * v).sum(-1, keepdims=True) + e),
        rows | {gain: 1.5},
        EPS,
    ),
    "layer norm": Layer(
        layer_norm(b) + beta[i],
        (b, i),
        lambda xp, v, w, a, e: w * standard(xp, v, e, -1) + a,
        rows | weight | bias,
        EPS,
    ),
    "layer norm without a batch index": Layer(
        layer_norm(),
        (i,),
        lambda xp, v, w, e: w * standard(xp, v, e, -1),
        {x[i]: normal(b, i)},
        {gamma: between(0.5, 1.5, i), epsilon: 0.1},
    ),
    "batch norm": Layer(
        gamma[i] * (x[b, i] - column_mean) / column_deviation + beta[i],
        (b, i),
        lambda xp, v, w, a, e: w * standard(xp, v, e, 0) + a,
        rows | weight | bias,
        EPS,
    ),
    "batch norm of channels": Layer(
        gamma[c] * (x[b, c, s] - channel_mean) / sqrt(channel_variance + epsilon) + beta[c],
        (b, c, s),
        lambda xp, v, w, a, e: w[:, None] * standard(xp, v, e, 0, 2) + a[:, None],
        plane | channel_weight | channel_bias,
        EPS,
    ),
    "instance norm": Layer(
        gamma[c] * (x[b, c, s] - step_mean) / sqrt(step_variance + epsilon) + beta[c],
        (b, c, s),
        lambda xp, v, w, a, e: w[:, None] * standard(xp, v, e, -1) + a[:, None],
        plane | channel_weight | channel_bias,
        EPS,
    ),
    "group norm": Layer(
        gamma[c, s] * (x[b, c, s, i] - group_mean) / sqrt(group_variance + epsilon) + beta[c, s],
        (b, c, s, i),
        lambda xp, v, w, a, e: w[..., None] * standard(xp, v, e, -2, -1) + a[..., None],
        {
            x[b, c, s, i]: normal(b, c, s, i),
            gamma[c, s]: between(0.5, 1.5, c, s),
            beta[c, s]: normal(c, s),
        },
        EPS,
    ),
    "weight standardisation": Layer(
        (V[o, i] - row_mean) / sqrt(row_variance + epsilon),
        (o, i),
        lambda xp, v, e: standard(xp, v, e, -1),
        {V[o, i]: normal(o, i)},
        EPS,
    ),
    "weight norm": Layer(
        g[o] * V[o, i] / sqrt(Sum(V[o, k] ** 2, (k, 1, n))),
        (o, i),
        lambda xp, v, a: a[:, None] * v / xp.sqrt((v * v).sum(-1, keepdims=True)),
        {V[o, i]: normal(o, i), g[o]: between(0.5, 1.5, o)},
    ),
    "dynamic tanh": Layer(
        gamma[i] * tanh(alpha * x[b, i]) + beta[i],
        (b, i),
        lambda xp, v, a, w, e: w * xp.tanh(a * v) + e,
        rows | {alpha: 0.5} | weight | bias,
    ),
    "l2 normalisation": Layer(
        l2_norm(),
        (i,),
        lambda xp, v, e: v / xp.sqrt((v * v).sum(-1, keepdims=True) + e),
        {x[i]: normal(b, i)},
        EPS,
    ),
    "l2 normalisation with a bound": Layer(
        x[i] / Max(sqrt(Sum(x[k] ** 2, (k, 1, n))), epsilon),
        (i,),
        lambda xp, v, e: v / xp.clip(xp.sqrt((v * v).sum(-1, keepdims=True)), e, None),
        {x[i]: normal(b, i)},
        EPS,
    ),
    "l4 normalisation": Layer(
        x[i] / (Sum(x[k] ** 4, (k, 1, n)) / n) ** Rational(1, 4),
        (i,),
        lambda xp, v: v / (v**4).mean(-1, keepdims=True) ** 0.25,
        {x[i]: normal(b, i)},
    ),
    "softmax": Layer(soft(), (i,), softmax, {x[i]: normal(b, i, scale=2)}),
    "softmin": Layer(
        exp(-x[i]) / Sum(exp(-x[k]), (k, 1, n)),
        (i,),
        lambda xp, v: softmax(xp, -v),
        {x[i]: normal(b, i)},
    ),
    "log-softmax": Layer(
        x[i] - log(Sum(exp(x[k]), (k, 1, n))), (i,), log_softmax, {x[i]: normal(b, i)}
    ),
    "softmax with a temperature": Layer(
        exp(x[b, i] / tau) / total,
        (b, i),
        lambda xp, v, t: softmax(xp, v / t),
        rows | {tau: 0.7},
    ),
    "softmax with a sink": Layer(
        exp(x[b, i]) / (exp(tau) + Sum(exp(x[b, k]), (k, 1, n))),
        (b, i),
        lambda xp, v, t: xp.exp(v - t) / (1 + xp.exp(v - t).sum(-1, keepdims=True)),
        rows | {tau: 0.7},
    ),
    "softmax with a sink for each channel": Layer(
        exp(x[b, c, s]) / (exp(g[c]) + Sum(exp(x[b, c, u]), (u, 1, S))),
        (b, c, s),
        lambda xp, v, a: xp.exp(v) / (xp.exp(a)[:, None] + xp.exp(v).sum(-1, keepdims=True)),
        plane | {g[c]: normal(c)},
    ),
    "softmax with a bias and a mask": Layer(
        exp(x[b, i] + beta[i]) * z[b, i] / Sum(exp(x[b, k] + beta[k]) * z[b, k], (k, 1, n)),
        (b, i),
        lambda xp, v, a, mask: xp.exp(v + a) * mask / (xp.exp(v + a) * mask).sum(-1, keepdims=True),
        rows | bias,
        {z: (normal(b, i) > -1) + 0.0},
    ),
    "log-sum-exp": Layer(
        log(Sum(exp(x[b, k]), (k, 1, n))),
        (b,),
        lambda xp, v: xp.log(xp.exp(v).sum(-1)),
        rows,
    ),
    "entropy of softmax": Layer(
        -Sum(soft(b).subs(i, j) * log(soft(b).subs(i, j)), (j, 1, n)),
        (b,),
        lambda xp, v: -(softmax(xp, v) * log_softmax(xp, v)).sum(-1),
        rows,
    ),
}
