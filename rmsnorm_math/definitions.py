"""What a key stands for, and which part of it is looked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sympy import Dummy, Expr, Idx, Indexed, IndexedBase, KroneckerDelta, Mul, Piecewise, Symbol

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.contraction import contracted
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.leave import leave
from rmsnorm_math.index.names import freshen
from rmsnorm_math.index.walk import (
    BINDERS,
    depends,
    dummies_of,
    free_indices,
    free_symbols,
    index_symbols,
    limits_of,
    nodes,
)
from rmsnorm_math.inputs import as_expressions
from rmsnorm_math.matching import power_of
from rmsnorm_math.refusals import refuse_escaped, refuse_lookalikes


def tidy(expr: Expr, candidates: Iterable[Expr]) -> Expr:
    """Return `expr` in the form that every result has: the same quantity looks the same."""
    return leave(contracted(enter(expr), {}), candidates)


def plain_form(expr: Expr) -> Expr:
    """Return `expr` in that form, its bound indices unique."""
    return freshen(tidy(expr, dummies_of(expr)))


@dataclass(frozen=True)
class Definition:
    """A key and what it stands for, its bound indices unique."""

    key: Expr
    value: Expr
    whole: bool = False  # all its factors are looked for, none goes along

    @cached_property
    def indices(self) -> tuple[Expr, ...]:
        """The indices that the key holds for whatever they are."""
        return tuple(s for s in getattr(self.key, "indices", ()) if isinstance(s, Symbol | Idx))

    @cached_property
    def core(self) -> list[tuple[Expr, Expr]]:
        """Bases and exponents of the factors that are looked for."""
        return [power_of(factor) for factor in self._sought()]

    @cached_property
    def short(self) -> Expr:
        """What stands for the core: the key without the factors that go along."""
        sought = self._sought()
        return self.key / Mul(*(f for f in Mul.make_args(self.value) if f not in sought))

    @cached_property
    def risks(self) -> set[Any]:
        """The bases of what goes along and may be 0: nothing may come to be divided by it."""
        rest = (power_of(f) for f in Mul.make_args(self.value) if f not in self._sought())
        return {part_of(f) for f, power in rest if not (f.is_zero is False or power.is_negative)}

    def _sought(self) -> list[Expr]:
        factors = Mul.make_args(self.value)
        if self.whole or any(f.has(Piecewise, KroneckerDelta) for f in factors):  # which may be 0
            return [*factors]
        if self.indices:
            for enough in (all, any):
                if core := [f for f in factors if enough(f.has(s) for s in self.indices)]:
                    return core
        return [f for f in factors if f.has(*BINDERS)] or [*factors]


def part_of(node: Expr) -> Any:
    """Return what an element is of, kind and bases of what has parts, and a symbol itself."""
    if isinstance(node, Indexed):
        return node.base
    return (type(node), frozenset(node.atoms(IndexedBase))) if node.args else node


def parts_of(exprs: Iterable[Expr]) -> set[Any]:
    """Return what the factors of `exprs` are powers of."""
    return {part_of(power_of(factor)[0]) for expr in exprs for factor in Mul.make_args(expr)}


def divided_by(*exprs: Expr) -> list[Expr]:
    """Return the bases that are divided by."""
    powers = [power_of(node) for expr in exprs for node in nodes(expr) if isinstance(node, Expr)]
    return [base for base, exponent in powers if exponent.is_negative]


def definitions_of(expr: Expr, given: Mapping[Any, Expr]) -> list[Definition]:
    """Return the definitions, checked: each key has one meaning, here and in `expr`."""
    entries = as_expressions(given, "the definitions", "{r: rms()}")
    every = [expr, *entries.values()]
    indices = set().union(*(index_symbols(e) | {s for s, _, _ in limits_of(e)} for e in every))
    for key, value in entries.items():
        places = getattr(key, "indices", ())
        if not isinstance(key, Symbol | Indexed) or isinstance(key, Idx):
            raise Refused(f"{key!r} is no key: write a symbol, or an element such as xhat[i].")
        if not all(isinstance(s, Symbol | Idx) or s.is_Integer for s in places):
            raise Refused(f"the indices of {key} must be symbols or numbers, such as xhat[i].")
        known = {*places, *free_indices(expr)}
        if loose := [str(s) for s in free_indices(value) if s not in known]:
            raise Refused(
                f"{key} stands for what depends on {', '.join(loose)}, which is no free index of "
                f"the expression: give {key} that index, too."
            )
        if str(key) in map(str, indices):
            raise Refused(f"{key} is the name of an index already: take another one for {value}.")
        if depends(value, key):
            raise Refused(f"{key} stands in its own definition, {value}.")
    refuse_lookalikes(freshen(expr), *map(freshen, entries.values()), *entries)
    found = []
    for key, value in entries.items():
        if (plain := plain_form(value)).is_number:
            raise Refused(f"{key} stands for the number {plain}: there is nothing to look for.")
        found.append(_general(key, plain))
    return found


def guarded(result: Expr, expr: Expr, definitions: Iterable[Definition]) -> Expr:
    """Return `result`, unless it depends on what neither `expr` nor a definition has."""
    own = [free_symbols(d.key, d.value) - {*d.indices} for d in definitions]
    refuse_escaped(result, expr, *set().union(*own))
    return result


def _general(key: Expr, value: Expr) -> Definition:
    """Return a definition whose open indices are no index of the expression."""
    places = [s for s in getattr(key, "indices", ()) if not s.is_Integer]
    spare = {s: Dummy(s.name, integer=True) for s in places}
    return Definition(key.xreplace(spare), value.xreplace(spare))
