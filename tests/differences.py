"""Numbers from index notation, by the definitions alone: the judge of what the package derives.

It reads an expression as it stands: a sum is a loop, an index a loop's variable, a derivative a
difference quotient. It shares no code with the package, and takes no derivative by a rule.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any

import mpmath
from sympy import (
    ITE,
    Add,
    And,
    Derivative,
    Expr,
    Idx,
    Indexed,
    KroneckerDelta,
    Mul,
    Not,
    Or,
    Piecewise,
    Pow,
    Product,
    Subs,
    Sum,
    Symbol,
    Xor,
)
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

Scope = Mapping[Any, Any]


def sign(at: Any) -> int:
    """Return the sign of a number; what is left of two equal sums by rounding has none."""
    return 0 if abs(at) < 1e-25 else 1 if at > 0 else -1


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Abs": abs,
    "DiracDelta": lambda *_: 0,  # nothing is drawn at a kink
    "Exp1": lambda: +mpmath.e,
    "Heaviside": lambda at, *half: (
        half[0] if half and not sign(at) else mpmath.mpf(sign(at) + 1) / 2
    ),
    "Max": max,
    "Min": min,
    "Mod": operator.mod,
    "ceiling": mpmath.ceil,
    "conjugate": lambda at: at,  # elements are real
    "im": lambda _: 0,
    "re": lambda at: at,
    "Pi": lambda: +mpmath.pi,
    "sign": sign,
}
LOGIC: dict[type, Callable[..., bool]] = {
    And: lambda *parts: all(part() for part in parts),
    Or: lambda *parts: any(part() for part in parts),
    Not: lambda part: not part(),
    Xor: lambda *parts: sum(bool(part()) for part in parts) % 2 == 1,
    ITE: lambda test, yes, no: yes() if test() else no(),
}
COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
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


def key_of(variable: Expr, scope: Scope) -> Any:
    """Return the key that a symbol or an element has in a scope."""
    if not isinstance(variable, Indexed):
        return variable
    return (variable.base, *(value(index, scope) for index in variable.indices))


def value(expr: Expr, scope: Scope) -> Any:
    """Return the value of `expr`, with `scope` for its elements, symbols and free indices.

    An undefined function is in the scope by its name: a function of numbers.
    """
    if expr.is_Integer:
        return int(expr)
    if expr.is_Rational or expr.is_Float:
        return number(expr)
    if isinstance(expr, Indexed | Symbol | Idx):
        return scope[key_of(expr, scope)]
    if isinstance(expr, Sum | Product):
        terms = (value(expr.function, inner) for inner in loops(expr.limits, scope))
        return sum(terms) if isinstance(expr, Sum) else reduce(operator.mul, terms, 1)
    if isinstance(expr, Piecewise):
        return next(value(part, scope) for part, condition in expr.args if holds(condition, scope))
    if isinstance(expr, KroneckerDelta):
        return int(value(expr.args[0], scope) == value(expr.args[1], scope))
    if isinstance(expr, Derivative):
        return _quotient(expr, scope)
    if isinstance(expr, Subs):
        points = [value(point, scope) for point in expr.point]
        return value(expr.expr, {**scope, **dict(zip(expr.variables, points, strict=True))})
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
    if isinstance(expr, AppliedUndef):
        return scope[str(expr.func)](*args)
    name = type(expr).__name__
    return FUNCTIONS[name](*args) if name in FUNCTIONS else getattr(mpmath, name)(*args)


def _quotient(expr: Derivative, scope: Scope) -> Any:
    """Return a derivative that stands in `expr`, such as that of an undefined function."""
    variables, orders = zip(*expr.variable_count, strict=True)
    keys = [key_of(variable, scope) for variable in variables]

    def along(*moved: Any) -> Any:
        return value(expr.expr, {**scope, **dict(zip(keys, moved, strict=True))})

    return mpmath.diff(along, tuple(scope[key] for key in keys), tuple(map(int, orders)))


def loops(limits: Any, scope: Scope) -> Iterator[Scope]:
    """Yield the scope of each term of a sum with these limits; the last one is the outermost."""
    *inner, (index, lower, upper) = limits
    for at in range(int(value(lower, scope)), int(value(upper, scope)) + 1):
        here = {**scope, index: at}
        yield from loops(inner, here) if inner else [here]


def holds(condition: Any, scope: Scope) -> bool:
    if type(condition) in LOGIC:
        parts = [lambda part=part: holds(part, scope) for part in condition.args]
        return LOGIC[type(condition)](*parts)
    if isinstance(condition, Relational):
        return bool(COMPARE[condition.rel_op](*(value(end, scope) for end in condition.args)))
    return bool(condition)


def difference(expr: Expr, wrt: Expr, scope: Scope, step: Any = None) -> Any:
    """Return the central difference quotient of `expr` by `wrt`."""
    key = key_of(wrt, scope)
    step = mpmath.mpf(10) ** -12 if step is None else step
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
