"""What a check is of: the outputs, the arguments with their axes, and what is right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sympy import Add, Expr, Idx, Indexed, IndexedBase, Mul, Pow, Product, Sum, Symbol

from rmsnorm_math.abbreviation import abbreviate
from rmsnorm_math.codegen import function
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.names import anonymous, freshen
from rmsnorm_math.index.walk import free_indices
from rmsnorm_math.inputs import as_expressions, as_mapping
from rmsnorm_math.verify.arrays import Arrays, labels_of

#: The end of an axis: the symbol that a sum over it ends at, or a base with the axis's place.
Axis = Any

#: The number of rows, where no sum runs over them.
ROWS = Symbol("rows", integer=True, positive=True)


@dataclass(frozen=True, eq=False)
class Layer:
    """The three arguments of `source`, and what a check needs to know of them."""

    outputs: dict[Any, Expr]
    arguments: dict[Expr, str]
    where: dict[Expr, Expr]

    @cached_property
    def derived(self) -> dict[Expr, tuple[Expr, Expr]]:
        """The arguments that follow from others: an element of each, and what that is."""
        known = {getattr(key, "base", key): (key, d) for key, d in self.where.items()}
        bases = {key: getattr(key, "base", key) for key in self.arguments}
        return {key: known[base] for key, base in bases.items() if base in known}

    @cached_property
    def hidden(self) -> list[Expr]:
        """What the arguments that follow from others are made of, and is no argument itself."""
        known = {*self.arguments, *(getattr(key, "base", key) for key in self.where)}
        lengths = {end for e in self.where.values() for s in e.atoms(Sum) for *_, end in s.limits}
        found = {
            node
            for _, definition in self.derived.values()
            for node in definition.atoms(IndexedBase) | _numbers(definition)
        }
        return sorted(found - known - lengths, key=str)

    @cached_property
    def inputs(self) -> dict[Expr, str]:
        """What all else follows from, by name: arguments, and what is hidden behind some."""
        given = {key: name for key, name in self.arguments.items() if key not in self.derived}
        taken = {*self.arguments.values(), *self.names}
        hidden = {key: str(key) for key in self.hidden}
        return given | {k: f"{v}_" if v in taken else v for k, v in hidden.items()}

    @cached_property
    def definitions(self) -> dict[Expr, Expr]:
        """What `where` names, and each further power of something with a sum in it."""
        exprs = [abbreviate(expr, self.where) for expr in self.outputs.values()]
        named = dict(self.where)
        for number, (base, root) in enumerate(_compound_powers(exprs).items()):
            indices, name = free_indices(base), "r" if number == 0 else f"r_{number + 1}"
            taken = {str(getattr(key, "base", key)) for key in [*named, *self.arguments]}
            name = name if name not in taken else f"q_{number + 1}"
            key = IndexedBase(name)[tuple(indices)] if indices else Symbol(name)
            named[key] = base**root
        return named

    @cached_property
    def short(self) -> dict[Any, Expr]:
        """The outputs, abbreviated."""
        return {key: abbreviate(expr, self.definitions) for key, expr in self.outputs.items()}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the outputs are called."""
        return tuple(str(getattr(key, "base", key)) for key in self.outputs)

    @cached_property
    def signature(self) -> str:
        """The names of the arguments, in order."""
        return ", ".join(self.arguments.values())

    @cached_property
    def labels(self) -> list[str]:
        """The names of all indices."""
        keys = [k for k in (*self.arguments, *self.definitions) if isinstance(k, Indexed)]
        return labels_of([*self.short.values(), *self.definitions.values(), *keys])

    @cached_property
    def axes(self) -> dict[Expr, tuple[Axis, ...]]:
        """The axes of each array: those that an index has in common are the same."""
        found = _axes(
            [*self.outputs.values()],
            {key: d for key, d in self.where.items() if isinstance(key, Indexed)},
        )
        rows = _rows_of(found)
        count = rows if rows is None or isinstance(rows, Symbol) else ROWS
        return {b: tuple(count if a == rows else a for a in axes) for b, axes in found.items()}

    @cached_property
    def rows(self) -> Axis | None:
        """The axis that stands for any number of leading ones, if there is such an axis."""
        return _rows_of(self.axes)

    @cached_property
    def column(self) -> Axis | None:
        """The last axis of the arrays with rows, or the one of a layer without rows."""
        ends = [axes[-1] for axes in self.axes.values() if axes and axes[-1] != self.rows]
        return ends[0] if ends else None

    @cached_property
    def cotangents(self) -> set[Expr]:
        """The arguments with rows that each output is linear in, where it depends on them."""
        return {
            base
            for base, axes in self.axes.items()
            if (self.rows is None or self.rows in axes)
            and base in self.inputs
            and all(_linear(expr, base) for expr in self.outputs.values())
        }

    @cached_property
    def truth(self) -> Any:
        """The printed function of the arguments that do not follow from others."""
        return function(self.outputs, self.inputs, self.where)

    @cached_property
    def lengths(self) -> set[Symbol]:
        """The symbols that are lengths of axes."""
        return {axis for axes in self.axes.values() for axis in axes if isinstance(axis, Symbol)}

    def arrays(self, values: Mapping[Expr, Any]) -> Arrays:
        """Return what expressions come to with the arguments `values`, in float64."""
        flat: dict[Expr, Any] = {}
        for key, value in values.items():
            if key in self.derived:
                continue
            axes = self.axes.get(key)
            if axes is None:
                flat[key] = value
                continue
            array = np.asarray(value, dtype=np.float64)
            if self.rows is not None and axes[0] == self.rows:
                array = array.reshape(-1, *array.shape[array.ndim - len(axes) + 1 :])
            elif self.rows is None and array.ndim > len(axes):
                array = array.reshape(-1, array.shape[-1])[0]
            flat[key] = array
            flat |= {
                axis: float(length)
                for axis, length in zip(axes, array.shape, strict=True)
                if isinstance(axis, Symbol)
            }
        return Arrays(self.labels, flat, self.definitions)

    def indices(self, key: Any) -> tuple[Expr, ...]:
        """Return the free indices of an output, in the order of its axes."""
        return self._indices[key]

    @cached_property
    def _indices(self) -> dict[Any, tuple[Expr, ...]]:
        found: dict[Any, tuple[Expr, ...]] = {}
        for key, expr in self.outputs.items():
            leading = {n.indices[0] for n in expr.atoms(Indexed) if len(n.indices) > 1}
            free = sorted(free_indices(expr), key=lambda s: (s not in leading, str(s)))  # noqa: B023
            found[key] = tuple(key.indices) if isinstance(key, Indexed) else tuple(free)
        return found


