"""One layer of the table: how it is written down, and what is derived and printed from that."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sympy import Expr, Idx, Indexed, IndexedBase, Symbol, symbols

from rmsnorm_math import function, layer_source, vjp
from rmsnorm_math.notation import b, i, j, m, n, ybar

# An index and the axis that it runs over: rows, columns, outputs, hidden units, channels, steps.
c, d, h, l, o, p, q, s, u = map(Idx, ("c", "d", "h", "l", "o", "p", "q", "s", "u"))
O, H, C, S = symbols("O H C S", integer=True, positive=True)
SIZES = {m: 3, n: 5, O: 4, H: 6, C: 2, S: 7}  # all different, so that no axis passes for another
AXES = {b: m, p: m, i: n, j: n, o: O, q: O, h: H, l: H, c: C, d: C, s: S, u: S}
RANGES = {index: (1, size) for index, size in AXES.items()}
dloss = Symbol("dloss")  # the cotangent of a layer whose output is one number
RNG = np.random.default_rng(20250911)


@dataclass(frozen=True)
class Layer:
    """A layer: the element `y` of its output, and `forward(xp, *arrays)` written by hand.

    `inputs` are differentiated by, each under the element that the result is written with;
    `constants` are not. `xp` is numpy, torch or jax.numpy.
    """

    y: Expr
    out: tuple[Idx, ...]
    forward: Callable[..., Any]
    inputs: Mapping[Expr, Any]
    constants: Mapping[Expr, Any] = field(default_factory=dict)

    @property
    def cotangent(self) -> Expr:
        return ybar[self.out] if self.out else dloss

    def arguments(self) -> dict[Expr, str]:
        keys = [self.cotangent, *self.inputs, *self.constants]
        return {getattr(key, "base", key): str(getattr(key, "base", key)) for key in keys}

    def values(self) -> list[Any]:
        """Return the inputs and the constants in float64."""
        return [*self.inputs.values(), *self.constants.values()]

    def dy(self) -> Any:
        shape = np.shape(self.forward(np, *self.values()))
        return np.random.default_rng(1).normal(size=shape) if shape else 1.75


def result(name: str, indices: tuple[Expr, ...]) -> Any:
    """Return the key of a result: a text, or an element where its axes have an order."""
    return IndexedBase(name)[indices] if len(indices) > 1 else name


def derived(layer: Layer) -> dict[Any, Expr]:
    """Return the output and its vector-Jacobian products, as `source` takes them."""
    outputs = {result("y", layer.out): layer.y}
    for key in layer.inputs:
        indices = key.indices if isinstance(key, Indexed) else ()
        gradient = vjp(layer.y, key, layer.cotangent, RANGES)
        outputs[result(f"d{getattr(key, 'base', key)}", indices)] = gradient
    return outputs


@functools.cache
def outputs_of(name: str) -> dict[Any, Expr]:
    """Return what is derived of a layer of the table, once a session."""
    from tests.layers.everything import TABLE

    return derived(TABLE[name])


@functools.cache
def printed(name: str, framework: Any) -> Callable[..., Any]:
    """Return the printed function of a layer's output and gradients."""
    from tests.layers.everything import TABLE

    return function(outputs_of(name), TABLE[name].arguments(), framework=framework)


def file_of(name: str, framework: Any, blocks: bool = False, called: str = "layer") -> str:
    """Return the printed file of a layer, differentiated by its inputs."""
    from tests.layers.everything import TABLE

    layer = TABLE[name]
    keys = [getattr(key, "base", key) for key in [*layer.inputs, *layer.constants]]
    return layer_source(
        {result("y", layer.out): layer.y},
        {key: str(key) for key in keys},
        framework=framework,
        name=called,
        wrt=keys[: len(layer.inputs)],
        blocks=blocks,
    )


def sizes(*indices: Idx) -> tuple[int, ...]:
    return tuple(SIZES[AXES[index]] for index in indices)


def normal(*indices: Idx, scale: float = 1.0) -> Any:
    return RNG.normal(size=sizes(*indices)) * scale


def between(low: float, high: float, *indices: Idx) -> Any:
    return RNG.uniform(low, high, sizes(*indices))


def special(xp: Any, v: Any, name: str, jax_name: str) -> Any:
    """Return a function's value, which no two frameworks have at the same place."""
    if xp is np:
        return np.vectorize(getattr(math, name))(v)
    if xp.__name__ == "torch":
        return getattr(xp, name)(v)
    import jax.scipy.special

    return getattr(jax.scipy.special, jax_name)(v)


def erf_of(xp: Any, v: Any) -> Any:
    return special(xp, v, "erf", "erf")


def log_gamma(xp: Any, v: Any) -> Any:
    return special(xp, v, "lgamma", "gammaln")


def sigmoid(xp: Any, v: Any) -> Any:
    return 1 / (1 + xp.exp(-v))


def softmax(xp: Any, v: Any) -> Any:
    e = xp.exp(v - xp.amax(v, -1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(xp: Any, v: Any) -> Any:
    v = v - xp.amax(v, -1, keepdims=True)
    return v - xp.log(xp.exp(v).sum(-1, keepdims=True))
