"""Activations, elementwise and gated."""

from sympy import (
    Abs,
    IndexedBase,
    Max,
    Min,
    Piecewise,
    Rational,
    Symbol,
    asinh,
    atan,
    cosh,
    erf,
    exp,
    log,
    pi,
    sign,
    sin,
    sqrt,
    tanh,
)

from rmsnorm_math.notation import b, i, x
from tests.layers.record import Layer, between, c, erf_of, normal, s, sigmoid

z, alpha, beta = IndexedBase("z"), IndexedBase("alpha"), IndexedBase("beta")
half = Rational(1, 2)
logistic = 1 / (1 + exp(-x[i]))
inner = sqrt(2 / pi) * (x[i] + Rational(44715, 10**6) * x[i] ** 3)
ALPHA, SCALE = Rational("1.6732632423543772"), Rational("1.0507009873554805")

elementwise = {
    "sigmoid": (logistic, sigmoid),
    "tanh": (tanh(x[i]), lambda xp, v: xp.tanh(v)),
    "relu": (Max(x[i], 0), lambda xp, v: xp.where(v > 0, v, 0 * v)),
    "leaky relu": (Max(x[i], x[i] / 100), lambda xp, v: xp.where(v > 0, v, v / 100)),
    "elu": (
        Piecewise((x[i], x[i] > 0), (exp(x[i]) - 1, True)),
        lambda xp, v: xp.where(v > 0, v, xp.expm1(xp.where(v > 0, 0 * v, v))),
    ),
    "selu": (
        SCALE * Piecewise((x[i], x[i] > 0), (ALPHA * (exp(x[i]) - 1), True)),
        lambda xp, v: float(SCALE) * xp.where(v > 0, v, float(ALPHA) * (xp.exp(v) - 1)),
    ),
    "gelu": (
        x[i] * (1 + erf(x[i] / sqrt(2))) / 2,
        lambda xp, v: v * (1 + erf_of(xp, v / 2**0.5)) / 2,
    ),
    "gelu by tanh": (
        x[i] * (1 + tanh(inner)) / 2,
        lambda xp, v: v / 2 * (1 + xp.tanh((2 / xp.pi) ** 0.5 * (v + 0.044715 * v**3))),
    ),
    "silu": (x[i] * logistic, lambda xp, v: v * sigmoid(xp, v)),
    "softplus": (log(1 + exp(x[i])), lambda xp, v: xp.log1p(xp.exp(v))),
    "log-sigmoid": (log(logistic), lambda xp, v: -xp.log1p(xp.exp(-v))),
    "mish": (x[i] * tanh(log(1 + exp(x[i]))), lambda xp, v: v * xp.tanh(xp.log1p(xp.exp(v)))),
    "softsign": (x[i] / (1 + Abs(x[i])), lambda xp, v: v / (1 + abs(v))),
    "hard tanh": (Min(Max(x[i], -1), 1), lambda xp, v: xp.clip(v, -1, 1)),
    "relu6": (Min(Max(x[i], 0), 6), lambda xp, v: xp.clip(v, 0, 6)),
    "hard sigmoid": (Min(Max(x[i] / 6 + half, 0), 1), lambda xp, v: xp.clip(v / 6 + 0.5, 0, 1)),
    "hard swish": (
        x[i] * Min(Max(x[i] + 3, 0), 6) / 6,
        lambda xp, v: v * xp.clip(v + 3, 0, 6) / 6,
    ),
    "squared relu": (Max(x[i], 0) ** 2, lambda xp, v: xp.where(v > 0, v, 0 * v) ** 2),
    "tanhshrink": (x[i] - tanh(x[i]), lambda xp, v: v - xp.tanh(v)),
    "softshrink": (
        sign(x[i]) * Max(Abs(x[i]) - half, 0),
        lambda xp, v: xp.where(v > 0.5, v - 0.5, xp.where(v < -0.5, v + 0.5, 0 * v)),
    ),
    "hardshrink": (
        Piecewise((x[i], Abs(x[i]) > half), (0, True)),
        lambda xp, v: xp.where(abs(v) > 0.5, v, 0 * v),
    ),
    "gaussian": (exp(-(x[i] ** 2)), lambda xp, v: xp.exp(-v * v)),
    "snake": (x[i] + sin(2 * x[i]) ** 2 / 2, lambda xp, v: v + xp.sin(2 * v) ** 2 / 2),
    "arctan": (atan(x[i]), lambda xp, v: xp.arctan(v)),
    "arcsinh": (asinh(x[i]), lambda xp, v: xp.arcsinh(v)),
    "log-cosh": (log(cosh(x[i])), lambda xp, v: xp.log(xp.cosh(v))),
}


def concerned(xp, v, a):
    return xp.where(v > 0, v, a[:, None] * v)


u, v = x[b, i], z[b, i]
both = {u: normal(b, i), v: normal(b, i)}
kappa = Symbol("kappa", positive=True)
ACTIVATIONS = {
    name: Layer(y, (i,), forward, {x[i]: normal(b, i, scale=2)})
    for name, (y, forward) in elementwise.items()
} | {
    "celu with a parameter": Layer(
        Piecewise((x[b, i], x[b, i] > 0), (kappa * (exp(x[b, i] / kappa) - 1), True)),
        (b, i),
        lambda xp, v, a: xp.where(v > 0, v, a * (xp.exp(v / a) - 1)),
        {x[b, i]: normal(b, i), kappa: 1.5},
    ),
    "prelu, a slope for each channel": Layer(
        Max(x[b, c, s], 0) + alpha[c] * Min(x[b, c, s], 0),
        (b, c, s),
        concerned,
        {x[b, c, s]: normal(b, c, s), alpha[c]: between(0.1, 0.4, c)},
    ),
    "swish with a learned slope": Layer(
        x[b, i] / (1 + exp(-beta[i] * x[b, i])),
        (b, i),
        lambda xp, v, a: v * sigmoid(xp, a * v),
        {x[b, i]: normal(b, i), beta[i]: between(0.5, 1.5, i)},
    ),
    "glu": Layer(u / (1 + exp(-v)), (b, i), lambda xp, u, v: u * sigmoid(xp, v), both),
    "swiglu": Layer(u * v / (1 + exp(-u)), (b, i), lambda xp, u, v: u * sigmoid(xp, u) * v, both),
    "geglu": Layer(
        u * (1 + erf(u / sqrt(2))) / 2 * v,
        (b, i),
        lambda xp, u, v: u * (1 + erf_of(xp, u / 2**0.5)) / 2 * v,
        both,
    ),
    "reglu": Layer(Max(u, 0) * v, (b, i), lambda xp, u, v: xp.where(u > 0, u, 0 * u) * v, both),
}
