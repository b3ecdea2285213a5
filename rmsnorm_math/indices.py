"""Bound and free indices: find them, rename them, refuse what would mislead.

The two walks that everything else relies on are `freshen`, which makes every
bound index unique, and `rename_bound`, which gives readable names back.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain, count

from sympy import Basic, Dummy, Expr, Idx, Indexed, IndexedBase, Product, Sum, Symbol, srepr
from sympy.core.function import AppliedUndef

from rmsnorm_math.errors import Refused

Ranges = dict[Expr, tuple[Expr, Expr]]
BINDERS = (Sum, Product)


def nodes(expr: Basic) -> Iterator[Basic]:
    """Yield every node of `expr`; a base or an index is one node, its label is not."""
    yield expr
    if not isinstance(expr, IndexedBase | Idx):
        for arg in expr.args:
            yield from nodes(arg)


def name(node: Basic) -> str | None:
    """Return what `node` prints as, if it is something that has a name."""
    if isinstance(node, AppliedUndef):
        return str(node.func)
    if isinstance(node, Symbol | Idx | IndexedBase) and not isinstance(node, Dummy):
        return str(node)
    return None


def limits_of(expr: Basic) -> Iterator[tuple[Expr, Expr, Expr]]:
    """Yield (index, lower, upper) for every bound index in `expr`."""
    for node in nodes(expr):
        if isinstance(node, BINDERS):
            yield from (tuple(limit) for limit in node.limits)


def index_symbols(expr: Basic) -> set[Expr]:
    """Return the symbols that stand in the index of some element of `expr`."""
    found: set[Expr] = set()
    for node in nodes(expr):
        if isinstance(node, Idx):
            found.add(node)
        if isinstance(node, Indexed):
            for index in node.indices:
                found |= {leaf for leaf in nodes(index) if isinstance(leaf, Symbol | Idx)}
    return found


def free_indices(expr: Expr) -> list[Expr]:
    """Return the free indices of `expr`, sorted by name; a length that is used as one is none."""
    ends = {s for _, *limit in limits_of(expr) for end in limit for s in end.free_symbols}
    found = index_symbols(freshen(expr))
    none = {s for s in found if isinstance(s, Dummy) or (s in ends and not isinstance(s, Idx))}
    return sorted(found - none, key=str)


def depends(expr: Basic, wrt: Expr) -> bool:
    """Return whether `wrt`, or for an element any element of its base, occurs in `expr`."""
    sought = wrt.base if isinstance(wrt, Indexed) else wrt
    return any(node == sought for node in nodes(expr))


def dummies_of(*exprs: Expr) -> list[Expr]:
    """Return the bound indices of `exprs`, without ranges, sorted by name."""
    bound = {index for expr in exprs for index, _, _ in limits_of(expr)}
    return sorted((plain(index) for index in bound if not isinstance(index, Dummy)), key=str)


def freshen(expr: Expr, *others: Expr) -> Expr:
    """Return `expr` with every bound index renamed to a `Dummy` that is nowhere else in it.

    Nor does it occur in `others`: put into the expression, they are not captured. The same
    expression gets the same dummies each time, so that SymPy remembers what it found out about it.
    """
    return _freshen(expr, spare_dummies(expr, *others))


def spare_dummies(*exprs: Expr) -> Callable[[str], Dummy]:
    """Return a function that gives dummies by name, each time another, none that is in `exprs`."""
    taken = {dummy for expr in exprs for dummy in expr.atoms(Dummy)}

    def spare(label: str) -> Dummy:
        dummy = next(d for d in (_dummy(label, number) for number in count()) if d not in taken)
        taken.add(dummy)
        return dummy

    return spare


@cache
def _dummy(label: str, number: int) -> Dummy:  # noqa: ARG001  one for each number
    return Dummy(label, integer=True)


def _freshen(expr: Expr, supply: Callable[[str], Dummy]) -> Expr:
    if not expr.has(*BINDERS):
        return expr
    args = [_freshen(arg, supply) for arg in expr.args]
    if not isinstance(expr, BINDERS):
        return expr.func(*args)
    body = args[0]
    names: dict[Expr, Expr] = {}
    limits: list[tuple[Expr, Expr, Expr]] = []
    for index, lower, upper in reversed(expr.limits):
        _refuse_twin_of_dummy(index, body)
        fresh = supply(index.name)
        limits.insert(0, (fresh, lower.xreplace(names), upper.xreplace(names)))
        names[index] = fresh
    return expr.func(body.xreplace(names), *limits)


def _refuse_twin_of_dummy(index: Expr, body: Expr) -> None:
    for node in nodes(body):
        if name(node) == str(index) and node != index:
            raise Refused(
                f"the sum over {index} does not reach the {index} inside it: they print alike, "
                f"but the dummy is {srepr(index)} and the other is {srepr(node)}. "
                f"Write both with one and the same object."
            )


def rename_bound(expr: Expr, candidates: Iterable[Expr] = ()) -> Expr:
    """Return `expr` with readable names for its bound indices.

    An index keeps its name if that is among `candidates` and clashes neither
    with a free name nor with a sum inside; else it takes the first that does
    not. Sums that differ only in the names of their dummies come out equal.
    """
    expr = freshen(expr)
    taken = {name(node) for node in nodes(expr)}
    pool = [c for c in candidates if str(c) not in taken]
    spare = (
        letter for letter in _spare_indices() if str(letter) not in taken and letter not in pool
    )
    alike: dict[Expr, Expr] = {}

    def pick(index: Expr, used: set[Expr]) -> Expr:
        for known in sorted(pool, key=lambda c: str(c) != index.name):
            if known not in used:
                return known
        pool.append(next(spare))
        return pick(index, used)

    def finish(sum_: Expr) -> Expr:
        return alike.setdefault(anonymous(sum_), sum_)

    return _rename(expr, pick, finish)


def anonymous(expr: Expr) -> Expr:
    """Return `expr` with its bound indices numbered: equal for sums that differ in names alone."""
    return _rename(
        freshen(expr),
        lambda _, used: next(c for c in map(_numbered, count()) if c not in used),
        lambda sum_: sum_,
    )


@cache
def _numbered(number: int) -> Idx:
    return Idx(f"_{number}")


def _rename(
    expr: Expr, pick: Callable[[Expr, set[Expr]], Expr], finish: Callable[[Expr], Expr]
) -> Expr:
    if not expr.has(*BINDERS):
        return expr
    args = [_rename(arg, pick, finish) for arg in expr.args]
    if not isinstance(expr, BINDERS):
        return expr.func(*args)
    body, *limits = args
    used = {
        index
        for part in (body, *(end for _, *ends in limits for end in ends))
        for index, _, _ in limits_of(part)
    }
    names: dict[Expr, Expr] = {}
    for index, _, _ in limits:
        names[index] = pick(index, used)
        used.add(names[index])
    return finish(expr.func(body.xreplace(names), *(limit.xreplace(names) for limit in limits)))


def _spare_indices() -> Iterator[Idx]:
    return map(Idx, chain("klpqstuvw", (f"k_{number}" for number in count(1))))


def plain(index: Expr) -> Expr:
    """Return `index` without a range: a ranged `Idx` prints badly in LaTeX."""
    return Idx(index.label) if isinstance(index, Idx) else index
