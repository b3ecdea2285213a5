"""Which wrong formula is it: one slip, or two at once, whose values are what came back.

A formula is a list of terms, so that two slips in different terms are a sum of known values; a
convention is a change of values, so that with a slip it is the slip's formula, other values given.
Only two slips in the same term are formulas that have to be made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sympy import Expr, Indexed, S

from rmsnorm_math.verify.arrays import Array, Arrays
from rmsnorm_math.verify.conventions import Convention, of_whole
from rmsnorm_math.verify.layer import Layer, parts_of
from rmsnorm_math.verify.mutations import Slip, places, setting_of, slips, with_terms

Terms = tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Suspect:
    """A wrong formula: what was done, the terms that result, and their sum's values."""

    says: tuple[str, ...]
    terms: Callable[[], Terms]
    values: Array


class Suspects:
    """The wrong formulas of one output, with their values in one case."""

    def __init__(
        self,
        layer: Layer,
        key: Any,
        conventions: list[Convention],
        arrays: Arrays,
        shape: tuple[int, ...],
    ) -> None:
        self.setting = setting_of(layer, key)
        self.indices = list(layer.indices(key))
        self.terms = list(parts_of(layer.short[key]))
        self.places = places(self.terms)
        self.shape, self.arrays = shape, arrays
        touching = [c for c in conventions if any(c(t) != t for t in self.terms)]
        self.conventions = [(c, seen_by(c, arrays)) for c in touching]
        self.right = [self.laid(arrays.value(term)) for term in self.terms]
        self.slips = [[*self._slips(term, at)] for at, term in enumerate(self.terms)]

    def _slips(self, term: Expr, at: int) -> Iterator[tuple[str, Expr, Array]]:
        found: dict[Expr, str] = {}
        if len(self.terms) > 1:
            found[S.Zero] = f"{self.places[at]} is missing"
        for says, wrong in slips(term, self.setting, self.places[at]):
            found.setdefault(wrong, says)
        found.pop(term, None)
        for wrong, says in found.items():
            if (values := self.laid(self.arrays.value(wrong))) is not None:
                yield says, wrong, values

    def one(self) -> Iterator[Suspect]:
        """Yield every formula with one slip."""
        for convention, arrays in self.conventions:
            yield self._of(convention.says, [self.laid(arrays.value(t)) for t in self.terms], convention)
        for says, factor, more in of_whole(self.terms, self.setting):
            yield self._whole((says,), factor, more, self.terms, sum(self.right))
        for at, found in enumerate(self.slips):
            for says, wrong, values in found:
                yield Suspect((says,), self._with(at, wrong), self._sum(self.right, at, values))
            for says, changed, values in self._local(at):
                yield Suspect((says,), self._with(at, changed), self._sum(self.right, at, values))

    def two(self) -> Iterator[Suspect]:
        """Yield every formula with two slips, but for those in two different terms."""
        for at, found in enumerate(self.slips):
            for first, wrong, _ in found:
                for second, worse, values in self._slips(wrong, at) if wrong != 0 else ():
                    yield Suspect(
                        (first, second), self._with(at, worse), self._sum(self.right, at, values)
                    )
        for convention, arrays in self.conventions:
            changed = [self.laid(arrays.value(t)) for t in self.terms]
            for at, found in enumerate(self.slips):
                for says, wrong, _ in found:
                    values = self.laid(arrays.value(wrong))
                    if values is None or any(v is None for v in changed):
                        continue
                    both = (says, convention.says)
                    yield Suspect(both, self._with(at, wrong, convention), self._sum(changed, at, values))
                    if len(self.terms) > 1:
                        local = (says, self._at(convention.says, at))
                        terms = self._with(at, wrong, convention, alone=True)
                        yield Suspect(local, terms, self._sum(self.right, at, values))
        for number, (convention, _) in enumerate(self.conventions):
            for other, _ in self.conventions[number + 1 :]:
                terms = tuple(other(convention(t)) for t in self.terms)
                values = [self.laid(self.arrays.value(t)) for t in terms]
                if all(v is not None for v in values):
                    yield Suspect((convention.says, other.says), lambda t=terms: t, sum(values))
        singles = list(self.one())
        for says, factor, more in of_whole(self.terms, self.setting):
            for single in singles:
                yield self._whole((*single.says, says), factor, more, single.terms, single.values)

    def crossed(self, close: Callable[[Array], Array]) -> Iterator[Suspect]:
        """Yield the formulas with a slip in each of two terms that are `close`."""
        lists = [[*self.slips[at], *self._local(at)] for at in range(len(self.terms))]
        for left in range(len(lists)):
            for right in range(left + 1, len(lists)):
                rest = [v for at, v in enumerate(self.right) if at not in (left, right)]
                b = np.array([v for *_, v in lists[right]])
                for says, wrong, a in lists[left]:
                    totals = sum(rest, a)[None] + b
                    for number in np.flatnonzero(close(totals)):
                        other, worse, _ = lists[right][number]
                        terms = with_terms(self.terms, left, wrong)
                        terms = with_terms(terms, right, worse)
                        yield Suspect((says, other), lambda t=terms: tuple(t), totals[number])

    def _local(self, at: int) -> Iterator[tuple[str, Expr, Array]]:
        """Yield the conventions that one term of several follows alone."""
        for convention, arrays in self.conventions if len(self.terms) > 1 else ():
            changed = convention(self.terms[at])
            values = self.laid(arrays.value(self.terms[at]))
            if changed != self.terms[at] and values is not None:
                yield self._at(convention.says, at), changed, values

    def _at(self, says: str, at: int) -> str:
        return f"in {self.places[at]}, {says}"

    def _of(self, says: str, values: list[Any], convention: Convention) -> Suspect:
        terms = tuple(self.terms)
        total = np.full(self.shape, np.nan) if any(v is None for v in values) else sum(values)
        return Suspect((says,), lambda: tuple(convention(t) for t in terms), total)

    def _whole(
        self, says: tuple[str, ...], factor: Expr, more: Expr, terms: Any, values: Any
    ) -> Suspect:
        by, extra = (self.laid(self.arrays.value(e)) for e in (factor, more))
        made = terms if callable(terms) else lambda: tuple(terms)
        return Suspect(says, lambda: (*(factor * t for t in made()), more), by * values + extra)

    def _with(
        self, at: int, term: Expr, convention: Convention | None = None, *, alone: bool = False
    ) -> Callable[[], Terms]:
        def terms() -> Terms:
            found = with_terms(self.terms, at, term)
            follows = [convention and (number == at or not alone) for number in range(len(found))]
            return tuple(
                convention(t) if convention and follows[number] else t
                for number, t in enumerate(found)
            )

        return terms

    def _sum(self, values: list[Any], at: int, other: Array) -> Array:
        result = other
        for place, value in enumerate(values):
            result = result if place == at else result + value
        return result

    def laid(self, value: Any) -> Array | None:
        """Return values with the axes of the output, or None where they have others."""
        return laid(self.arrays, value, self.indices, self.shape)


