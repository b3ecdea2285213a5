"""Losses: of one row, or a mean over the batch."""

import numpy as np
from sympy import (
    Abs,
    IndexedBase,
    KroneckerDelta,
    Max,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    cosh,
    exp,
    log,
    sqrt,
)

from rmsnorm_math.notation import b, epsilon, i, j, k, m, n, x
from tests.layers.record import (
    Layer,
    between,
    h,
    log_softmax,
    normal,
    p,
    sigmoid,
    softmax,
)

t, z, y_, label = map(IndexedBase, ("t", "z", "a", "label"))
half, lam = Rational(1, 2), Symbol("lam", positive=True)
rows, target = {x[b, i]: normal(b, i)}, {t: normal(b, i)}
labels = {label: np.array([1, 3, 5])}  # counted from 1, as the indices are
shares = {t: (lambda v: v / v.sum(-1, keepdims=True))(between(0.1, 1, b, i))}
e = x[b, i] - t[b, i]
everywhere = ((i, 1, n), (b, 1, m))
lse = log(Sum(exp(x[b, k]), (k, 1, n)))
chosen = Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
own = Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
softplus = lambda v: log(1 + exp(v))
mean = lambda v: Sum(v, *everywhere) / (m * n)
pick = lambda v, at: v[np.arange(len(v)), at - 1]
up = lambda xp, v: xp.where(v > 0, v, 0 * v)
probability = exp(x[b, k]) / Sum(exp(x[b, j]), (j, 1, n))
dot = lambda u, v: Sum(u[b, k] * v[b, k], (k, 1, n))
far = lambda u, v: sqrt(Sum((u[b, k] - v[b, k]) ** 2, (k, 1, n)) + epsilon)
pair = rows | {z[b, i]: normal(b, i)}
triple = pair | {y_[b, i]: normal(b, i)}
scores = lambda at: Sum(x[b, h] * z[at, h], (h, 1, Symbol("H", integer=True, positive=True)))

