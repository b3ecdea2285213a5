"""Layers with products of matrices, attention and recurrent cells among them."""

import numpy as np
from sympy import IndexedBase, KroneckerDelta, Max, Piecewise, Rational, Sum, exp, sqrt, tanh

from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x
from tests.layers.record import (
    C,
    H,
    Layer,
    O,
    S,
    between,
    c,
    d,
    h,
    normal,
    o,
    p,
    q,
    s,
    sigmoid,
    softmax,
    u,
)

W, V, U, A, beta, Q, K, z, label, g = map(
    IndexedBase, ("W", "V", "U", "A", "beta", "Q", "K", "z", "label", "g")
)
rows = {x[b, i]: normal(b, i)}
weight, bias = {W[o, i]: normal(o, i)}, {beta[o]: normal(o)}
linear = Sum(W[o, i] * x[b, i], (i, 1, n))
logistic = lambda v: 1 / (1 + exp(-v))
relu = lambda xp, v: xp.where(v > 0, v, 0 * v)


def mlp(act):
    return Sum(W[o, h] * act(Sum(V[h, i] * x[b, i], (i, 1, n))), (h, 1, H))


two_weights = {W[o, h]: normal(o, h), V[h, i]: normal(h, i)}
up, gate = Sum(V[h, i] * x[b, i], (i, 1, n)), Sum(U[h, i] * x[b, i], (i, 1, n))
row_of = Sum(W[q, i] * x[b, i], (i, 1, n))


def score(query, key):
    return Sum(Q[query, h] * K[key, h], (h, 1, H)) / sqrt(H)


def attend(mask=lambda query, key: 1):
    weights = exp(score(b, s)) * mask(b, s)
    return Sum(weights * V[s, c], (s, 1, S)) / Sum(exp(score(b, u)) * mask(b, u), (u, 1, S))


attention = {Q[b, h]: normal(b, h), K[s, h]: normal(s, h), V[s, c]: normal(s, c)}
head_score = lambda key: Sum(Q[b, o, h] * K[key, o, h], (h, 1, H))
state = Sum(W[o, i] * x[b, i], (i, 1, n)) + Sum(U[o, q] * z[b, q], (q, 1, O)) + beta[o]
recurrent = rows | {z[b, o]: normal(b, o), W[o, i]: normal(o, i), U[o, q]: normal(o, q)} | bias
update = logistic(state)
distance = Sum((x[b, i] - W[o, i]) ** 2, (i, 1, n))
root = lambda e: sqrt(Sum(e**2, (i, 1, n)) + epsilon)
scaled = gamma[k] * x[b, k] / sqrt(Sum(x[b, i] ** 2, (i, 1, n)) / n + epsilon)
pooled = Sum(x[b, d, s], (s, 1, S)) / S

