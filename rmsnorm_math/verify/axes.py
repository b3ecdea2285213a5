"""The axes of a layer's arrays, and what a layer of one row is for many."""

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Add, Expr, Idx, Indexed, IndexedBase, Mul, Pow, Product, Sum, Symbol

from rmsnorm_math.index.names import anonymous, freshen
from rmsnorm_math.index.walk import free_indices

#: The end of an axis: the symbol that a sum over it ends at, or a base with the axis's place.
Axis = Any

#: The number of rows, where no sum runs over them.
ROWS = Symbol("rows", integer=True, positive=True)


def axes_of(
    exprs: Sequence[Expr], definitions: Mapping[Expr, Expr]
) -> dict[Expr, tuple[Axis, ...]]:
    """Return the axes of each base; what is summed by one index is one axis."""
    same: dict[Axis, Axis] = {}

    def root(item: Axis) -> Axis:
        while item in same:
            item = same[item]
        return item

    def join(a: Axis, b: Axis) -> None:
        a, b = root(a), root(b)
        if a != b:  # the symbol of a length stands for the others
            a, b = (b, a) if isinstance(a, Symbol) and a.is_integer else (a, b)
            same[a] = b

    counts: dict[Expr, int] = {}

    def walk(node: Expr, scope: dict[Expr, Axis], number: int) -> None:
        if isinstance(node, Indexed):
            counts[node.base] = len(node.indices)
            for at, index in enumerate(node.indices):
                if index.is_Symbol or index in scope or not index.args or index.is_symbol:
                    join((node.base, at), scope.get(index, (number, index)))
        elif isinstance(node, Sum | Product):
            inner = dict(scope)
            for index, _, end in node.limits:
                inner[index] = (object(), index)
                if isinstance(end, Symbol):
                    join(inner[index], end)
            walk(node.function, inner, number)
        else:
            for arg in node.args:
                walk(arg, scope, number)

    for number, expr in enumerate(exprs):
        walk(expr, {}, number)
    for number, (key, definition) in enumerate(definitions.items(), len(exprs)):
        walk(key, {}, number)
        walk(definition, {}, number)
    return {base: tuple(root((base, at)) for at in range(count)) for base, count in counts.items()}


def rows_of(found: Mapping[Expr, tuple[Axis, ...]]) -> Axis | None:
    """Return the axis that stands for any number of leading ones, if there is such an axis."""
    many = [axes for axes in found.values() if len(axes) > 1]
    first = {axes[0] for axes in many}
    if len(first) != 1 or any(len(axes) > 2 or axes[1] in first for axes in many):
        return None
    return first.pop()


def in_rows(outputs: Any, arguments: Any, where: Any) -> tuple[Any, Any, Any]:
    """Give every element of a layer of one row an index of rows, where all arrays have that row.

    Where there are more than a cotangent and an input, some may be the same for every row: then
    the layer is that of one row.
    """
    exprs = [*outputs.values(), *where.values()]
    elements = {node for expr in exprs for node in expr.atoms(Indexed)}
    bases = {node.base for node in elements} & {*arguments}
    if len(bases) > 2 or not bases or any(len(node.indices) > 1 for node in elements):
        return outputs, arguments, where
    if any(
        len(free_indices(expr)) != 1 or isinstance(key, Indexed) for key, expr in outputs.items()
    ):
        return outputs, arguments, where
    taken = {s.name for expr in exprs for s in expr.free_symbols | expr.atoms(Idx)}
    row = next(index for index in map(Idx, ("b", "b_1", "b_2")) if index.name not in taken)
    scalars = {key: IndexedBase(key.name)[row] for key in where if isinstance(key, Symbol)}

    def of_row(expr: Expr) -> Expr:
        raised = expr.replace(
            lambda node: isinstance(node, Indexed),
            lambda node: node.base[(row, *node.indices)],
        )
        return raised.xreplace(scalars)

    return (
        {key: of_row(expr) for key, expr in outputs.items()},
        {scalars.get(key, key): name for key, name in arguments.items()},
        {of_row(key): of_row(expr) for key, expr in where.items()},
    )


def compound_powers(exprs: Sequence[Expr]) -> dict[Expr, Expr]:
    """Return what is divided by or has a root, and has a sum in it: base and the power to name."""
    found: dict[Expr, Expr] = {}
    for expr in exprs:
        for node in sorted(expr.atoms(Pow), key=lambda p: p.count_ops()):
            if node.base.has(Sum) and (node.exp.is_negative or not node.exp.is_integer):
                part = Pow(2, -1) if node.exp.is_integer is False else Pow(1, 1)
                known = next((b for b in found if _same(b, node.base)), node.base)
                found[known] = min(found.get(known, part), part)
    return found


def numbers_in(expr: Expr) -> set[Expr]:
    """Return the symbols in `expr` that are no indices."""
    indices = {s for node in expr.atoms(Indexed) for i in node.indices for s in i.free_symbols}
    bases = {s for base in expr.atoms(IndexedBase) for s in base.free_symbols}
    return {s for s in expr.free_symbols if isinstance(s, Symbol)} - indices - bases


def _same(left: Expr, right: Expr) -> bool:
    a, b = free_indices(left), free_indices(right)
    names = dict(zip(b, a, strict=False))
    return len(a) == len(b) and anonymous(left) == anonymous(freshen(right).xreplace(names))


def is_linear(expr: Expr, base: Expr) -> bool:
    """Whether `expr` is linear in the array `base`, where it depends on it."""
    if not expr.has(base):
        return True
    if isinstance(expr, Add):
        return all(is_linear(arg, base) for arg in expr.args)
    if isinstance(expr, Mul):
        with_base = [arg for arg in expr.args if arg.has(base)]
        return len(with_base) == 1 and is_linear(with_base[0], base)
    if isinstance(expr, Sum):
        return is_linear(expr.function, base)
    return isinstance(expr, Indexed) and expr.base == base
