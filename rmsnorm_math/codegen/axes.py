"""Which axes are one and the same, how long each is, and what it is called.

Indices that stand at the same place of the same base run over one axis, and so do those of a
definition's key. An axis is as long as the sums over all of it say.
"""

from collections.abc import Hashable, Iterable, Mapping

from sympy import Dummy, Expr, Max, Min, S, Symbol

from rmsnorm_math.codegen.names import fresh, identifier
from rmsnorm_math.codegen.nodes import Position
from rmsnorm_math.errors import Refused

Limit = tuple[Expr, Expr]


class Groups:
    """Things that turn out to be one: a union-find."""

    def __init__(self) -> None:
        self.parent: dict[Hashable, Hashable] = {}

    def find(self, thing: Hashable) -> Hashable:
        """Return what stands for the group of `thing`."""
        while (up := self.parent.setdefault(thing, thing)) != thing:
            thing = up
        return thing

    def join(self, one: Hashable, other: Hashable) -> None:
        """Say that both are one."""
        self.parent[self.find(other)] = self.find(one)


def _ends(end: Expr, kind: type[Expr]) -> tuple[Expr, ...]:
    """Return what is compared where a limit is a maximum or a minimum."""
    return end.args if isinstance(end, kind) else (end,)


class KnownAxes:
    """What is known of each axis, once every expression has been read.

    Parameters
    ----------
    groups
        Of indices, which are dummies, and of places of bases.
    limits
        ``{index of a sum: (first, last)}``.
    shapes
        The lengths that shapes of bases declare: ``{place: length}``.
    given
        What has a value: the arguments.
    order
        Indices, those first that give an axis its name.
    """

    def __init__(
        self,
        groups: Groups,
        limits: Mapping[Dummy, Limit],
        shapes: Mapping[tuple[Expr, int], Expr],
        given: Iterable[Expr],
        order: Iterable[Dummy],
    ) -> None:
        self.groups = groups
        given = {*given}
        self.lengths: dict[Hashable, Symbol] = {}
        self.first: dict[Hashable, int] = {}
        for index, (first, last) in limits.items():
            starts = [end for end in _ends(first, Max) if end in (0, 1)]
            for start in starts:
                lengths = {end + 1 - start for end in _ends(last, Min)} - given
                found = [length for length in lengths if length.is_Symbol]
                if len(found) == 1:
                    self._measure(groups.find(index), found[0], int(start), index.name)
        for index, (first, upper) in limits.items():  # from a place on, or that nothing else gives
            from_place = first.has(Position) and upper not in given
            new = from_place or upper not in given | {*self.lengths.values()}
            if upper.is_Symbol and new and groups.find(index) not in self.lengths:
                self._measure(groups.find(index), upper, None, index.name)
        for place, length in shapes.items():
            if length.is_Symbol and length not in given:
                self._measure(groups.find(place), length, None, str(place))
        taken: set[str] = set()
        self.names: dict[Hashable, Symbol] = {}
        for index in order:
            group = groups.find(index)
            if group not in self.names:
                stem = identifier(index.name, "i").rstrip("0123456789_") or "i"
                self.names[group] = Symbol(fresh(stem, taken, "{}{}"), integer=True)

    def _measure(self, group: Hashable, length: Symbol, first: int | None, label: str) -> None:
        other = self.lengths.setdefault(group, length)
        start = self.first.setdefault(group, first) if first is not None else first
        if other != length:
            raise Refused(
                f"the axis of the index {label} would have two lengths, {other} and {length}: "
                f"write one of them in both sums, or give the shorter one a value by naming it "
                f"among the arguments, as in {{{length}: '{length}'}}."
            )
        if start != first:
            raise Refused(
                f"sums over the axis of the index {label} count from 0 and from 1: count alike."
            )

    def length(self, index: Hashable) -> Symbol | None:
        """Return the length of the axis of an index, if a sum shows it."""
        return self.lengths.get(self.groups.find(index))

    def start(self, index: Hashable) -> Expr:
        """Return the number at which the axis of an index begins."""
        return S(self.first.get(self.groups.find(index), 1))

    def name(self, index: Hashable) -> Symbol:
        """Return the axis of an index."""
        return self.names[self.groups.find(index)]
