"""What a slip needs to know of the formula that it is in: names, indices and axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sympy import Expr, Function, S

from rmsnorm_math.index.walk import base_of
from rmsnorm_math.verify.axes import axis_of
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.words import words

#: A sentence and the formula that it is about.
Slip = tuple[str, Expr]
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True, eq=False)
class Setting:
    """What the slips of one output need to know of its layer."""

    layer: Layer
    expr: Expr
    names: Mapping[Expr, str]
    free: tuple[Expr, ...]

    def say(self, expr: Expr) -> str:
        """Return `expr` in words."""
        return words(expr, self.names)

    @cached_property
    def _indices(self) -> dict[Any, Expr]:
        axes = self.layer.axes
        return {axis_of(index, [self.expr], axes): index for index in reversed(self.free)}

    def index_of(self, axis: Any) -> Expr | None:
        """Return the output's index along an axis."""
        return self._indices.get(axis) if axis is not None else None

    def axes(self, node: Expr) -> tuple[Any, ...]:
        """Return the axes of an element."""
        return self.layer.axes.get(base_of(node), ())


@lru_cache(16)
def setting_of(layer: Layer, key: Any) -> Setting:
    """Return the setting for the slips of the output `key`."""
    return Setting(layer, layer.short[key], layer.inputs, layer.indices(key))


def places(terms: Sequence[Expr]) -> list[str]:
    """Say which term is meant: nothing where there is one alone."""
    if len(terms) == 1:
        return [""]
    return [f"the {ORDINALS[min(at, 7)]} term" for at in range(len(terms))]


def with_term(terms: Sequence[Any], at: int, term: Any) -> tuple[Any, ...]:
    """Return `terms` with another one at a place."""
    return (*terms[:at], term, *terms[at + 1 :])


class padded(Function):  # type: ignore[misc]  # noqa: N801
    """The next power of two."""

    def fdiff(self, _argindex: int = 1) -> Expr:
        """Return 0: a length is exact."""
        return S.Zero

    def _numpycode(self, printer: Any) -> str:
        ceil, log2 = (printer._module_format(f"numpy.{name}") for name in ("ceil", "log2"))
        return f"2.0**{ceil}({log2}({printer._print(self.args[0])}))"
