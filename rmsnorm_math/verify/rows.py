"""What a layer of one row is for many."""

from typing import Any

from sympy import Expr, Idx, Indexed, IndexedBase, Symbol

from rmsnorm_math.index.walk import free_indices


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
