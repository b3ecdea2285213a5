"""Which wrong formula is it: one slip, or two at once, whose values are what came back.

A formula is a list of terms, so that two slips in different terms are a sum of known values; a
convention is a change of values, so that with a slip it is the slip's formula, other values given.
Only two slips in the same term are formulas that have to be made.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations
from typing import Any

import numpy as np
from sympy import Expr, Float, S

from rmsnorm_math.verify.arrays import Array, Arrays
from rmsnorm_math.verify.conventions import Convention
from rmsnorm_math.verify.formulas import parts_of
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.mutations import slips
from rmsnorm_math.verify.setting import Setting, Slip, places, setting_of, with_term
from rmsnorm_math.verify.views import laid, seen_by
from rmsnorm_math.verify.whole import of_whole

Terms = tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Suspect:
    """A wrong formula: what was done, the terms that result, and their sum's values."""

    says: tuple[str, ...]
    terms: Callable[[], Terms]
    values: Any


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
        self.terms = parts_of(layer.short[key])
        self.places = places(self.terms)
        self.shape, self.arrays = shape, arrays
        touching = [c for c in conventions if any(c(t) != t for t in self.terms)]
        self.conventions = [(c, seen_by(c, arrays)) for c in touching]
        self.right = [self._laid(arrays, term) for term in self.terms]
        self.slips = [[*self._slips(term, at)] for at, term in enumerate(self.terms)]

    def one(self) -> Iterator[Suspect]:
        """Yield every formula with one slip."""
        for convention, arrays in self.conventions:
            values = self._total([self._laid(arrays, term) for term in self.terms])
            yield Suspect((convention.says,), partial(_followed, convention, self.terms), values)
        yield from self._wholes([Suspect((), lambda: self.terms, self._total(self.right))])
        for at in range(len(self.terms)):
            for says, wrong, values in (*self.slips[at], *self._local(at)):
                yield self._suspect((says,), at, wrong, values)

    def two(self) -> Iterator[Suspect]:
        """Yield the formulas with two slips in one term or in what all are made of."""
        for at, found in enumerate(self.slips):
            for first, wrong, _ in found:
                for second, worse, values in self._slips(wrong, at) if wrong != 0 else ():
                    yield self._suspect((first, second), at, worse, values)
        for convention, arrays in self.conventions:
            yield from self._slips_with(convention, arrays)
        for (one, _), (other, _) in combinations(self.conventions, 2):
            terms = _followed(other, _followed(one, self.terms))
            values = self._total([self._laid(self.arrays, term) for term in terms])
            yield Suspect((one.says, other.says), partial(tuple, terms), values)

    def crossed(self, near: Callable[[Array], Array]) -> Iterator[Suspect]:
        """Yield the formulas with a slip in each of two terms whose values are `near`."""
        lists = [[*self.slips[at], *self._local(at)] for at in range(len(self.terms))]
        for left, right in combinations(range(len(lists)), 2):
            rest: Any = sum(v for at, v in enumerate(self.right) if at not in (left, right))
            others = np.array([values for *_, values in lists[right]])
            for says, wrong, values in lists[left]:
                totals = others + (values + rest)
                for number in np.flatnonzero(near(totals)):
                    other, worse, _ = lists[right][number]
                    terms = with_term(with_term(self.terms, left, wrong), right, worse)
                    yield Suspect((says, other), partial(tuple, terms), totals[number])

    def doubled(self) -> Iterator[Suspect]:
        """Yield every formula with one slip that is also wrong as a whole."""
        yield from self._wholes(list(self.one()))

    def scaled(self, got: Array) -> Iterator[Suspect]:
        """Yield the formulas of which one term, or the whole, has some factor, as `got` shows."""
        whole = self._total(self.right)
        names = [*(place or "it" for place in self.places), "the whole"]
        for at, (name, part) in enumerate(zip(names, [*self.right, whole], strict=True)):
            rest = got.reshape(self.shape) - (whole - part)
            factor = float(np.vdot(part, rest) / np.vdot(part, part))
            if np.isfinite(factor) and abs(factor - 1) > 1e-3:
                by = tuple(
                    Float(factor) if at in (own, len(self.terms)) else S.One
                    for own in range(len(self.terms))
                )
                terms = tuple(f * term for f, term in zip(by, self.terms, strict=True))
                says = f"{name} is {factor:.4g} times the right one"
                yield Suspect((says,), partial(tuple, terms), whole - part + factor * part)

    def _slips(self, term: Expr, at: int) -> Iterator[tuple[str, Expr, Array]]:
        """Yield what one slip makes of a term; that it is missing is one, too."""
        found: dict[Expr, str] = {}
        if len(self.terms) > 1:
            found[S.Zero] = f"{self.places[at]} is missing"
        for says, wrong in _changed(term, self.setting, self.places[at]):
            found.setdefault(wrong, says)
        found.pop(term, None)
        for wrong, says in found.items():
            if (values := self._laid(self.arrays, wrong)) is not None:
                yield says, wrong, values

    def _local(self, at: int) -> Iterator[tuple[str, Expr, Array]]:
        """Yield the conventions that one term of several follows alone."""
        for convention, arrays in self.conventions if len(self.terms) > 1 else ():
            changed = convention(self.terms[at])
            values = self._laid(arrays, self.terms[at])
            if changed != self.terms[at] and values is not None:
                yield f"in {self.places[at]}, {convention.says}", changed, values

    def _slips_with(self, convention: Convention, arrays: Arrays) -> Iterator[Suspect]:
        """Yield each slip where the whole follows a convention, or the term with the slip does."""
        changed = [self._laid(arrays, term) for term in self.terms]
        for at, found in enumerate(self.slips):
            for says, wrong, _ in found:
                values = self._laid(arrays, wrong)
                both = with_term(self.terms, at, wrong)
                total = self._total(with_term(changed, at, values))
                yield Suspect((says, convention.says), partial(_followed, convention, both), total)
                if len(self.terms) > 1:
                    local = f"in {self.places[at]}, {convention.says}"
                    terms = partial(_followed, convention, both, at)
                    total = self._total(with_term(self.right, at, values))
                    yield Suspect((says, local), terms, total)

    def _wholes(self, suspects: list[Suspect]) -> Iterator[Suspect]:
        """Yield what is wrong as a whole with each of `suspects`."""
        for says, factor, more in of_whole(self.terms, self.setting):
            by, extra = self._laid(self.arrays, factor), self._laid(self.arrays, more)
            for suspect in suspects:
                if suspect.values is not None:
                    terms = partial(_scaled, suspect.terms, factor, more)
                    yield Suspect((*suspect.says, says), terms, by * suspect.values + extra)

    def _suspect(self, says: tuple[str, ...], at: int, term: Expr, values: Any) -> Suspect:
        total = self._total(with_term(self.right, at, values))
        return Suspect(says, partial(with_term, self.terms, at, term), total)

    def _total(self, values: Sequence[Any]) -> Any:
        return None if any(v is None for v in values) else sum(values[1:], values[0])

    def _laid(self, arrays: Arrays, term: Expr) -> Any:
        return laid(arrays, arrays.value(term), self.indices, self.shape)


@lru_cache(4096)  # of all that is checked against one layer
def _changed(term: Expr, setting: Setting, place: str) -> tuple[Slip, ...]:
    return tuple(slips(term, setting, place))


def _followed(convention: Convention, terms: Terms, at: int | None = None) -> Terms:
    """Return the terms, of which all follow a convention, or the one at a place does."""
    return tuple(convention(t) if at in (None, number) else t for number, t in enumerate(terms))


def _scaled(terms: Callable[[], Terms], factor: Expr, more: Expr) -> Terms:
    return (*(factor * term for term in terms()), more)
