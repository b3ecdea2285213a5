"""One run of a function on one case: what came back, and how it compares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmsnorm_math.verify.cases import Array, Case, tolerance

#: A function of the same arguments as the one under test, in float64, that returns its outputs.
Formulas = Callable[..., Sequence[Array]]


@dataclass(frozen=True, eq=False)
class Trial:
    """What is right in one case and, for each output, what came back: None if nothing usable."""

    case: Case
    arguments: tuple[Any, ...]
    right: Sequence[Array]
    scale: Sequence[Array]
    got: list[Array | None]
    faults: dict[str, str]

    @property
    def raised(self) -> bool:
        """Whether the function raised instead of returning."""
        return any(fault.startswith("raises") for fault in self.faults)

    def wrong(self, output: int, dtype: str) -> bool:
        """Whether a result of the right shape is further off than rounding explains."""
        got, right = self.got[output], self.right[output]
        if got is None or got.shape != right.shape:
            return False
        allowed = tolerance(self.scale[output], self.case, dtype)
        return not bool((abs(got - right) <= allowed).all())

    def error(self, output: int) -> Array:
        """Return errors relative to the terms of the row, infinite where the result is."""
        got, right = self.got[output], self.right[output]
        assert got is not None
        return np.where(np.isfinite(got), abs(got - right) / self.scale[output], np.inf)

    def matches(self, output: int, value: Array | None, dtype: str) -> bool:
        """Whether `value` is what came back."""
        got = self.got[output]
        if got is None or value is None:
            return got is None and value is None
        return got.shape == value.shape and self._close(output, got, value, dtype)

    def tells_apart(self, output: int, value: Array, dtype: str) -> bool:
        """Whether `value` is clearly not the right one."""
        right = self.right[output]
        return value.shape != right.shape or not self._close(output, right, value, dtype)

    def _close(self, output: int, a: Array, b: Array, dtype: str) -> bool:
        """Whether a is b up to the rounding of terms as large as b's largest in the row."""
        finite = np.isfinite(b)
        size = np.where(finite, abs(b), 0).max(-1, keepdims=True)
        if b.shape == self.right[output].shape:
            size = size + self.scale[output]
        else:
            size = size + max(float(scale.max()) for scale in self.scale)
        if self.case.x.shape[-1] == 1:
            size = 1e6 * size  # b may be what is left of much larger terms that cancel
        elif dtype in ("float64", "float32"):
            size = 8 * size  # a sum in b may be so, too; half precisions sum in float32
        error = abs(np.where(finite, a - b, 0))
        allowed = tolerance(size, self.case, dtype)
        return bool((finite == np.isfinite(a)).all() and (error <= allowed).all())


def attempt(
    function: Callable[..., Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
    case: Case,
    truth: Formulas,
    scale: Formulas,
) -> Trial:
    """Call the function on copies of the case's `inputs`; whatever it does becomes a Trial."""
    arguments = tuple(getattr(case, name) for name in inputs)
    given = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    exact = in_float64(arguments)
    largest = [v.max(-1, keepdims=True) for v in scale(*exact)]
    trial = Trial(case, arguments, truth(*exact), largest, [None] * len(outputs), {})
    try:
        result = function(*given)
    except Exception as error:  # noqa: BLE001 (whatever it raises is reported)
        kind = type(error).__name__
        trial.faults[f"raises {kind}"] = f"raises {kind} ({error})"
        return trial
    values = (result,) if len(outputs) == 1 else result
    if isinstance(values, tuple | list) and len(values) == len(outputs):
        for index, (name, value) in enumerate(zip(outputs, values, strict=True)):
            trial.got[index] = _as_array(value, name, trial.right[index].shape, trial.faults)
    else:
        wanted = f"({', '.join(outputs)})"
        trial.faults["returns"] = f"returns {_count(values)} where {wanted} is asked for"
    for name, before, after in zip(inputs, arguments, given, strict=True):
        if not np.array_equal(before, after):
            trial.faults[f"changes {name}"] = f"changes its argument {name} (work on a copy)"
    return trial


def in_float64(arguments: Sequence[Any]) -> list[Any]:
    """Return the arguments with each array in float64."""
    return [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in arguments]


def _count(values: Any) -> str:
    if isinstance(values, tuple | list):
        return f"{len(values)} values"
    return "None" if values is None else f"one {type(values).__name__}"


def _as_array(
    value: Any, name: str, shape: tuple[int, ...], faults: dict[str, str]
) -> Array | None:
    """Return `value` as a float64 array; what hinders that, or a wrong shape, is a fault."""
    if value is None:
        faults[name] = f"{name} is None"
        return None
    try:
        array = np.asarray(value)
        if array.dtype.kind in "cUSmM":
            faults[name] = f"{name} has dtype {array.dtype}: return real numbers"
            return None
        array = array.astype(np.float64)
    except Exception as error:  # noqa: BLE001 (whatever it raises is reported)
        faults[name] = f"{name} does not convert to an array ({type(error).__name__}: {error})"
        return None
    if array.shape != shape:
        faults[name] = f"{name} has shape {array.shape} where {shape} is right"
    return array
