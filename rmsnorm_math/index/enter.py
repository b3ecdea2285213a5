"""From SymPy's form to the inner one: every bound index loses its name."""

from collections.abc import Callable, Mapping
from functools import cache

from sympy import (
    Add,
    Basic,
    Derivative,
    Dummy,
    Expr,
    Heaviside,
    KroneckerDelta,
    Mul,
    Ne,
    Piecewise,
    S,
    Subs,
    Sum,
    sign,
    srepr,
)
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import to_nnf

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.inner import BoundProduct, BoundSum, Partial, bracket, choice
from rmsnorm_math.index.rebuild import closed, renamed, substituted
from rmsnorm_math.index.signs import without_positive
from rmsnorm_math.index.walk import BINDERS, is_leaf, limits_of, name, nodes

#: What stands for each index that a sum around binds.
Scope = Mapping[Expr, Dummy]


def enter(expr: Expr) -> Expr:
    """Return `expr` in the inner form, whose bound indices have no name."""
    return _enter(expr, {})


def _enter(expr: Basic, scope: Scope, *, inside: bool = False) -> Basic:
    @cache
    def walk(node: Basic) -> Basic:
        if is_leaf(node):
            return scope.get(node, node)
        if isinstance(node, BINDERS):
            return _binder(node, scope)
        if isinstance(node, Piecewise):
            if inside:
                _refuse_folded(node, scope)
            return choice(
                *(
                    (walk(value), walk(to_nnf(condition, simplify=False)))
                    for value, condition in node.args
                )
            )
        if isinstance(node, Derivative | Subs):
            return _partial(node, walk)
        args = tuple(map(walk, node.args))
        if isinstance(node, Heaviside) and args[1] in (0, 1):
            return bracket(args[0] > 0 if args[1] == 0 else args[0] >= 0)
        if _is_alike(node, args):  # what differed in the names of its dummies alone
            return excluded(node.func(*args))
        if isinstance(node, Add):
            return excluded(renamed(node, args))
        if isinstance(node, sign):
            return sign(without_positive(args[0]), evaluate=False)
        return renamed(node, args)

    return walk(expr)


def _is_alike(node: Basic, args: tuple[Basic, ...]) -> bool:
    """Return whether terms or factors have become alike, so that SymPy would collect them."""
    if args == node.args or not isinstance(node, Add | Mul):
        return False
    if isinstance(node, Add):
        kinds = {arg.as_coeff_Mul()[1] for arg in args}
    else:
        powers = (arg.as_base_exp() for arg in args)
        kinds = {(base, exponent.as_coeff_Mul()[1]) for base, exponent in powers}
    return len(kinds) < len(args)


def excluded(node: Expr) -> Expr:
    """Write c - c*delta(i, j) as c times the condition that i and j differ."""
    if not (isinstance(node, Add) and len(node.args) == 2):
        return node
    for one, other in (node.args, node.args[::-1]):
        for delta in Mul.make_args(other):
            if isinstance(delta, KroneckerDelta) and other == -one * delta:
                return one * bracket(Ne(*delta.args))
    return node


def _binder(node: Expr, scope: Scope) -> Expr:
    limits = []
    for index, lower, upper in reversed(node.limits):
        _refuse_twin(index, node.function)
        ends = [_enter(end, scope, inside=True) for end in (lower, upper)]
        fresh = Dummy(index.name, integer=True)
        scope = {**scope, index: fresh}
        limits.append((fresh, *ends))
    body = _enter(node.function, scope, inside=True)
    kind = BoundSum if isinstance(node, Sum) else BoundProduct
    for fresh, *ends in reversed(limits):
        body = closed(kind, fresh, body, *ends)
    return body


def _refuse_twin(index: Expr, body: Expr) -> None:
    for node in nodes(body):
        if name(node) == index.name and node != index:
            raise Refused(
                f"the sum over {index} does not reach the {index} inside it: they print alike, "
                f"but the dummy is {srepr(index)} and the other is {srepr(node)}. "
                f"Write both with one and the same object."
            )


def _refuse_folded(node: Piecewise, scope: Scope) -> None:
    """Raise if a condition tests an index that a sum inside binds: SymPy has moved it out."""
    for value, condition in node.args:
        bound = {index for index, _, _ in limits_of(value)}
        escaped = (condition.free_symbols & bound) - set(scope)
        for index in sorted(escaped, key=str):
            raise Refused(
                f"the condition {condition} tests a free {index}, and a sum over {index} stands "
                f"beside it: where sums are nested, SymPy moves a condition out of the sum that "
                f"binds its index (https://github.com/sympy/sympy/issues/27359). Write it as a "
                f"limit, Sum(..., ({index}, 1, i - 1)), as one Sum over all its indices, or as a "
                f"factor: Heaviside(x[{index}], 0) for x[{index}] > 0, KroneckerDelta for =. "
                f"If {index} is free on purpose, give it another name."
            )


def _partial(node: Expr, walk: Callable[[Basic], Basic]) -> Expr:
    """Return the derivative of an undefined function by its places."""
    if isinstance(node, Subs):
        inner, variables, point = node.args
        fresh = {v: Dummy(v.name, real=True) for v in variables}
        values = dict(zip(fresh.values(), map(walk, point), strict=True))
        return substituted(walk(inner.xreplace(fresh)), values)
    function, *by = node.args
    if isinstance(function, AppliedUndef):
        args = list(function.args)
        orders = [0] * len(args)
        for variable, times in by:
            if args.count(variable) != 1 or not times.is_Integer:
                break
            orders[args.index(variable)] += times
        else:
            return Partial(walk(function), *map(S, orders))
    raise Refused(
        f"{node} is of type Derivative: only sums, products and functions of "
        f"elements are differentiated. Call .doit() on it first, or write it as a Sum."
    )
