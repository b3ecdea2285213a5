"""What a program's expressions are made of, besides SymPy's own nodes; see `program`."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, permutations

from sympy import Basic, Expr, Function, Indexed, IndexedBase, Pow, S, Symbol, Tuple

Axes = tuple[Symbol, ...]
Line = tuple[str, Axes, Expr]


class Reduction(Function):  # type: ignore[misc]
    """The first argument, reduced over the axes that follow."""

    @property
    def body(self) -> Expr:
        """What is reduced."""
        return self.args[0]

    @property
    def over(self) -> Axes:
        """The axes that are gone from the result."""
        return tuple(self.args[1:])


class Total(Reduction):
    """The sum over axes."""


class Mean(Reduction):
    """The mean over axes."""


class Largest(Reduction):
    """The largest value over axes."""


class Contraction(Function):  # type: ignore[misc]
    """The sum, over the axes in the tuple that comes first, of the product of two arrays."""

    @property
    def over(self) -> Axes:
        """The axes that are gone from the result."""
        return tuple(self.args[0])

    @property
    def factors(self) -> tuple[Expr, ...]:
        """The arrays that are multiplied; neither has all the axes of the other."""
        return tuple(self.args[1:])


class Position(Function):  # type: ignore[misc]
    """The place along an axis, the first argument, counted from the second, which is 1 or 0."""


class Logistic(Function):  # type: ignore[misc]
    """1/(1 + exp(-x)), which never overflows."""


class Softplus(Function):  # type: ignore[misc]
    """log(1 + exp(x)), which never overflows."""


BINDERS = (Reduction, Contraction)


def axes_of(expr: Basic) -> set[Symbol]:
    """Return the axes that the value of `expr` has."""
    if isinstance(expr, Indexed):
        return set(expr.indices)
    if isinstance(expr, Position):
        return {expr.args[0]}
    if isinstance(expr, Reduction):
        return axes_of(expr.body) - {*expr.over}
    if isinstance(expr, Contraction):
        return set().union(*map(axes_of, expr.factors)) - {*expr.over}
    return set().union(*map(axes_of, expr.args))


def element(name: str, axes: Axes) -> Expr:
    """Return the array `name`, or the number if it has no axes."""
    return IndexedBase(name)[axes] if axes else Symbol(name)


def array_name(node: Basic) -> str:
    """Return the name of an array whose element `node` is, or nothing."""
    if isinstance(node, Indexed):
        return str(node.base.name)
    if not isinstance(node, Symbol) or (node.is_integer and not node.is_positive):
        return ""  # an axis is an integer, but no length
    return str(node.name)


def is_reciprocal(factor: Basic) -> bool:
    """Return whether a factor stands below the line of a fraction."""
    return isinstance(factor, Pow) and factor.base != S.Exp1 and bool(factor.exp.is_negative)


def parts(expr: Basic) -> Iterator[Basic]:
    """Yield every node of `expr`, those in front first; an element is one."""
    if not isinstance(expr, Indexed | Position):
        for arg in expr.args:
            yield from parts(arg)
    yield expr


def rebuilt(expr: Basic, args: Iterable[Basic]) -> Basic:
    """Return `expr` with other arguments, itself where they are the same."""
    args = tuple(args)
    return expr if args == expr.args else expr.func(*args)


def replaced(expr: Basic, replace: Callable[[Basic], Basic | None]) -> Basic:
    """Return `expr` with what `replace` returns for a part, unless that is None."""
    if (new := replace(expr)) is not None:
        return new
    if isinstance(expr, Indexed | Position):
        return expr
    return rebuilt(expr, (replaced(arg, replace) for arg in expr.args))


def family(axis: Symbol) -> Symbol:
    """Return the first axis of those that are as long as `axis`: i of i_2."""
    return Symbol(re.sub(r"_\d+$", "", axis.name), integer=True)


def in_order(axes: Iterable[Symbol], order: Sequence[Symbol]) -> Axes:
    """Return axes in the order of those that are as long, then of their numbers."""

    def place(axis: Symbol) -> tuple[int, str]:
        first = family(axis)
        return order.index(first) if first in order else len(order), axis.name

    return tuple(sorted(axes, key=place))


def another(axis: Symbol, taken: Iterable[Symbol]) -> Symbol:
    """Return the first axis as long as `axis` that is not taken."""
    first, taken = family(axis), {*taken}
    names = (first.name if k == 1 else f"{first.name}_{k}" for k in count(1))
    return next(a for a in (Symbol(name, integer=True) for name in names) if a not in taken)


def first_names(axes: Axes, taken: Iterable[Symbol] = ()) -> dict[Symbol, Symbol]:
    """Return the first names of axes that do not clash, nor are taken."""
    names: dict[Symbol, Symbol] = {}
    for axis in axes:
        names[axis] = another(axis, {*taken, *names.values()})
    return names


def rename(expr: Basic, names: Mapping[Symbol, Symbol]) -> Basic:
    """Return `expr` with its free axes renamed; none is captured by a reduction."""
    names = {old: new for old, new in names.items() if old != new}
    if not names:
        return expr
    if isinstance(expr, Indexed):
        return expr.base[tuple(names.get(axis, axis) for axis in expr.indices)]
    if isinstance(expr, BINDERS):
        names = {old: new for old, new in names.items() if old in axes_of(expr)}
        if not names:
            return expr
        here = {*names.values()} | axes_of(expr) | {*expr.over}
        for axis in expr.over:
            if axis in names.values():
                names = names | {axis: another(axis, here)}
                here.add(names[axis])
    if expr in names:
        return names[expr]
    return rebuilt(expr, (rename(arg, names) for arg in expr.args))


def canonical(node: Basic) -> Basic:
    """Return `node` with the first names that are free for its bound axes.

    Reductions that differ in the names of their bound axes alone come out equal.
    """
    if isinstance(node, Indexed | Position):
        return node
    node = rebuilt(node, map(canonical, node.args))
    if not isinstance(node, BINDERS):
        return node
    inner = {a for p in parts(Tuple(*node.args)) if isinstance(p, BINDERS) for a in p.over}
    taken = axes_of(node) | {a for a in inner if a not in node.over}
    names = first_names(node.over, taken)
    if isinstance(node, Contraction):
        over, *factors = node.args
        new = Tuple(*(names[axis] for axis in over))
        return Contraction(new, *sorted((rename(f, names) for f in factors), key=str))
    return node.func(rename(node.args[0], names), *(names[axis] for axis in node.over))


def renamings(axes: Iterable[Symbol], others: Iterable[Symbol]) -> Iterator[dict[Symbol, Symbol]]:
    """Yield each way to call `axes` by those of `others` that are as long."""
    axes = tuple(axes)
    for chosen in permutations(sorted(others, key=str), len(axes)):
        if all(family(one) == family(other) for one, other in zip(axes, chosen, strict=True)):
            yield dict(zip(axes, chosen, strict=True))
