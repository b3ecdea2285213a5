"""Which axis comes before which, and which stands for any number of leading axes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from sympy import Expr, Indexed, Symbol

from rmsnorm_math.codegen.nodes import Axes, Line, Position, axes_of, family, in_order, parts
from rmsnorm_math.codegen.read import ROWS, Reader
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import base_of


@dataclass
class Lowered:
    """Lines and what belongs to them; see `program.Program`."""

    parameters: list[tuple[str, Axes, bool, Expr]] = field(default_factory=list)
    definitions: list[Line] = field(default_factory=list)
    outputs: list[Line] = field(default_factory=list)
    sizes: dict[Symbol, Symbol] = field(default_factory=dict)  # axis: its length
    batch: Symbol | None = None
    order: list[Symbol] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def sort(self, axes: Iterable[Symbol]) -> Axes:
        """Return axes in the order that arrays show."""
        return in_order(axes, self.order)


def ordered(
    key: str, free: list[Expr], expr: Expr, reader: Reader, arguments: list[Expr]
) -> list[Expr]:
    """Return the free axes of a result with a text for its key, in the order that is shown."""
    if len(free) < 2:
        return free
    shown = [n.indices for n in parts(expr) if isinstance(n, Indexed)]
    places = [
        [reader.groups.find((base, at)) for at in range(reader.ranks.get(base, 0))]
        for base in map(base_of, arguments)
    ]
    groups = [group for axes in places for group in axes]

    def before(p: Expr, q: Expr) -> bool:
        both = [axes.index(p) < axes.index(q) for axes in shown if p in axes and q in axes]
        if not both:
            one, other = map(reader.groups.find, (p, q))
            both = [a.index(one) < a.index(other) for a in places if one in a and other in a]
            if one == other or not both:
                both = [str(p) < str(q)]
                if one in groups and other in groups and one != other:
                    both.append(groups.index(one) < groups.index(other))
                else:
                    both.append(not both[0])
        if len({*both}) > 1:
            indices = sorted(s.name for s in free)
            raise Refused(
                f"{key} has the free indices [{', '.join(indices)}], and nothing shows the order "
                f"of its axes: key it by an element, as in {key}[{', '.join(indices)}]. "
                f"Print a VJP instead of a Jacobian, and it is as long as its input."
            )
        return bool(both[0])

    order = {p: sum(before(q, p) for q in free if q != p) for p in free}
    return sorted(free, key=lambda p: order[p])


def find_batch(result: Lowered, reader: Reader) -> None:
    """Find the index that only stands before one other: it is any number of leading axes."""
    if reader.leading:
        result.batch = ROWS
        return
    arrays = [(text, axes) for text, axes, _, _ in result.parameters]
    arrays += [(name, axes) for name, axes, _ in result.definitions]
    lines = [*result.definitions, *result.outputs]
    seen = [n.indices for _, _, e in lines for n in parts(e) if isinstance(n, Indexed)]
    first = {axes[0] for _, axes in arrays if len(axes) == 2}
    candidates = [
        axis
        for axis in first
        if all(family(a) != axis or at == 0 for axes in seen for at, a in enumerate(axes))
        and all(axis not in axes or len(axes) < 3 for _, axes in arrays)
        and all(axis not in axes[1:] for _, axes, _ in result.outputs)
        and not any(
            len([a for a in axes_of(p) if family(a) == axis]) > (not isinstance(p, Position))
            for _, _, e in lines
            for p in parts(e)
        )
    ]
    if len(candidates) == 1:
        result.batch = candidates[0]


def find_order(result: Lowered) -> None:
    """Put the axes in an order that agrees with as many arrays as can be."""
    lines = [*result.definitions, *result.outputs]
    orders = [axes for _, axes, _ in result.outputs] + [axes for _, axes, _, _ in result.parameters]
    orders += [axes for _, axes, _ in result.definitions]
    orders += [n.indices for _, _, e in lines for n in parts(e) if isinstance(n, Indexed)]
    orders = [tuple(dict.fromkeys(map(family, axes))) for axes in orders]
    after: dict[Symbol, set[Symbol]] = {axis: set() for axes in orders for axis in axes}

    def reaches(start: Symbol, goal: Symbol) -> bool:
        return start == goal or any(reaches(axis, goal) for axis in after[start])

    for axes in orders:
        for one, other in pairwise(axes):
            if not reaches(other, one):
                after[one].add(other)
    if result.batch in after:
        for axis in after:
            if axis != result.batch and not reaches(axis, result.batch):
                after[result.batch].add(axis)
    left = list(after)
    while left:
        axis = next(a for a in left if not any(a in after[b] for b in left if b != a))
        result.order.append(axis)
        left.remove(axis)
