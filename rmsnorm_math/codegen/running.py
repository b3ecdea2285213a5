"""Sums up to each place along an axis, which need no matrix of places by places."""

from sympy import Expr, Piecewise, S, Symbol
from sympy.core.relational import GreaterThan, LessThan

from rmsnorm_math.codegen.nodes import Contraction, Position, axes_of


def places(mask: Expr) -> tuple[Symbol, Symbol] | None:
    """Return the axes of a mask that is 1 where the first's place is at or before the second's."""
    if not (isinstance(mask, Piecewise) and mask.args[1:] == ((S.Zero, S.true),)):
        return None
    value, condition = mask.args[0]
    if value != 1 or not isinstance(condition, GreaterThan | LessThan):
        return None
    before, after = condition.lts, condition.gts
    if not (isinstance(before, Position) and isinstance(after, Position)):
        return None
    return (before.args[0], after.args[0]) if before.args[1] == after.args[1] else None


def running(node: Contraction) -> tuple[Expr, Symbol, Symbol, bool] | None:
    """Return what is summed, along which axis, what that is called after, and if it runs back."""
    for mask, array in (node.factors, node.factors[::-1]):
        found = places(mask)
        if found is None or len(node.over) != 1 or node.over[0] not in axes_of(array):
            continue
        (axis,) = node.over
        before, after = found
        into = after if axis == before else before
        if axis in found and into not in axes_of(array):
            return array, axis, into, axis == after
    return None
