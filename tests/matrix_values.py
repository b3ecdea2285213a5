"""Numbers from an expression in whole matrices: the judge of `matrix_form`."""

import operator
from functools import reduce
from typing import Any

from sympy import (
    DiagMatrix,
    DiagonalOf,
    FunctionMatrix,
    HadamardPower,
    HadamardProduct,
    Identity,
    IndexedBase,
    MatAdd,
    MatMul,
    MatPow,
    MatrixSymbol,
    OneMatrix,
    Transpose,
    ZeroMatrix,
)
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from tests.differences import Scope, value

Rows = list[list[Any]]


def rows(form: Any, scope: Scope) -> Any:
    """Return the matrix of numbers, row by row; a scalar factor multiplies each of them."""
    if not getattr(form, "is_Matrix", False):
        return value(form, scope)
    height, width = (int(value(size, scope)) for size in form.shape)

    def each(entry: Any) -> Rows:
        return [[entry(p, q) for q in range(width)] for p in range(height)]

    if isinstance(form, MatrixSymbol):
        base = IndexedBase(form.name)
        column = form.shape[1] == 1 and str(base).islower()  # as tests.drawn names them
        return each(lambda p, q: scope[(base, p + 1) if column else (base, p + 1, q + 1)])
    if isinstance(form, Identity):
        return each(lambda p, q: int(p == q))
    if isinstance(form, OneMatrix | ZeroMatrix):
        return each(lambda *_: int(isinstance(form, OneMatrix)))
    if isinstance(form, FunctionMatrix):
        names = form.lamda.variables
        return each(
            lambda p, q: value(form.lamda.expr, {**scope, **dict(zip(names, (p, q), strict=True))})
        )
    if isinstance(form, ElementwiseApplyFunction):
        inner, (name,) = rows(form.expr, scope), form.function.variables
        return each(lambda p, q: value(form.function.expr, {**scope, name: inner[p][q]}))
    parts = [rows(arg, scope) for arg in form.args]
    if isinstance(form, Transpose):
        return each(lambda p, q: parts[0][q][p])
    if isinstance(form, DiagMatrix):
        return each(lambda p, q: parts[0][p][0] if p == q else 0)
    if isinstance(form, DiagonalOf):
        return each(lambda p, _: parts[0][p][p])
    if isinstance(form, MatAdd):
        return each(lambda p, q: sum(part[p][q] for part in parts))
    if isinstance(form, HadamardProduct):
        return each(lambda p, q: reduce(operator.mul, (part[p][q] for part in parts)))
    if isinstance(form, HadamardPower):
        return each(lambda p, q: parts[0][p][q] ** parts[1])
    if isinstance(form, MatPow):
        return reduce(_times, [parts[0]] * int(parts[1]))
    assert isinstance(form, MatMul), f"{form} is of type {type(form).__name__}"
    return reduce(_times, parts)


def _times(left: Any, right: Any) -> Any:
    if not isinstance(left, list):
        left, right = right, left
    if not isinstance(left, list):
        return left * right
    if not isinstance(right, list):
        return [[entry * right for entry in row] for row in left]
    return [
        [
            sum(a * b for a, b in zip(row, column, strict=True))
            for column in zip(*right, strict=True)
        ]
        for row in left
    ]
