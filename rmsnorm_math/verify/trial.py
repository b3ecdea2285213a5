"""One run of a function on one case: what came back, and how it compares."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rmsnorm_math.verify.arrays import Array
from rmsnorm_math.verify.cases import Case
from rmsnorm_math.verify.formulas import steepness
from rmsnorm_math.verify.sampling import UNIT, rounded

#: What is called with a case and copies of its arguments.
Call = Callable[[Case, list[Any]], Any]


@dataclass(frozen=True, eq=False)
class Trial:
    """What is right in one case and, for each output, what came back: None if nothing usable."""

    case: Case
    dtype: str
    factor: float
    right: tuple[Array, ...]
    size: tuple[Array, ...]
    got: list[Array | None] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def raised(self) -> bool:
        """Whether the function raised instead of returning."""
        return any(fault.startswith("raises") for fault in self.faults)

    def misshapen(self, output: int) -> bool:
        """Whether nothing came back, or something of another shape."""
        got = self.got[output]
        return got is None or got.shape != self.right[output].shape

    def allowed(self, output: int, dtype: str = "", size: Array | None = None) -> Array:
        """Return the largest error that rounding explains."""
        size = self.size[output] if size is None else size
        return self.factor * tolerance(size, self.case, dtype or self.dtype)

    def wrong(self, output: int, dtype: str = "") -> bool:
        """Whether a result of the right shape is further off than rounding explains."""
        got, right = self.got[output], self.right[output]
        if got is None or self.misshapen(output):
            return False
        known = np.isfinite(right)
        error = abs(np.where(known, got - right, 0))
        return not bool((error <= self.allowed(output, dtype)).all())

    def failed(self) -> bool:
        """Whether anything is amiss."""
        return bool(self.faults) or any(map(self.wrong, range(len(self.right))))

    def lost(self, output: int) -> bool:
        """Whether a result is not finite where the right one is."""
        got, right = self.got[output], self.right[output]
        return got is not None and bool((np.isfinite(right) & ~np.isfinite(got)).any())

    def error(self, output: int) -> Array:
        """Return errors relative to the terms of the row, infinite where the result is."""
        got, right = self.got[output], self.right[output]
        assert got is not None
        size = np.broadcast_to(self.size[output], right.shape)
        error = abs(got - right)
        relative = np.where(error == 0, 0, error / np.where(size > 0, size, UNIT[self.dtype]))
        relative = np.where(np.isfinite(right), relative, 0)
        return np.where(np.isfinite(got) | ~np.isfinite(right), relative, np.inf)


def tolerance(size: Array, case: Case, dtype: str) -> Array:
    """Return the largest error that rounding explains, for results whose terms add up to `size`.

    A sum of N rounded terms is off by about sqrt(N) units; half precisions are expected to sum in
    float32, so that only the few roundings of the inputs to the result count.
    """
    terms = 0 if dtype in ("float16", "bfloat16") else sum(case.extents.values())
    smallest = np.finfo(np.float32 if dtype == "bfloat16" else dtype).smallest_subnormal
    units: Array = 4 * (2 + np.sqrt(terms)) * UNIT[dtype] * size
    return units + 4 * float(smallest)


def prepared(case: Case, dtype: str, factor: float) -> Trial | None:
    """Return what is right in a case, or None where that is not finite or not held by `dtype`."""
    layer = case.layer
    exact = [v.astype(np.float64) if isinstance(v, np.ndarray) else v for v in case.inputs]
    results = [np.array(v, dtype=np.float64) for v in layer.truth(*exact)[: len(layer.outputs)]]
    largest = float(np.finfo(np.float32 if dtype == "bfloat16" else dtype).max) / 4
    arrays = layer.arrays(case.values)
    sizes, steep = [], steepness([*layer.outputs.values(), *layer.where.values()], arrays.value)
    for key, result in zip(layer.outputs, results, strict=True):
        size = arrays.laid(steep * arrays.size(layer.short[key]), layer.indices(key))
        size = np.broadcast_to(size, layer.flat(key, result.shape)).reshape(result.shape)
        finite = np.isfinite(result) & np.isfinite(size)
        if result.size and (finite.mean() < 0.5 or size[finite].max(initial=0) > largest):
            return None
        size, result[~finite] = np.where(finite, size, 0), np.nan
        sizes.append(size.max(-1, keepdims=True, initial=0) if size.ndim else size)
    return Trial(case, dtype, factor, tuple(results), tuple(sizes))


def attempt(call: Call, trial: Trial) -> Trial:
    """Call the function on copies of the case's arguments; whatever it does becomes a Trial."""
    case, names = trial.case, trial.case.layer.names
    result = Trial(case, trial.dtype, trial.factor, trial.right, trial.size, [None] * len(names))
    given = [copied(a) for a in case.arguments]
    try:
        values = call(case, given)
    except Exception as error:  # noqa: BLE001 (whatever it raises is reported)
        kind = type(error).__name__
        result.faults[f"raises {kind}"] = getattr(error, "says", f"raises {kind} ({error})")
        return result
    values = (values,) if len(names) == 1 and not _is_single(values) else values
    if isinstance(values, tuple | list) and len(values) == len(names):
        for index, (name, value) in enumerate(zip(names, values, strict=True)):
            result.got[index] = _as_array(value, name, result, index)
    else:
        wanted = f"({', '.join(names)})"
        result.faults["returns"] = f"returns {_count(values)} where {wanted} is asked for"
    for name, before, after in zip(
        case.layer.arguments.values(), case.arguments, given, strict=True
    ):
        if not np.array_equal(before, after):
            result.faults[f"changes {name}"] = f"changes its argument {name} (work on a copy)"
    return result


