"""The derivative of a function, a power, a sum or a product of terms by one of its places."""

from sympy import (
    Abs,
    Add,
    Derivative,
    DiracDelta,
    Dummy,
    Expr,
    Function,
    Heaviside,
    Indexed,
    Max,
    Mul,
    Pow,
    S,
    Subs,
    Symbol,
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
from rmsnorm_math.index.walk import base_of


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
    if isinstance(node, MinMaxBase) and len(node.args) > 2:
        return _largest(node, place)
    if isinstance(node, MinMaxBase) or type(node).fdiff is not Function.fdiff:
        try:
            return node.fdiff(place + 1)
        except ArgumentIndexError:
            pass
    return _by_sympy(node, place)


def _largest(node: Expr, place: int) -> Expr:
    """Compare each argument with those after it, so that arguments alike share one derivative.

    SymPy compares each with all others: of three alike each counts a half.
    """
    turn = 1 if isinstance(node, Max) else -1
    ahead = [
        turn * (arg - node.func(*node.args[at + 1 :])) for at, arg in enumerate(node.args[:-1])
    ]
    before = [Heaviside(-difference) for difference in ahead[:place]]
    return Mul(*before, *(Heaviside(difference) for difference in ahead[place : place + 1]))


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


class _At(Subs):  # type: ignore[misc]
    """SymPy's `Subs`, to which points are equal that print alike: its cache would mix them up."""

    def __eq__(self, other: object) -> bool:
        return bool(super().__eq__(other) and self.point == getattr(other, "point", None))

    __hash__ = Subs.__hash__


_At.__name__ = Subs.__name__  # SymPy orders terms by it


def applied_derivative(applied: Expr, *orders: Expr) -> Expr:
    """Return the derivative of an undefined function by its places, as SymPy writes it.

    Two elements may turn out to be one: then it is the derivative by a place of its own.
    """
    args, by, points = list(applied.args), [], {}
    for place, order in enumerate(orders):
        if order:
            variable = args[place]
            others = [arg for at, arg in enumerate(args) if at != place]
            sought = base_of(variable)
            if not isinstance(variable, Indexed | Symbol) or any(o.has(sought) for o in others):
                args[place] = Symbol(f"xi_{place + 1}", real=True)
                points[args[place]] = variable
            by.append((args[place], order))
    result = Derivative(applied.func(*args), *by)
    return _At(result, tuple(points), tuple(points.values())) if points else result
