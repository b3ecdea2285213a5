"""A matrix from its entry: the Jacobian in whole vectors."""

from sympy import (
    Add,
    DiagMatrix,
    Expr,
    Identity,
    Indexed,
    KroneckerDelta,
    MatMul,
    MatrixExpr,
    MatrixSymbol,
    Mul,
    OneMatrix,
)

from rmsnorm_math.errors import Refused
from rmsnorm_math.inputs import as_expression, as_index
from rmsnorm_math.refusals import refuse_expression


def matrix_form(entry: Expr, row: Expr, column: Expr, size: Expr) -> MatrixExpr:
    r"""Return the matrix with the given entry, as an expression in whole vectors.

    Parameters
    ----------
    entry
        A sum of products of elements, such as a Jacobian's entry.
    row, column
        Its free indices.
    size
        The length n of both; the result is n by n.

    Raises
    ------
    TypeError
        If `entry` is no expression, or `row` or `column` no index.
    ValueError
        If a term is no product of a function of the row and one of the column.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, jacobian, matrix_form, rms, rmsnorm
    >>> from rmsnorm_math.notation import i, j, n, r, x
    >>> J = abbreviate(jacobian(rmsnorm(), x[j]), {r: rms()})
    >>> matrix_form(J, i, j, n)
    (-1/(n*r**3))*DiagMatrix(gamma)*x*x.T + 1/r*DiagMatrix(gamma)
    """
    entry, size = as_expression(entry, "the entry"), as_expression(size, "the size")
    row, column = as_index(row), as_index(column)
    refuse_expression(entry)
    terms = [_matrix_term(term, row, column, size) for term in Add.make_args(entry.expand())]
    return sum(terms[1:], start=terms[0])


def _matrix_term(term: Expr, row: Expr, column: Expr, size: Expr) -> MatrixExpr:
    scalar, inside = term.as_independent(row, column)
    delta = KroneckerDelta(row, column)
    factors = [f for f in Mul.make_args(inside) if f != delta]
    if len(factors) < len(Mul.make_args(inside)):
        diagonal = [_vector(f.xreplace({column: row}), row, size) for f in factors]
        return (
            MatMul(scalar, *map(DiagMatrix, diagonal)).doit()
            if diagonal
            else scalar * Identity(size)
        )
    if any(f.has(row) and f.has(column) for f in factors):
        raise Refused(f"{term} is no product of a function of {row} and a function of {column}.")
    rows = [_vector(f, row, size) for f in factors if f.has(row)]
    columns = [_vector(f, column, size) for f in factors if f.has(column)]
    return scalar * _outer(rows, size) * _outer(columns, size).T


def _outer(vectors: list[MatrixExpr], size: Expr) -> MatrixExpr:
    *scales, last = vectors or [OneMatrix(size, 1)]
    return MatMul(*map(DiagMatrix, scales), last)


def _vector(factor: Expr, index: Expr, size: Expr) -> MatrixExpr:
    if not (isinstance(factor, Indexed) and factor.indices == (index,)):
        raise Refused(f"{factor} is no element of a vector: abbreviate it first.")
    return MatrixSymbol(str(factor.base), size, 1)
