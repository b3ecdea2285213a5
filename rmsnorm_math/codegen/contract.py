"""Sums of products in an order in which no array is larger than operands and results."""

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import combinations
from math import inf

from sympy import Add, Basic, Expr, Indexed, IndexedBase, Mul, Symbol, Tuple, expand_mul

from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    Axes,
    Contraction,
    Largest,
    Mean,
    Position,
    Reduction,
    Total,
    another,
    axes_of,
    canonical,
    family,
    parts,
    rebuilt,
    rename,
    renamings,
)

Line = tuple[str, Axes, Expr]
STEMS = {Total: "total", Mean: "mean", Largest: "largest", Contraction: "product"}


def element(name: str, axes: Axes) -> Expr:
    """Return the array `name`, or the number if it has no axes."""
    return IndexedBase(name)[axes] if axes else Symbol(name)


def rank(expr: Basic) -> int:
    """Return how many axes the largest array has that `expr` needs."""
    if isinstance(expr, Indexed | Position):
        return len(axes_of(expr))
    if isinstance(expr, Contraction):
        return max(len(axes_of(expr)), *map(rank, expr.factors))
    return max([len(axes_of(expr)), *map(rank, expr.args)])


class Hoister:
    """Gives each reduction and each matrix product a line of its own.

    `sort` puts axes in order, `taken` holds the names there are, and `limit` is the number of axes
    that an array may have.
    """

    def __init__(self, sort, taken: set[str], limit: int, lengths) -> None:  # type: ignore[no-untyped-def]
        self.sort, self.taken, self.limit, self.lengths = sort, taken, limit, lengths
        self.lines: list[Line] = []

    def add(self, name: str, axes: Axes, expr: Expr) -> None:
        """Add a line; where it is one reduction, that has no other."""
        before = len(self.lines)
        value = self.flat(expr)
        if len(self.lines) > before and value == element(*self.lines[-1][:2]):
            _, axes, value = self.lines.pop()
        self.lines.append((name, axes, value))

    def flat(self, node: Basic) -> Basic:
        """Return `node` with a name for each reduction in it."""
        if isinstance(node, Indexed | Position):
            return node
        if isinstance(node, Total | Mean):
            return self._sum(node)
        if isinstance(node, Reduction):
            return self._named(node.func(self.flat(node.body), *node.over))
        return rebuilt(node, (self.flat(arg) for arg in node.args))

    def _sum(self, node: Reduction) -> Expr:
        """Name a sum, its body as it is or, where that needs too large an array, distributed."""
        lines, taken = [*self.lines], {*self.taken}
        value, need = self._attempt(node)
        if need > self.limit:
            terms = Add.make_args(expand_mul(node.body, deep=False))
            if len(terms) > 1:
                other = self.lines, self.taken
                self.lines, self.taken = lines, taken
                tries = [self._attempt(node.func(term, *node.over)) for term in terms]
                if max(n for _, n in tries) < need:
                    return Add(*(v for v, _ in tries))
                self.lines, self.taken = other
        return value

    def _attempt(self, node: Reduction) -> tuple[Expr, int]:
        before = len(self.lines)
        scale, over = Mul(), {*node.over}
        if isinstance(node, Mean):
            factors = [self.flat(f) for f in Mul.make_args(node.body)]
            if _spanning(factors):
                value = self._named(Mean(Mul(*factors), *node.over))
                return value, max(map(rank, [value, *(x for _, _, x in self.lines[before:])]))
            scale = Mul(*(1 / self.lengths[family(axis)] for axis in node.over))
        factors, over = self._network(node.body, over, {*node.over} | axes_of(node.body))
        factors = [self.flat(f) for f in factors]
        outside = [f for f in factors if not axes_of(f) & over]
        value = scale * Mul(*outside)
        for group in _components([f for f in factors if axes_of(f) & over], over):
            value *= self._contract(group, over & axes_of(Mul(*group, evaluate=False)))
        made = [x for _, _, x in self.lines[before:]]
        return value, max(map(rank, [value, *made]))

    def _network(self, body: Expr, over: set[Symbol], met: set[Symbol]) -> tuple[list[Expr], set]:
        """Return the factors of a product, those of sums in it among them, and what is summed."""
        factors: list[Expr] = []
        for factor in Mul.make_args(body):
            if isinstance(factor, Total):
                names: dict[Symbol, Symbol] = {}
                for axis in factor.over:
                    names[axis] = another(axis, met)
                    met |= {names[axis]}
                inner, bound = self._network(rename(factor.body, names), {*names.values()}, met)
                factors += inner
                over = over | bound
            else:
                factors.append(factor)
        return factors, over

    def _contract(self, factors: list[Expr], over: set[Symbol]) -> Expr:
        if _spanning(factors):
            return self._named(Total(Mul(*factors), *self.sort(over)))
        alike: dict[frozenset[Symbol], Expr] = {}
        for factor in factors:
            key = frozenset(axes_of(factor))
            alike[key] = alike.get(key, 1) * factor
        return self._tree(tuple(alike.values()), over)

    def _tree(self, factors: tuple[Expr, ...], over: set[Symbol]) -> Expr:
        """Contract two by two, in the order of the fewest axes, then of the least work."""
        best: dict[int, tuple[tuple[float, float], frozenset[Symbol], tuple[int, int]]] = {}
        axes = [frozenset(axes_of(f)) for f in factors]
        whole = (1 << len(factors)) - 1

        def kept(subset: int, all_: frozenset[Symbol]) -> frozenset[Symbol]:
            later = {a for k, own in enumerate(axes) if not subset >> k & 1 for a in own}
            return frozenset(a for a in all_ if a not in over or a in later)

        for k, own in enumerate(axes):
            best[1 << k] = ((len(own), 0.0), kept(1 << k, own), (0, 0))
        for size in range(2, len(factors) + 1):
            for chosen in combinations(range(len(factors)), size):
                subset = sum(1 << k for k in chosen)
                least: tuple[float, float] = (inf, inf)
                for part in _halves(subset):
                    (high, work), left, _ = best[part]
                    (other, more), right, _ = best[subset ^ part]
                    result = kept(subset, left | right)
                    widest = max(high, other, len(result))
                    cost = (widest, work + more + 10.0 ** len(left | right))
                    if cost < least:
                        least = cost
                        best[subset] = (cost, result, (part, subset ^ part))

        def build(subset: int) -> Expr:
            _, result, (one, other) = best[subset]
            if not one:
                value = factors[subset.bit_length() - 1]
            else:
                value = self._pair(build(one), build(other), result)
            gone = self.sort(axes_of(value) - result)
            return self._named(Total(value, *gone)) if gone else value

        return build(whole)

    def _pair(self, one: Expr, other: Expr, result: frozenset[Symbol]) -> Expr:
        left, right = axes_of(one), axes_of(other)
        gone = self.sort((left | right) - result)
        if not gone or left <= right or right <= left:
            return one * other
        return self._named(Contraction(Tuple(*gone), one, other))

    def _named(self, value: Expr) -> Expr:
        """Return the array that holds a reduction, with a line of its own unless there is one."""
        value = canonical(value)
        axes = self.sort(axes_of(value))
        for name, known, expr in self.lines:
            if type(expr) is type(value) and len(known) == len(axes):
                for names in renamings(known, axes):
                    if canonical(rename(expr, names)) == value:
                        return element(name, tuple(names[axis] for axis in known))
        stem = STEMS[type(value)]
        if isinstance(value, Total | Mean) and value.body.is_Mul:
            stem = "dot"
        name = fresh(stem, self.taken)
        self.lines.append((name, axes, value))
        return element(name, axes)


