"""Ten functions whose printed text is kept in ten.txt: before `program` was there, and now.

`python -m tests.codegen.ten` writes it anew, after a change that is meant.
"""

import re
from pathlib import Path

from sympy import (
    Idx,
    IndexedBase,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    exp,
    pi,
    sqrt,
    symbols,
    tanh,
)

from rmsnorm_math import jvp, rms, rmsnorm, source, vjp
from rmsnorm_math.notation import epsilon, gamma, i, j, k, n, r, x, xhat, ybar

W, t, z, dw, dx = map(IndexedBase, ("W", "t", "z", "dW", "dx"))
b, p, o, q = map(Idx, "bpoq")
m, O = symbols("m O", integer=True, positive=True)
c, tau, mu, sigma = Symbol("c"), Symbol("tau", positive=True), Symbol("mu"), Symbol("sigma")
here = {i: (1, n), j: (1, n)}
mean = Sum(x[k], (k, 1, n)) / n
layer_norm = gamma[i] * (x[i] - mean) / sqrt(Sum((x[k] - mean) ** 2, (k, 1, n)) / n + epsilon)
statistics = {
    mu: mean,
    sigma: sqrt(Sum((x[k] - mu) ** 2, (k, 1, n)) / n + epsilon),
    xhat[i]: (x[i] - mu) / sigma,
}
total = Sum(exp(x[k]), (k, 1, n))
gelu = x[i] * (1 + tanh(sqrt(2 / pi) * (x[i] + Rational(44715, 10**6) * x[i] ** 3))) / 2
elu = Piecewise((x[i], x[i] > 0), (exp(x[i]) - 1, True))
linear = Sum(W[o, i] * x[b, i], (i, 1, n))
rows = {b: (1, m), p: (1, m), o: (1, O), q: (1, O), i: (1, n), j: (1, n)}
error = Sum((x[b, i] - t[b, i]) ** 2, (i, 1, n), (b, 1, m)) / (m * n)
column = lambda at: Sum(x[p, at], (p, 1, m)) / m  # noqa: E731
batch_norm = (x[b, i] - column(i)) / sqrt(Sum((x[p, i] - column(i)) ** 2, (p, 1, m)) / m + epsilon)
norms = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}
one = {ybar: "dy", x: "x"}

# What is given to `source`: outputs, arguments, definitions, framework.
TEN = {
    "RMSNorm, both gradients": (
        {"dx": vjp(rmsnorm(), x[j], ybar[i]), "dgamma": vjp(rmsnorm(), gamma[j], ybar[i])},
        norms,
        {r: rms(), xhat[i]: x[i] / r},
        "numpy",
    ),
    "RMSNorm, its tangent, in PyTorch": (
        {"dy": jvp(rmsnorm(), x[j], t[j])},
        {t: "dx", x: "x", gamma: "gamma", epsilon: "eps"},
        {r: rms()},
        "torch",
    ),
    "LayerNorm": ({"dx": vjp(layer_norm, x[j], ybar[i])}, norms, statistics, "numpy"),
    "softmax": ({"dx": vjp(exp(x[i]) / total, x[j], ybar[i])}, one, {}, "numpy"),
    "softmax, by its temperature": (
        {"dtau": vjp(exp(x[i] / tau) / Sum(exp(x[k] / tau), (k, 1, n)), tau, ybar[i])},
        {**one, tau: "tau"},
        {},
        "torch",
    ),
    "GeLU": ({"dx": vjp(gelu, x[j], ybar[i], here)}, one, {}, "numpy"),
    "ELU": ({"dx": vjp(elu, x[j], ybar[i], here)}, one, {}, "jax"),
    "a linear layer": (
        {
            dx[p, j]: vjp(linear, x[p, j], ybar[b, o], rows),
            dw[q, j]: vjp(linear, W[q, j], ybar[b, o], rows),
        },
        {ybar: "dy", x: "x", W: "W"},
        {},
        "numpy",
    ),
    "mean squared error": (
        {"loss": error, dx[p, j]: vjp(error, x[p, j], c)},
        {c: "c", x: "x", t: "t"},
        {},
        "torch",
    ),
    "batch norm": (
        {dx[p, j]: vjp(batch_norm, x[p, j], ybar[b, i], rows)},
        {ybar: "dy", x: "x", epsilon: "eps"},
        {},
        "numpy",
    ),
}

KEPT = Path(__file__).with_name("ten.txt")
NOW = re.compile(r"## ([^\n]*)\n\nBefore:\n\n```[^`]*```\n\nNow:\n\n```python\n([^`]*)```")


def now(name: str) -> str:
    outputs, arguments, where, framework = TEN[name]
    return source(outputs, arguments, where, framework)


def kept() -> dict[str, str]:
    """Return the text that is kept of each."""
    return dict(NOW.findall(KEPT.read_text("utf-8")))


if __name__ == "__main__":
    text = KEPT.read_text("utf-8")
    for name, old in kept().items():
        text = text.replace(old, now(name))
    KEPT.write_text(text, "utf-8")