def laid(arrays: Arrays, value: Any, indices: list[Expr], shape: tuple[int, ...]) -> Array | None:
    """Return values with the axes of `indices` alone, or None where they have others."""
    array = np.asarray(value, dtype=float)
    slots = {arrays.slot[index.name] for index in indices}
    if any(length != 1 for at, length in enumerate(array.shape) if at not in slots):
        return None
    return np.broadcast_to(arrays.laid(array, indices), shape)


def seen_by(convention: Convention, arrays: Arrays) -> Arrays:
    """Return the arrays of a case, those that the convention changes under their usual names."""
    values = dict(arrays.values)
    for key, definition in arrays.definitions.values():
        base = getattr(key, "base", key)
        if "~" not in str(base):
            values[base] = _natural(arrays, key, definition)
    for old, new in convention.names.items():
        if new in arrays.definitions:
            values[old] = _natural(arrays, *arrays.definitions[new])
            if old in arrays.values and isinstance(values[old], np.ndarray):
                values[old] = np.broadcast_to(values[old], np.shape(arrays.values[old]))
        else:
            values[old] = arrays.values[new] if new in arrays.values else arrays.value(new)
    return Arrays(arrays.slot, values, {})


def _natural(arrays: Arrays, key: Expr, definition: Expr) -> Any:
    value = arrays.value(definition)
    if isinstance(key, Indexed):
        return arrays.laid(value, key.indices)
    return float(np.ravel(value)[0])


__all__ = ["Slip", "Suspect", "Suspects", "laid"]