def means(lines: list[Line], sizes: Mapping[Symbol, Symbol]) -> list[Line]:
    """Write a mean for a sum that is divided by the length, unless that length is needed again."""
    totals = {p for _, _, expr in lines for p in parts(expr) if isinstance(p, Total)}
    for total in sorted(totals, key=lambda node: (node.count_ops(), str(node))):
        if any(family(axis) not in sizes for axis in total.over):
            continue
        lengths = [sizes[family(axis)] for axis in total.over]
        mean = Mul(*lengths) * Mean(*total.args)
        other = [(name, axes, _put(expr, total, mean)) for name, axes, expr in lines]
        before, after = (
            sum(expr.count(size) for _, _, expr in tried for size in {*lengths})
            for tried in (lines, other)
        )
        if after < before:
            lines = other
    return lines


def _put(node: Basic, old: Basic, new: Basic) -> Basic:
    """Return `node` with `new` for `old`, in `old` itself, too, where it holds others."""
    if node == old:
        return new
    if isinstance(node, Indexed | Position):
        return node
    return rebuilt(node, (_put(arg, old, new) for arg in node.args))


def _spanning(factors: list[Expr]) -> bool:
    """Return whether one factor has the axes of all."""
    union = set().union(*map(axes_of, factors))
    return any(axes_of(factor) == union for factor in factors)


def _halves(subset: int) -> Iterator[int]:
    part = (subset - 1) & subset
    while part:
        if part > subset ^ part:
            yield part
        part = (part - 1) & subset


def _components(factors: list[Expr], over: set[Symbol]) -> list[list[Expr]]:
    """Return the factors in groups that share no axis of those in `over`."""
    groups: list[list[Expr]] = []
    for factor in factors:
        mine = axes_of(factor) & over
        near = [g for g in groups if any(axes_of(f) & mine for f in g)]
        groups = [g for g in groups if g not in near] + [[*reduce(list.__add__, near, []), factor]]
    return groups
