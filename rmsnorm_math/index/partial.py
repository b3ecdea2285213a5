"""The derivative of a function, a power, a sum or a product of terms by one of its places."""

from sympy import (
    Abs,
    Add,
    Derivative,
    DiracDelta,
    Dummy,
    Expr,
    Function,
    Mul,
    Pow,
    S,
    Subs,
    ceiling,
    floor,
    log,
    sign,
)
from sympy.core.function import AppliedUndef, ArgumentIndexError
from sympy.functions.elementary.miscellaneous import MinMaxBase

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.inner import Partial
from rmsnorm_math.index.rebuild import substituted
from rmsnorm_math.index.signs import sign_of


def partial(node: Expr, place: int) -> Expr:
    """Return the derivative of `node`, in the inner form, by its argument at `place`."""
    if isinstance(node, Add):
        return S.One
    if isinstance(node, Mul):
        return Mul(*node.args[:place], *node.args[place + 1 :])
    if isinstance(node, Pow):
        base, exponent = node.args
        return log(base) * node if place else exponent * base ** (exponent - 1)
    if isinstance(node, AppliedUndef | Partial):
        applied, *orders = node.args if isinstance(node, Partial) else (node, *[0] * len(node.args))
        return Partial(applied, *(S(n + (at == place)) for at, n in enumerate(orders)))
    if isinstance(node, Abs):
        return sign_of(node.args[0])
    if isinstance(node, sign):
        return 2 * DiracDelta(node.args[0])
    if isinstance(node, floor | ceiling):
        return S.Zero
    if isinstance(node, MinMaxBase) or type(node).fdiff is not Function.fdiff:
        try:
            return node.fdiff(place + 1)
        except ArgumentIndexError:
            pass
    return _by_sympy(node, place)


def _by_sympy(node: Expr, place: int) -> Expr:
    """Let SymPy differentiate the function of real symbols."""
    symbols = [Dummy(real=True) for _ in node.args]
    result = node.func(*symbols).diff(symbols[place])
    if result.has(Derivative, Subs):
        raise Refused(
            f"SymPy knows no derivative of {node.func.__name__} by its argument {place + 1}: "
            f"write it with functions that have one."
        )
    return substituted(result, dict(zip(symbols, node.args, strict=True)))
