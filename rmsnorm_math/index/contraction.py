"""Sums over Kronecker deltas, and conditions that become limits.

`total` sums one index: at each term either a delta picks a value, under the condition that the
sum reaches it, or the conditions on the index become limits, and what does not depend on the
index stands before the sum.
"""

from functools import cache

from sympy import (
    Add,
    And,
    Basic,
    Dummy,
    Eq,
    Expr,
    Idx,
    Indexed,
    Max,
    Min,
    Mul,
    Ne,
    S,
    Symbol,
    exp,
    false,
    true,
)
from sympy.logic.boolalg import Boolean

from rmsnorm_math.index.conditions import (
    Bounds,
    alternatives,
    as_limit,
    extreme,
    is_apart,
    settled,
    solved,
    tightest,
    within,
)
from rmsnorm_math.index.enter import excluded
from rmsnorm_math.index.inner import Binder, BoundSum, Bracket, Choice, bracket, choice, pairs
from rmsnorm_math.index.rebuild import closed, is_count, made, occurs, opened, put
from rmsnorm_math.index.terms import is_smooth, terms, times
from rmsnorm_math.index.walk import is_leaf

Limit = tuple[Dummy, Expr, Expr]


def contracted(expr: Expr, bounds: Bounds) -> Expr:
    """Return `expr`, in the inner form, with all its sums in the form that `total` gives them."""

    @cache
    def walk(node: Expr) -> Expr:
        if is_leaf(node) or isinstance(node, Indexed):
            return node
        if isinstance(node, Binder):
            index, body = opened(node)
            lower, upper = node.args[2:]
            body = contracted(body, {**bounds, index: (lower, upper)})
            if isinstance(node, BoundSum):
                return total(body, (index, lower, upper), bounds)
            return closed(type(node), index, body, lower, upper)
        if isinstance(node, Bracket):
            return bracket(settled(node.args[0], bounds))
        if isinstance(node, Choice):
            return choice(*((walk(value), settled(c, bounds)) for value, c in pairs(node)))
        return excluded(made(node, tuple(map(walk, node.args))))

    return walk(expr)


def total(body: Expr, limit: Limit, bounds: Bounds) -> Expr:
    """Return the sum of `body` over an index that stands nowhere else."""
    return Add(*(_summed(term, limit, bounds) for term in terms(body, limit[0])))


def _summed(term: Expr, limit: Limit, bounds: Bounds) -> Expr:
    index, *ends = limit
    before, inside, brackets = [], [], []
    for factor in Mul.make_args(term):
        if not occurs(factor, index):
            before.append(factor)
        elif isinstance(factor, Bracket):
            brackets.append(factor.args[0])
        else:
            inside.append(factor)
    conditions: Boolean = true
    if brackets:
        conditions = settled(And(*brackets), {**bounds, index: tuple(ends)})
        if conditions == false:
            return S.Zero
    equations = [f for f in (*inside, *And.make_args(conditions)) if solved(f, index) is not None]
    if equations:
        rest = _picked(equations, inside, conditions, limit, bounds)
    else:
        rest = _limited(conditions, Mul(*inside), limit, bounds)
    return times(*before, rest)


def _picked(
    equations: list[Basic], factors: list[Expr], conditions: Boolean, limit: Limit, bounds: Bounds
) -> Expr:
    """Return the one term that an equation, a delta or a condition, leaves."""
    index, lower, upper = limit
    values = {equation: solved(equation, index) for equation in equations}
    first = min(equations, key=lambda equation: str(values[equation]))
    value = values[first]
    reached = within(value, lower, upper, bounds)
    if conditions != true:
        others = And(*(c for c in And.make_args(conditions) if c != first))
        reached = And(settled(put(others, index, value), bounds), reached)
    if reached == false:
        return S.Zero
    return times(bracket(reached), put(Mul(*(f for f in factors if f != first)), index, value))


def _limited(conditions: Boolean, term: Expr, limit: Limit, bounds: Bounds) -> Expr:
    """Return the sum of `term` with the `conditions` in its limits, as far as they can be."""
    index, lower, upper = limit
    here = {**bounds, index: (lower, upper)}
    kept, before = [], []
    for condition in And.make_args(conditions):
        if condition == true:
            continue
        if not occurs(condition, index):
            before.append(condition)
        elif (end := as_limit(condition, index, here)) is None:
            kept.append(condition)
        elif end[0] is Max:
            lower = tightest(Max, (lower, end[1]), bounds)
        else:
            upper = tightest(Min, (upper, end[1]), bounds)
    if (lower, upper) != limit[1:] and extreme(upper - lower, bounds, 1).is_negative:
        return S.Zero
    limit = index, lower, upper
    apart = next((c for c in kept if is_apart(c, index, here)), None)
    if apart is None or _is_between(apart, term, index):
        rest = _plain(bracket(And(*kept)) if kept else S.One, term, limit, bounds)
    else:
        others = times(term, *(bracket(c) for c in kept if c is not apart))
        if isinstance(apart, Ne) and is_smooth(term, index):
            value = solved(Eq(*apart.args), index)
            reached = bracket(within(value, lower, upper, bounds))
            rest = total(others, limit, bounds) - times(reached, put(others, index, value))
        else:
            rest = Add(
                *(
                    _summed(times(others, bracket(part)), limit, bounds)
                    for part in alternatives(apart, index)
                )
            )
    return times(bracket(And(*before)), rest) if before else rest


def _is_between(apart: Basic, term: Expr, index: Expr) -> bool:
    """Return whether `apart` leaves out the one term where the two that a factor joins are one.

    It stays in its sum: the sum of all less that term has lost its digits where that term is large.
    """
    others = apart.free_symbols - {index} if isinstance(apart, Ne) else set()
    joint = [f for f in Mul.make_args(term) if occurs(f, index) and f.has(exp)]
    return any(occurs(factor, other) for factor in joint for other in others)


def _plain(kept: Expr, term: Expr, limit: Limit, bounds: Bounds) -> Expr:
    index, lower, upper = limit
    if kept == 1 and isinstance(term, Add):
        return total(term, limit, bounds)
    if kept == term == 1:
        length = (upper - lower + 1).expand()
        symbol = isinstance(length, Symbol) and not isinstance(length, Idx | Dummy)
        if symbol or extreme(length, bounds, 0).is_nonnegative:
            return length
    for factor in Mul.make_args(term):
        if isinstance(factor, BoundSum) and not any(occurs(end, index) for end in factor.args[2:]):
            inner, body = opened(factor)
            if any(_picks(f, index) for f in Mul.make_args(body)):
                rest = Mul(*(f for f in Mul.make_args(term) if f != factor))
                here = {**bounds, inner: factor.args[2:]}
                return total(
                    total(kept * rest * body, limit, here), (inner, *factor.args[2:]), bounds
                )
    factors = [f for f in Mul.make_args(term) if is_count(f)]
    while lower.is_Integer and any(put(f, index, lower) == 0 for f in factors):
        lower += 1
    return closed(BoundSum, index, times(kept, term), lower, upper)


def _picks(factor: Expr, index: Expr) -> bool:
    parts = And.make_args(factor.args[0]) if isinstance(factor, Bracket) else (factor,)
    return any(solved(part, index) is not None for part in parts)
