"""Likelihoods, choices and what else losses are made of."""

import numpy as np
from sympy import (
    Abs,
    IndexedBase,
    KroneckerDelta,
    Min,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    cos,
    exp,
    log,
    loggamma,
    sqrt,
)

from rmsnorm_math.notation import b, epsilon, i, j, k, m, n, x
from tests.layers.record import Layer, O, between, log_gamma, normal, o, p, q, softmax, u

t, z, W, label = map(IndexedBase, ("t", "z", "W", "label"))
lam, tau = Symbol("lam", positive=True), Symbol("tau", positive=True)
rows, target = {x[b, i]: normal(b, i)}, {t: normal(b, i)}
shares = {t: (lambda v: v / v.sum(-1, keepdims=True))(between(0.1, 1, b, i))}
e = x[b, i] - t[b, i]
total = Sum(x[b, j], (j, 1, n))
average = lambda v: Sum(v[b, k], (k, 1, n)) / n
logit = lambda base, at: Sum(x[b, k] * base[at, k], (k, 1, n)) / tau
mean = lambda v: Sum(v, (i, 1, n), (b, 1, m)) / (m * n)

LIKELIHOODS = {
    "quantile by choice": Layer(
        mean(Piecewise((-lam * e, e <= 0), ((1 - lam) * e, True))),
        (),
        lambda xp, v, t, a: xp.where(v <= t, a * (t - v), (1 - a) * (v - t)).mean(),
        rows,
        target | {lam: 0.3},
    ),
    "step of two heights": Layer(
        Piecewise((x[b, i] * Rational(1, 3), x[b, i] > t[b, i]), (x[b, i] / 7, True)),
        (b, i),
        lambda xp, v, t: xp.where(v > t, v / 3, v / 7),
        rows,
        target,
    ),
    "load of experts": Layer(
        n
        * Sum(
            Sum(t[b, i], (b, 1, m))
            * Sum(exp(x[b, i]) / Sum(exp(x[b, j]), (j, 1, n)), (b, 1, m))
            / m**2,
            (i, 1, n),
        ),
        (),
        lambda xp, v, t: 5 * (t.mean(0) * softmax(xp, v).mean(0)).sum(),
        rows,
        shares,
    ),
    "likelihood of counts": Layer(
        Sum(
            loggamma(z[b, i])
            - loggamma(z[b, i] + t[b, i])
            + (t[b, i] + z[b, i]) * log(1 + exp(x[b, i]))
            - t[b, i] * x[b, i],
            (i, 1, n),
        ),
        (b,),
        lambda xp, v, t, w: (
            log_gamma(xp, w) - log_gamma(xp, w + t) + (t + w) * xp.log1p(xp.exp(v)) - t * v
        ).sum(-1),
        rows,
        {t: between(0, 3, b, i).round(), z: between(0.5, 2, b, i)},
    ),
    "earth mover's distance": Layer(
        Sum((Sum(x[b, k], (k, 1, i)) - Sum(t[b, k], (k, 1, i))) ** 2, (i, 1, n)),
        (b,),
        lambda xp, v, t: ((xp.cumsum(v, -1) - xp.cumsum(t, -1)) ** 2).sum(-1),
        rows,
        target,
    ),
    "sums up to each step": Layer(
        Sum(x[b, k], (k, 1, i)), (b, i), lambda xp, v: xp.cumsum(v, -1), rows
    ),
    "sums from each step on": Layer(
        Sum(x[b, k] * t[b, k], (k, i, n)),
        (b, i),
        lambda xp, v, t: xp.flip(xp.cumsum(xp.flip(v * t, (-1,)), -1), (-1,)),
        rows,
        target,
    ),
    "batch norm by class": Layer(
        Sum(KroneckerDelta(o, label[b]) * W[o, i], (o, 1, O))
        * (x[b, i] - Sum(x[p, i], (p, 1, m)) / m)
        / sqrt(Sum((x[p, i] - Sum(x[u, i], (u, 1, m)) / m) ** 2, (p, 1, m)) / m + epsilon),
        (b, i),
        lambda xp, v, w, at, e: (
            w[at - 1] * (v - v.mean(0)) / xp.sqrt(((v - v.mean(0)) ** 2).mean(0) + e)
        ),
        rows | {W[o, i]: normal(o, i)},
        {label: np.array([1, 4, 1]), epsilon: 0.1},
    ),
    "evidence of classes": Layer(
        Sum(
            (t[b, k] - x[b, k] / total) ** 2
            + x[b, k] * (total - x[b, k]) / (total**2 * (total + 1)),
            (k, 1, n),
        ),
        (b,),
        lambda xp, v, t: (lambda s: ((t - v / s) ** 2 + v * (s - v) / (s**2 * (s + 1))).sum(-1))(
            v.sum(-1, keepdims=True)
        ),
        {x[b, i]: between(1, 3, b, i)},
        shares,
    ),
    "directions": Layer(
        -mean(tau * cos(x[b, i] - t[b, i])),
        (),
        lambda xp, v, t, k: -(k * xp.cos(v - t)).mean(),
        rows,
        target | {tau: 2.0},
    ),
    "tweedie": Layer(
        mean(exp((2 - tau) * x[b, i]) / (2 - tau) - t[b, i] * exp((1 - tau) * x[b, i]) / (1 - tau)),
        (),
        lambda xp, v, t, p: (
            xp.exp((2 - p) * v) / (2 - p) - t * xp.exp((1 - p) * v) / (1 - p)
        ).mean(),
        rows,
        {t: between(0, 3, b, i), tau: 1.5},
    ),
    "biweight": Layer(
        Piecewise(
            (lam**2 * (1 - (1 - (e / lam) ** 2) ** 3) / 6, Abs(e) <= lam), (lam**2 / 6, True)
        ),
        (b, i),
        lambda xp, v, t, a: xp.where(
            abs(v - t) <= a, a**2 * (1 - (1 - ((v - t) / a) ** 2) ** 3) / 6, a**2 / 6
        ),
        rows,
        target | {lam: 1.0},
    ),
    "huber by its smaller part": Layer(
        Min(Abs(e), lam) * (Abs(e) - Min(Abs(e), lam) / 2),
        (b, i),
        lambda xp, v, t, a: (lambda d, s: s * (d - s / 2))(
            abs(v - t), xp.where(abs(v - t) < a, abs(v - t), a)
        ),
        rows,
        target | {lam: 0.7},
    ),
    "concordance": Layer(
        1
        - 2
        * Sum((x[b, i] - average(x)) * (t[b, i] - average(t)), (i, 1, n))
        / (
            Sum((x[b, i] - average(x)) ** 2 + (t[b, i] - average(t)) ** 2, (i, 1, n))
            + n * (average(x) - average(t)) ** 2
        ),
        (b,),
        lambda xp, v, t: (
            lambda f, g: (
                1
                - 2 * (f * g).sum(-1) / ((f**2 + g**2).sum(-1) + 5 * (v.mean(-1) - t.mean(-1)) ** 2)
            )
        )(v - v.mean(-1, keepdims=True), t - t.mean(-1, keepdims=True)),
        rows,
        target,
    ),
    "margin of angles": Layer(
        log(Sum(exp(tau * (x[b, k] - lam * t[b, k])), (k, 1, n)))
        - tau * Sum(t[b, k] * (x[b, k] - lam), (k, 1, n)),
        (b,),
        lambda xp, v, t, s, a: xp.log(xp.exp(s * (v - a * t)).sum(-1)) - s * (t * (v - a)).sum(-1),
        rows,
        {t: np.eye(5)[[0, 2, 4]], tau: 2.0, lam: 0.3},
    ),
    "orthogonal weights": Layer(
        Sum((Sum(W[o, i] * W[q, i], (i, 1, n)) - KroneckerDelta(o, q)) ** 2, (o, 1, O), (q, 1, O)),
        (),
        lambda xp, w: ((w @ w.T - xp.asarray(np.eye(4))) ** 2).sum(),
        {W[o, i]: normal(o, i)},
    ),
    "lasso of groups": Layer(
        Sum(sqrt(Sum(W[o, i] ** 2, (i, 1, n))), (o, 1, O))
        + lam * Sum(Abs(W[o, i]), (o, 1, O), (i, 1, n)),
        (),
        lambda xp, w, a: xp.sqrt((w**2).sum(1)).sum() + a * abs(w).sum(),
        {W[o, i]: normal(o, i)},
        {lam: 0.1},
    ),
    "one among a bank": Layer(
        log(exp(logit(z, b)) + Sum(exp(logit(W, o)), (o, 1, O))) - logit(z, b),
        (b,),
        lambda xp, v, w, e, bank: (
            lambda one: xp.log(xp.exp(one) + xp.exp(v @ bank.T / e).sum(-1)) - one
        )((v * w).sum(-1) / e),
        rows | {z[b, i]: normal(b, i), tau: 0.5, W[o, i]: normal(o, i)},
    ),
    "a set among two": Layer(
        log(Sum(exp(z[b, o]), (o, 1, O)))
        - log(Sum(exp(z[b, q]), (q, 1, O)) + Sum(exp(x[b, k]), (k, 1, n))),
        (b,),
        lambda xp, v, w: -xp.log(1 + xp.exp(v).sum(-1) / xp.exp(w).sum(-1)),
        rows | {z[b, o]: normal(b, o)},
    ),
    "contrast both ways": Layer(
        Sum(
            log(Sum(exp(logit(z, p)), (p, 1, m)))
            + log(Sum(exp(Sum(x[p, k] * z[b, k], (k, 1, n)) / tau), (p, 1, m)))
            - 2 * logit(z, b),
            (b, 1, m),
        )
        / (2 * m),
        (),
        lambda xp, v, w, e: (
            lambda t: (
                xp.log(xp.exp(t).sum(0)).mean() / 2
                + xp.log(xp.exp(t).sum(1)).mean() / 2
                - (v * w).sum() / e / 3
            )
        )(v @ w.T / e),
        rows | {z[b, i]: normal(b, i), tau: 0.5},
    ),
    "contrast of rows with one another": Layer(
        Sum(log(Sum(exp(logit(x, p)), (p, 1, m))), (b, 1, m)),
        (),
        lambda xp, v, e: xp.log(xp.exp(v @ v.T / e).sum(1)).sum(),
        rows | {tau: 2.0},
    ),
    "matches of two lists": Layer(
        Sum(
            exp(W[o, i])
            / Sum(exp(W[o, j]), (j, 1, n))
            * exp(W[o, i])
            / Sum(exp(W[q, i]), (q, 1, O)),
            (o, 1, O),
        ),
        (i,),
        lambda xp, w: (softmax(xp, w) * softmax(xp, w.T).T).sum(0),
        {W[o, i]: normal(o, i)},
    ),
}
