"""Losses that compare rows with one another, distributions, and scores with ranks."""

import numpy as np
from sympy import (
    Abs,
    IndexedBase,
    KroneckerDelta,
    Max,
    Min,
    Ne,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    exp,
    log,
    sqrt,
)

from rmsnorm_math.notation import b, epsilon, i, j, k, m, n, x
from tests.layers.record import (
    H,
    Layer,
    O,
    between,
    h,
    log_softmax,
    normal,
    o,
    p,
    q,
    softmax,
)

t, z, w, a, W, V, label = map(IndexedBase, ("t", "z", "w", "a", "W", "V", "label"))
tau, lam = Symbol("tau", positive=True), Symbol("lam", positive=True)
half = Rational(1, 2)
rows, pair = {x[b, i]: normal(b, i)}, {x[b, i]: normal(b, i), z[b, i]: normal(b, i)}
softplus = lambda v: log(1 + exp(v))
plus = lambda xp, v: xp.log(1 + xp.exp(v))
up = lambda xp, v: xp.where(v > 0, v, 0 * v)
lse = lambda xp, v: v - log_softmax(xp, v)
squares = lambda u, v, at: Sum((u[b, k] - v[at, k]) ** 2, (k, 1, n))
apart = lambda v, w: ((v[:, None] - w) ** 2).sum(-1)
logit = lambda at: Sum(x[b, k] * z[at, k], (k, 1, n)) / tau
soft = lambda base, at: exp(base[b, at]) / Sum(exp(base[b, j]), (j, 1, n))
column = lambda base, at: Sum(base[p, at], (p, 1, m)) / m
spread = lambda base, at: sqrt(Sum((base[p, at] - column(base, at)) ** 2, (p, 1, m)) / m + epsilon)
unit = lambda base, at: (base[b, at] - column(base, at)) / spread(base, at)
correlation = Sum(unit(x, i) * unit(z, j), (b, 1, m)) / m
normed = lambda v, e: (v - v.mean(0)) / ((v - v.mean(0)) ** 2 + 0 * e).mean(0).__add__(e) ** 0.5
covariance = Sum((x[b, i] - column(x, i)) * (x[b, j] - column(x, j)), (b, 1, m)) / (m - 1)
ratio = exp(x[b, i] - z[b, i])
overlap, total = (
    Sum(x[b, k] * t[b, k], (k, 1, n)),
    Sum(x[b, k] + t[b, k], (k, 1, n)),
)
shares = {t: (lambda v: v / v.sum(-1, keepdims=True))(between(0.1, 1, b, i))}
mixture = Sum(exp(V[o]) * exp(-squares(x, W, o) / 2) / Sum(exp(V[q]), (q, 1, O)), (o, 1, O))

