"""Products and their terms: what must be expanded so that a delta can meet its sum."""

from collections.abc import Iterator

from sympy import (
    Add,
    And,
    Expr,
    Indexed,
    KroneckerDelta,
    Mul,
    Pow,
    S,
    Symbol,
    cos,
    cosh,
    exp,
    sin,
    sinh,
    tanh,
)

from rmsnorm_math.index.conditions import negated
from rmsnorm_math.index.enter import excluded
from rmsnorm_math.index.inner import BoundSum, Bracket, Choice, bracket, pairs
from rmsnorm_math.index.rebuild import occurs

SMOOTH = (Add, BoundSum, Mul, cos, cosh, exp, sin, sinh, tanh)


def times(*factors: Expr) -> Expr:
    """Multiply, the numbers taken out of each sum: SymPy turns 2*(p + q) into 2*p + 2*q."""
    parts = [factor.primitive() for product in factors for factor in Mul.make_args(product)]
    return Mul(*(number for number, _ in parts), *(part for _, part in parts))


def terms(expr: Expr, index: Expr) -> Iterator[Expr]:
    """Yield the terms of `expr`, in which every delta with `index` is a factor."""
    if isinstance(expr, Add):
        for arg in expr.args:
            yield from terms(arg, index)
        return
    for factor in Mul.make_args(expr):
        parts = _parts(factor, index)
        if len(parts) > 1 or parts[0] != factor:
            rest = Mul(*(f for f in Mul.make_args(expr) if f is not factor))
            for part in parts:
                yield from terms(rest * part, index)
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
        return exclusive(factor)
    return [factor]


def exclusive(choice: Choice) -> list[Expr]:
    """Return terms of which one at most is not 0: each value under a condition of its own."""
    parts, rest = [], S.true
    for value, condition in pairs(choice):
        parts.append(value * bracket(And(rest, condition)))
        rest = And(rest, negated(condition))
    return parts


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
    """Return whether `expr` and its derivatives have a value whatever `index`, or any index, is."""
    if not expr.args or isinstance(expr, Indexed) or (index and not occurs(expr, index)):
        return True
    if isinstance(expr, Pow):
        base, exponent = expr.args
        whole = exponent.is_Integer and exponent.is_positive
        return isinstance(base, Symbol) or (whole and is_smooth(base, index))
    return isinstance(expr, SMOOTH) and all(is_smooth(arg, index) for arg in expr.args)
