"""The inputs on which `rmsnorm_math.verify` tries a function, as kernels meet them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from sympy import Expr, Indexed, cosh, exp, sinh

from rmsnorm_math.errors import Refused
from rmsnorm_math.verify.arrays import Array
from rmsnorm_math.verify.layer import Layer

#: The unit roundoff of each dtype that can be asked for.
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}

#: Lengths that are odd, even, a power of two, one more or less; up to four axes; 37 rows.
SMALL = (
    *((5, 7), (3, 6), (1,), (3,), (8,), (1, 4), (2, 3), (5, 5), (4, 1), (2, 16), (3, 32)),
    *((2, 3, 5), (2, 2, 4), (1, 1, 3, 4), (2, 3, 2, 8), (37, 7), (4, 64)),
)
#: Beyond a block of rows or of elements, with and without a rest; and no row at all.
LARGE = (
    *((3, 130), (2, 255), (3, 256), (2, 513), (300, 3), (300, 8), (40, 64), (2, 1024), (2, 1030)),
    *((2, 1031), (2, 2048), (1, 4096), (1, 8200), (0, 8), (2, 0, 5)),
)
SCALES = (1.0, 1e-3, 1e3)
EPS = (0.1, 0.0, 1e-6, 1e-5, 1.0)
COTANGENTS = (1.0, 1e4, 1e-4)
WEIGHTS = ("random", "with zeros", "ones", "up to 16", "twos", "mostly negative")
LAYOUTS = ("plain", "transposed", "plain", "part of a wider array")
COTANGENT_LAYOUTS = ("plain", "broadcast", "plain", "transposed")


@dataclass(frozen=True, eq=False)
class Case:
    """One set of inputs in the dtype asked for, in the order of the arguments."""

    layer: Layer
    values: dict[Expr, Any]
    shape: tuple[int, ...]
    scale: float
    zero_row: bool
    plain: bool
    extents: dict[Any, int] = field(repr=False)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The values that the function is called with."""
        return tuple(self.values[key] for key in self.layer.arguments)

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The values that all else follows from."""
        return tuple(self.values[key] for key in self.layer.inputs)

    @property
    def scalars(self) -> dict[str, float]:
        """The arguments that are numbers, by name."""
        names = self.layer.inputs
        return {names.get(key, str(key)): v for key, v in self.values.items() if isinstance(v, float)}

    @property
    def elements(self) -> int:
        """The number of elements of the largest array."""
        return max((v.size for v in self.values.values() if isinstance(v, np.ndarray)), default=1)

    @property
    def widest(self) -> str:
        """The name of the array that has most axes, no cotangent if there is another."""
        arrays = [(k, np.ndim(self.values[k])) for k in self.layer.inputs]
        arrays = [(k, v) for k, v in arrays if v and k not in self.layer.cotangents] or arrays
        widest = max(arrays, key=lambda item: item[1], default=(None, 0))[0]
        return self.layer.inputs.get(widest, "")

    def __str__(self) -> str:
        """Describe the case as in "wrong in the case with ..."."""
        named = dict(zip(self.layer.inputs.values(), self.inputs, strict=True))
        widest = self.widest
        texts = [f"{widest} of shape {np.shape(named[widest])}"] if widest else []
        texts += [f"values of about {self.scale:g}"]
        return ", ".join(texts + [f"{name} = {value:g}" for name, value in self.scalars.items()])


def rounded(values: Array, dtype: str) -> Array:
    """Round `values` to `dtype`; bfloat16, which NumPy lacks, as float32 that bfloat16 can hold."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)


def makers(
    layer: Layer,
    dtype: str,
    shapes: Sequence[tuple[int, ...]] | None = None,
    values: Mapping[Expr, Sequence[float]] | None = None,
) -> Iterator[Callable[[], Case]]:
    """Yield functions that make the designed inputs, the same at every call.

    The first case of each shape hides nothing: random values near 1, eps = 0.1. In the others
    sizes, kinds of weights and layouts are dealt out by chance, each as often as the others.
    """
    given = [(_as_shape(shape, shapes), 12) for shape in shapes] if shapes is not None else None
    plan = given or [(s, 6) for s in SMALL] + [(s, 3) for s in LARGE]
    deck = [(shape, number) for shape, count in plan for number in range(count)]
    choices = (
        _scales(layer, dtype),
        WEIGHTS,
        COTANGENTS if dtype != "float16" else (1.0, 64.0, 1 / 64),
        LAYOUTS,
        COTANGENT_LAYOUTS,
        *(_values_of(symbol, values) for symbol in _scalars(layer)),
    )
    chance = np.random.default_rng(0)
    dealt = [chance.permutation(np.resize(np.arange(len(c)), len(deck))) for c in choices]
    for seed, (shape, number) in enumerate(deck):
        chosen = [
            choice[0 if number == 0 else pile[seed]]
            for choice, pile in zip(choices, dealt, strict=True)
        ]
        yield partial(_case, layer, dtype, seed, shape, number == 1 and len(shape) == 2, *chosen)


def _as_shape(shape: Any, shapes: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple | list) or not shape:
        raise Refused(f"shapes is {shapes!r}; write a list of shapes, such as [(4, 8), (2, 64)].")
    if not all(isinstance(length, int) and length >= 0 for length in shape) or not shape[-1]:
        raise Refused(
            f"a shape is {tuple(shape)!r}; write the lengths of the axes, the last of them not 0."
        )
    return tuple(shape)


