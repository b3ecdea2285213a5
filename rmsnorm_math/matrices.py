"""A matrix from its entry: the Jacobian in whole vectors and matrices."""

from sympy import (
    Add,
    Derivative,
    DiagMatrix,
    DiagonalOf,
    Expr,
    HadamardPower,
    HadamardProduct,
    Identity,
    Indexed,
    KroneckerDelta,
    Lambda,
    MatAdd,
    MatMul,
    MatrixExpr,
    MatrixSymbol,
    Mul,
    OneMatrix,
    Pow,
    Sum,
)
from sympy.core.function import Application

from rmsnorm_math.definitions import tidy
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.names import freshen, rename_bound
from rmsnorm_math.index.walk import BINDERS, dummies_of, free_symbols
from rmsnorm_math.inputs import as_expression, as_index, as_length
from rmsnorm_math.masks import Sizes, conditions_outside, mask, spare_symbols
from rmsnorm_math.refusals import refuse_escaped, refuse_expression, refuse_lookalikes


def matrix_form(entry: Expr, row: Expr, column: Expr, size: Expr) -> MatrixExpr:
    r"""Return the matrix with the given entry, as an expression in whole vectors.

    A function of the elements of one vector is applied to each of them; a sum
    over a whole axis is a product of matrices; what depends on the indices
    alone, such as a shifted delta, is a `FunctionMatrix`.

    Parameters
    ----------
    entry
        A sum of products of elements, such as a Jacobian's entry.
    row, column
        Its free indices, which count from 1.
    size
        The length n of both; the result is n by n.

    Raises
    ------
    Refused
        If `entry` is no expression, `row` or `column` no index, or a term no
        product of functions of the row, functions of the column and matrices.

    Examples
    --------
    >>> from sympy import IndexedBase, Sum
    >>> from rmsnorm_math import abbreviate, jacobian, matrix_form, rms, rmsnorm
    >>> from rmsnorm_math.notation import b, i, j, m, n, r, x
    >>> J = abbreviate(jacobian(rmsnorm(), x[j]), {r: rms()})
    >>> matrix_form(J, i, j, n)
    (-1/(n*r**3))*DiagMatrix(gamma)*x*x.T + 1/r*DiagMatrix(gamma)
    >>> A = IndexedBase("A")
    >>> matrix_form(A[i, j] + A[j, i] + Sum(x[b, i]*x[b, j], (b, 1, m)), i, j, n)
    A + A.T + x.T*x
    """
    entry, size = as_expression(entry, "the entry"), as_length(size, "the size")
    row, column = as_index(row), as_index(column)
    if row == column:
        raise Refused(f"{row} is given for the row and for the column: give two indices.")
    refuse_expression(entry)
    candidates = dummies_of(entry)
    fresh = freshen(tidy(entry, candidates))
    refuse_lookalikes(fresh, row, column)
    result = _matrix(fresh, row, column, {row: size, column: size})
    _refuse_two_shapes(result)
    result = result.xreplace({s: rename_bound(s, candidates) for s in result.atoms(*BINDERS)})
    refuse_escaped(result, size, *(free_symbols(entry) - {row, column}))
    return result


def _matrix(entry: Expr, row: Expr, column: Expr, sizes: Sizes) -> MatrixExpr:
    terms = Add.make_args(conditions_outside(entry).expand(func=True))
    first, *others = (_term(term, row, column, sizes) for term in terms)
    return MatAdd(first, *others).doit(deep=False) if others else first


def _term(term: Expr, row: Expr, column: Expr, sizes: Sizes) -> MatrixExpr:
    scalar, inside = term.as_independent(row, column, as_Add=False)
    factors = Mul.make_args(inside) if inside != 1 else ()
    if (delta := KroneckerDelta(row, column)) in factors:
        diagonal = [f.xreplace({column: row}) for f in factors if f != delta]
        scales = [DiagMatrix(_vector(f, row, sizes)) for f in diagonal]
        return MatMul(scalar, *scales).doit() if scales else scalar * Identity(sizes[row])
    rows = [_vector(f, row, sizes) for f in factors if not f.has(column)]
    columns = [_vector(f, column, sizes) for f in factors if not f.has(row)]
    both = [_of_both(f, row, column, sizes) for f in factors if f.has(row) and f.has(column)]
    if not factors:
        return scalar * OneMatrix(sizes[row], sizes[column])
    if not both:
        return scalar * _outer(rows, sizes[row]) * _outer(columns, sizes[column]).T
    core = both[0] if len(both) == 1 else HadamardProduct(*both)
    return MatMul(scalar, *map(DiagMatrix, rows), core, *map(DiagMatrix, columns)).doit(deep=False)


def _outer(vectors: list[MatrixExpr], size: Expr) -> MatrixExpr:
    *scales, last = vectors or [OneMatrix(size, 1)]
    return MatMul(*map(DiagMatrix, scales), last)


