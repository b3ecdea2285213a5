"""Layers on images, gates, and normalisations of late."""

from sympy import (
    Abs,
    Max,
    Sum,
    exp,
    log,
    sin,
    sqrt,
    tanh,
)

from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, n, x
from tests.layers.parts import (
    EPS,
    U1,
    U2,
    U3,
    U4,
    W1,
    W2,
    W3,
    W4,
    U,
    V,
    W,
    a,
    beta,
    flat,
    g,
    lam,
    norm_of,
    plane,
    pre,
    rms_,
    rows,
    sig,
    tau,
    up,
    w,
    z,
)
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
    l,
    normal,
    o,
    p,
    s,
    sigmoid,
    softmax,
    u,
)

GATES = {
    "pointwise convolution": Layer(
        Sum(W[o, c] * x[b, c, s], (c, 1, C)) + beta[o],
        (b, o, s),
        lambda xp, v, w, e: xp.einsum("oc,bcs->bos", w, v) + e[:, None],
        plane | {W[o, c]: normal(o, c), beta[o]: normal(o)},
    ),
    "mixing of steps": Layer(
        x[b, c, s] + Sum(W[s, u] * Max(x[b, c, u], 0), (u, 1, S)),
        (b, c, s),
        lambda xp, v, w: v + up(xp, v) @ w.T,
        plane | {W[s, u]: normal(s, u)},
    ),
    "global response": Layer(
        gamma[c] * x[b, c, s] * norm_of(c) / (Sum(norm_of(d), (d, 1, C)) / C + epsilon)
        + beta[c]
        + x[b, c, s],
        (b, c, s),
        lambda xp, v, w, a, e: (
            lambda r: w[:, None] * v * r / (r.mean(1, keepdims=True) + e) + a[:, None] + v
        )(((v * v).sum(-1, keepdims=True)) ** 0.5),
        plane | {gamma[c]: between(0.5, 1.5, c), beta[c]: normal(c)},
        EPS,
    ),
    "filter response": Layer(
        Max(gamma[c] * x[b, c, s] / flat + beta[c], w[c]),
        (b, c, s),
        lambda xp, v, g, a, t, e: (lambda y: xp.where(y > t[:, None], y, t[:, None] + 0 * y))(
            g[:, None] * v / ((v * v).mean(-1, keepdims=True) + e) ** 0.5 + a[:, None]
        ),
        plane | {gamma[c]: between(0.5, 1.5, c), beta[c]: normal(c), w[c]: normal(c)},
        EPS,
    ),
    "evolved norm": Layer(
        x[b, c, s]
        * sig(g[c] * x[b, c, s])
        / sqrt(Sum((x[b, c, u] - Sum(x[b, c, u], (u, 1, S)) / S) ** 2, (u, 1, S)) / S + epsilon),
        (b, c, s),
        lambda xp, v, w, e: (
            v
            * sigmoid(xp, w[:, None] * v)
            / (((v - v.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True) + e) ** 0.5
        ),
        plane | {g[c]: normal(c)},
        EPS,
    ),
    "generalised mean pooling": Layer(
        (Sum(x[b, c, s] ** tau, (s, 1, S)) / S) ** (1 / tau),
        (b, c),
        lambda xp, v, e: (v**e).mean(-1) ** (1 / e),
        {x[b, c, s]: between(0.5, 2, b, c, s), tau: 3.0},
    ),
    "softmax pooling": Layer(
        Sum(exp(x[b, c, s]) * x[b, c, s], (s, 1, S)) / Sum(exp(x[b, c, u]), (u, 1, S)),
        (b, c),
        lambda xp, v: (softmax(xp, v) * v).sum(-1),
        plane,
    ),
    "modulation by features": Layer(
        g[b, c] * x[b, c, s] + z[b, c],
        (b, c, s),
        lambda xp, v, w, e: w[:, :, None] * v + e[:, :, None],
        plane | {g[b, c]: normal(b, c), z[b, c]: normal(b, c)},
    ),
    "cross layer": Layer(
        z[b, i] * Sum(w[k] * x[b, k], (k, 1, n)) + beta[i] + x[b, i],
        (b, i),
        lambda xp, v, t, w, e: t * (v @ w)[:, None] + e + v,
        rows | {z[b, i]: normal(b, i), w[i]: normal(i), beta[i]: normal(i)},
    ),
    "low-rank bilinear": Layer(
        Sum(
            W[h, o]
            * tanh(Sum(U[h, k] * x[b, k], (k, 1, n)))
            * tanh(Sum(V[h, c] * z[b, c], (c, 1, C))),
            (h, 1, H),
        ),
        (b, o),
        lambda xp, v, t, w, u, e: (xp.tanh(v @ u.T) * xp.tanh(t @ e.T)) @ w,
        rows
        | {
            z[b, c]: normal(b, c),
            W[h, o]: normal(h, o),
            U[h, i]: normal(h, i),
            V[h, c]: normal(h, c),
        },
    ),
    "sine network": Layer(
        sin(tau * (Sum(W[o, k] * x[b, k], (k, 1, n)) + beta[o])),
        (b, o),
        lambda xp, v, w, e, t: xp.sin(t * (v @ w.T + e)),
        rows | {W[o, i]: normal(o, i), beta[o]: normal(o)},
        {tau: 3.0},
    ),
    "long short-term memory": Layer(
        sig(pre(W1, U1, h))
        * tanh(sig(pre(W2, U2, h)) * a[b, h] + sig(pre(W3, U3, h)) * tanh(pre(W4, U4, h))),
        (b, h),
        lambda xp, v, t, e, *w: (
            lambda r: (
                sigmoid(xp, r(0))
                * xp.tanh(sigmoid(xp, r(1)) * e + sigmoid(xp, r(2)) * xp.tanh(r(3)))
            )
        )(lambda at: v @ w[2 * at].T + t @ w[2 * at + 1].T),
        rows
        | {z[b, h]: normal(b, h), a[b, h]: normal(b, h)}
        | {
            M[h, at]: normal(h, at)
            for two in ((W1, U1), (W2, U2), (W3, U3), (W4, U4))
            for M, at in zip(two, (i, l), strict=True)
        },
    ),
    "gumbel softmax": Layer(
        exp((x[b, i] + g[b, i]) / tau) / Sum(exp((x[b, k] + g[b, k]) / tau), (k, 1, n)),
        (b, i),
        lambda xp, v, e, w: softmax(xp, (v + w) / e),
        rows | {tau: 0.5},
        {g: normal(b, i)},
    ),
    "softmax with one more": Layer(
        exp(x[b, i]) / (1 + Sum(exp(x[b, k]), (k, 1, n))),
        (b, i),
        lambda xp, v: xp.exp(v) / (1 + xp.exp(v).sum(-1, keepdims=True)),
        rows,
    ),
    "acon": Layer(
        (a[c] - w[c]) * x[b, c, s] * sig(g[c] * (a[c] - w[c]) * x[b, c, s]) + w[c] * x[b, c, s],
        (b, c, s),
        lambda xp, v, p, q, r: (lambda d: d * sigmoid(xp, r[:, None] * d) + q[:, None] * v)(
            (p - q)[:, None] * v
        ),
        plane | {a[c]: normal(c), w[c]: normal(c), g[c]: normal(c)},
    ),
    "softplus with a slope": Layer(
        log(1 + exp(tau * x[b, i])) / tau,
        (b, i),
        lambda xp, v, e: xp.log(1 + xp.exp(e * v)) / e,
        rows | {tau: 2.0},
    ),
    "rational activation": Layer(
        (1 + x[b, i] + lam * x[b, i] ** 2) / (1 + Abs(tau * x[b, i])),
        (b, i),
        lambda xp, v, e, f: (1 + v + e * v**2) / (1 + abs(f * v)),
        rows | {lam: 0.5, tau: 1.5},
    ),
    "inverse square root unit": Layer(
        x[b, i] / sqrt(1 + lam * x[b, i] ** 2),
        (b, i),
        lambda xp, v, e: v / (1 + e * v**2) ** 0.5,
        rows | {lam: 0.5},
    ),
    "residual of a norm of a sum": Layer(
        x[b, i]
        + w[i] * (x[b, i] + z[b, i]) / sqrt(Sum((x[b, k] + z[b, k]) ** 2, (k, 1, n)) / n + epsilon),
        (b, i),
        lambda xp, v, t, w, e: v + w * rms_(v + t, e),
        rows | {z[b, i]: normal(b, i), w[i]: normal(i)},
        EPS,
    ),
    "layer norm, then linear, then softmax": Layer(
        exp(
            Sum(
                W[o, k]
                * (x[b, k] - Sum(x[b, j], (j, 1, n)) / n)
                / sqrt(Sum((x[b, j] - Sum(x[b, i], (i, 1, n)) / n) ** 2, (j, 1, n)) / n + epsilon),
                (k, 1, n),
            )
        )
        / Sum(
            exp(
                Sum(
                    W[p, k]
                    * (x[b, k] - Sum(x[b, j], (j, 1, n)) / n)
                    / sqrt(
                        Sum((x[b, j] - Sum(x[b, i], (i, 1, n)) / n) ** 2, (j, 1, n)) / n + epsilon
                    ),
                    (k, 1, n),
                )
            ),
            (p, 1, O),
        ),
        (b, o),
        lambda xp, v, w, e: softmax(
            xp,
            (
                (v - v.mean(-1, keepdims=True))
                / (((v - v.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True) + e) ** 0.5
            )
            @ w.T,
        ),
        rows | {W[o, i]: normal(o, i)},
        EPS,
    ),
}
