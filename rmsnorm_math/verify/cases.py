"""The inputs on which `rmsnorm_math.verify` tries a function, as kernels meet them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from sympy import Expr, Indexed

from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.sampling import (
    as_shape,
    extents_of,
    laid_out,
    rounded,
    scalars_of,
    scales_of,
    shape_of,
    values_of,
    weights_of,
)

#: Lengths that are odd, even, a power of two, one more or less; up to four axes; 37 rows.
SMALL = (
    *((5, 7), (3, 6), (1,), (3,), (8,), (1, 4), (2, 3), (5, 5), (4, 1), (2, 16), (3, 32)),
    *((2, 3, 5), (2, 2, 4), (1, 1, 3, 4), (2, 3, 2, 8), (37, 7), (4, 64), (3, 2), (3, 12)),
)
#: Beyond a block of rows or of elements, with and without a rest; and no row at all.
LARGE = (
    *((3, n) for n in (100, 130, 256)),
    *((2, n) for n in (33, 96, 255, 513, 768, 1024, 1030, 1031, 2048)),
    *((130, 5), (300, 3), (300, 8), (1500, 4), (40, 64), (1, 4096), (1, 8200), (0, 8), (2, 0, 5)),
)
COTANGENTS = (1.0, 1e4, 1e-4)
WEIGHTS = ("random", "with zeros", "ones", "up to 16", "twos", "mostly negative", "zeros")
#: Then the terms of sums have one sign, so that a sum in half precision shows.
ALONG = "along an input"
LAYOUTS = ("plain", "transposed", "plain", "part of a wider array", "one row for all")
COTANGENT_LAYOUTS = ("plain", "broadcast", "plain", "transposed", ALONG)


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """One set of inputs in the dtype asked for, in the order of the arguments."""

    layer: Layer
    values: dict[Expr, Any]
    shape: tuple[int, ...]
    scale: float
    zero_row: bool
    plain: bool
    extents: dict[Any, int]

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """The values that the function is called with."""
        return tuple(self.values[key] for key in self.layer.arguments)

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The values that all else follows from."""
        return tuple(self.values[key] for key in self.layer.inputs)

    @cached_property
    def scalars(self) -> dict[str, float]:
        """The arguments that are numbers, by name."""
        names = self.layer.inputs
        return {
            names.get(key, str(key)): v for key, v in self.values.items() if isinstance(v, float)
        }

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(np.prod(self.shape[:-1]))

    @cached_property
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
        shape = [f"{widest} of shape {np.shape(named[widest])}"] if widest else []
        texts = [*shape, f"values of about {self.scale:g}"]
        return ", ".join(texts + [f"{name} = {value:g}" for name, value in self.scalars.items()])


def makers(
    layer: Layer,
    dtype: str,
    shapes: Sequence[tuple[int, ...]] | None = None,
    values: Mapping[Expr, Sequence[float]] | None = None,
) -> Iterator[partial[Case]]:
    """Yield functions that make the designed inputs, the same at every call.

    The first case of each shape hides nothing: random values near 1, eps = 0.1; in the third the
    cotangent is along an input. In the others sizes, kinds of weights and layouts are dealt out by
    chance, each as often as the others.
    """
    given = None if shapes is None else [as_shape(shape, shapes) for shape in shapes]
    plan: list[Any] = [(s, 12 if np.prod(s) < 1e5 else 3) for s in given or ()]
    plan = plan or [*((s, 6) for s in SMALL), *((s, 3) for s in LARGE)]
    deck = [(shape, number) for shape, count in plan for number in range(count)]
    choices: tuple[Sequence[Any], ...] = (
        scales_of(layer, dtype),
        WEIGHTS,
        COTANGENTS if dtype != "float16" else (1.0, 64.0, 1 / 64),
        LAYOUTS,
        COTANGENT_LAYOUTS,
        *(values_of(symbol, values) for symbol in scalars_of(layer)),
    )
    chance = np.random.default_rng(0)
    dealt = [chance.permutation(np.resize(np.arange(len(c)), len(deck))) for c in choices]
    for seed, (shape, number) in enumerate(deck):
        at = [0 if number == 0 else pile[seed] for pile in dealt]
        if number == 2:
            at[4] = COTANGENT_LAYOUTS.index(ALONG)
        chosen = [choice[place] for choice, place in zip(choices, at, strict=True)]
        yield partial(_case, layer, dtype, seed, shape, number == 1 and len(shape) == 2, *chosen)


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
    random, extents = np.random.default_rng(seed), extents_of(layer, shape, seed)
    numbers = dict(zip(scalars_of(layer), scalars, strict=True))
    zero_row = zero_row and shape[0] > 1 and any(v > 0 for v in numbers.values())
    values: dict[Expr, Any] = {}
    for key in layer.inputs:
        if key in numbers:
            most = extents[layer.parts[key]] if key in layer.parts else np.inf
            values[key] = min(numbers[key], float(most))
        elif key in layer.lengths:
            values[key] = float(extents[key])
        elif key in layer.axes:
            sizes = shape_of(layer, key, shape, extents)
            if key in layer.cotangents:
                array = rounded(cotangent * random.standard_normal(sizes), dtype)
                values[key] = laid_out(array, cotangent_layout)
            elif layer.rows is not None and layer.rows not in layer.axes[key]:
                array = rounded(weights_of(random, sizes, weights), dtype)
                values[key] = laid_out(array, layout)
            else:
                array = rounded(scale * random.standard_normal(sizes), dtype)
                if zero_row and array.ndim > 1:
                    array[1] = 0
                values[key] = laid_out(array, "plain" if zero_row else layout)
    if cotangent_layout == ALONG:
        for key in layer.cotangents:
            alike = (k for k in values if k not in layer.cotangents and k in layer.axes)
            if other := next((k for k in alike if layer.axes[k] == layer.axes[key]), None):
                values[key] = rounded(cotangent / scale * values[other], dtype)
    if layer.derived:
        _derive(layer, values, dtype)
    plain = (weights, layout, cotangent_layout, cotangent) == ("random", "plain", "plain", 1.0)
    return Case(layer, values, shape, scale, zero_row, plain, extents)


def _derive(layer: Layer, values: dict[Expr, Any], dtype: str) -> None:
    """Add the arguments that follow from others; they have no less than float32's precision."""
    exact = [np.float64(values[key]) for key in layer.inputs]
    kept = "float32" if dtype in ("float16", "bfloat16") else dtype
    derived = layer.truth(*exact)[len(layer.outputs) :]
    for (key, (element, _)), result in zip(layer.derived.items(), derived, strict=True):
        if not isinstance(element, Indexed):
            values[key] = float(np.ravel(result)[0])
            continue
        array = np.asarray(result).astype(kept)
        of_rows = isinstance(key, Indexed) and set(layer.axes[key.base]) == {layer.rows}
        values[key] = array.reshape((*array.shape, 1)) if of_rows else array
