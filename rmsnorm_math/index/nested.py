"""Conditions in nested sums, written so that SymPy leaves them where their index is bound."""

from collections.abc import Callable

from sympy import (
    Add,
    And,
    Dummy,
    Eq,
    Expr,
    Ge,
    Gt,
    Heaviside,
    KroneckerDelta,
    Le,
    Lt,
    Mul,
    Ne,
    Or,
    Symbol,
)
from sympy.logic.boolalg import Boolean

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.inner import Binder, Bound, BoundSum, Bracket, Choice
from rmsnorm_math.index.rebuild import closed, opened, rebuilt, with_leaves
from rmsnorm_math.index.terms import exclusive, is_smooth, times


def kept_together(node: Expr, write: Callable[[Expr], Expr]) -> Expr:
    """Write a sum out of which SymPy would carry a condition on the index of a sum within."""
    if (flat := _flattened(node)) is not None:
        return write(flat)
    return write(_with_numbers_inside(node))


def _with_numbers_inside(node: Binder) -> Expr:
    """Return a sum in which the conditions within the sums inside it are numbers, 1 or 0."""
    index, body = opened(node)
    if isinstance(body, type(node)):  # SymPy makes one sum of the two
        body = _with_numbers_inside(body)
    else:
        body = rebuilt(body, lambda part: _inner(part) if isinstance(part, Binder) else None)
    return closed(type(node), index, body, *node.args[2:])


def _inner(node: Binder) -> Expr:
    index, body = opened(node)
    return closed(type(node), index, rebuilt(body, _as_numbers), *node.args[2:])


def _flattened(node: Expr) -> Expr | None:
    """Return the sum of a product with a sum as one sum over both indices."""
    hint, body, *ends = node.args
    if isinstance(body, BoundSum) and (flat := _flattened(body)) is not None:
        return node.func(hint, flat, *ends)
    for factor in Mul.make_args(body) if isinstance(node, BoundSum) else ():
        if isinstance(factor, BoundSum) and factor is not body:
            rest = Mul(*(f for f in body.args if f is not factor))
            label, inner, *limit = factor.args
            return BoundSum(hint, BoundSum(label, times(_lifted(rest), inner), *limit), *ends)
    return None


def _lifted(expr: Expr) -> Expr:
    """Return `expr` for a place that is one sum further in."""
    return with_leaves(
        expr,
        lambda leaf, depth: (
            Bound(leaf.distance + 1) if isinstance(leaf, Bound) and leaf.distance >= depth else leaf
        ),
    )


def _as_numbers(node: Expr) -> Expr | None:
    """Return a product with its conditions as numbers, 1 or 0; SymPy leaves those in their sums."""
    if isinstance(node, Binder):
        return _inner(node)
    if isinstance(node, Choice):
        return rebuilt(Add(*exclusive(node)), _as_numbers)
    factors = Mul.make_args(node)
    if not any(isinstance(f, Bracket) for f in factors):
        return None
    rest = [f for f in factors if not isinstance(f, Bracket)]
    if not all(map(is_smooth, rest)):
        named = {s: Symbol(s.name) for s in node.atoms(Dummy)}
        conditions = ", ".join(str(b.args[0].xreplace(named)) for b in factors if b not in rest)
        raise Refused(
            f"the condition {conditions} would leave the sum that binds its index, by SymPy's "
            f"own rules (https://github.com/sympy/sympy/issues/27359), and what it guards may "
            f"have no value where it does not hold. Make that sum the outermost one, or split "
            f"the expression."
        )
    numbers = [_number(f.args[0]) for f in factors if isinstance(f, Bracket)]
    return times(*numbers, *(rebuilt(f, _as_numbers) for f in rest))


def _number(condition: Boolean) -> Expr:
    if isinstance(condition, And):
        return Mul(*map(_number, condition.args))
    if isinstance(condition, Or):
        return 1 - Mul(*(1 - _number(part) for part in condition.args))
    if isinstance(condition, Eq | Ne):
        delta = KroneckerDelta(*condition.args)
        return delta if isinstance(condition, Eq) else 1 - delta
    if isinstance(condition, Lt | Le | Gt | Ge):
        return Heaviside(condition.gts - condition.lts, 0 if isinstance(condition, Lt | Gt) else 1)
    raise Refused(
        f"the condition {condition} stands within nested sums: write it with <, <= or ==."
    )
