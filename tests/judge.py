"""At which values of its free indices a result must be right, and whether it is.

An index runs over what is stated, else over what its `Idx` declares, else over the elements that
the expression has on that axis; a whole axis is 1..n or, where a case counts from 0, 0..n-1.
Where no sum runs over a whole axis, a result must be right beyond them as well.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice, product
from typing import Any

import mpmath
from sympy import (
    Eq,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    S,
    Symbol,
    sympify,
)

from tests.differences import Scope, difference, value
from tests.drawn import World, m, n, t
from tests.elements import UNDEFINED, Axes, free_of, limits_on, tied, touch

SIZES = (3, 1, 2)
POINTS = 5
DIGITS = 40
#: The limits of a sum over a whole axis, as the rule has it.
WHOLE = {(S(low), end) for end in (n, m) for low, end in ((1, end), (0, end - 1), (0, end))}


def undefined_f(at: Any) -> Any:
    return mpmath.sin(at) + at**2 / 3


def undefined_g(at: Any, then: Any) -> Any:
    return mpmath.cos(at + 2 * then) + at * then**2 / 5


@cache
def table(base: IndexedBase, rank: int) -> dict[Any, Any]:
    """Return a number for each element of a base, on both sides of what a case reaches."""
    low, high = {1: (-4, 12), 2: (-2, 7), 3: (-1, 5)}[rank]
    draw = random.Random(f"{base}")
    with mpmath.workdps(DIGITS):
        return {
            (base, *at): mpmath.mpf(draw.randint(200, 1700)) / 1024 * draw.choice((1, -1))
            for at in product(range(low, high + 1), repeat=rank)
        }


def numbers(size: int, *exprs: Expr) -> dict[Any, Any]:
    """Return what stands for each symbol, function and element of the expressions."""
    scope: dict[Any, Any] = {n: size, m: {1: 2, 2: 1, 3: 2}[size]}
    scope |= {t: mpmath.mpf(11) / 16, "f": undefined_f, "g": undefined_g}
    scope |= {Symbol(bar): mpmath.mpf(at) / 8 for at, bar in enumerate(("ybar", "ubar", "xdot"), 5)}
    for node in set().union(*(expr.atoms(Indexed) for expr in exprs)):
        scope |= table(node.base, len(node.indices))
    return scope


class Domain:
    """Where the free indices of an expression, and of a variable, run for one size.

    The indices in `bound` are summed over: they run over what is given there.
    """

    def __init__(
        self,
        world: World,
        expr: Expr,
        wrt: Expr,
        ranges: Mapping[Expr, Any],
        scope: Scope,
        bound: Mapping[Expr, list[int]] | None = None,
    ) -> None:
        self.expr, self.wrt, self.scope, self.bound = expr, wrt, scope, bound or {}
        of_expr = free_of(expr, world.indices)
        free = (of_expr - set(self.bound)) | free_of(wrt, world.indices)
        self.free = sorted(free, key=str)
        self.known = {s: r for s in free | of_expr if (r := run(s, ranges, scope)) is not None}
        self.axes: Axes = defaultdict(set)
        looped = {s: r for s, r in {**self.known, **self.bound}.items() if s in of_expr}
        some = {s: values for s, values in looped.items() if values}
        for chosen in islice(product(*some.values()), 64):
            known = dict(zip(some, chosen, strict=True))
            touch(expr, {**scope, **known}, self.axes, frozenset(looped), shown=True)
        touch(wrt, {}, self.axes)
        self.stated: Axes = defaultdict(set)
        of_wrt = {s: r for s, r in self.known.items() if s in free_of(wrt, world.indices)}
        for chosen in product(*of_wrt.values()):
            known = dict(zip(of_wrt, chosen, strict=True))
            touch(wrt, {**scope, **known}, self.stated)
        by = {key[:2]: found for key, found in self.axes.items() if key[2:] == ("shown",) and found}
        self.shown, self.summed = set(by), {key for key, found in by.items() if found - set(looped)}
        limits: Axes = defaultdict(set)
        limits_on(expr, {}, limits)
        self.open = {key for key in self.shown if not limits[key] & WHOLE and not key[0].shape}
        if self.bound or tied(expr, world.indices) & set(self.free):
            self.open = set()
        self.beside: Axes = defaultdict(set)  # what a variable shows whose indices are others
        self.whole, self.shaped = span(world.whole, scope), bool(world.bases[0].shape)

    def on(self, index: Expr, shown: set[tuple[Any, ...]]) -> list[set[int]]:
        """Return what is shown of each axis on which an index stands."""
        return [self.axes[key] for key in shown if index in self.axes[*key, "free"]]

    def contradicts_a_shape(self) -> bool:
        """Return whether an axis has an element that its base cannot have, wherever it begins."""
        for base, axis in self.shown:
            if base.shape and (met := self.axes[base, axis]):
                last = value(base.shape[axis], self.scope)
                if not any(first <= min(met) and max(met) < first + last for first in (0, 1)):
                    return True
        return False

    def only(self, index: Expr) -> list[int]:
        """Return the range of an index that is summed over, if there is one and only one."""
        if index in self.known:
            return self.known[index]
        pairs = [node.args for node in self.expr.atoms(KroneckerDelta, Eq) if index in node.args]
        if any({*pair} & {*self.known} for pair in pairs):
            raise Unjudged  # what is equal to a known index runs where that does
        found = {tuple(sorted(axis)) for axis in self.on(index, self.summed)}
        if not found and not self.shaped:
            on = [key[:2] for key, at in self.axes.items() if key[2:] == ("free",) and index in at]
            whole = {*self.whole}
            if all(self.axes[axis] <= whole for axis in on) and all(
                met in (set(), whole)
                for axis in on
                for met in (self.beside[axis], self.axes[axis] if axis in self.shown else whole)
            ):
                return self.whole  # a result that needs no range is right for each
            raise Unjudged
        lengths = [s[axis] for (base, axis) in self.summed if (s := base.shape)]
        short = any(len(axis) < value(length, self.scope) for axis in found for length in lengths)
        if len(found) != 1 or short or self.contradicts_a_shape():
            raise Unjudged
        (only,) = found
        if not {*self.whole} <= {*only}:  # a sum over a part shows no end of an axis
            raise Unjudged
        return list(only)

    def candidates(self, index: Expr) -> list[int]:
        if index in self.known:
            return self.known[index]
        found = {*self.whole}.union(*self.on(index, self.shown))
        beyond = {min(found) - 1, max(found) + 1} if self.on(index, self.open) else set()
        return sorted(found | beyond)

    def points(self, most: int = POINTS) -> Iterator[dict[Any, Any]]:
        """Yield the scope at some points of the domain, always the same ones."""
        if self.contradicts_a_shape():
            return
        chosen = list(product(*map(self.candidates, self.free)))
        random.Random(len(chosen)).shuffle(chosen)
        inside = (dict(zip(self.free, point, strict=True)) for point in chosen)
        yield from islice(({**self.scope, **p} for p in inside if self._inside(p)), most)

    def _inside(self, point: Mapping[Expr, int]) -> bool:
        met: Axes = defaultdict(set)
        for expr in (self.wrt,) if self.bound else (self.expr, self.wrt):
            touch(expr, {**self.scope, **point}, met)
        return all(
            met[axis] <= self.axes[axis] | self.stated[axis]
            for axis in (self.shown - self.open) & set(met)
        )


def span(limits: Any, scope: Scope) -> list[int]:
    low, high = (int(value(sympify(end), scope)) for end in limits)
    return list(range(low, high + 1))


def run(index: Expr, ranges: Mapping[Expr, Any], scope: Scope) -> list[int] | None:
    """Return what is stated of an index, else what it declares."""
    limits = ranges.get(index, declared(index))
    return None if limits is None else span(limits, scope)


def declared(index: Expr) -> tuple[Expr, Expr] | None:
    if isinstance(index, Idx) and index.lower is not None:
        return (index.lower, index.upper)
    return None


class Unjudged(Exception):
    """The quotient itself is no number, or too coarse to compare with."""


def slope(expr: Expr, wrt: Expr, scope: Scope) -> Any:
    """Return the difference quotient, if a second one with another step agrees."""
    one, other = (difference(expr, wrt, scope, mpmath.mpf(10) ** -power) for power in (12, 11))
    if isinstance(one, mpmath.mpc) or abs(one - other) > tolerance(one) / 10:
        raise Unjudged
    return one


def tolerance(number: Any) -> Any:
    return mpmath.mpf(10) ** -9 * max(abs(number), mpmath.mpf(10) ** -5)


def assert_close(got: Any, expected: Any, where: str) -> None:
    assert abs(got - expected) <= tolerance(expected), (
        f"{where}: {mpmath.nstr(got, 15)} should be {mpmath.nstr(expected, 15)}"
    )


def number(expr: Expr, scope: Scope, where: str) -> Any:
    """Return the value of a result; that it has none is its fault, not the case's."""
    try:
        return value(expr, scope)
    except (*UNDEFINED, AttributeError, TypeError, StopIteration) as error:
        raise AssertionError(f"{where}: {expr} has no value, {error!r}") from error


def told(point: Scope) -> str:
    return ", ".join(f"{k}={v}" for k, v in point.items() if isinstance(k, Symbol | Idx) and k != t)