def copied(value: Any) -> Any:
    """Return a copy that lies in memory as the array does."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size > 1 and not any(value.strides):
        return np.lib.stride_tricks.as_strided(value.flat[:1].copy(), value.shape, value.strides)
    if value.flags.c_contiguous:
        return value.copy()
    span = [
        (length - 1) * stride for length, stride in zip(value.shape, value.strides, strict=True)
    ]
    memory = np.empty(sum(span) // value.itemsize + 1, dtype=value.dtype)
    copy = np.lib.stride_tricks.as_strided(memory, value.shape, value.strides)
    copy[...] = value
    return copy


def _is_single(values: Any) -> bool:
    return isinstance(values, tuple) and len(values) == 1


def _count(values: Any) -> str:
    if isinstance(values, tuple | list):
        return f"{len(values)} values"
    return "None" if values is None else f"one {type(values).__name__}"


def _as_array(value: Any, name: str, trial: Trial, index: int) -> Array | None:
    """Return `value` as a float64 array; what hinders that, or a wrong shape, is a fault."""
    faults, shape = trial.faults, trial.right[index].shape
    if value is None:
        faults[name] = f"{name} is None"
        return None
    try:
        array = np.asarray(value)
        if array.dtype.kind in "cUSmM":
            faults[name] = f"{name} has dtype {array.dtype}: return real numbers"
            return None
        wanted = "float32" if trial.dtype == "bfloat16" else trial.dtype
        if hasattr(value, "dtype") and _wider(array.dtype, wanted):
            faults[f"{name} dtype"] = f"{name} has dtype {array.dtype} where {wanted} is asked for"
        array = array.astype(np.float64)
    except Exception as error:  # noqa: BLE001 (whatever it raises is reported)
        faults[name] = f"{name} does not convert to an array ({type(error).__name__}: {error})"
        return None
    if not array.size and 0 in shape and not hasattr(value, "shape"):
        array = array.reshape(shape)  # lists cannot say how long their rows would be
    if array.shape != shape:
        faults[name] = f"{name} has shape {array.shape} where {shape} is right"
    return array


def _wider(dtype: np.dtype[Any], wanted: str) -> bool:
    """Whether a result has a floating type with more digits than those asked for."""
    return dtype.kind == "f" and wanted != "float64" and dtype.itemsize > np.dtype(wanted).itemsize


def held(values: Array | None, dtype: str) -> bool:
    """Whether `dtype` holds the values exactly."""
    return values is not None and np.array_equal(rounded(values, dtype), values, equal_nan=True)