def _of_both(factor: Expr, row: Expr, column: Expr, sizes: Sizes) -> MatrixExpr:
    """Return the matrix of a factor that depends on both indices."""
    if not factor.has(Indexed):
        return mask(factor, row, column, sizes)
    if isinstance(factor, Indexed) and factor.indices == (row, column):
        return MatrixSymbol(str(factor.base), sizes[row], sizes[column])
    if isinstance(factor, Indexed) and factor.indices == (column, row):
        return MatrixSymbol(str(factor.base), sizes[column], sizes[row]).T
    if isinstance(factor, Sum):
        return _contracted(factor, row, column, sizes)
    if isinstance(factor, Pow) and factor.exp.is_number:
        return HadamardPower(_matrix(factor.base, row, column, sizes), factor.exp)
    raise Refused(f"{factor} is no product of a function of {row} and a function of {column}.")


def _contracted(total: Expr, row: Expr, column: Expr | None, sizes: Sizes) -> MatrixExpr:
    """Return the product of matrices, or of a matrix and a vector, that a sum is."""
    *inner, (index, lower, upper) = total.limits
    length = upper - lower + 1
    if lower not in (0, 1) or not (length.is_Symbol or length.is_Integer):
        raise Refused(f"{rename_bound(total)} is not over a whole axis: write it from 1 to n.")
    inside = {**sizes, index: length}
    body = Sum(total.function, *inner) if inner else total.function
    products = []
    for term in Add.make_args(body.expand(func=True)):
        factors = Mul.make_args(term)
        left = [f for f in factors if f.has(row)]
        right = [f for f in factors if column is not None and f.has(column)]
        if any(f in left for f in right):
            raise Refused(f"{term} is no product of a function of {row} and one of {column}.")
        scales = [f for f in factors if f.has(index) and f not in (*left, *right)]
        scalar = Mul(*(f for f in factors if f not in (*left, *right, *scales)))
        first = _matrix(Mul(*left), row, index, inside)
        if column is None:
            products.append(scalar * first * _vector(Mul(*scales), index, inside))
        else:
            middle = [DiagMatrix(_vector(f, index, inside)) for f in scales]
            last = _matrix(Mul(*right), index, column, inside)
            products.append(MatMul(scalar, first, *middle, last).doit(deep=False))
    return MatAdd(*products).doit(deep=False)


def _vector(factor: Expr, index: Expr, sizes: Sizes) -> MatrixExpr:
    """Return the column of the values of `factor`, which depends on one index at most."""
    size = sizes[index]
    if not factor.has(index):
        return factor * OneMatrix(size, 1)
    if isinstance(factor, Indexed) and factor.indices == (index,):
        return MatrixSymbol(str(factor.base), size, 1)
    if isinstance(factor, Indexed) and factor.indices == (index, index):
        return DiagonalOf(MatrixSymbol(str(factor.base), size, size))
    if not factor.has(Indexed):
        return mask(factor, index, None, sizes)
    if isinstance(factor, Sum):
        return _contracted(factor, index, None, sizes)
    if isinstance(factor, Add):
        return MatAdd(*(_vector(arg, index, sizes) for arg in factor.args))
    if isinstance(factor, Mul):
        scalar, inside = factor.as_independent(index, as_Add=False)
        vectors = [_vector(arg, index, sizes) for arg in Mul.make_args(inside)]
        return scalar * (HadamardProduct(*vectors) if len(vectors) > 1 else vectors[0])
    if isinstance(factor, Pow) and factor.exp.is_number:
        return HadamardPower(_vector(factor.base, index, sizes), factor.exp)
    if isinstance(factor, Derivative) and factor.atoms(Indexed) == {element := factor.variables[0]}:
        (t,) = spare_symbols("t", factor)
        return _vector(element, index, sizes).applyfunc(Lambda(t, factor.xreplace({element: t})))
    inner = [arg for arg in factor.args if arg.has(index)]
    if isinstance(factor, Application | Pow) and len(inner) == 1:
        return _vector(inner[0], index, sizes).applyfunc(_of_one(factor, inner[0]))
    raise Refused(f"{factor} is no element of a vector: abbreviate it first.")


def _of_one(factor: Expr, part: Expr) -> Lambda:
    """Return the function that `factor` is of its only argument that varies."""
    (place,) = spare_symbols("t", factor)
    return Lambda(place, factor.func(*(place if arg is part else arg for arg in factor.args)))


def _refuse_two_shapes(result: MatrixExpr) -> None:
    shapes: dict[str, MatrixSymbol] = {}
    for symbol in result.atoms(MatrixSymbol):
        other = shapes.setdefault(symbol.name, symbol)
        if other != symbol:
            raise Refused(
                f"{symbol} would be a matrix of shape {other.shape} and one of {symbol.shape}."
            )
