"""Mistakes with arrays that index notation cannot say: axes that are kept, lost or mixed up."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sympy import Expr, Mul, Sum

from rmsnorm_math.verify.arrays import Array, Arrays
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.trial import Trial

NOT_SUMMED = "not summed over the batch"
ALONG_COLUMNS = "each row's mean is broadcast along the wrong axis (keepdims is missing)"
WITH_FACTORS = ALONG_COLUMNS.replace("mean", "mean, with its factors,")

#: Of one value for each row and column, in the shape of the input: what comes back, and its name.
OF_ROWS: tuple[tuple[str, Callable[[Array], Any]], ...] = (
    (NOT_SUMMED, lambda v: v),
    (
        "summed over the first axis alone; sum over all but the last",
        lambda v: v.sum(0),
    ),
    (
        "summed over the first batch axis only; sum over all but the last",
        lambda v: v.sum(0) if v.ndim > 1 else v,
    ),
    (
        "summed over the last batch axis only; sum over all but the last",
        lambda v: v.sum(-2) if v.ndim > 1 else v,
    ),
    ("averaged over the first axis; sum over all but the last", lambda v: v.mean(0)),
    ("summed over the last axis; sum over the batch axes", lambda v: v.sum(-1)),
    (
        "that of the first row alone; sum over the batch",
        lambda v: v.reshape(-1, v.shape[-1])[:1].sum(0),
    ),
    (
        "that of the last row alone; add to it, do not overwrite it",
        lambda v: v.reshape(-1, v.shape[-1])[-1:].sum(0),
    ),
    (
        "summed over the batch, but keeps an axis of length 1 (keepdims)",
        lambda v: v.reshape(-1, v.shape[-1]).sum(0, keepdims=True),
    ),
    (
        "summed over the batch, but keeps its axes with length 1 (keepdims)",
        lambda v: v.sum(tuple(range(v.ndim - 1)), keepdims=True),
    ),
)


def faults(
    layer: Layer, key: Any, terms: tuple[Expr, ...], arrays: Arrays, trial: Trial
) -> Iterator[tuple[str, Array | None]]:
    """Yield what comes back where the arrays are mixed up; None where that cannot run."""
    if layer.rows is None:
        return
    indices, leading = list(layer.indices(key)), trial.case.shape[:-1]
    bodies = [_without_rows(layer, term) for term in terms]
    if all(bodies):
        parts = [arrays.of(body, [row, *indices]) for body, row in filter(None, bodies)]
        values: Any = sum(part.reshape((*leading, *part.shape[1:])) for part in parts)
        if values.ndim == len(leading) + 1 and len(indices) == 1:
            for says, of in OF_ROWS:
                yield says, np.asarray(of(values))
    elif len(indices) == 2:
        for says, narrow in (
            (ALONG_COLUMNS, Sum),
            (WITH_FACTORS, Expr),
        ):
            yield says, _along_columns(indices, leading, terms, arrays, narrow)
    own = list(layer.outputs).index(key)
    for other, name in enumerate(layer.names):
        if other != own:
            yield f"{name} is returned in its place", trial.right[other]


def _without_rows(layer: Layer, term: Expr) -> tuple[Expr, Expr] | None:
    """Return a term whose sum over the rows is undone, with the index of the rows."""
    factors = Mul.make_args(term)
    for factor in factors:
        if isinstance(factor, Sum) and factor.limits[-1][2] == layer.rows:
            *inner, (row, _, _) = factor.limits
            body = Sum(factor.function, *inner) if inner else factor.function
            return Mul(*(f for f in factors if f is not factor), body), row
    return None


def _along_columns(
    indices: list[Expr],
    leading: tuple[int, ...],
    terms: tuple[Expr, ...],
    arrays: Arrays,
    narrow: type,
) -> Array | None:
    """Return the sum of terms whose sums over a row are laid along the last axis."""
    row, column = indices
    total: Any = 0.0
    for term in terms:
        factors: tuple[Any, ...] = Mul.make_args(term)
        of_row: list[Any] = [
            f
            for f in factors
            if not f.is_number and f.has(row) and not f.has(column) and isinstance(f, narrow)
        ]
        if not any(f.has(Sum) for f in of_row):
            of_row = []
        rest = arrays.of(Mul(*(f for f in factors if f not in of_row)), indices)
        rest = rest.reshape((*(leading if len(rest) != 1 else [1] * len(leading)), rest.shape[-1]))
        try:
            flat = arrays.of(Mul(*of_row), [row]).reshape(leading) if of_row else 1.0
            total = total + rest * flat
        except ValueError:
            return None
    return np.asarray(total)
