"""NumPy's form of SymPy's functions, and of their slopes."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
from sympy import Function, Symbol, lambdify


def compiled(expr: Any, symbols: list[Symbol]) -> Callable[..., Any]:
    """Return the function of `symbols` that is `expr`."""
    return lambdify(symbols, expr, "numpy")  # type: ignore[no-any-return]


def reduced(operation: Any, parts: Iterable[Any]) -> Any:
    """Return the parts, combined by an operation with two arguments."""
    first, *others = parts
    for other in others:
        first = operation(first, other)
    return first


def chosen(cases: list[tuple[Any, Any]]) -> Any:
    """Return the value of the first condition that holds."""
    result: Any = np.nan
    for condition, value in reversed(cases):
        result = np.where(condition, value, result)
    return result


def power(base: Any, exponent: Any) -> Any:
    """Return a power, the common ones without a logarithm."""
    if exponent == -1:
        return 1 / np.asarray(base)
    if exponent in (0.5, -0.5):
        root = np.sqrt(base)
        return root if exponent > 0 else 1 / root
    return np.asarray(base, dtype=float) ** exponent


@cache
def in_numpy(function: type[Function], count: int) -> Callable[..., Any]:
    """Return a SymPy function in NumPy."""
    symbols = [Symbol(f"x{number}", real=True) for number in range(count)]
    return compiled(function(*symbols), symbols)


@cache
def slope_of(function: type[Function], count: int, number: int) -> Callable[..., Any]:
    """Return the derivative of a SymPy function by one of its arguments."""
    symbols = [Symbol(f"x{at}", real=True) for at in range(count)]
    slope = function(*symbols).diff(symbols[number])
    # a step has no slope but at the step, where nothing is exact
    return compiled(slope.replace(lambda e: e.func.__name__ == "DiracDelta", lambda _: 0), symbols)
