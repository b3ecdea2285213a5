"""Tell the indices over the rows of a batch from the one over the last axis.

In printed code an index before the last of an element is one of the rows. An
index cannot be both: that would be a transposed array or a matrix product.
"""

from collections.abc import Iterable

from sympy import Dummy, Expr, Idx, Indexed, Symbol

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import limits_of, nodes


def row_indices(*exprs: Expr, of_rows: Iterable[Expr] = ()) -> set[Expr]:
    """Return the indices of rows: those before the last, and all those of a base in `of_rows`."""
    return {
        s
        for expr in exprs
        for node in nodes(expr)
        if isinstance(node, Indexed)
        for s in (node.indices if node.base in of_rows else node.indices[:-1])
        if isinstance(s, Symbol | Idx)
    }


def lengths(*exprs: Expr, but: Iterable[Expr] = ()) -> set[Symbol]:
    """Return the symbols that sums end at, save those over the indices in `but`."""
    limits = (limit for expr in exprs for limit in limits_of(expr))
    return {end for index, _, end in limits if isinstance(end, Symbol) and index not in but}


def _rows_of(node: Indexed, of_rows: set[Expr]) -> tuple[Expr, ...]:
    return tuple(node.indices if node.base in of_rows else node.indices[:-1])


def refuse_two_roles(expr: Expr, of_rows: set[Expr]) -> None:
    """Raise unless each index is of the rows or of the last axis, and the same rows are meant."""
    elements = [node for node in nodes(expr) if isinstance(node, Indexed)]
    rows = {index for node in elements for index in _rows_of(node, of_rows)}
    for node in elements:
        last = () if node.base in of_rows else node.indices[-1:]
        if rows.intersection(last) or len(set(node.indices)) < len(node.indices):
            raise Refused(
                f"in {shown(expr)} one index runs over rows in one place and over the last axis "
                f"in another, as in {shown(node)}. A transposed array or a matrix product is not "
                f"printed. If {node.base} has one value for each row, write {shown(node)} as its "
                f"key in the arguments, and pass an array of shape (..., 1)."
            )
    bound = {index for index, _, _ in limits_of(expr)}
    free = {_rows_of(node, of_rows) for node in elements} - {()}
    if len({given for given in free if not bound.intersection(given)}) > 1:
        raise Refused(f"the elements in {expr} have different indices of rows: name them alike.")


def refuse_other_rows(body: Expr, over: set[Expr], of_rows: set[Expr]) -> None:
    """Raise if a sum over rows holds elements of other rows, too."""
    inside = {index for index, _, _ in limits_of(body)}
    for node in nodes(body):
        if isinstance(node, Indexed):
            rows = set(_rows_of(node, of_rows))
            if rows and rows != over and not rows <= inside:
                raise Refused(
                    f"{shown(node)} stands in a sum over other rows: only a sum over all rows "
                    f"of an element is printed."
                )


def shown(node: Expr) -> Expr:
    """Return `node` with its indices as the user knows them."""
    return node.xreplace({s: Symbol(s.name) for s in node.atoms(Dummy)})
