"""Whether what came back is what a formula gives."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rmsnorm_math.verify.arrays import Array
from rmsnorm_math.verify.sampling import rounded
from rmsnorm_math.verify.trial import Trial


def largest_of_row(size: Array) -> Array:
    """Return the largest value along the last axis, which stays."""
    return size.max(-1, keepdims=True, initial=0) if size.ndim else size


def size_of(trial: Trial, output: int, value: Array) -> Array:
    """Return the magnitude of terms for values of which only the values are known."""
    finite = np.where(np.isfinite(value), abs(value), 0)
    for right, size in zip(trial.right, trial.size, strict=True):
        if value is right:  # of another output
            return 8 * size
    if value.shape == trial.right[output].shape:
        return 8 * (trial.size[output] + largest_of_row(finite))
    largest = max(float(size.max(initial=0)) for size in trial.size)
    return np.asarray(8 * (largest + finite.max(initial=0)))


def matches(trial: Trial, output: int, value: Array, size: Array, dtype: str) -> bool:
    """Whether `value` is what came back."""
    got = trial.got[output]
    assert got is not None
    value = rounded(value, dtype).astype(np.float64)
    finite = np.isfinite(value)
    allowed = 2 * trial.allowed(output, dtype, size)
    unknown: Any = False
    if got.shape == trial.right[output].shape:
        allowed = allowed + trial.allowed(output, dtype)
        unknown = ~np.isfinite(trial.right[output])
    error = abs(np.where(finite & np.logical_not(unknown), got - value, 0))
    return bool((unknown | (finite == np.isfinite(got))).all() and (error <= allowed).all())


def differs(trial: Trial, output: int, value: Array, size: Array, dtype: str) -> bool:
    """Whether `value` is not the right one."""
    allowed = 2 * trial.allowed(output, dtype, size) + trial.allowed(output, dtype)
    right = trial.right[output]
    return not bool(((abs(right - value) <= allowed) | ~np.isfinite(right)).all())


def nearness(got: Array, trial: Trial, output: int, dtype: str) -> Callable[[Array], Array]:
    """Return a function that says which of many arrays are near `got`."""
    room = 4 if dtype in ("float16", "bfloat16") else 64
    unit = room * trial.allowed(output, dtype, np.asarray(1.0))
    size = np.broadcast_to(trial.size[output], trial.right[output].shape).reshape(got.shape)
    finite = np.isfinite(got)

    def near(values: Array) -> Array:
        axes = tuple(range(1, values.ndim))
        known = np.isfinite(values)
        largest = np.where(known, abs(values), 0).max(axis=axes, keepdims=True)
        close = np.where(finite, abs(values - got), 0) <= unit * (size + largest)
        return (close & (known == finite)).all(axis=axes)  # type: ignore[no-any-return]

    return near


def alike(left: Array | None, right: Array | None) -> bool:
    """Whether two formulas have the same values, or neither can be computed."""
    if left is None or right is None:
        return left is right
    return left.shape == right.shape and np.allclose(left, right, rtol=1e-7, equal_nan=True)
