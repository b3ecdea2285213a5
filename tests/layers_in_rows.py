"""Layers whose sums run along a row or over the rows, to be printed: three passes of each."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from sympy import Expr, IndexedBase, KroneckerDelta, Sum, Symbol, exp, log, tanh

from rmsnorm_math import function, rms, rmsnorm, vjp
from rmsnorm_math.layers import l2_norm, layer_norm, softmax
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x, xhat, ybar

alpha, beta, dloss, label, r, z = (
    Symbol("alpha"),
    *map(IndexedBase, ("beta", "dloss", "label", "r", "z")),
)
RANGES = {b: (1, m), i: (1, n), j: (1, n)}
NAMES = {
    x: "x",
    z: "z",
    gamma: "gamma",
    beta: "beta",
    epsilon: "eps",
    alpha: "alpha",
    label: "label",
}
Layer = tuple[Mapping[str, Expr], Mapping[Expr, str], Mapping[Expr, Expr] | None]


def normed(y: Expr, where: Mapping[Expr, Expr] | None, **wrt: Expr) -> dict[str, Layer]:
    """Return the passes of a layer whose output is y[b, i], with a gradient for each of `wrt`."""
    names = {key: name for key, name in NAMES.items() if y.has(key)}
    gradients = {f"d{name}": vjp(y, to, ybar[b, i], RANGES) for name, to in wrt.items()}
    return {
        "forward": ({"y": y}, names, where),
        "backward": (gradients, {ybar: "dy", **names}, where),
        "both": ({"y": y, **gradients}, {ybar: "dy", **names}, where),
    }


@cache
def layers() -> dict[str, dict[str, Layer]]:
    """Return ``{layer: {pass: (outputs, arguments, where)}}``."""
    norm = {r[b]: rms(b), xhat[b, i]: x[b, i] / r[b]}
    gate = z[b, i] / (1 + exp(-z[b, i]))
    bent = gamma[i] * tanh(alpha * x[b, i]) + beta[i]
    nats = log(Sum(exp(x[b, k]), (k, 1, n)))
    loss = nats - Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
    dx = vjp(loss, x[b, j], dloss[b], RANGES)
    given = {x: "x", label[b]: "label"}
    return {
        "RMSNorm": normed(rmsnorm(b, offset=1), norm, x=x[b, j], gamma=gamma[j]),
        "LayerNorm": normed(layer_norm(b) + beta[i], None, x=x[b, j], gamma=gamma[j], beta=beta[j]),
        "softmax": normed(softmax(b), None, x=x[b, j]),
        "L2": normed(l2_norm(b), None, x=x[b, j]),
        "gated norm": normed(rmsnorm(b) * gate, norm, x=x[b, j], z=z[b, j], gamma=gamma[j]),
        "tanh norm": normed(bent, None, x=x[b, j], gamma=gamma[j], beta=beta[j], alpha=alpha),
        "cross-entropy": {
            "forward": ({"loss": loss}, given, None),
            "backward": ({"dx": dx}, {dloss[b]: "dloss", **given}, None),
            "both": ({"loss": loss, "dx": dx}, {dloss[b]: "dloss", **given}, None),
        },
    }


CASES = [(layer, what) for layer in layers() for what in ("forward", "backward", "both")]


@cache
def derived(layer: str, what: str) -> Callable[..., Any]:
    """Return the NumPy function of a pass."""
    printed: Callable[..., Any] = function(*layers()[layer][what])
    return printed


def arguments(layer: str, what: str, shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
    """Return arguments of a pass: labels are among the columns, numbers are near 1."""
    rng = np.random.default_rng(0)
    shapes = {
        "gamma": shape[-1:],
        "beta": shape[-1:],
        "eps": (),
        "alpha": (),
        "dloss": (*shape[:-1], 1),
    }
    found: dict[str, Any] = {}
    for name in layers()[layer][what][1].values():
        if name == "label":
            found[name] = rng.integers(1, shape[-1] + 1, size=(*shape[:-1], 1))
        elif name in ("eps", "alpha"):
            found[name] = float(rng.uniform(0.1, 0.9))
        else:
            found[name] = rng.standard_normal(shapes.get(name, shape)).astype(dtype)
    return found


def expected(layer: str, what: str, given: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the derivation gives, in float64."""
    arrays = [
        a if name == "label" or isinstance(a, float) else a.astype(np.float64)
        for name, a in given.items()
    ]
    results = derived(layer, what)(*arrays)
    return results if isinstance(results, tuple) else (results,)


def distances(got: Any, want: Any) -> Iterator[float]:
    """Yield the largest error over the largest element, or infinity."""
    for one, right in zip(got, want, strict=True):
        assert np.shape(one) == np.shape(right), f"{np.shape(one)}, not {np.shape(right)}"
        largest = np.abs(right).max(initial=0) or 1
        error = np.abs(np.asarray(one, np.float64) - right).max(initial=0) / largest
        yield float(error) if np.isfinite(error) else np.inf
