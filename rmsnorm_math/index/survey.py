"""What an expression shows of its indices: where sums run, and what stands at each axis."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from sympy import Eq, Expr, Idx, Indexed, IndexedBase, KroneckerDelta, S

from rmsnorm_math.index.inner import Binder
from rmsnorm_math.index.rebuild import is_count, opened
from rmsnorm_math.index.walk import Ranges, is_leaf

Axis = tuple[IndexedBase, int]
Span = tuple[Expr, Expr]


class Survey(NamedTuple):
    """Where bound indices run, what stands at each axis, what is equal; what is said of an index.

    `stated` holds what the caller states, and for every other `Idx` what that declares.
    """

    limits: dict[Expr, Span]
    places: dict[Axis, set[Expr]]
    equal: list[tuple[Expr, Expr]]
    stated: Ranges


def survey(
    exprs: Iterable[Expr], stated: Ranges | None = None, limits: Ranges | None = None
) -> Survey:
    """Return what `exprs`, in the inner form, show beside what is `stated`.

    `limits` are those of bound indices whose sums do not stand in `exprs`.
    """
    spans = {index: (S(first), S(last)) for index, (first, last) in (stated or {}).items()}
    found = Survey({**(limits or {})}, defaultdict(set), [], spans)

    @cache
    def walk(node: Expr) -> None:
        if isinstance(node, Idx) and node.lower is not None:
            found.stated.setdefault(node, (node.lower, node.upper))
        if isinstance(node, Indexed):
            for axis, index in enumerate(node.indices):
                found.places[node.base, axis].add(index)
        if isinstance(node, KroneckerDelta | Eq) and all(map(is_count, node.args)):
            found.equal.append(node.args[:2])
        parts = () if is_leaf(node) else node.args
        if isinstance(node, Binder):
            index, body = opened(node)
            _, _, *ends = node.args
            found.limits[index] = (*ends,)
            parts = (body, *ends)
        for part in parts:
            walk(part)

    for expr in exprs:
        walk(expr)
    return found
