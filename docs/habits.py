"""The habits of testing that hide a wrong gradient."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from rmsnorm_math.notation import epsilon, gamma, x, ybar
from rmsnorm_math.verify.faults import faults
from rmsnorm_math.verify.formulas import parts_of
from rmsnorm_math.verify.rmsnorm import backward_of
from rmsnorm_math.verify.wild import Seen

Array = Any
Arguments = tuple[Array, Array, Array, float]
LAYER = backward_of("inside", 0, weight=True, residual=False, outputs=None).layer


def mean(v: Array) -> Array:
    """Return the mean over the last axis, kept."""
    return v.mean(-1, keepdims=True)


def backward(seen: Seen) -> Callable[..., tuple[Array, ...]]:
    """Return the backward pass with that mistake and no other."""

    def wrong(dy: Array, x_: Array, weight: Array, eps: float) -> tuple[Array, ...]:
        results = dict(zip(LAYER.names, LAYER.truth(dy, x_, weight, eps), strict=True))
        arrays = LAYER.arrays({ybar: dy, x: x_, gamma: weight, epsilon: eps})
        trial: Any = SimpleNamespace(
            case=SimpleNamespace(shape=x_.shape), right=tuple(results.values())
        )
        for name, right in results.items():
            if seen.change is None:
                terms = parts_of(LAYER.short[name])
                found = dict(faults(LAYER, name, terms, arrays, trial))
                if seen.says in found:
                    if found[seen.says] is None:
                        message = "operands could not be broadcast together"
                        raise ValueError(message)
                    results[name] = found[seen.says]
            elif name in (changed := seen.change(LAYER.short)):
                made = arrays.of(changed[name], LAYER.indices(name))
                rows = (-1, right.shape[-1]) if name == "dx" else right.shape
                made = np.broadcast_to(made, right.reshape(rows).shape)
                results[name] = made.reshape(right.shape)
        return tuple(results.values())

    return wrong


def thorough() -> Arguments:
    """Return dy, x, gamma and eps that hide nothing: five rows of five, and a gamma with a zero."""
    dy, x = np.random.default_rng(0).standard_normal((2, 5, 5))
    return dy, 3 * x, np.array([0.0, 0.6, -0.8, 1.3, 1.7]), 0.1


def _gamma(value: float) -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy, x, np.full_like(gamma, value), eps


def _eps(value: float) -> Arguments:
    dy, x, gamma, _ = thorough()
    return dy, x, gamma, value


def _with_rms_of_one() -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy, x * ((1 - eps) / mean(x * x)) ** 0.5, gamma, eps


def _with_one_row() -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy[:1], x[:1], gamma, eps


def _with_one_column() -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy[:, -1:], x[:, -1:], gamma[-1:], eps


def _of_the_sum() -> Arguments:
    dy, x, gamma, eps = thorough()
    return np.ones_like(dy), x, gamma, eps


def _across_x() -> Arguments:
    dy, x, gamma, eps = thorough()
    v = gamma * x
    return dy - v * mean(dy * v) / mean(v * v), x, gamma, eps


#: For each habit, the arguments of a test that has it and is thorough in all else.
HABITS: dict[str, Callable[[], Arguments]] = {
    "gamma = 1": lambda: _gamma(1.0),
    "gamma = 2": lambda: _gamma(2.0),
    "rms = 1": _with_rms_of_one,
    "one row": _with_one_row,
    "n = 1": _with_one_column,
    "eps = 1e-6": lambda: _eps(1e-6),
    "eps = 0": lambda: _eps(0.0),
    "dy = 1": _of_the_sum,
    "dy across x": _across_x,
}


def error(seen: Seen, arguments: Arguments) -> float:
    """Return what a test would see of a mistake: its largest error relative to the largest element.

    As `numpy.allclose` does, it lets a result of another shape broadcast. What cannot be computed
    or compared at all is infinitely wrong.
    """
    errors = [0.0]
    with np.errstate(all="ignore"):
        try:
            results = backward(seen)(*arguments)
        except ValueError:
            return np.inf
        for wrong, right in zip(results, LAYER.truth(*arguments), strict=True):
            try:
                difference = np.abs(wrong - right).max() / np.abs(right).max()
            except ValueError:
                difference = np.inf
            errors.append(float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf)))
    return max(errors)


def hidden(seen: Seen, arguments: Arguments, tolerance: float = 1e-5) -> bool:
    """Whether a test with these arguments and this relative tolerance lets the mistake through."""
    return error(seen, arguments) <= tolerance
