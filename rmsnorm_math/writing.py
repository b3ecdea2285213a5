"""An expression written out: a sum becomes its terms, an index a number."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from sympy import (
    Add,
    Basic,
    Expr,
    Float,
    Idx,
    Indexed,
    Integer,
    KroneckerDelta,
    Mul,
    Piecewise,
    Pow,
    S,
    Sum,
    Symbol,
    Tuple,
    false,
    true,
)

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import BINDERS, is_leaf

#: Numbers are exact, but for a power whose exponent has a numerator or denominator above this.
LARGEST, DIGITS = 1000, 50
Values = Mapping[Basic, Expr]


def written(expr: Expr, values: Values) -> Expr:
    """Return `expr`, its bound indices unique, for the `values` of symbols, indices and elements.

    What is 0 by its indices alone, a delta or a condition, takes its product with it, even where
    another factor has no value.
    """
    memo: dict[tuple[Basic, tuple[Expr, ...]], Basic] = {}

    @cache
    def symbols(node: Basic) -> tuple[Basic, ...]:
        """Return what the value of `node` depends on."""
        if isinstance(node, Symbol | Idx):
            return (node,)
        args = () if is_leaf(node) else node.args
        return tuple(dict.fromkeys(s for arg in args for s in symbols(arg)))

    def walk(node: Basic, at: Values) -> Basic:
        if is_leaf(node):
            return at.get(node, node)
        key = node, tuple(at.get(s, s) for s in symbols(node))
        if key not in memo:
            memo[key] = convert(node, at)
        return memo[key]

    def convert(node: Basic, at: Values) -> Basic:
        if isinstance(node, BINDERS):
            terms = [walk(node.function, here) for here in _places(node, at, walk)]
            return Add(*terms) if isinstance(node, Sum) else Mul(*terms)
        if isinstance(node, Piecewise):
            return _first_that_holds(node, at, walk)
        if isinstance(node, Mul):
            guards = [arg for arg in node.args if not arg.has(Indexed) or _is_condition(arg)]
            done = {arg: walk(arg, at) for arg in guards}
            if any(value == 0 for arg, value in done.items() if _guards(arg)):
                return S.Zero
            return Mul(*(done[arg] if arg in done else walk(arg, at) for arg in node.args))
        args = [walk(arg, at) for arg in node.args]
        if isinstance(node, Indexed):
            element = args[0][tuple(args[1:])]
            return at.get(element, element)
        return _power(*args) if isinstance(node, Pow) else node.func(*args)

    return walk(expr, values)


def _places(node: Expr, at: Values, walk: Callable[[Basic, Values], Basic]) -> Iterator[Values]:
    """Yield the values for each term of a sum or product; the last limit is the outermost."""

    def loop(limits: tuple[Tuple, ...], here: Values) -> Iterator[Values]:
        if not limits:
            yield here
            return
        *inner, (index, *ends) = limits
        lower, upper = (walk(end, here) for end in ends)
        if not (lower.is_Integer and upper.is_Integer):
            missing = sorted(map(str, lower.free_symbols | upper.free_symbols))
            advice = f": also give {', '.join(f'{s}=...' for s in missing)}" if missing else ""
            raise Refused(f"the sum from {lower} to {upper} has no definite range{advice}.")
        for number in range(int(lower), int(upper) + 1):
            yield from loop(tuple(inner), {**here, index: Integer(number)})

    return loop(node.limits, at)


def _first_that_holds(node: Piecewise, at: Values, walk: Callable[[Basic, Values], Basic]) -> Expr:
    """Return the first part whose condition holds; no other part needs a value."""
    left = []
    for part, condition in node.args:
        holds = walk(condition, at)
        if holds is not false:
            left.append((walk(part, at), holds))
        if holds is true:
            break
    return left[0][0] if left[0][1] is true else Piecewise(*left)


def _is_condition(node: Basic) -> bool:
    """Return whether `node` is 0 outside a condition that tests indices alone."""
    return (
        isinstance(node, Piecewise)
        and node.args[1:] == ((0, True),)
        and not node.args[0].cond.has(Indexed)
    )


def _guards(node: Basic) -> bool:
    return _is_condition(node) or (node.has(KroneckerDelta) and not node.has(Indexed))


def _power(base: Expr, exponent: Expr) -> Expr:
    """Return a power: exact, or where SymPy would look for huge roots, a number of many digits."""
    exact = not (base.is_Rational and exponent.is_Rational) or exponent.is_Integer
    if exact or max(abs(exponent.p), exponent.q) <= LARGEST:
        return Pow(base, exponent)
    return Pow(Float(base, DIGITS), exponent)
