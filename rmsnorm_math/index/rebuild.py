"""One traversal for all that changes an expression: names, values, the index of a sum.

Where names alone change, SymPy need not look at a node again: `with_leaves` evaluates nothing.
"""

from collections.abc import Callable, Mapping
from functools import cache, cmp_to_key

from sympy import (
    Add,
    Basic,
    Dummy,
    Expr,
    Function,
    Idx,
    KroneckerDelta,
    Mod,
    Mul,
    Pow,
    S,
    ceiling,
    floor,
)
from sympy.core.symbol import Str
from sympy.functions.elementary.miscellaneous import MinMaxBase

from rmsnorm_math.index.inner import Binder, Bound, Bracket, Choice, bracket, choice
from rmsnorm_math.index.walk import is_leaf, nodes


def opened(binder: Binder) -> tuple[Dummy, Expr]:
    """Return a new index, and the body of `binder` with that index."""
    index = Dummy(binder.args[0].name, integer=True)
    return index, with_leaves(
        binder.args[1],
        lambda node, depth: index if isinstance(node, Bound) and node.distance == depth else node,
    )


def closed(kind: type[Binder], index: Dummy, body: Expr, lower: Expr, upper: Expr) -> Expr:
    """Return the sum or product of `body`, in which `index` loses its name."""
    nameless = with_leaves(body, lambda node, depth: Bound(depth) if node == index else node)
    return kind(Str(index.name), nameless, lower, upper)


def with_leaves(expr: Expr, leaf: Callable[[Basic, int], Basic]) -> Expr:
    """Replace leaves, each told in how many sums it stands; nothing is evaluated."""

    @cache
    def walk(node: Basic, depth: int) -> Basic:
        if is_leaf(node):
            return leaf(node, depth)
        body = 1 if isinstance(node, Binder) else None
        args = (walk(arg, depth + (place == body)) for place, arg in enumerate(node.args))
        return renamed(node, tuple(args))

    return walk(expr, 0)


def renamed(node: Basic, args: tuple[Basic, ...]) -> Basic:
    """Return `node` with other `args`, that differ in names alone: SymPy finds nothing new there.

    Where an argument is a calculation with indices, or a sum in a sum, SymPy calculates.
    """
    if args == node.args:
        return node
    if isinstance(node, Add | Mul | Pow | Function | MinMaxBase) and not (
        isinstance(node, KroneckerDelta)
        or (isinstance(node, Add | Mul) and any(isinstance(new, node.func) for new in args))
        or any(new is not old and is_count(new) for old, new in zip(node.args, args, strict=True))
    ):
        if isinstance(node, Add | Mul):
            return node.func._from_args(_ordered(args), is_commutative=True)
        return node.func(*args, evaluate=False)
    return node.func(*args)


def _ordered(args: tuple[Basic, ...]) -> list[Basic]:
    numbers = [arg for arg in args if arg.is_Number]
    rest = [arg for arg in args if not arg.is_Number]
    return [*numbers, *sorted(rest, key=cmp_to_key(Basic.compare))]


def is_count(node: Basic) -> bool:
    """Return whether `node` is calculated from indices, lengths and symbols alone."""
    if not node.args or isinstance(node, Idx):
        return isinstance(node, Expr)
    kinds = Add | Mul | Pow | MinMaxBase | floor | ceiling | Mod
    return isinstance(node, kinds) and all(map(is_count, node.args))


def put(expr: Expr, index: Expr, value: Expr) -> Expr:
    """Return `expr` with `value` for `index`: 0 where a bracket or a delta in a product is.

    What is new to `expr` makes nothing in it alike, so that SymPy need not look at it again.
    """
    new = value.free_symbols
    if new and not any(occurs(expr, symbol) for symbol in new):
        return with_leaves(expr, lambda node, _: value if node == index else node)
    return substituted(expr, {index: value})


def substituted(expr: Basic, values: Mapping[Basic, Basic]) -> Basic:
    """Return `expr` with `values` for its nodes, evaluated."""
    return rebuilt(expr, values.get)


def rebuilt(expr: Basic, replace: Callable[[Basic], Basic | None]) -> Basic:
    """Return `expr` with what `replace` returns for a node, unless that is None; evaluated."""

    @cache
    def walk(node: Basic) -> Basic:
        if (new := replace(node)) is not None:
            return new
        return node if is_leaf(node) else made(node, tuple(map(walk, node.args)))

    return walk(expr)


def made(node: Basic, args: tuple[Basic, ...]) -> Basic:
    """Return `node` with other `args`, evaluated."""
    if args == node.args:
        return node
    if isinstance(node, Mul) and any(
        isinstance(factor, Bracket | KroneckerDelta) and value == 0
        for factor, value in zip(node.args, args, strict=True)
    ):
        return S.Zero
    if isinstance(node, Bracket):
        return bracket(args[0])
    if isinstance(node, Choice):
        return choice(*zip(args[::2], args[1::2], strict=True))
    return node.func(*args)


def occurs(expr: Basic, sought: Basic) -> bool:
    """Return whether `sought` is a node of `expr`."""
    return any(node == sought for node in nodes(expr))
