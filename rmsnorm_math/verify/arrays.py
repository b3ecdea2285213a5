"""The value of an expression in index notation, and how large its terms are, with NumPy.

Each index has an axis of its own, of length 1 where an expression does not depend on it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import (
    Add,
    Expr,
    Idx,
    Indexed,
    KroneckerDelta,
    Max,
    Min,
    Mul,
    Piecewise,
    Pow,
    Product,
    Sum,
    Symbol,
    exp,
)
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import base_of
from rmsnorm_math.verify.numerics import chosen, compiled, in_numpy, power, reduced, slope_of

Array = NDArray[Any]
REMEMBERED = 100_000  # elements: larger values are computed again, not kept


def indices_of(exprs: Iterable[Expr]) -> list[str]:
    """Return the names of all indices, free and bound, in the order of their axes."""
    found = {s.name for e in exprs for s in e.atoms(Idx)}
    for expr in exprs:
        found |= {limit[0].name for s in expr.atoms(Sum, Product) for limit in s.limits}
        for node in expr.atoms(Indexed):
            found |= {s.name for index in node.indices for s in index.free_symbols}
    return sorted(found)


class Arrays:
    """The arrays of one case, and what expressions come to with them."""

    def __init__(
        self,
        labels: Iterable[str],
        values: Mapping[Expr, Any],
        definitions: Mapping[Expr, Expr],
    ) -> None:
        self.slot = {label: at for at, label in enumerate(labels)}
        self.values = dict(values)
        self.definitions = {base_of(key): (key, v) for key, v in definitions.items()}
        self._value: dict[Expr, Any] = {}
        self._size: dict[Expr, Any] = {}
        self._extent: dict[str, int] = {}

    def of(self, expr: Expr, indices: Iterable[Expr]) -> Array:
        """Return the array of `expr`, with the axes of its free `indices` in that order."""
        return self.laid(self.value(expr), indices)

    def laid(self, array: Any, indices: Iterable[Expr]) -> Array:
        """Return `array` with the axes of `indices` alone."""
        slots = [self.slot[index.name] for index in indices]
        full = np.asarray(array, dtype=float)
        full = full.reshape(full.shape or (1,) * len(self.slot))
        others = [at for at in range(full.ndim) if at not in slots]
        return full.transpose(*slots, *others).reshape([full.shape[at] for at in slots])

    def value(self, expr: Expr) -> Any:
        """Return what `expr` is, an axis for each index."""
        return self._remembered(self._value, expr, self.value)

    def size(self, expr: Expr) -> Any:
        """Return what rounding errors of `expr` are relative to: its terms in absolute value.

        Where a power or a function is steep, the errors of its argument count by as much more.
        """
        return self._remembered(self._size, expr, self.size)

    def _remembered(self, known: dict[Expr, Any], expr: Expr, of: Callable[[Expr], Any]) -> Any:
        found = known.get(expr)
        if found is None:
            found = self._find(expr, of, magnitudes=known is self._size)
            if np.size(found) <= REMEMBERED:
                known[expr] = found
        return found

    def _find(self, expr: Expr, of: Callable[[Expr], Any], *, magnitudes: bool) -> Any:
        if expr.is_Atom and expr.is_number:
            value = float(expr) if expr.is_extended_real else np.nan  # a wrong formula may have I
            return abs(value) if magnitudes else value
        if isinstance(expr, Add):
            return reduced(np.add, map(of, expr.args))
        if isinstance(expr, Mul):
            return reduced(np.multiply, map(of, expr.args))
        if isinstance(expr, Sum | Product):
            return self._over(expr, of)
        if isinstance(expr, Indexed | Symbol | Idx):
            leaf = self._leaf(expr, of)
            return abs(leaf) if magnitudes else leaf
        if isinstance(expr, Piecewise):
            return chosen([(self.value(c), of(e)) for e, c in expr.args])
        if isinstance(expr, Relational | Boolean):
            return self._condition(expr)
        if isinstance(expr, KroneckerDelta):
            left, right = map(self.value, expr.args)
            return (left == right) * 1.0
        if isinstance(expr, Max | Min):
            return reduced(np.maximum if isinstance(expr, Max) else np.minimum, map(of, expr.args))
        return self._sized(expr) if magnitudes else self._applied(expr)

    def _applied(self, expr: Expr) -> Any:
        if isinstance(expr, Pow):
            return power(self.value(expr.base), self.value(expr.exp))
        return in_numpy(expr.func, len(expr.args))(*map(self.value, expr.args))

    def _sized(self, expr: Expr) -> Any:
        """Return the magnitude of a power or a function: its own, and its argument's error."""
        value = abs(self.value(expr))
        if isinstance(expr, Pow):
            base, size, p = self.value(expr.base), self.size(expr.base), self.value(expr.exp)
            extra = size / np.where(base == 0, 1, abs(base)) - 1
            return np.where((base == 0) & (p > 0), power(size, p), value * (1 + abs(p) * extra))
        for number, arg in enumerate(expr.args):
            if arg.is_number:
                continue
            slope = (
                value
                if isinstance(expr, exp)
                else slope_of(expr.func, len(expr.args), number)(*map(self.value, expr.args))
            )
            value = value + abs(slope) * self.size(arg)
        return value

    def _leaf(self, expr: Expr, of: Callable[[Expr], Any]) -> Any:
        base = base_of(expr)
        if base in self.definitions:
            key, definition = self.definitions[base]
            return self._moved(of(definition), key, expr)
        if base not in self.values:
            if isinstance(expr, Symbol | Idx) and expr.name in self._extent:
                length = self._extent[expr.name]
                return self._placed(np.arange(1.0, length + 1), [self.slot[expr.name]])
            raise Refused(f"{base} has no value: add it to the arguments.")
        array = self.values[base]
        if not isinstance(expr, Indexed):
            return array
        if all(s.is_Symbol or isinstance(s, Idx) for s in expr.indices):
            slots = [self.slot[s.name] for s in expr.indices]
            if len(set(slots)) == len(slots):
                return self._placed(array, slots)
        at = [np.asarray(self.value(s), dtype=int) - 1 for s in expr.indices]
        return array[tuple(at)]

    def _placed(self, array: Array, slots: list[int]) -> Array:
        shape = [1] * len(self.slot)
        for slot, length in zip(slots, array.shape, strict=True):
            shape[slot] = length
        order = sorted(range(len(slots)), key=slots.__getitem__)
        return array.transpose(order).reshape(shape)

    def _moved(self, array: Any, key: Expr, node: Expr) -> Any:
        """Return a definition's array with the indices of `node` in place of those of its key."""
        if key == node or not isinstance(key, Indexed):
            return array
        slots = [self.slot[index.name] for index in node.indices]
        return self._placed(self.laid(array, key.indices), slots)

    def _over(self, expr: Expr, of: Callable[[Expr], Any]) -> Any:
        ends = {
            i.name: (int(self.value(low)), int(self.value(high))) for i, low, high in expr.limits
        }
        outer, self._extent = self._extent, self._extent | {k: v[1] for k, v in ends.items()}
        array = np.asarray(of(expr.function))
        self._extent = outer
        reduce = np.add.reduce if isinstance(expr, Sum) else np.multiply.reduce
        for name, (low, high) in ends.items():
            slot, length = self.slot[name], max(high - low + 1, 0)
            if array.ndim == 0 or array.shape[slot] == 1 != length:
                array = array * length if isinstance(expr, Sum) else array**length
                continue
            if array.shape[slot] > length:
                array = array.take(range(low - 1, high), slot)
            array = reduce(array, axis=slot, keepdims=True)
        return array

    def _condition(self, expr: Expr) -> Any:
        if expr in (True, False):
            return bool(expr)
        parts = sorted(expr.args, key=str)
        symbols = [Symbol(f"part_{number}") for number in range(len(parts))]
        function = compiled(expr.func(*(symbols[parts.index(arg)] for arg in expr.args)), symbols)
        return function(*map(self.value, parts))
