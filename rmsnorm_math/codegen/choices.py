"""Conditions on places: deltas that are left become choices, and what always holds goes."""

from sympy import (
    And,
    Basic,
    Dummy,
    Eq,
    Expr,
    KroneckerDelta,
    Max,
    Min,
    Mul,
    Ne,
    Piecewise,
    S,
    exp,
)
from sympy.core.relational import Relational

from rmsnorm_math.codegen.axes import KnownAxes
from rmsnorm_math.codegen.nodes import Position, axes_of


def left_out(product: Expr, axes: KnownAxes) -> Expr:
    """Choose where two places differ by what an exponential joins: all less one loses digits."""
    factors = [*Mul.make_args(product)]
    for at, factor in enumerate(factors):
        (delta,) = factor.atoms(KroneckerDelta) if factor.count(KroneckerDelta) == 1 else (None,)
        if delta is None or factor != 1 - delta:
            continue
        if any(f.has(exp) and all(map(f.has, delta.args)) for f in factors if f is not factor):
            places = [Position(axis, axes.start(axis)) for axis in delta.args]
            factors[at] = Piecewise((1, Ne(*places)), (0, True))
    return Mul(*factors)


def decided(relation: Basic, axes: KnownAxes) -> Basic:
    """Return a comparison of a place without the ends of its axis; if none is left, it holds."""
    if not (isinstance(relation, Relational) and relation.rel_op in ("<=", ">=")):
        return relation
    if isinstance(relation.rhs, Position) and not isinstance(relation.lhs, Position):
        relation = relation.reversed
    place, end = relation.args
    if not isinstance(place, Position):
        return relation
    index, start = place.args
    below, length = relation.rel_op == "<=", axes.length(index)
    kind = Min if below else Max

    def is_past(other: Expr) -> bool:
        if below:
            return length is not None and bool((other - length - start + 1).is_nonnegative)
        return bool((start - other).is_nonnegative)

    ends = end.args if isinstance(end, kind) else (end,)
    left = [other for other in ends if not is_past(other)]
    return relation.func(place, kind(*left)) if left else S.true


def outside(expr: Expr) -> Expr:
    """Return `expr` with what every branch of a choice has before the choice.

    That is its deltas, and everything where the choice is between something and 0 by a position.
    """

    def out(choice: Piecewise) -> Expr:
        (value, condition), *others = choice.args
        if others == [(0, True)] and condition.has(Position):
            apart: dict[frozenset[Basic], list[Basic]] = {}
            for part in And.make_args(condition):
                apart.setdefault(frozenset(axes_of(part)), []).append(part)
            masks = (Piecewise((1, And(*together)), (0, True)) for together in apart.values())
            return outside(value) * Mul(*masks)
        common: set[Expr] | None = None
        for value, _ in choice.args:
            deltas = {f for f in Mul.make_args(value) if isinstance(f, KroneckerDelta)}
            if value != 0:
                common = deltas if common is None else common & deltas
        if not common:
            return choice
        ones = dict.fromkeys(common, S.One)
        return Mul(*common) * Piecewise(*((v.xreplace(ones), c) for v, c in choice.args))

    return expr.replace(lambda node: isinstance(node, Piecewise), out)


def as_choices(expr: Basic, axes: KnownAxes, axis: Dummy | None = None) -> Basic:
    """Return `expr` with each delta that is left, or is left of an axis, as a choice."""

    def place(arg: Expr) -> Expr:
        return Position(arg, axes.start(arg)) if isinstance(arg, Dummy) else arg

    return expr.replace(
        lambda node: isinstance(node, KroneckerDelta) and (axis is None or node.has(axis)),
        lambda node: Piecewise((1, Eq(*map(place, node.args[:2]))), (0, True)),
    )
