"""The derivative of an expression in the inner form, its deltas contracted as they meet a sum.

An expression is a function of its elements, sums and products: `slopes` are its derivatives by
those, found once for each, and the derivative of each stands beside them.
"""

from collections.abc import Callable, Iterator
from functools import cache

from sympy import Add, Expr, Indexed, KroneckerDelta, Mul, Pow, S, Symbol, exp, log

from rmsnorm_math.index.conditions import Bounds
from rmsnorm_math.index.contraction import total
from rmsnorm_math.index.inner import (
    Binder,
    BoundProduct,
    BoundSum,
    Bracket,
    Choice,
    Partial,
    choice,
    pairs,
)
from rmsnorm_math.index.partial import partial
from rmsnorm_math.index.rebuild import closed, occurs, opened
from rmsnorm_math.index.terms import times
from rmsnorm_math.index.walk import base_of

Along = Callable[[Indexed], Expr] | None


def derivative(expr: Expr, wrt: Expr, bounds: Bounds, along: Along = None) -> Expr:
    """Differentiate `expr`, in the inner form, and contract the deltas."""
    return Add(*terms_of_derivative(expr, wrt, bounds, along))


def terms_of_derivative(
    expr: Expr, wrt: Expr, bounds: Bounds, along: Along = None
) -> Iterator[Expr]:
    """Yield a term for each element, sum and product in `expr`.

    `along` gives what each element of the base of `wrt` changes by, without it, deltas say which
    element it is.
    """
    for part, slope in _slopes(expr, wrt).items():
        yield times(slope, _of_part(part, wrt, bounds, along))


def _of_part(part: Expr, wrt: Expr, bounds: Bounds, along: Along) -> Expr:
    if isinstance(part, Indexed):
        return along(part) if along else Mul(*map(KroneckerDelta, part.indices, wrt.indices))
    if isinstance(part, log):
        return _logarithmic(part.args[0], wrt, bounds, along)
    if not isinstance(part, Binder):
        return S.One
    sought = base_of(wrt)
    index, body = opened(part)
    lower, upper = part.args[2:]
    here = {**bounds, index: (lower, upper)}
    limit = index, lower, upper
    if isinstance(part, BoundSum):
        return total(_outside(derivative(body, wrt, here, along), wrt, index), limit, bounds)
    if all(_is_never_zero(factor) or not occurs(factor, sought) for factor in Mul.make_args(body)):
        return times(part, total(_logarithmic(body, wrt, here, along), limit, bounds))
    others = [
        closed(BoundProduct, index, body, *ends)
        for ends in ((lower, index - 1), (index + 1, upper))
    ]
    return total(times(derivative(body, wrt, here, along), *others), limit, bounds)


def _logarithmic(expr: Expr, wrt: Expr, bounds: Bounds, along: Along) -> Expr:
    """Return the derivative of the logarithm of `expr`: of a product, the sum of its factors'."""
    if isinstance(expr, Mul):
        return Add(*(_logarithmic(factor, wrt, bounds, along) for factor in expr.args))
    if isinstance(expr, exp):
        return derivative(expr.args[0], wrt, bounds, along)
    if isinstance(expr, Pow):
        base, exponent = expr.args
        return times(exponent, _logarithmic(base, wrt, bounds, along)) + times(
            log(base), derivative(exponent, wrt, bounds, along)
        )
    if isinstance(expr, BoundProduct):
        index, body = opened(expr)
        limit = index, *expr.args[2:]
        inner = _logarithmic(body, wrt, {**bounds, index: limit[1:]}, along)
        return total(_outside(inner, wrt, index), limit, bounds)
    return times(1 / expr, derivative(expr, wrt, bounds, along))


def _is_never_zero(factor: Expr) -> bool:
    return isinstance(factor, exp) or bool(factor.as_base_exp()[0].is_positive)


def _outside(expr: Expr, wrt: Expr, index: Expr) -> Expr:
    """Expand a sum's body, if then the parameter `wrt` stands outside the sum."""
    if not isinstance(wrt, Symbol) or not occurs(expr, wrt):
        return expr
    expanded = expr.expand(power_base=False, power_exp=False, log=False, basic=False)
    inside = [f for t in Add.make_args(expanded) for f in Mul.make_args(t) if occurs(f, index)]
    return expr if any(occurs(factor, wrt) for factor in inside) else expanded


def _slopes(expr: Expr, wrt: Expr) -> dict[Expr, Expr]:
    """Return the elements, sums and products in `expr`, and its derivative by each of them."""
    sought = base_of(wrt)

    @cache
    def walk(node: Expr) -> dict[Expr, Expr]:
        if node == wrt:
            return {node: S.One}
        if isinstance(node, Indexed):
            return {node: S.One} if node.base == sought else {}
        if isinstance(node, Binder):
            return {node: S.One} if occurs(node, sought) else {}
        if not node.args or isinstance(node, Bracket):
            return {}
        if isinstance(node, Choice):
            cases = [(walk(value), condition) for value, condition in pairs(node)]
            return {
                part: choice(*((slopes.get(part, S.Zero), c) for slopes, c in cases))
                for slopes, _ in cases
                for part in slopes
            }
        if isinstance(node, log) and _has_product(node.args[0], sought):
            return {node: S.One}
        found: dict[Expr, list[Expr]] = {}
        args = node.args[0].args if isinstance(node, Partial) else node.args
        for place, arg in enumerate(args):
            inner = walk(arg)
            outer = partial(node, place) if inner else S.Zero
            for part, slope in inner.items():
                found.setdefault(part, []).append(times(outer, slope))
        return {part: Add(*terms) for part, terms in found.items()}

    return walk(expr)


def _has_product(expr: Expr, sought: Expr) -> bool:
    factors = (factor.as_base_exp()[0] for factor in Mul.make_args(expr))
    return any(isinstance(f, BoundProduct) and occurs(f, sought) for f in factors)
