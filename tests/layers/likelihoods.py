"""Likelihoods, choices and what else losses are made of."""

from sympy import (
    IndexedBase,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    exp,
    log,
    loggamma,
)

from rmsnorm_math.notation import b, i, j, m, n, x
from tests.layers.record import Layer, between, log_gamma, normal, softmax

t, z = map(IndexedBase, ("t", "z"))
lam, tau = Symbol("lam", positive=True), Symbol("tau", positive=True)
rows, target = {x[b, i]: normal(b, i)}, {t: normal(b, i)}
shares = {t: (lambda v: v / v.sum(-1, keepdims=True))(between(0.1, 1, b, i))}
e = x[b, i] - t[b, i]
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
        {t: between(0, 9, b, i).round(), z: between(0.5, 2, b, i)},
    ),
}
