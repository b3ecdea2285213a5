"""The axes of a layer's arrays, as its program has them, and how long each is."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Indexed, Sum, Symbol

from rmsnorm_math.codegen.nodes import family
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.index.walk import base_of, free_indices

#: The length of an axis, a symbol or a number, or its name where none is shown.
Axis = Any

#: The number of rows, where no sum runs over them.
ROWS = Symbol("rows", integer=True, positive=True)


@dataclass(frozen=True)
class Axes:
    """The axes of each base, and what they are.

    Attributes
    ----------
    of
        ``{base: axes}``; those that an index has in common are the same.
    rows
        The axis that stands for any number of leading ones, if there is such an axis.
    parts
        The arguments that say how many elements of an axis a sum is over, with the axis.
    indices
        The free indices of each output, in the order of its axes.
    """

    of: dict[Expr, tuple[Axis, ...]]
    rows: Axis | None
    parts: dict[Symbol, Axis]
    indices: dict[Any, tuple[Expr, ...]]


def axes_of(
    program: Program,
    outputs: Mapping[Any, Expr],
    where: Mapping[Expr, Expr],
    arguments: Container[Expr],
) -> Axes:
    """Return the axes of a layer whose `outputs` are the first results of a program."""
    exprs = [*outputs.values(), *where.values()]
    counts = {e.base: len(e.indices) for expr in (*exprs, *where) for e in expr.atoms(Indexed)}
    names: dict[Expr, tuple[Any, ...]] = {}
    for parameter in program.parameters:
        base = base_of(parameter.key)
        if count := counts.get(base):  # a layer of one row may have any number of them
            names[base] = tuple(map(family, parameter.axes[-count:]))
    for key, definition in where.items():
        if isinstance(key, Indexed):
            at = enumerate(key.indices)
            names[key.base] = tuple(axis_of(s, [definition], names) or (key, k) for k, s in at)

    limits = [(limit, s.function) for e in exprs for s in e.atoms(Sum) for limit in s.limits]
    limits = [(end, axis_of(index, [body], names)) for (index, _, end), body in limits]
    ends = [(end, axis) for end, axis in limits if end.is_Atom and axis is not None]
    # of two sums over an axis, that which ends at a number or an argument is over a part of it
    ends.sort(key=lambda p: (bool(p[0].is_Symbol), p[0] not in arguments, str(p)))
    leading = any(program.batch in axes for axes in names.values())
    lengths: dict[Any, Axis] = {program.batch: ROWS} if leading else {}
    lengths |= {axis: end for end, axis in ends}

    indices = {}
    for (key, expr), result in zip(outputs.items(), program.results, strict=False):
        order = [*map(family, result.axes)]
        place = {s: order.index(axis_of(s, [expr], names)) for s in free_indices(expr)}
        free = sorted(place, key=place.__getitem__)
        indices[key] = tuple(key.indices) if isinstance(key, Indexed) else tuple(free)
    return Axes(
        of={b: tuple(lengths.get(axis, str(axis)) for axis in axes) for b, axes in names.items()},
        rows=lengths.get(program.batch),
        parts={end: lengths[axis] for end, axis in ends if lengths[axis] != end and end.is_Symbol},
        indices=indices,
    )


def axis_of(index: Expr, exprs: Iterable[Expr], axes: Mapping[Expr, tuple[Any, ...]]) -> Any:
    """Return the axis that an index runs along, as elements in `exprs` show it."""
    for expr in exprs:
        for node in sorted(expr.atoms(Indexed), key=str):
            if index in node.indices and node.base in axes:
                return axes[node.base][node.indices.index(index)]
    return None
