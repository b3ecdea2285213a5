"""The values of a case's arrays: their shapes, their kinds, and how they lie in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sympy import Expr, Integer, cosh, exp, sinh

from rmsnorm_math.errors import Refused
from rmsnorm_math.verify.arrays import Array
from rmsnorm_math.verify.layer import Layer

#: The unit roundoff of each dtype that can be asked for.
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


SCALES = (1.0, 1e-3, 1e3)
EPS = (0.1, 0.0, 1e-6, 1e-5, 1.0)


def rounded(values: Array, dtype: str) -> Array:
    """Round `values` to `dtype`; bfloat16, which NumPy lacks, as float32 that bfloat16 can hold."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)


def extents_of(layer: Layer, shape: tuple[int, ...], seed: int) -> dict[Any, int]:
    """Return the length of each axis: the last of `shape` is that of the last axis."""
    axes = dict.fromkeys(axis for of in layer.axes.values() for axis in of)
    small = np.resize(np.roll([3, 4, 1, 5, 2, 7], seed), len(axes) + 1)
    extents = {axis: int(length) for axis, length in zip(axes, small, strict=False)}
    if len(shape) > 1 and layer.rows is None:
        extents |= dict(zip(_widest(layer), shape, strict=False))
    extents[layer.column] = shape[-1]
    extents[layer.rows] = int(np.prod(shape[:-1]))
    return extents | {axis: int(axis) for axis in axes if isinstance(axis, Integer)}


def _widest(layer: Layer) -> tuple[Any, ...]:
    """Return the axes of the argument that has most."""
    return max((layer.axes.get(key, ()) for key in layer.inputs), key=len)


def shape_of(
    layer: Layer, key: Expr, shape: tuple[int, ...], extents: dict[Any, int]
) -> tuple[int, ...]:
    """Return the shape of an array: the leading axes of `shape` for the rows."""
    axes = layer.axes[key]
    leading = layer.rows is not None and axes[0] == layer.rows
    lengths = tuple(extents[axis] for axis in axes[leading:])
    return (*shape[:-1], *lengths) if leading else lengths


CONSTANT = {"zeros": 0.0, "ones": 1.0, "twos": 2.0}


def weights_of(random: Any, sizes: tuple[int, ...], kind: str) -> Array:
    """Return values that have no row, of one of the kinds that hide different mistakes."""
    values: Array = random.uniform(0.5, 1.5, sizes)
    flat = values.reshape(-1)
    if kind in CONSTANT:
        values[...] = CONSTANT[kind]
    elif kind == "up to 16":
        values *= np.where(random.random(sizes) < 0.3, -1, 1) * 10 ** random.uniform(-2, 1, sizes)
        flat[0] = 16.0
    elif kind == "mostly negative":
        flat[1:] *= -1
    else:
        flat[-1:] *= -1
    if kind == "with zeros" and flat.size > 2:
        flat[:: max(flat.size // 2, 2)] = 0
    return values


def laid_out(array: Array, layout: str) -> Array:
    """Return an array of the same shape that lies in memory as kernels meet them."""
    if layout == "broadcast" and array.ndim and array.size:
        size = 2.0 ** np.ceil(np.log2(np.median(abs(array)) or 1))
        return np.lib.stride_tricks.as_strided(
            np.array([size], dtype=array.dtype), array.shape, (0,) * array.ndim
        )
    if layout == "one row for all" and array.ndim > 1 and array.size:
        row = array.reshape(-1, array.shape[-1])[0].copy()
        strides = (*(0,) * (array.ndim - 1), array.itemsize)
        return np.lib.stride_tricks.as_strided(row, array.shape, strides)
    if layout in ("transposed", "part of a wider array") and array.ndim == 1:
        wider = np.full(2 * array.size, 7, dtype=array.dtype)
        wider[::2] = array
        return wider[::2]
    if layout == "transposed" and array.ndim > 1:
        return np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)
    if layout == "part of a wider array" and array.ndim:
        wider = np.full((*array.shape[:-1], array.shape[-1] + 3), 7, dtype=array.dtype)
        wider[..., : array.shape[-1]] = array
        return wider[..., : array.shape[-1]]
    return array


def as_shape(shape: Any, shapes: Any) -> tuple[int, ...]:
    """Return one of the `shapes` that were asked for, or refuse it."""
    if not isinstance(shape, tuple | list) or not shape:
        raise Refused(f"shapes is {shapes!r}; write a list of shapes, such as [(4, 8), (2, 64)].")
    if not all(isinstance(length, int) and length >= 0 for length in shape) or not shape[-1]:
        raise Refused(
            f"a shape is {tuple(shape)!r}; write the lengths of the axes, the last of them not 0."
        )
    return tuple(shape)


def scales_of(layer: Layer, dtype: str) -> tuple[float, ...]:
    """Return how large values are; exponentials leave float64 beyond a few hundred."""
    if any(e.has(exp, sinh, cosh) for e in (*layer.outputs.values(), *layer.where.values())):
        return (1.0, 1e-3, 50.0)
    return SCALES if dtype != "float16" else (1.0, 1e-3, 300.0)


def scalars_of(layer: Layer) -> list[Expr]:
    """Return the arguments that are numbers."""
    known = {*layer.axes, *layer.derived, *layer.lengths}
    return [key for key in layer.inputs if key not in known]


def values_of(symbol: Expr, values: Mapping[Expr, Sequence[float]] | None) -> Sequence[float]:
    """Return the values that a number takes: those asked for, or such as its symbol allows."""
    if values and symbol in values:
        return tuple(float(v) for v in values[symbol])
    if symbol.is_integer:
        return (2.0, 1.0, 3.0)
    if symbol.is_positive:
        return (0.1, 1e-6, 1e-5, 1.0, 2.0)
    return EPS if symbol.is_nonnegative else (0.7, -1.3, 0.1, 1.0)
