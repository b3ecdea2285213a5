"""New names for bound indices, in the form that SymPy writes."""

from collections.abc import Iterable
from functools import cache

from sympy import Basic, Dummy, Expr, Indexed
from sympy.core.symbol import Str

from rmsnorm_math.index.enter import Scope, enter
from rmsnorm_math.index.inner import BoundSum
from rmsnorm_math.index.leave import leave, without_hints
from rmsnorm_math.index.rebuild import opened, rebuilt, renamed
from rmsnorm_math.index.walk import BINDERS, is_leaf, nodes


def freshen(expr: Expr) -> Expr:
    """Return `expr` with every bound index renamed to a `Dummy` that is nowhere else."""
    return _fresh(expr, {})


def rename_bound(expr: Expr, candidates: Iterable[Expr] = ()) -> Expr:
    """Return `expr` with readable names for its bound indices, as `leave` gives them."""
    return leave(enter(expr), candidates)


def anonymous(expr: Expr) -> Expr:
    """Return `expr` in the inner form without names: equal for sums that differ in names alone."""
    return without_hints(enter(expr))


def named_like(tangent: Indexed, expr: Expr) -> Expr:
    """Return `expr`, its sums over elements of `tangent` named like the indices of that."""

    def named(node: Expr) -> Expr | None:
        if not isinstance(node, BoundSum):
            return None
        index, body = opened(node)
        elements = (e for e in nodes(body) if isinstance(e, Indexed) and e.base == tangent.base)
        places = (at for e in elements for at, place in enumerate(e.indices) if place == index)
        name = index.name if (at := next(places, None)) is None else tangent.indices[at].name
        return BoundSum(Str(name), rebuilt(node.args[1], named), *node.args[2:])

    return rebuilt(expr, named)


def _fresh(expr: Basic, scope: Scope) -> Basic:
    @cache
    def walk(node: Basic) -> Basic:
        if is_leaf(node):
            return scope.get(node, node)
        if not isinstance(node, BINDERS):
            return renamed(node, tuple(map(walk, node.args)))
        here = scope
        limits: list[tuple[Basic, ...]] = []
        for index, *ends in reversed(node.limits):
            written = [_fresh(end, here) for end in ends]
            here = {**here, index: Dummy(index.name, integer=True)}
            limits.insert(0, (here[index], *written))
        return node.func(_fresh(node.function, here), *limits)

    return walk(expr)
