"""Matrices that depend on their indices alone: shifted deltas, conditions, counts."""

from collections.abc import Mapping

from sympy import (
    Expr,
    FunctionMatrix,
    KroneckerDelta,
    Lambda,
    MatrixExpr,
    Piecewise,
    S,
    Symbol,
    numbered_symbols,
)

#: The length of the axis that each index counts.
Sizes = Mapping[Expr, Expr]


def mask(factor: Expr, row: Expr, column: Expr | None, sizes: Sizes) -> MatrixExpr:
    """Return the matrix, or without a column index the vector, of a function of the indices.

    SymPy counts the places of a `FunctionMatrix` from 0; an index counts from 1, or from where its
    `Idx` begins.
    """
    p, q = spare_symbols("pq", factor)
    values = {row: p + _first(row)} | ({column: q + _first(column)} if column else {})
    counted = factor.xreplace(values)
    if isinstance(counted, KroneckerDelta):  # the same shift, wherever the axis begins
        difference = counted.args[0] - counted.args[1]
        counted = KroneckerDelta(p, p - difference * (1 if difference.coeff(p) == 1 else -1))
    length = sizes[column] if column else S.One
    return FunctionMatrix(sizes[row], length, Lambda((p, q), counted))


def _first(index: Expr) -> Expr:
    declared = getattr(index, "lower", None)
    return S.One if declared is None else declared


def spare_symbols(letters: str, expr: Expr) -> list[Symbol]:
    """Return a symbol for each letter, numbered where `expr` has one of that name."""
    taken = {str(s) for s in expr.free_symbols}
    return [
        next(s for s in (Symbol(letter), *_numbered(letter, taken)) if str(s) not in taken)
        for letter in letters
    ]


def _numbered(letter: str, taken: set[str]) -> list[Symbol]:
    supply = numbered_symbols(f"{letter}_")
    return [next(supply) for _ in range(len(taken) + 1)]


def conditions_outside(entry: Expr) -> Expr:
    """Write what stands under a condition, and is 0 elsewhere, as a product with 1 or 0."""
    return entry.replace(
        lambda node: isinstance(node, Piecewise) and node.args[1:] == ((0, True),),
        lambda node: node.args[0].expr * Piecewise((1, node.args[0].cond), (0, True)),
    )
