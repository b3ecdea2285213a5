"""What a check is of: the outputs, the arguments with their axes, and what is right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
from sympy import Expr, Indexed, IndexedBase, Sum, Symbol

from rmsnorm_math.abbreviation import abbreviate
from rmsnorm_math.codegen import compiled, printed
from rmsnorm_math.codegen.program import program
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import base_of, free_indices
from rmsnorm_math.inputs import as_expressions, as_mapping
from rmsnorm_math.verify.arrays import Arrays, indices_of
from rmsnorm_math.verify.axes import Axes, Axis, axes_of
from rmsnorm_math.verify.formulas import compound_powers, is_linear, numbers_in
from rmsnorm_math.verify.rows import in_rows


@dataclass(frozen=True, eq=False)
class Layer:
    """The three arguments of `source`, and what a check needs to know of them."""

    outputs: dict[Any, Expr]
    arguments: dict[Expr, str]
    where: dict[Expr, Expr]

    @cached_property
    def derived(self) -> dict[Expr, tuple[Expr, Expr]]:
        """The arguments that follow from others: an element of each, and what that is."""
        known = {base_of(key): (key, d) for key, d in self.where.items()}
        return {key: known[base_of(key)] for key in self.arguments if base_of(key) in known}

    @cached_property
    def hidden(self) -> list[Expr]:
        """What the arguments that follow from others are made of, and is no argument itself."""
        known = {*self.arguments, *(base_of(key) for key in self.where)}
        lengths = {end for e in self.where.values() for s in e.atoms(Sum) for *_, end in s.limits}
        found = {
            node
            for _, definition in self.derived.values()
            for node in definition.atoms(IndexedBase) | numbers_in(definition)
        }
        return sorted(found - known - lengths, key=str)

    @cached_property
    def inputs(self) -> dict[Expr, str]:
        """What all else follows from, by name: arguments, and what is hidden behind some."""
        given = {key: name for key, name in self.arguments.items() if key not in self.derived}
        taken = {*self.arguments.values(), *self.names}
        hidden = {key: str(key) for key in self.hidden}
        return given | {k: f"{v}_" if v in taken else v for k, v in hidden.items()}

    @cached_property
    def definitions(self) -> dict[Expr, Expr]:
        """What `where` names, and each further power of something with a sum in it."""
        exprs = [abbreviate(expr, self.where) for expr in self.outputs.values()]
        named = dict(self.where)
        for number, (base, root) in enumerate(compound_powers(exprs).items()):
            indices, name = free_indices(base), "r" if number == 0 else f"r_{number + 1}"
            taken = {str(base_of(key)) for key in [*named, *self.arguments]}
            name = name if name not in taken else f"q_{number + 1}"
            key = IndexedBase(name)[tuple(indices)] if indices else Symbol(name)
            named[key] = base**root
        return named

    @cached_property
    def short(self) -> dict[Any, Expr]:
        """The outputs, abbreviated."""
        return {key: abbreviate(expr, self.definitions) for key, expr in self.outputs.items()}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the outputs are called."""
        return tuple(str(base_of(key)) for key in self.outputs)

    @cached_property
    def signature(self) -> str:
        """The names of the arguments, in order."""
        return ", ".join(self.arguments.values())

    @cached_property
    def labels(self) -> list[str]:
        """The names of all indices."""
        keys = [k for k in (*self.arguments, *self.definitions) if isinstance(k, Indexed)]
        return indices_of([*self.short.values(), *self.definitions.values(), *keys])

    @cached_property
    def program(self) -> Program:
        """What is computed: the outputs, and after them the arguments that follow from others."""
        more = {
            IndexedBase(f"derived_{at}")[key.indices] if isinstance(key, Indexed) else key: expr
            for at, (key, expr) in enumerate(self.derived.values())
        }
        return program({**self.outputs, **more}, self.inputs, self.where)

    @cached_property
    def _axes(self) -> Axes:
        """What `axes`, `rows` and `parts` are, as `Axes` says."""
        return axes_of(self.program, self.outputs, self.where, self.inputs)

    @property
    def axes(self) -> dict[Expr, tuple[Axis, ...]]:
        """The axes of each array: those that an index has in common are the same."""
        return self._axes.of

    rows = property(lambda self: self._axes.rows)
    parts = property(lambda self: self._axes.parts)

    @cached_property
    def column(self) -> Axis | None:
        """The last axis of the arrays with rows, or the one of a layer without rows."""
        ends = [axes[-1] for axes in self.axes.values() if axes and axes[-1] != self.rows]
        return ends[0] if ends else None

    @cached_property
    def cotangents(self) -> set[Expr]:
        """The arguments with rows that each output is linear in, where it depends on them."""
        return {
            base
            for base, axes in self.axes.items()
            if (self.rows is None or self.rows in axes)
            and base in self.inputs
            and all(is_linear(expr, base) for expr in self.outputs.values())
        }

    @cached_property
    def compute(self) -> Callable[..., Any]:
        """The printed function of the arguments that do not follow from others."""
        return compiled(printed(self.program, "numpy", "right"), "right")

    def truth(self, *inputs: Any) -> tuple[Any, ...]:
        """Return the outputs, and after them the arguments that follow from others."""
        results = self.compute(*inputs)
        return results if isinstance(results, tuple) else (results,)

    @cached_property
    def lengths(self) -> set[Symbol]:
        """The symbols that are lengths of axes."""
        return {axis for axes in self.axes.values() for axis in axes if isinstance(axis, Symbol)}

    def arrays(self, values: Mapping[Expr, Any]) -> Arrays:
        """Return what expressions come to with the arguments `values`, in float64."""
        flat: dict[Expr, Any] = {}
        for key, value in values.items():
            if key in self.derived:
                continue
            axes = self.axes.get(key)
            if axes is None:
                flat[key] = value
                continue
            array = np.asarray(value, dtype=np.float64)
            if self.rows is not None and axes[0] == self.rows:
                array = array.reshape(-1, *array.shape[array.ndim - len(axes) + 1 :])
            elif self.rows is None and array.ndim > len(axes):
                array = array.reshape(-1, array.shape[-1])[0]
            flat[key] = array
            flat |= {
                axis: float(length)
                for axis, length in zip(axes, array.shape, strict=True)
                if isinstance(axis, Symbol)
            }
        return Arrays(self.labels, flat, self.definitions)

    def indices(self, key: Any) -> tuple[Expr, ...]:
        """Return the free indices of an output, in the order of its axes."""
        return self._axes.indices[key]

    def flat(self, key: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of an output with its rows in one axis."""
        extra = len(shape) - len(self.indices(key))
        if extra < 0:
            return (1, *shape)
        return (prod(shape[: extra + 1]), *shape[extra + 1 :]) if extra else shape


def layer_of(outputs: Any, arguments: Any, where: Any) -> Layer:
    """Return the layer of the three arguments of `source`, which refuses what it must."""
    outputs = as_expressions(outputs, "the outputs", "{'dx': dx}")
    arguments = as_mapping(arguments, "the arguments", "{x: 'x'}")
    where = as_expressions({} if where is None else where, "the definitions", "{r: rms()}")
    return _layer_of(*(tuple(given.items()) for given in (outputs, arguments, where)))


@lru_cache(16)
def _layer_of(*given: tuple[tuple[Any, Any], ...]) -> Layer:
    layer = Layer(*in_rows(*map(dict, given)))
    layer.compute  # noqa: B018  what cannot be printed is refused here
    unknown = [k for k in layer.arguments if isinstance(k, Indexed) and k not in layer.derived]
    if unknown:
        raise Refused(
            f"{unknown[0]} in the arguments is neither a base nor a symbol: say in where what it "
            f"is, as in {{{unknown[0]}: 1/rms(b)}}, or give the base."
        )
    return layer