LOSSES = {
    "mean squared error": Layer(
        mean(e**2), (), lambda xp, v, t: ((v - t) ** 2).mean(), rows, target
    ),
    "mean absolute error": Layer(
        mean(Abs(e)), (), lambda xp, v, t: abs(v - t).mean(), rows, target
    ),
    "squared error of each row": Layer(
        Sum(e**2, (i, 1, n)) / 2, (b,), lambda xp, v, t: ((v - t) ** 2).sum(-1) / 2, rows, target
    ),
    "root mean squared error": Layer(
        sqrt(mean(e**2)), (), lambda xp, v, t: xp.sqrt(((v - t) ** 2).mean()), rows, target
    ),
    "huber": Layer(
        Sum(Piecewise((e**2 / 2, Abs(e) < 1), (Abs(e) - half, True)), (i, 1, n)),
        (b,),
        lambda xp, v, t: xp.where(abs(v - t) < 1, (v - t) ** 2 / 2, abs(v - t) - 0.5).sum(-1),
        rows,
        target,
    ),
    "smooth l1, elementwise": Layer(
        Piecewise((e**2 / (2 * lam), Abs(e) < lam), (Abs(e) - lam / 2, True)),
        (b, i),
        lambda xp, v, t, a: xp.where(abs(v - t) < a, (v - t) ** 2 / (2 * a), abs(v - t) - a / 2),
        rows,
        target | {lam: 0.7},
    ),
    "log-cosh error": Layer(
        mean(log(cosh(e))), (), lambda xp, v, t: xp.log(xp.cosh(v - t)).mean(), rows, target
    ),
    "charbonnier": Layer(
        mean(sqrt(e**2 + epsilon)),
        (),
        lambda xp, v, t, a: xp.sqrt((v - t) ** 2 + a).mean(),
        rows,
        target | {epsilon: 0.01},
    ),
    "quantile": Layer(
        mean(Max(lam * e, (lam - 1) * e)),
        (),
        lambda xp, v, t, a: xp.where(v > t, a * (v - t), (a - 1) * (v - t)).mean(),
        rows,
        target | {lam: 0.3},
    ),
    "binary cross-entropy": Layer(
        -mean(t[b, i] * log(x[b, i]) + (1 - t[b, i]) * log(1 - x[b, i])),
        (),
        lambda xp, v, t: -(t * xp.log(v) + (1 - t) * xp.log(1 - v)).mean(),
        {x[b, i]: between(0.1, 0.9, b, i)},
        {t: between(0, 1, b, i)},
    ),
    "binary cross-entropy of logits": Layer(
        mean(Max(x[b, i], 0) - x[b, i] * t[b, i] + log(1 + exp(-Abs(x[b, i])))),
        (),
        lambda xp, v, t: (xp.log1p(xp.exp(v)) - v * t).mean(),
        rows,
        {t: between(0, 1, b, i)},
    ),
    "cross-entropy with labels": Layer(
        Sum(lse - chosen, (b, 1, m)) / m,
        (),
        lambda xp, v, at: -pick(log_softmax(xp, v), at).mean(),
        rows,
        labels,
    ),
    "cross-entropy of each row": Layer(
        lse - chosen, (b,), lambda xp, v, at: -pick(log_softmax(xp, v), at), rows, labels
    ),
    "cross-entropy with shares": Layer(
        Sum(lse - Sum(t[b, k] * x[b, k], (k, 1, n)), (b, 1, m)) / m,
        (),
        lambda xp, v, t: -(t * log_softmax(xp, v)).sum(-1).mean(),
        rows,
        shares,
    ),
    "cross-entropy with smoothed labels": Layer(
        lse - (1 - lam) * chosen - lam * Sum(x[b, k], (k, 1, n)) / n,
        (b,),
        lambda xp, v, at, a: (
            -(1 - a) * pick(log_softmax(xp, v), at) - a * log_softmax(xp, v).mean(-1)
        ),
        rows,
        labels | {lam: 0.1},
    ),
    "cross-entropy with a z-loss": Layer(
        lse - chosen + lam * lse**2,
        (b,),
        lambda xp, v, at, a: -pick(log_softmax(xp, v), at) + a * xp.log(xp.exp(v).sum(-1)) ** 2,
        rows,
        labels | {lam: 0.1},
    ),
    "negative log-likelihood": Layer(
        -Sum(KroneckerDelta(i, label[b]) * x[b, i], *everywhere) / m,
        (),
        lambda xp, v, at: -pick(v, at).mean(),
        rows,
        labels,
    ),
    "focal loss": Layer(
        -Sum(t[b, k] * (1 - probability) ** 2 * log(probability), (k, 1, n)),
        (b,),
        lambda xp, v, t: -(t * (1 - softmax(xp, v)) ** 2 * log_softmax(xp, v)).sum(-1),
        rows,
        shares,
    ),
    "binary focal loss": Layer(
        softplus(-x[b, i]) / (1 + exp(x[b, i])) ** 2,
        (b, i),
        lambda xp, v: xp.log1p(xp.exp(-v)) * sigmoid(xp, -v) ** 2,
        rows,
    ),
    "kullback-leibler divergence": Layer(
        Sum(t[b, i] * (log(t[b, i]) - x[b, i]), *everywhere) / m,
        (),
        lambda xp, v, t: (t * (xp.log(t) - v)).sum() / len(v),
        rows,
        shares,
    ),
    "divergence of two softmaxes": Layer(
        Sum(
            probability * (log(probability) - log(probability.subs(x, z))),
            (k, 1, n),
        ),
        (b,),
        lambda xp, v, w: (softmax(xp, v) * (log_softmax(xp, v) - log_softmax(xp, w))).sum(-1),
        pair,
    ),
    "hinge": Layer(
        mean(Max(1 - t[b, i] * x[b, i], 0)),
        (),
        lambda xp, v, t: up(xp, 1 - t * v).mean(),
        rows,
        {t: np.sign(normal(b, i))},
    ),
    "squared hinge": Layer(
        mean(Max(1 - t[b, i] * x[b, i], 0) ** 2),
        (),
        lambda xp, v, t: (up(xp, 1 - t * v) ** 2).mean(),
        rows,
        {t: np.sign(normal(b, i))},
    ),
    "hinge of several classes": Layer(
        Sum(Max(1 + x[b, i] - own, 0), (i, 1, n)) - 1,
        (b,),
        lambda xp, v, at: up(xp, 1 + v - pick(v, at)[:, None]).sum(-1) - 1,
        rows,
        labels,
    ),
    "margin ranking": Layer(
        Max(half - (x[b, i] - z[b, i]), 0),
        (b, i),
        lambda xp, v, w: up(xp, 0.5 - (v - w)),
        pair,
    ),
    "triplet": Layer(
        Max(far(x, z) - far(x, y_) + 1, 0),
        (b,),
        lambda xp, v, w, f, a: up(
            xp,
            xp.sqrt(((v - w) ** 2).sum(-1) + a) - xp.sqrt(((v - f) ** 2).sum(-1) + a) + 1,
        ),
        triple,
        {epsilon: 0.01},
    ),
    "cosine": Layer(
        1 - dot(x, z) / sqrt(dot(x, x) * dot(z, z)),
        (b,),
        lambda xp, v, w: 1 - (v * w).sum(-1) / xp.sqrt((v * v).sum(-1) * (w * w).sum(-1)),
        pair,
    ),
    "contrastive": Layer(
        Sum(log(Sum(exp(scores(p)), (p, 1, m))) - scores(b), (b, 1, m)) / m,
        (),
        lambda xp, v, w: -xp.einsum("bb->b", log_softmax(xp, v @ w.T)).mean(),
        {x[b, h]: normal(b, h), z[b, h]: normal(b, h)},
    ),
    "poisson": Layer(
        mean(exp(x[b, i]) - t[b, i] * x[b, i]),
        (),
        lambda xp, v, t: (xp.exp(v) - t * v).mean(),
        rows,
        target,
    ),
    "gaussian likelihood": Layer(
        mean((log(z[b, i]) + e**2 / z[b, i]) / 2),
        (),
        lambda xp, v, w, t: ((xp.log(w) + (v - t) ** 2 / w) / 2).mean(),
        rows | {z[b, i]: between(0.5, 2, b, i)},
        target,
    ),
    "dice": Layer(
        1 - (2 * Sum(x[b, i] * t[b, i], (i, 1, n)) + 1) / (Sum(x[b, i] + t[b, i], (i, 1, n)) + 1),
        (b,),
        lambda xp, v, t: 1 - (2 * (v * t).sum(-1) + 1) / ((v + t).sum(-1) + 1),
        {x[b, i]: between(0, 1, b, i)},
        {t: between(0, 1, b, i)},
    ),
    "preference": Layer(
        Sum(softplus(-lam * (x[b, i] - z[b, i] - t[b, i])), *everywhere) / (m * n),
        (),
        lambda xp, v, w, t, a: xp.log1p(xp.exp(-a * (v - w - t))).mean(),
        pair,
        target | {lam: 0.7},
    ),
    "ridge": Layer(
        Sum((t[b] - Sum(x[b, i] * z[i], (i, 1, n))) ** 2, (b, 1, m)) / (2 * m)
        + lam * Sum(z[i] ** 2, (i, 1, n)),
        (),
        lambda xp, v, w, t, a: ((t - v @ w) ** 2).mean() / 2 + a * (w**2).sum(),
        rows | {z[i]: normal(i)},
        {t: normal(b), lam: 0.1},
    ),
    "logistic regression": Layer(
        Sum(softplus(-t[b] * Sum(x[b, i] * z[i], (i, 1, n))), (b, 1, m)) / m,
        (),
        lambda xp, v, w, t: xp.log1p(xp.exp(-t * (v @ w))).mean(),
        rows | {z[i]: normal(i)},
        {t: np.array([1.0, -1.0, 1.0])},
    ),
}
