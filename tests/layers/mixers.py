"""Attention with more to it: distances, windows, sinks, graphs."""

from sympy import (
    Abs,
    And,
    Max,
    Piecewise,
    Sum,
    exp,
    sqrt,
    tanh,
)

from rmsnorm_math.notation import b, gamma, i, j, k, m, n, x
from tests.layers.parts import (
    EPS,
    A,
    B,
    K,
    Q,
    V,
    W,
    a,
    attend,
    edge,
    feature,
    gap,
    heads,
    lam,
    leaky,
    rms_,
    root,
    rows,
    scores,
    tau,
    up,
    w,
)
from tests.layers.record import (
    H,
    Layer,
    O,
    S,
    between,
    c,
    h,
    l,
    normal,
    o,
    p,
    q,
    s,
    softmax,
    u,
)

near_to = lambda at: 1 / (1 + Sum((x[b, k] - W[at, k]) ** 2, (k, 1, n)))
student = lambda v, w: 1 / (1 + ((v[:, None] - w) ** 2).sum(-1))

MIXERS = {
    "soft clusters": Layer(
        near_to(o) / Sum(near_to(q), (q, 1, O)),
        (b, o),
        lambda xp, v, w: student(v, w) / student(v, w).sum(-1, keepdims=True),
        rows | {W[o, i]: normal(o, i)},
    ),
    "attention with distances": Layer(
        attend(lambda at: scores(at) - lam * Abs(b - at)),
        (b, c),
        lambda xp, q, k, v, e: softmax(xp, q @ k.T - e * xp.asarray(gap * 1.0)) @ v,
        heads,
        {lam: 0.3},
    ),
    "attention with a bias for each pair": Layer(
        attend(lambda at: scores(at) + B[b, at]),
        (b, c),
        lambda xp, q, k, v, e: softmax(xp, q @ k.T + e) @ v,
        heads | {B[b, s]: normal(b, s)},
    ),
    "attention in a window": Layer(
        attend(scores, lambda at: Piecewise((1, And(at <= b + 1, at >= b - 1)), (0, True))),
        (b, c),
        lambda xp, q, k, v: (lambda e: (e / e.sum(-1, keepdims=True)) @ v)(
            xp.exp(q @ k.T) * xp.asarray((gap <= 1) * 1.0)
        ),
        heads,
    ),
    "attention with capped scores": Layer(
        attend(lambda at: tau * tanh(scores(at) / tau)),
        (b, c),
        lambda xp, q, k, v, e: softmax(xp, e * xp.tanh(q @ k.T / e)) @ v,
        heads,
        {tau: 2.0},
    ),
    "attention of normalised queries": Layer(
        attend(lambda at: Sum(gamma[h] * Q[b, h] / root(Q, b) * K[at, h] / root(K, at), (h, 1, H))),
        (b, c),
        lambda xp, q, k, v, w, e: softmax(xp, (w * rms_(q, e)) @ rms_(k, e).T) @ v,
        heads | {gamma[h]: between(0.5, 1.5, h)},
        EPS,
    ),
    "attention with a sink": Layer(
        Sum(exp(scores(s)) * V[s, c], (s, 1, S)) / (1 + Sum(exp(scores(u)), (u, 1, S))),
        (b, c),
        lambda xp, q, k, v: (xp.exp(q @ k.T) / (1 + xp.exp(q @ k.T).sum(-1, keepdims=True))) @ v,
        heads,
    ),
    "attention by squared relu": Layer(
        Sum(Max(scores(s), 0) ** 2 * V[s, c], (s, 1, S)) / S,
        (b, c),
        lambda xp, q, k, v: up(xp, q @ k.T) ** 2 @ v / 7,
        heads,
    ),
    "linear attention by elu": Layer(
        Sum(feature(Q[b, h]) * Sum(feature(K[s, h]) * V[s, c], (s, 1, S)), (h, 1, H))
        / Sum(feature(Q[b, l]) * Sum(feature(K[u, l]), (u, 1, S)), (l, 1, H)),
        (b, c),
        lambda xp, q, k, v: (lambda f, g: (f @ (g.T @ v)) / (f @ g.sum(0))[:, None])(
            xp.where(q > 0, q + 1, xp.exp(q)), xp.where(k > 0, k + 1, xp.exp(k))
        ),
        heads,
    ),
    "attention over channels": Layer(
        Sum(exp(Sum(x[p, i] * x[p, j], (p, 1, m))) * x[b, j], (j, 1, n))
        / Sum(exp(Sum(x[p, i] * x[p, k], (p, 1, m))), (k, 1, n)),
        (b, i),
        lambda xp, v: v @ softmax(xp, v.T @ v).T,
        rows,
    ),
    "attention of a query shared by heads": Layer(
        Sum(exp(Sum(Q[b, o, h] * K[s, h], (h, 1, H)) / sqrt(H)) * V[s, c], (s, 1, S))
        / Sum(exp(Sum(Q[b, o, l] * K[u, l], (l, 1, H)) / sqrt(H)), (u, 1, S)),
        (b, o, c),
        lambda xp, q, k, v: softmax(xp, q @ k.T / 6**0.5) @ v,
        {Q[b, o, h]: normal(b, o, h), K[s, h]: normal(s, h), V[s, c]: normal(s, c)},
    ),
    "additive attention of one query": Layer(
        attend(lambda at: Sum(w[h] * tanh(a[h] + K[at, h]), (h, 1, H))),
        (c,),
        lambda xp, k, v, z, q: softmax(xp, xp.tanh(q + k) @ z) @ v,
        {K[s, h]: normal(s, h), V[s, c]: normal(s, c), w[h]: normal(h), a[h]: normal(h)},
    ),
    "attention of a batch": Layer(
        Sum(exp(Sum(Q[b, o, h] * K[b, s, h], (h, 1, H))) * V[b, s, c], (s, 1, S))
        / Sum(exp(Sum(Q[b, o, l] * K[b, u, l], (l, 1, H))), (u, 1, S)),
        (b, o, c),
        lambda xp, q, k, v: softmax(xp, xp.einsum("boh,bsh->bos", q, k)) @ v,
        {Q[b, o, h]: normal(b, o, h), K[b, s, h]: normal(b, s, h), V[b, s, c]: normal(b, s, c)},
    ),
    "graph convolution": Layer(
        Max(
            Sum(A[b, p] * Sum(x[p, k] * W[o, k], (k, 1, n)), (p, 1, m)) / Sum(A[b, p], (p, 1, m)), 0
        ),
        (b, o),
        lambda xp, v, w, e: up(xp, e @ (v @ w.T) / e.sum(1, keepdims=True)),
        {x[b, i]: normal(b, i), W[o, i]: normal(o, i)},
        {A: between(0.1, 1, b, p)},
    ),
    "attention on a graph": Layer(
        Sum(exp(leaky(edge(b) + Sum(w[k] * x[p, k], (k, 1, n)))) * A[b, p] * x[p, i], (p, 1, m))
        / Sum(exp(leaky(edge(b) + Sum(w[k] * x[p, k], (k, 1, n)))) * A[b, p], (p, 1, m)),
        (b, i),
        lambda xp, v, a, w, e: (
            lambda r: (
                (xp.exp(up(xp, r) - up(xp, -r) / 5) * e)
                @ v
                / (xp.exp(up(xp, r) - up(xp, -r) / 5) * e).sum(1, keepdims=True)
            )
        )((v @ a)[:, None] + v @ w),
        rows | {a[i]: normal(i), w[i]: normal(i)},
        {A: between(0.1, 1, b, p)},
    ),
}
