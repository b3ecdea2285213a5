"""Numbers from index notation, by the definitions alone: the judge of what the package derives.

It reads an expression as it stands: a sum is a loop, an index a loop's variable. It shares no code
with the package, and takes no derivative.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any

import mpmath
from sympy import (
    Add,
    And,
    Expr,
    Idx,
    Indexed,
    KroneckerDelta,
    Mul,
    Or,
    Piecewise,
    Pow,
    Product,
    Sum,
    Symbol,
)
from sympy.core.relational import Relational

Scope = Mapping[Any, Any]
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Abs": abs,
    "Max": max,
    "Pi": lambda: +mpmath.pi,
    "Heaviside": lambda at, *rest: (mpmath.sign(at) + 1) / 2 if at or not rest else rest[0],
    "ceiling": mpmath.ceil,
}


def number(value: Any) -> Any:
    return mpmath.mpf(value.p) / value.q if hasattr(value, "q") else mpmath.mpf(value)


def elements(values: Mapping[Expr, Any]) -> dict[Any, Any]:
    """Return the number of each symbol, and of each element, keyed by its base and indices."""
    found: dict[Any, Any] = {}

    def enter(key: Any, entry: Any) -> None:
        if isinstance(entry, list):
            for at, part in enumerate(entry, 1):
                enter((*key, at) if isinstance(key, tuple) else (key, at), part)
        else:
            found[key] = number(entry)

    with mpmath.workdps(40):
        for key, entry in values.items():
            enter(key, entry)
    return found


def value(expr: Expr, scope: Scope) -> Any:
    """Return the value of `expr`, with `scope` for its elements, symbols and free indices."""
    if expr.is_Integer:
        return int(expr)
    if expr.is_Rational:
        return number(expr)
    if isinstance(expr, Indexed):
        return scope[(expr.base, *(value(index, scope) for index in expr.indices))]
    if isinstance(expr, Symbol | Idx):
        return scope[expr]
    if isinstance(expr, Sum | Product):
        terms = (value(expr.function, inner) for inner in _loops(expr.limits, scope))
        return sum(terms) if isinstance(expr, Sum) else reduce(operator.mul, terms, 1)
    if isinstance(expr, Piecewise):
        return next(value(part, scope) for part, condition in expr.args if _holds(condition, scope))
    if isinstance(expr, KroneckerDelta):
        return int(value(expr.args[0], scope) == value(expr.args[1], scope))
    if isinstance(expr, Mul):  # what is 0 comes first: it may guard an element out of range
        guards = sorted(expr.args, key=lambda f: not f.has(KroneckerDelta, Piecewise))
        total: Any = 1
        for factor in guards:
            if total == 0:
                break
            total *= value(factor, scope)
        return total
    args = [value(arg, scope) for arg in expr.args]
    if isinstance(expr, Add):
        return sum(args)
    if isinstance(expr, Pow):
        return mpmath.power(*args)
    name = type(expr).__name__
    return FUNCTIONS[name](*args) if name in FUNCTIONS else getattr(mpmath, name)(*args)


def _loops(limits: Any, scope: Scope) -> Iterator[Scope]:
    *inner, (index, lower, upper) = limits
    for at in range(int(value(lower, scope)), int(value(upper, scope)) + 1):
        here = {**scope, index: at}
        yield from _loops(inner, here) if inner else [here]


def _holds(condition: Any, scope: Scope) -> bool:
    if isinstance(condition, And):
        return all(_holds(part, scope) for part in condition.args)
    if isinstance(condition, Or):
        return any(_holds(part, scope) for part in condition.args)
    if isinstance(condition, Relational):
        compare = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
        compare |= {"==": operator.eq, "!=": operator.ne}
        return bool(compare[condition.rel_op](*(value(end, scope) for end in condition.args)))
    return bool(condition)


def difference(expr: Expr, wrt: Expr, scope: Scope) -> Any:
    """Return the central difference quotient of `expr` by `wrt`."""
    key = wrt if isinstance(wrt, Symbol) else (wrt.base, *(value(s, scope) for s in wrt.indices))
    step = mpmath.mpf(10) ** -12
    ahead, behind = (value(expr, {**scope, key: scope[key] + move}) for move in (step, -step))
    return (ahead - behind) / (2 * step)


def assert_derivative(
    derivative: Expr, expr: Expr, wrt: Expr, values: Scope, free: Sequence[Expr], size: int
) -> None:
    """Compare with the difference quotient, each of the indices `free` running from 1 to `size`."""
    for chosen in product(range(1, size + 1), repeat=len(free)):
        scope = {**values, **dict(zip(free, chosen, strict=True))}
        if isinstance(wrt, Indexed) and max(value(s, scope) for s in wrt.indices) > size:
            continue
        with mpmath.workdps(40):
            got, expected = value(derivative, scope), difference(expr, wrt, scope)
        assert abs(got - expected) < 1e-15, (
            f"at {dict(zip(free, chosen, strict=True))} of {size}: "
            f"{mpmath.nstr(got, 20)} should be {mpmath.nstr(expected, 20)}"
        )