def _scales(layer: Layer, dtype: str) -> tuple[float, ...]:
    """Return how large values are; exponentials leave float64 beyond a few hundred."""
    exprs = [*layer.outputs.values(), *layer.where.values()]
    if any(expr.has(exp, sinh, cosh) for expr in exprs):
        return (1.0, 1e-3, 50.0)
    return SCALES if dtype != "float16" else (1.0, 1e-3, 300.0)


def _scalars(layer: Layer) -> list[Expr]:
    known = {*layer.axes, *layer.derived, *layer.lengths}
    return [key for key in layer.inputs if key not in known]


def _values_of(symbol: Expr, values: Mapping[Expr, Sequence[float]] | None) -> Sequence[float]:
    """Return the values that a number takes: those asked for, or such as its symbol allows."""
    if values and symbol in values:
        return tuple(float(v) for v in values[symbol])
    if symbol.is_integer:
        return (2.0, 1.0, 3.0)
    if symbol.is_positive:
        return (0.1, 1e-6, 1e-5, 1.0, 2.0)
    return EPS if symbol.is_nonnegative else (0.7, -1.3, 0.1, 1.0)


def _case(
    layer: Layer,
    dtype: str,
    seed: int,
    shape: tuple[int, ...],
    zero_row: bool,
    scale: float,
    weights: str,
    cotangent: float,
    layout: str,
    cotangent_layout: str,
    *scalars: float,
) -> Case:
    random = np.random.default_rng(seed)
    extents = _extents(layer, shape, seed)
    numbers = dict(zip(_scalars(layer), scalars, strict=True))
    zero_row = zero_row and shape[0] > 1 and any(v > 0 for v in numbers.values())
    values: dict[Expr, Any] = {}
    for key in layer.inputs:
        if key in numbers:
            values[key] = numbers[key]
        elif key in layer.lengths:
            values[key] = float(extents[key])
        elif key in layer.axes:
            sizes = _sizes(layer, key, shape, extents)
            if key in layer.cotangents:
                array = rounded(cotangent * random.standard_normal(sizes), dtype)
                values[key] = laid_out(array, cotangent_layout)
            elif layer.rows is not None and layer.rows not in layer.axes[key]:
                array = rounded(_weights(random, sizes, weights), dtype)
                values[key] = laid_out(array, layout)
            else:
                array = rounded(scale * random.standard_normal(sizes), dtype)
                if zero_row and array.ndim > 1:
                    array[1] = 0
                values[key] = laid_out(array, layout)
    arrays = layer.arrays(values)
    kept = "float32" if dtype in ("float16", "bfloat16") else dtype
    for key, (element, definition) in layer.derived.items():
        if not isinstance(element, Indexed):
            values[key] = float(np.ravel(arrays.value(definition))[0])
            continue
        array = arrays.of(definition, element.indices).astype(kept)
        if layer.axes[element.base][0] == layer.rows:
            array = array.reshape((*shape[:-1], *array.shape[1:]))
        of_rows = isinstance(key, Indexed) and set(layer.axes[key.base]) == {layer.rows}
        values[key] = array.reshape((*array.shape, 1)) if of_rows else array
    plain = (weights, layout, cotangent_layout, cotangent) == ("random", "plain", "plain", 1.0)
    return Case(layer, values, shape, scale, zero_row, plain, extents)


def _extents(layer: Layer, shape: tuple[int, ...], seed: int) -> dict[Any, int]:
    """Return the length of each axis: the last of `shape` is that of the last axis."""
    axes = dict.fromkeys(axis for of in layer.axes.values() for axis in of)
    small = np.resize(np.roll([3, 4, 1, 5, 2, 7], seed), len(axes) + 1)
    extents = {axis: int(length) for axis, length in zip(axes, small, strict=False)}
    if len(shape) > 1 and layer.rows is None:
        extents |= dict(zip(_widest(layer), shape, strict=False))
    extents[layer.column] = shape[-1]
    extents[layer.rows] = int(np.prod(shape[:-1]))
    return extents


def _widest(layer: Layer) -> tuple[Any, ...]:
    """Return the axes of the argument that has most."""
    return max((layer.axes.get(key, ()) for key in layer.inputs), key=len)


def _sizes(
    layer: Layer, key: Expr, shape: tuple[int, ...], extents: dict[Any, int]
) -> tuple[int, ...]:
    axes = layer.axes[key]
    leading = layer.rows is not None and axes[0] == layer.rows
    lengths = tuple(extents[axis] for axis in axes[leading:])
    return (*shape[:-1], *lengths) if leading else lengths


def _weights(random: Any, sizes: tuple[int, ...], kind: str) -> Array:
    values = random.uniform(0.5, 1.5, sizes)
    flat = values.reshape(-1)
    if kind in ("ones", "twos"):
        values[...] = 1.0 if kind == "ones" else 2.0
    elif kind == "up to 16":
        values *= np.where(random.random(sizes) < 0.3, -1, 1)
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
        first = np.array(array.reshape(-1)[:1])
        return np.lib.stride_tricks.as_strided(first, array.shape, (0,) * array.ndim)
    if layout == "transposed" and array.ndim > 1:
        return np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)
    if layout == "part of a wider array" and array.ndim:
        wider = np.full((*array.shape[:-1], array.shape[-1] + 3), 7, dtype=array.dtype)
        wider[..., : array.shape[-1]] = array
        return wider[..., : array.shape[-1]]
    return array