COMPARISONS = {
    "contrast of pairs in a batch": Layer(
        Sum(log(Sum(exp(logit(p)), (p, 1, m))) - logit(b), (b, 1, m)) / m,
        (),
        lambda xp, v, w, e: (lse(xp, v @ w.T / e)[:, 0] - (v * w).sum(-1) / e).mean(),
        pair | {tau: 0.5},
    ),
    "contrast with all others": Layer(
        log(Sum(exp(logit(p)) * Piecewise((1, Ne(p, b)), (0, True)), (p, 1, m))) - logit(b),
        (b,),
        lambda xp, v, w, e: (
            xp.log((xp.exp(v @ w.T / e) * xp.asarray(1 - np.eye(3))).sum(-1)) - (v * w).sum(-1) / e
        ),
        pair | {tau: 0.5},
    ),
    "redundancy of features": Layer(
        Sum((1 - correlation.subs(j, i)) ** 2 - lam * correlation.subs(j, i) ** 2, (i, 1, n))
        + lam * Sum(correlation**2, (i, 1, n), (j, 1, n)),
        (),
        lambda xp, v, w, e, a: (
            lambda r: (
                (1 - r) ** 2 * xp.asarray(np.eye(5)) + a * r**2 * xp.asarray(1 - np.eye(5))
            ).sum()
        )(normed(v, e).T @ normed(w, e) / 3),
        pair,
        {epsilon: 0.1, lam: 0.2},
    ),
    "variance and covariance": Layer(
        Sum(Max(1 - spread(x, i), 0), (i, 1, n)) / n + Sum(covariance**2, (i, 1, n), (j, 1, n)) / n,
        (),
        lambda xp, v, e: (
            up(xp, 1 - (((v - v.mean(0)) ** 2).mean(0) + e) ** 0.5).mean()
            + (((v - v.mean(0)).T @ (v - v.mean(0)) / 2) ** 2).sum() / 5
        ),
        rows,
        {epsilon: 0.1},
    ),
    "mean discrepancy": Layer(
        Sum(exp(-squares(x, x, p) / 2) - 2 * exp(-squares(x, z, p) / 2), (b, 1, m), (p, 1, m))
        / m**2,
        (),
        lambda xp, v, w: (xp.exp(-apart(v, v) / 2).sum() - 2 * xp.exp(-apart(v, w) / 2).sum()) / 9,
        pair,
    ),
    "ranks of a list": Layer(
        -Sum(soft(t, k) * log(soft(x, k)), (k, 1, n)),
        (b,),
        lambda xp, v, t: -(softmax(xp, t) * log_softmax(xp, v)).sum(-1),
        rows,
        {t: normal(b, i)},
    ),
    "distillation at a temperature": Layer(
        tau**2
        * Sum(
            exp(t[b, k] / tau)
            / Sum(exp(t[b, j] / tau), (j, 1, n))
            * (
                log(exp(t[b, k] / tau) / Sum(exp(t[b, j] / tau), (j, 1, n)))
                - log(exp(x[b, k] / tau) / Sum(exp(x[b, j] / tau), (j, 1, n)))
            ),
            (k, 1, n),
        ),
        (b,),
        lambda xp, v, t, e: (
            e**2 * (softmax(xp, t / e) * (log_softmax(xp, t / e) - log_softmax(xp, v / e))).sum(-1)
        ),
        rows,
        {t: normal(b, i), tau: 2.0},
    ),
    "jensen-shannon divergence": Layer(
        Sum(
            soft(x, k) * log(2 * soft(x, k) / (soft(x, k) + soft(z, k)))
            + soft(z, k) * log(2 * soft(z, k) / (soft(x, k) + soft(z, k))),
            (k, 1, n),
        )
        / 2,
        (b,),
        lambda xp, v, w: (
            lambda f, g: (f * xp.log(2 * f / (f + g)) + g * xp.log(2 * g / (f + g))).sum(-1) / 2
        )(softmax(xp, v), softmax(xp, w)),
        pair,
    ),
    "divergence from a normal": Layer(
        -Sum(1 + z[b, k] - x[b, k] ** 2 - exp(z[b, k]), (k, 1, n)) / 2,
        (b,),
        lambda xp, v, w: -(1 + w - v**2 - xp.exp(w)).sum(-1) / 2,
        pair,
    ),
    "mixture of normals": Layer(
        -Sum(log(mixture), (b, 1, m)),
        (),
        lambda xp, v, w, e: -xp.log((softmax(xp, w) * xp.exp(-apart(v, e) / 2)).sum(-1)).sum(),
        rows | {V[o]: normal(o), W[o, i]: normal(o, i)},
    ),
    "student's t": Layer(
        (tau + 1) / 2 * log(1 + (x[b, i] - t[b, i]) ** 2 / tau),
        (b, i),
        lambda xp, v, t, e: (e + 1) / 2 * xp.log(1 + (v - t) ** 2 / e),
        rows,
        {t: normal(b, i), tau: 3.0},
    ),
    "laplace likelihood": Layer(
        log(2 * z[b, i]) + Abs(x[b, i] - t[b, i]) / z[b, i],
        (b, i),
        lambda xp, v, w, t: xp.log(2 * w) + abs(v - t) / w,
        {x[b, i]: normal(b, i), z[b, i]: between(0.5, 2, b, i)},
        {t: normal(b, i)},
    ),
    "clipped policy ratio": Layer(
        -Min(ratio * w[b, i], Min(Max(ratio, 1 - tau), 1 + tau) * w[b, i]),
        (b, i),
        lambda xp, v, w, a, e: (
            -(lambda r, k: xp.where(r * a < k * a, r * a, k * a))(
                xp.exp(v - w), xp.clip(xp.exp(v - w), 1 - e, 1 + e)
            )
        ),
        rows,
        {z: normal(b, i), w: normal(b, i), tau: 0.2},
    ),
    "tversky": Layer(
        1
        - overlap
        / (
            overlap
            + lam * Sum(x[b, k] * (1 - t[b, k]), (k, 1, n))
            + (1 - lam) * Sum((1 - x[b, k]) * t[b, k], (k, 1, n))
        ),
        (b,),
        lambda xp, v, t, a: (
            1
            - (v * t).sum(-1)
            / ((v * t).sum(-1) + a * (v * (1 - t)).sum(-1) + (1 - a) * ((1 - v) * t).sum(-1))
        ),
        {x[b, i]: between(0.1, 0.9, b, i)},
        {t: between(0.1, 0.9, b, i), lam: 0.3},
    ),
    "intersection over union": Layer(
        Sum(1 - overlap / (total - overlap), (b, 1, m)) / m,
        (),
        lambda xp, v, t: (1 - (v * t).sum(-1) / ((v + t).sum(-1) - (v * t).sum(-1))).mean(),
        {x[b, i]: between(0.1, 0.9, b, i)},
        {t: between(0.1, 0.9, b, i)},
    ),
    "cross-entropy with rows left out": Layer(
        Sum(
            w[b]
            * (
                log(Sum(exp(x[b, k]), (k, 1, n)))
                - Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
            ),
            (b, 1, m),
        )
        / Sum(w[b], (b, 1, m)),
        (),
        lambda xp, v, at, w: -(log_softmax(xp, v)[np.arange(3), at - 1] * w).sum() / w.sum(),
        rows,
        {label: np.array([1, 3, 5]), w: np.array([1.0, 0.0, 1.0])},
    ),
    "cross-entropy with class weights": Layer(
        -Sum(KroneckerDelta(k, label[b]) * w[k] * log(soft(x, k)), (k, 1, n)),
        (b,),
        lambda xp, v, at, w: -log_softmax(xp, v)[np.arange(3), at - 1] * w[at - 1],
        rows,
        {label: np.array([1, 3, 5]), w: between(0.5, 1.5, i)},
    ),
    "centres of classes": Layer(
        Sum((x[b, k] - Sum(KroneckerDelta(o, label[b]) * W[o, k], (o, 1, O))) ** 2, (k, 1, n)) / 2,
        (b,),
        lambda xp, v, w, at: ((v - w[at - 1]) ** 2).sum(-1) / 2,
        {x[b, i]: normal(b, i), W[o, i]: normal(o, i)},
        {label: np.array([1, 4, 1])},
    ),
    "prototypes": Layer(
        log(Sum(exp(-squares(x, W, o)), (o, 1, O)))
        + Sum(KroneckerDelta(o, label[b]) * squares(x, W, o), (o, 1, O)),
        (b,),
        lambda xp, v, w, at: lse(xp, -apart(v, w))[:, 0] + apart(v, w)[np.arange(3), at - 1],
        {x[b, i]: normal(b, i), W[o, i]: normal(o, i)},
        {label: np.array([1, 4, 1])},
    ),
    "quantiles": Layer(
        Sum(Max(w[o] * (t[b] - x[b, o]), (w[o] - 1) * (t[b] - x[b, o])), (o, 1, O)),
        (b,),
        lambda xp, v, t, w: (lambda d: xp.where(d > 0, w * d, (w - 1) * d).sum(-1))(t[:, None] - v),
        {x[b, o]: normal(b, o)},
        {t: normal(b), w: np.array([0.1, 0.4, 0.5, 0.9])},
    ),
    "wing": Layer(
        Piecewise(
            (lam * log(1 + Abs(x[b, i] - t[b, i]) / tau), Abs(x[b, i] - t[b, i]) < lam),
            (Abs(x[b, i] - t[b, i]) - lam + lam * log(1 + lam / tau), True),
        ),
        (b, i),
        lambda xp, v, t, a, e: (
            lambda d: xp.where(d < a, a * xp.log(1 + d / e), d - a + a * np.log(1 + a / e))
        )(abs(v - t)),
        rows,
        {t: normal(b, i), lam: 1.0, tau: 0.5},
    ),
    "free energy of a machine": Layer(
        -Sum(a[k] * x[b, k], (k, 1, n))
        - Sum(softplus(w[h] + Sum(W[h, k] * x[b, k], (k, 1, n))), (h, 1, H)),
        (b,),
        lambda xp, v, a, w, e: -(v @ a) - plus(xp, w + v @ e.T).sum(-1),
        {x[b, i]: normal(b, i), a[i]: normal(i), w[h]: normal(h), W[h, i]: normal(h, i)},
    ),
    "energy of associations": Layer(
        Sum(x[b, k] ** 2, (k, 1, n)) / 2
        - log(Sum(exp(tau * Sum(W[h, k] * x[b, k], (k, 1, n))), (h, 1, H))) / tau,
        (b,),
        lambda xp, v, w, e: (v * v).sum(-1) / 2 - lse(xp, e * (v @ w.T))[:, 0] / e,
        {x[b, i]: normal(b, i), W[h, i]: normal(h, i)},
        {tau: 2.0},
    ),
    "smoothness on a graph": Layer(
        Sum(V[b, p] * (x[b, k] - x[p, k]) ** 2, (b, 1, m), (p, 1, m), (k, 1, n)) / 2,
        (),
        lambda xp, v, a: (a * apart(v, v)).sum() / 2,
        rows,
        {V: normal(b, p)},
    ),
    "factorisation with biases": Layer(
        Sum(
            V[b, o] * (t[b, o] - Sum(x[b, k] * W[o, k], (k, 1, n)) - a[b] - w[o]) ** 2,
            (b, 1, m),
            (o, 1, O),
        )
        / Sum(V[b, o], (b, 1, m), (o, 1, O)),
        (),
        lambda xp, v, w, a, e, t, g: (g * (t - v @ w.T - a[:, None] - e) ** 2).sum() / g.sum(),
        {x[b, i]: normal(b, i), W[o, i]: normal(o, i), a[b]: normal(b), w[o]: normal(o)},
        {t: normal(b, o), V: between(0, 1, b, o)},
    ),
}