MATRICES = {
    "linear": Layer(
        linear + beta[o], (b, o), lambda xp, v, w, a: v @ w.T + a, rows | weight | bias
    ),
    "linear without a batch index": Layer(
        Sum(W[o, i] * x[i], (i, 1, n)),
        (o,),
        lambda xp, v, w: w @ v,
        {x[i]: normal(i), W[o, i]: normal(o, i)},
    ),
    "bilinear": Layer(
        Sum(A[o, i, h] * x[b, i] * z[b, h], (i, 1, n), (h, 1, H)),
        (b, o),
        lambda xp, v, t, a: xp.einsum("oih,bi,bh->bo", a, v, t),
        rows | {z[b, h]: normal(b, h), A[o, i, h]: normal(o, i, h)},
    ),
    "bilinear, with a bias, through tanh": Layer(
        tanh(Sum(A[o, i, h] * x[b, i] * z[b, h], (i, 1, n), (h, 1, H)) + beta[o]),
        (b, o),
        lambda xp, v, t, a, e: xp.tanh(xp.einsum("oih,bi,bh->bo", a, v, t) + e),
        rows | {z[b, h]: normal(b, h), A[o, i, h]: normal(o, i, h)} | bias,
    ),
    "units of all rows": Layer(
        beta[o] * Sum(tanh(Sum(A[o, i, h] * x[b, i], (i, 1, n))), (b, 1, m), (h, 1, H)),
        (o,),
        lambda xp, v, a, e: e * xp.tanh(xp.einsum("oih,bi->boh", a, v)).sum(0).sum(-1),
        rows | {A[o, i, h]: normal(o, i, h)} | bias,
    ),
    "low-rank adapter": Layer(
        linear + Rational(1, 2) * mlp(lambda v: v).subs(W, U),
        (b, o),
        lambda xp, v, w, a, e: v @ w.T + (v @ e.T) @ a.T / 2,
        rows | weight | {U[o, h]: normal(o, h), V[h, i]: normal(h, i)},
    ),
    "mlp with tanh": Layer(
        mlp(tanh), (b, o), lambda xp, v, w, a: xp.tanh(v @ a.T) @ w.T, rows | two_weights
    ),
    "mlp with relu": Layer(
        mlp(lambda v: Max(v, 0)),
        (b, o),
        lambda xp, v, w, a: relu(xp, v @ a.T) @ w.T,
        rows | two_weights,
    ),
    "mlp with swiglu": Layer(
        Sum(W[o, h] * up * gate * logistic(gate), (h, 1, H)),
        (b, o),
        lambda xp, v, w, a, e: ((v @ a.T) * (v @ e.T) * sigmoid(xp, v @ e.T)) @ w.T,
        rows | two_weights | {U[h, i]: normal(h, i)},
    ),
    "linear, then rmsnorm": Layer(
        gamma[o] * linear / sqrt(Sum(row_of**2, (q, 1, O)) / O + epsilon),
        (b, o),
        lambda xp, v, w, a, e: (
            a * (v @ w.T) / xp.sqrt(((v @ w.T) ** 2).mean(-1, keepdims=True) + e)
        ),
        rows | weight | {gamma[o]: between(0.5, 1.5, o)},
        {epsilon: 0.1},
    ),
    "rmsnorm, then linear": Layer(
        Sum(W[o, k] * scaled, (k, 1, n)),
        (b, o),
        lambda xp, v, w, a, e: (a * v / xp.sqrt((v * v).mean(-1, keepdims=True) + e)) @ w.T,
        rows | weight | {gamma[i]: between(0.5, 1.5, i)},
        {epsilon: 0.1},
    ),
    "linear, then softmax": Layer(
        exp(linear) / Sum(exp(row_of), (q, 1, O)),
        (b, o),
        lambda xp, v, w: softmax(xp, v @ w.T),
        rows | weight,
    ),
    "gram matrix": Layer(Sum(x[b, i] * x[p, i], (i, 1, n)), (b, p), lambda xp, v: v @ v.T, rows),
    "gram matrix of channels": Layer(
        Sum(x[b, c, s] * x[b, d, s], (s, 1, S)) / S,
        (b, c, d),
        lambda xp, v: xp.einsum("bcs,bds->bcd", v, v) / v.shape[-1],
        {x[b, c, s]: normal(b, c, s)},
    ),
    "factorisation": Layer(
        Sum((z[b, i] - Sum(U[b, h] * V[h, i], (h, 1, H))) ** 2, (b, 1, m), (i, 1, n)) / 2,
        (),
        lambda xp, a, e, t: ((t - a @ e) ** 2).sum() / 2,
        {U[b, h]: normal(b, h), V[h, i]: normal(h, i)},
        {z: normal(b, i)},
    ),
    "quadratic form": Layer(
        Sum(x[b, i] * A[i, j] * x[b, j], (i, 1, n), (j, 1, n)),
        (b,),
        lambda xp, v, a: xp.einsum("bi,ij,bj->b", v, a, v),
        rows | {A[i, j]: normal(i, j)},
    ),
    "factorisation machine": Layer(
        (
            Sum(Sum(V[i, h] * x[b, i], (i, 1, n)) ** 2, (h, 1, H))
            - Sum(V[i, h] ** 2 * x[b, i] ** 2, (i, 1, n), (h, 1, H))
        )
        / 2,
        (b,),
        lambda xp, v, a: (((v @ a) ** 2).sum(-1) - (v**2 @ a**2).sum(-1)) / 2,
        rows | {V[i, h]: normal(i, h)},
    ),
    "squared distances": Layer(
        distance,
        (b, o),
        lambda xp, v, w: ((v[:, None] - w) ** 2).sum(-1),
        rows | weight,
    ),
    "radial basis functions": Layer(
        exp(-distance / 2),
        (b, o),
        lambda xp, v, w: xp.exp(-((v[:, None] - w) ** 2).sum(-1) / 2),
        rows | weight,
    ),
    "cosine similarities": Layer(
        linear / root(x[b, i]) / root(W[o, i]),
        (b, o),
        lambda xp, v, w, e: (
            v @ w.T / xp.sqrt((v * v).sum(-1) + e)[:, None] / xp.sqrt((w * w).sum(-1) + e)
        ),
        rows | weight,
        {epsilon: 0.1},
    ),
    "embedding": Layer(
        Sum(KroneckerDelta(o, label[b]) * W[o, i], (o, 1, O)),
        (b, i),
        lambda xp, w, at: w[at - 1],
        {W[o, i]: normal(o, i)},
        {label: np.array([1, 4, 1])},
    ),
    "attention": Layer(
        attend(),
        (b, c),
        lambda xp, q, k, v: softmax(xp, q @ k.T / k.shape[-1] ** 0.5) @ v,
        attention,
    ),
    "attention with a mask": Layer(
        attend(lambda query, key: z[query, key]),
        (b, c),
        lambda xp, q, k, v, a: (lambda e: (e / e.sum(-1, keepdims=True)) @ v)(
            xp.exp(q @ k.T / k.shape[-1] ** 0.5) * a
        ),
        attention,
        {z: (normal(b, s) > -0.5) + 0.0},
    ),
    "causal attention": Layer(
        attend(lambda query, key: Piecewise((1, key <= query), (0, True))),
        (b, c),
        lambda xp, q, k, v: (lambda e: (e / e.sum(-1, keepdims=True)) @ v)(
            xp.tril(xp.exp(q @ k.T / k.shape[-1] ** 0.5))
        ),
        attention,
    ),
    "attention of several heads": Layer(
        Sum(exp(head_score(s)) * V[s, o, c], (s, 1, S)) / Sum(exp(head_score(u)), (u, 1, S)),
        (b, o, c),
        lambda xp, q, k, v: xp.einsum(
            "bos,soc->boc", softmax(xp, xp.einsum("boh,soh->bos", q, k)), v
        ),
        {
            Q[b, o, h]: normal(b, o, h, scale=0.5),
            K[s, o, h]: normal(s, o, h),
            V[s, o, c]: normal(s, o, c),
        },
    ),
    "linear attention": Layer(
        Sum(Q[b, h] * Sum(K[s, h] * V[s, c], (s, 1, S)), (h, 1, H)),
        (b, c),
        lambda xp, q, k, v: q @ (k.T @ v),
        attention,
    ),
    "attention pooling": Layer(
        Sum(exp(Sum(g[c] * x[b, s, c], (c, 1, C))) * x[b, s, d], (s, 1, S))
        / Sum(exp(Sum(g[c] * x[b, u, c], (c, 1, C))), (u, 1, S)),
        (b, d),
        lambda xp, v, a: xp.einsum("bs,bsc->bc", softmax(xp, v @ a), v),
        {x[b, s, d]: normal(b, s, d), g[c]: normal(c)},
    ),
    "mean pooling": Layer(
        Sum(x[b, c, s], (s, 1, S)) / S,
        (b, c),
        lambda xp, v: v.mean(-1),
        {x[b, c, s]: normal(b, c, s)},
    ),
    "squeeze and excite": Layer(
        x[b, c, s] * logistic(Sum(A[c, d] * pooled, (d, 1, C))),
        (b, c, s),
        lambda xp, v, a: v * sigmoid(xp, v.mean(-1) @ a.T)[..., None],
        {x[b, c, s]: normal(b, c, s), A[c, d]: normal(c, d)},
    ),
    "recurrent cell": Layer(
        tanh(state), (b, o), lambda xp, v, t, w, a, e: xp.tanh(v @ w.T + t @ a.T + e), recurrent
    ),
    "gated cell": Layer(
        update * z[b, o] + (1 - update) * tanh(Sum(V[o, i] * x[b, i], (i, 1, n))),
        (b, o),
        lambda xp, v, t, w, a, e, f: (lambda g: g * t + (1 - g) * xp.tanh(v @ f.T))(
            sigmoid(xp, v @ w.T + t @ a.T + e)
        ),
        recurrent | {V[o, i]: normal(o, i)},
    ),
    "highway": Layer(
        logistic(linear + beta[o]) * z[b, o] + 1 - logistic(linear + beta[o]),
        (b, o),
        lambda xp, v, t, w, e: (lambda g: g * t + 1 - g)(sigmoid(xp, v @ w.T + e)),
        rows | {z[b, o]: normal(b, o)} | weight | bias,
    ),
    "mixture of experts": Layer(
        Sum(exp(linear) * Sum(A[o, c, j] * x[b, j], (j, 1, n)), (o, 1, O))
        / Sum(exp(row_of), (q, 1, O)),
        (b, c),
        lambda xp, v, w, a: xp.einsum("bo,oci,bi->bc", softmax(xp, v @ w.T), a, v),
        rows | weight | {A[o, c, i]: normal(o, c, i)},
    ),
    "rotary embedding": Layer(
        x[b, i] * g[i] - z[b, i] * V[b, i],
        (b, i),
        lambda xp, v, t, a, e: v * a - t * e,
        rows | {z[b, i]: normal(b, i)},
        {g: normal(i), V: normal(b, i)},
    ),
}