def layer_of(outputs: Any, arguments: Any, where: Any) -> Layer:
    """Return the layer of the three arguments of `source`, which refuses what it must."""
    outputs = as_expressions(outputs, "the outputs", "{'dx': dx}")
    arguments = dict(as_mapping(arguments, "the arguments", "{x: 'x'}"))
    where = as_expressions({} if where is None else where, "the definitions", "{r: rms()}")
    layer = Layer(*_in_rows(dict(outputs), arguments, dict(where)))
    layer.truth  # noqa: B018  what cannot be printed is refused here
    unknown = [k for k in arguments if isinstance(k, Indexed) and k not in layer.derived]
    if unknown:
        raise Refused(
            f"{unknown[0]} in the arguments is neither a base nor a symbol: say in where what it "
            f"is, as in {{{unknown[0]}: 1/rms(b)}}, or give the base."
        )
    return layer


def _in_rows(outputs: Any, arguments: Any, where: Any) -> tuple[Any, Any, Any]:
    """Give every element of a layer of one row an index of rows, where all arrays have that row.

    Where there are more than a cotangent and an input, some may be the same for every row: then
    the layer is that of one row.
    """
    exprs = [*outputs.values(), *where.values()]
    elements = {node for expr in exprs for node in expr.atoms(Indexed)}
    bases = {node.base for node in elements} & {*arguments}
    if len(bases) > 2 or not bases or any(len(node.indices) > 1 for node in elements):
        return outputs, arguments, where
    if any(len(free_indices(expr)) != 1 or isinstance(key, Indexed) for key, expr in outputs.items()):
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


def _compound_powers(exprs: Sequence[Expr]) -> dict[Expr, Expr]:
    """Return what is divided by or has a root, and has a sum in it: base and the power to name."""
    found: dict[Expr, Expr] = {}
    for expr in exprs:
        for node in sorted(expr.atoms(Pow), key=lambda p: p.count_ops()):
            if node.base.has(Sum) and (node.exp.is_negative or not node.exp.is_integer):
                part = Pow(2, -1) if node.exp.is_integer is False else Pow(1, 1)
                known = next((b for b in found if _same(b, node.base)), node.base)
                found[known] = min(found.get(known, part), part)
    return found


def _numbers(expr: Expr) -> set[Expr]:
    """Return the symbols in `expr` that are no indices."""
    indices = {s for node in expr.atoms(Indexed) for i in node.indices for s in i.free_symbols}
    bases = {s for base in expr.atoms(IndexedBase) for s in base.free_symbols}
    return {s for s in expr.free_symbols if isinstance(s, Symbol)} - indices - bases


def _same(left: Expr, right: Expr) -> bool:
    a, b = free_indices(left), free_indices(right)
    names = dict(zip(b, a, strict=False))
    return len(a) == len(b) and anonymous(left) == anonymous(freshen(right).xreplace(names))


def _rows_of(axes_of: Mapping[Expr, tuple[Axis, ...]]) -> Axis | None:
    many = [axes for axes in axes_of.values() if len(axes) > 1]
    first = {axes[0] for axes in many}
    if len(first) != 1 or any(len(axes) > 2 or axes[1] in first for axes in many):
        return None
    return first.pop()


def _linear(expr: Expr, base: Expr) -> bool:
    """Whether `expr` is linear in the array `base`, where it depends on it."""
    if not expr.has(base):
        return True
    if isinstance(expr, Add):
        return all(_linear(arg, base) for arg in expr.args)
    if isinstance(expr, Mul):
        with_base = [arg for arg in expr.args if arg.has(base)]
        return len(with_base) == 1 and _linear(with_base[0], base)
    if isinstance(expr, Sum):
        return _linear(expr.function, base)
    return isinstance(expr, Indexed) and expr.base == base


def _axes(exprs: Sequence[Expr], definitions: Mapping[Expr, Expr]) -> dict[Expr, tuple[Axis, ...]]:
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
    return {
        base: tuple(root((base, at)) for at in range(count)) for base, count in counts.items()
    }


def parts_of(expr: Expr) -> Iterator[Expr]:
    """Yield the terms of `expr`, those without a sum first."""
    terms = Add.make_args(expr)
    yield from sorted(
        terms, key=lambda t: (t.has(Sum), bool(t.could_extract_minus_sign()), t.count_ops(), str(t))
    )
