"""Sums over Kronecker deltas, and conditions that become limits.

`total` sums one index: at each term either a delta picks a value, under the condition that the
sum reaches it, or the conditions on the index become limits, and what does not depend on the
index stands before the sum.
"""

from collections.abc import Iterator

from sympy import (
    Abs,
    Add,
    And,
    Dummy,
    Eq,
    Expr,
    Heaviside,
    Idx,
    Indexed,
    KroneckerDelta,
    Max,
    Min,
    Mul,
    Ne,
    Pow,
    S,
    Symbol,
    cos,
    cosh,
    exp,
    false,
    sign,
    sin,
    sinh,
    tanh,
    true,
)
from sympy.logic.boolalg import Boolean

from rmsnorm_math.index.conditions import (
    Bounds,
    alternatives,
    as_limit,
    extreme,
    is_apart,
    negated,
    settled,
    solved,
    tightest,
    within,
)
from rmsnorm_math.index.enter import excluded
from rmsnorm_math.index.inner import (
    Binder,
    BoundSum,
    Bracket,
    Choice,
    bracket,
    choice,
    closed,
    made,
    occurs,
    opened,
    pairs,
    put,
)

Limit = tuple[Dummy, Expr, Expr]
SMOOTH = (Abs, Add, BoundSum, Heaviside, Max, Min, Mul, cos, cosh, exp, sign, sin, sinh, tanh)


def contracted(expr: Expr, bounds: Bounds) -> Expr:
    """Return `expr`, in the inner form, with all its sums in the form that `total` gives them."""
    memo: dict[Expr, Expr] = {}

    def walk(node: Expr) -> Expr:
        if not node.args or isinstance(node, Indexed):
            return node
        if (known := memo.get(node)) is None:
            known = memo[node] = reduced(node)
        return known

    def reduced(node: Expr) -> Expr:
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
        result = made(node, tuple(map(walk, node.args)))
        return excluded(result)

    return walk(expr)


def total(body: Expr, limit: Limit, bounds: Bounds) -> Expr:
    """Return the sum of `body` over an index that stands nowhere else."""
    return Add(*(_summed(term, limit, bounds) for term in _terms(body, limit[0])))


def _summed(term: Expr, limit: Limit, bounds: Bounds) -> Expr:
    index, lower, upper = limit
    before, inside, brackets = [], [], []
    for factor in Mul.make_args(term):
        if not occurs(factor, index):
            before.append(factor)
        elif isinstance(factor, Bracket):
            brackets.append(factor.args[0])
        elif isinstance(factor, KroneckerDelta):
            brackets.append(Eq(*factor.args))
        else:
            inside.append(factor)
    conditions = settled(And(*brackets), {**bounds, index: (lower, upper)})
    if conditions == false:
        return S.Zero
    picked = _picked(conditions, Mul(*inside), limit, bounds)
    if picked is None:
        picked = _limited(conditions, Mul(*inside), limit, bounds)
    return times(*before, picked)


def _picked(conditions: Boolean, term: Expr, limit: Limit, bounds: Bounds) -> Expr | None:
    """Return the one term that an equation among `conditions` leaves."""
    index, lower, upper = limit
    values = {c: solved(c, index) for c in And.make_args(conditions)}
    found = [c for c, value in values.items() if value is not None]
    if not found:
        return None
    first = min(found, key=lambda c: str(values[c]))
    value, others = values[first], And(*(c for c in values if c != first))
    reached = And(settled(put(others, index, value), bounds), within(value, lower, upper, bounds))
    return S.Zero if reached == false else times(bracket(reached), put(term, index, value))


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
    if apart is None:
        rest = _plain(bracket(And(*kept)), term, limit, bounds)
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
    return times(bracket(And(*before)), rest)


def _plain(kept: Expr, term: Expr, limit: Limit, bounds: Bounds) -> Expr:
    index, lower, upper = limit
    if kept == 1 and isinstance(term, Add):
        return total(term, limit, bounds)
    length = (upper - lower + 1).expand()
    if kept == term == 1 and (
        extreme(length, bounds, 0).is_nonnegative
        or (isinstance(length, Symbol) and not isinstance(length, Idx | Dummy))
    ):
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
    return closed(BoundSum, index, times(kept, term), lower, upper)


def _picks(factor: Expr, index: Expr) -> bool:
    if isinstance(factor, KroneckerDelta):
        return solved(Eq(*factor.args), index) is not None
    parts = And.make_args(factor.args[0]) if isinstance(factor, Bracket) else ()
    return any(solved(part, index) is not None for part in parts)


def times(*factors: Expr) -> Expr:
    """Multiply, the numbers taken out of each sum: SymPy turns 2*(p + q) into 2*p + 2*q."""
    parts = [factor.primitive() for product in factors for factor in Mul.make_args(product)]
    return Mul(*(number for number, _ in parts), *(part for _, part in parts))


def _terms(expr: Expr, index: Expr) -> Iterator[Expr]:
    """Yield the terms of `expr`, in which every delta with `index` is a factor."""
    if isinstance(expr, Add):
        for arg in expr.args:
            yield from _terms(arg, index)
        return
    for factor in Mul.make_args(expr):
        parts = _parts(factor, index)
        if len(parts) > 1 or parts[0] != factor:
            rest = Mul(*(f for f in Mul.make_args(expr) if f is not factor))
            for part in parts:
                yield from _terms(rest * part, index)
            return
    yield expr


def _parts(factor: Expr, index: Expr) -> list[Expr]:
    """Return the terms of a factor, if a delta or a sum in one of them can then stand outside."""
    if isinstance(factor, Add):
        short = excluded(factor)
        if short != factor:
            return [short]
        if any(_holds(arg) or _is_split(arg, index) for arg in factor.args):
            return list(factor.args)
    if (
        isinstance(factor, Pow)
        and isinstance(factor.base, Add)
        and factor.exp.is_Integer
        and factor.exp.is_positive
        and any(_holds(arg, index) for arg in factor.base.args)
    ):
        rest = factor.base ** (factor.exp - 1)
        return [arg * rest for arg in factor.base.args]
    if isinstance(factor, Choice) and any(_holds(value, index) for value, _ in pairs(factor)):
        parts, rest = [], S.true
        for value, condition in pairs(factor):
            parts.append(value * bracket(And(rest, condition)))
            rest = And(rest, negated(condition))
        return parts
    return [factor]


def _holds(expr: Expr, index: Expr | None = None) -> bool:
    """Return whether a delta or a bracket, with `index` if given, is multiplied in `expr`."""
    if isinstance(expr, KroneckerDelta | Bracket):
        return index is None or occurs(expr, index)
    return isinstance(expr, Add | Mul | Pow) and any(_holds(arg, index) for arg in expr.args)


def _is_split(term: Expr, index: Expr) -> bool:
    """Return whether a sum in `term` does not depend on `index`, and something beside it does."""
    factors = Mul.make_args(term)
    return any(isinstance(f, BoundSum) and not occurs(f, index) for f in factors) and any(
        occurs(f, index) for f in factors
    )


def is_smooth(expr: Expr, index: Expr | None = None) -> bool:
    """Return whether `expr` has a value whatever `index` is; without one, any index."""
    if not expr.args or isinstance(expr, Indexed) or (index and not occurs(expr, index)):
        return True
    if isinstance(expr, Pow):
        base, exponent = expr.args
        return (exponent.is_positive is True and is_smooth(base, index)) or isinstance(base, Symbol)
    return isinstance(expr, SMOOTH) and all(is_smooth(arg, index) for arg in expr.args)
