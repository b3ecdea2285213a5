"""The range of an index, read from the sums over the same axis."""

from sympy import Expr, Indexed, IndexedBase, S, Symbol

from rmsnorm_math.errors import Refused
from rmsnorm_math.indices import index_symbols, limits_of, nodes


def span_of_index(y: Expr, index: Expr) -> tuple[Expr, Expr]:
    """Return the range of a free index of `y`, read from a sum over the same axis."""
    found = {
        span
        for node in nodes(y)
        if isinstance(node, Indexed)
        for axis, s in enumerate(node.indices)
        if s == index
        for span in _spans_of_axis(y, node.base, axis)
    }
    return _only(found, index)


def span_of_axis(y: Expr, base: IndexedBase, axis: int, index: Expr) -> tuple[Expr, Expr]:
    """Return the range of an axis of `base`; `index` is what a message calls it."""
    return _only(_spans_of_axis(y, base, axis), index)


def _spans_of_axis(y: Expr, base: IndexedBase, axis: int) -> set[tuple[Expr, Expr]]:
    if base.shape:
        return {(S.One, base.shape[axis])}
    limits = {index: (lower, upper) for index, lower, upper in limits_of(y)}
    indices = index_symbols(y) | set(limits)
    found = {
        limits[node.indices[axis]]
        for node in nodes(y)
        if isinstance(node, Indexed) and node.base == base and node.indices[axis] in limits
    }
    # A sum over a part of an axis does not show where the axis ends.
    whole = all(low == 1 and isinstance(up, Symbol) and up not in indices for low, up in found)
    return found if whole else set()


def _only(found: set[tuple[Expr, Expr]], index: Expr) -> tuple[Expr, Expr]:
    if len(found) != 1:
        what = "several ranges are possible" if found else "no sum over a whole axis shows it"
        raise Refused(
            f"the range of the index {index} is not clear: {what}. Pass ranges={{{index}: (1, n)}}."
        )
    return found.pop()
