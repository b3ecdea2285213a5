"""When does a condition on indices hold? What is known of it, and which limit it is."""

from collections.abc import Iterator, Mapping

from sympy import (
    And,
    Basic,
    Dummy,
    Eq,
    Expr,
    Ge,
    Gt,
    Idx,
    KroneckerDelta,
    Le,
    Lt,
    Max,
    Min,
    Ne,
    Not,
    Or,
    S,
    ceiling,
    false,
    floor,
    true,
)
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from rmsnorm_math.index.rebuild import is_count

Bounds = Mapping[Expr, tuple[Expr, Expr]]


def within(value: Expr, lower: Expr, upper: Expr, bounds: Bounds) -> Boolean:
    """Return what is left of lower <= value <= upper, where the indices lie in `bounds`."""
    if bounds.get(value) == (lower, upper):
        return true
    return settled(And(Le(lower, value), Le(value, upper)), bounds)


def settled(condition: Boolean, bounds: Bounds) -> Boolean:
    """Return `condition` with every relation in it decided, as far as `bounds` say."""
    if isinstance(condition, Relational):
        return _decided(condition, bounds)
    if isinstance(condition, And | Or | Not):
        return condition.func(*(settled(part, bounds) for part in condition.args))
    return condition


def _decided(relation: Relational, bounds: Bounds) -> Boolean:
    if not (is_count(relation.lhs) and is_count(relation.rhs)):
        return relation
    difference = (relation.lhs - relation.rhs).expand()
    if isinstance(relation, Eq | Ne):
        apart = extreme(difference, bounds, 0).is_positive or (
            extreme(difference, bounds, 1).is_negative
        )
        return (true if isinstance(relation, Ne) else false) if apart else relation
    if isinstance(relation, Le | Lt):
        difference = -difference
    strict = isinstance(relation, Lt | Gt)
    least = extreme(difference, bounds, 0)
    if least.is_positive if strict else least.is_nonnegative:
        return true
    most = extreme(difference, bounds, 1)
    if most.is_nonpositive if strict else most.is_negative:
        return false
    isolated = None if strict else _isolated(difference.expand())
    return relation if isolated is None else isolated


def extreme(difference: Expr, bounds: Bounds, side: int) -> Expr:
    """Return the least (side 0) or greatest (side 1) value of an expression linear in indices."""
    for _ in range(len(bounds)):
        before = difference
        for index in before.free_symbols & bounds.keys():
            slope = difference.coeff(index)
            if slope.is_positive or slope.is_negative:
                end = bounds[index][side if slope.is_positive else 1 - side]
                difference = (difference - slope * index + slope * end).expand()
        if difference == before:
            break
    return difference


def _isolated(difference: Expr) -> Boolean | None:
    """Solve difference >= 0 for an index, else a symbol; None leaves the relation as it is."""
    for index in sorted(difference.free_symbols, key=lambda s: (not isinstance(s, Idx), str(s))):
        slope, rest = _line(difference, index)
        if slope in (1, -1):
            return Ge(index, -rest) if slope == 1 else Le(index, rest)
    return None


def _line(expr: Expr, index: Expr) -> tuple[Expr, Expr]:
    """Return the slope of an expression in `index`, and what is left without the product."""
    slope = expr.coeff(index)
    return slope, (expr - slope * index).expand()


def tightest(kind: type[Max | Min], ends: tuple[Expr, ...], bounds: Bounds) -> Expr:
    """Return the greatest lower or least upper end, without those that another makes redundant."""
    args = list(dict.fromkeys(part for end in ends for part in kind.make_args(end)))
    for end in args.copy():
        others = [other for other in args if other != end]
        gaps = [(o - end if kind is Max else end - o).expand() for o in others]
        if any(extreme(gap, bounds, 0).is_nonnegative for gap in gaps):
            args.remove(end)
    return kind(*args)


def solved(equation: Basic, index: Expr) -> Expr | None:
    """Return the value that an equation or a delta gives `index`, if it is of whole numbers."""
    if not (isinstance(equation, Eq | KroneckerDelta) and all(map(is_count, equation.args))):
        return None
    left, right = equation.args
    if index in (left, right):
        value = right if left == index else left
        return None if value.has(index) else value
    slope, rest = _line((left - right).expand(), index)
    return (-slope * rest).expand() if slope in (1, -1) and not rest.has(index) else None


def as_limit(relation: Boolean, index: Expr, bounds: Bounds) -> tuple[type[Max | Min], Expr] | None:
    """Return the end of a sum over `index` that an inequality is: a strict one lies one further."""
    if not isinstance(relation, Le | Lt | Ge | Gt):
        return None
    if not (is_count(relation.lhs) and is_count(relation.rhs)):
        return None
    slope, rest = _line((relation.lhs - relation.rhs).expand(), index)
    if not slope.is_Rational or slope == 0 or rest.has(index):
        return None
    end, strict = (-rest / slope).expand(), isinstance(relation, Lt | Gt)
    below = (slope > 0) == isinstance(relation, Ge | Gt)
    if not _is_whole(end, bounds):
        end = (floor if below == strict else ceiling)(end)
    if below:
        return Max, end + 1 if strict else end
    return Min, end - 1 if strict else end


def _is_whole(end: Expr, bounds: Bounds) -> bool:
    """Return whether `end` is a whole number: so are the ends of sums, declared as such or not."""
    ends = {s for limit in bounds.values() for part in limit for s in part.free_symbols}
    whole = {s: Dummy(integer=True) for s in end.free_symbols if s in ends or s in bounds}
    return bool(end.xreplace(whole).is_integer)


def alternatives(condition: Boolean, index: Expr) -> Iterator[Boolean]:
    """Yield conditions that exclude one another, one of which holds where `condition` does.

    Each is a conjunction whose parts on `index` are limits of a sum; else `condition` is all.
    """
    parts = condition.args if isinstance(condition, Or) else (condition,)
    if isinstance(condition, Ne) and solved(Eq(*condition.args), index) is not None:
        parts = Lt(*condition.args), Gt(*condition.args)
    rest: Boolean = S.true
    for part in parts:
        yield And(part, rest)
        rest = And(rest, negated(part))


def is_apart(condition: Boolean, index: Expr, bounds: Bounds) -> bool:
    """Return whether `alternatives` make limits of `condition`."""
    if isinstance(condition, And | Or):
        return all(is_apart(part, index, bounds) for part in condition.args)
    if isinstance(condition, Eq | Ne):
        return not condition.has(index) or solved(Eq(*condition.args), index) is not None
    return not condition.has(index) or as_limit(condition, index, bounds) is not None


def negated(condition: Boolean) -> Boolean:
    """Return where `condition` does not hold, with no Not before what can do without."""
    if isinstance(condition, And | Or):
        return (Or if isinstance(condition, And) else And)(*map(negated, condition.args))
    return Not(condition)
