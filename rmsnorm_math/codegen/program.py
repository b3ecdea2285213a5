"""What is computed, recorded apart from how it is spelled.

A program is a list of statements over named arrays. Every array has named axes, in order; the
expression of a statement is a SymPy expression in index notation, made of

- elements of arrays, ``x[b, i]``: an `Indexed` whose base is named as in the code and whose
  indices are the program's axes; a plain `Symbol` is an array without axes, a number;
- lengths of axes: the symbols in `Program.lengths`;
- `Total`, `Mean` and `Largest`, which reduce their first argument over the axes that follow;
- `Contraction`, the sum over axes of a product of two arrays, neither of which has all the axes
  of the other: a matrix product;
- `Position`, the place along an axis, in comparisons such as ``Position(k, 1) <= Position(i, 1)``
  and ``Eq(Position(k, 1), label[b])``;
- `Logistic` and `Softplus`, which stand for what would overflow;
- and elementwise everything else: arithmetic, functions, `Piecewise`, comparisons.

The operands of a reduction or contraction hold no other one: that has a statement of its own.
An axis that a reduction binds may have the name of one outside it, as in ``x[i] - Mean(x[i], i)``;
``i_2`` is a second axis along with ``i``, as long. Printers spell statements; none of them decides
what is computed.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from sympy import Expr, Indexed, Symbol

from rmsnorm_math.abbreviation import abbreviate
from rmsnorm_math.codegen.build import label_of, lower
from rmsnorm_math.codegen.contract import note_less_one
from rmsnorm_math.codegen.hoist import Hoister
from rmsnorm_math.codegen.join import joined
from rmsnorm_math.codegen.lines import numbered, ordered, settled
from rmsnorm_math.codegen.means import means
from rmsnorm_math.codegen.names import is_name, refuse_names
from rmsnorm_math.codegen.nodes import Axes, Position, another, axes_of
from rmsnorm_math.codegen.order import Lowered
from rmsnorm_math.codegen.powers import together
from rmsnorm_math.codegen.read import ROWS
from rmsnorm_math.codegen.record import Key, Parameter, Program, Result, Statement
from rmsnorm_math.codegen.share import share
from rmsnorm_math.codegen.softmax import shifted
from rmsnorm_math.codegen.stable import stable_lines
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import base_of, depends, nodes
from rmsnorm_math.inputs import as_expressions, as_mapping
from rmsnorm_math.refusals import refuse_expression

Items = tuple[tuple[Key, Expr], ...]


def program(
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    alike: Iterable[Expr] = (),
    rows: bool = True,
) -> Program:
    """Return what `source` prints, with the same arguments; it raises what that raises.

    What indices in `alike` stand at are the same axes, which the outputs need not show. Without
    `rows`, arrays that are written with one index have that axis alone.
    """
    outputs = as_expressions(outputs, "the outputs", "{'dx': dx}")
    arguments = as_mapping(arguments, "the arguments", "{x: 'x'}")
    where = as_expressions({} if where is None else where, "the definitions", "{r: rms()}")
    _refuse(outputs, arguments, where)
    given = (tuple(mapping.items()) for mapping in (outputs, arguments, where))
    return _program(*given, tuple(alike), rows)


@lru_cache(maxsize=16)  # the same program is asked for again, for another framework
def _program(
    outputs: Items,
    arguments: tuple[tuple[Expr, str], ...],
    where: Items,
    alike: tuple[Expr, ...],
    rows: bool,
) -> Program:
    definitions = dict(where)
    short = {key: abbreviate(expr, definitions) for key, expr in outputs}
    needed = _needed(definitions, short)
    shown = {f"alike {at}": expr for at, expr in enumerate(alike)}
    whole = {**dict(outputs), **definitions, **shown}
    lowered = lower(short, dict(arguments), needed, whole, rows)
    try:
        return _recorded(lowered, short)
    except Refused:  # rows on one axis may stand beside an array of columns by columns
        if lowered.batch in (None, ROWS):
            raise
        lowered = lower(short, dict(arguments), needed, whole, rows)
        lowered.batch = None
        return _recorded(lowered, short)


def _refuse(
    outputs: Mapping[Any, Expr], arguments: Mapping[Expr, str], where: Mapping[Expr, Expr]
) -> None:
    if not outputs:
        raise Refused("there are no outputs: give at least one, as in {'dx': dx}.")
    for key in (*outputs, *where):
        if not isinstance(key, Symbol | Indexed) and not (isinstance(key, str) and key in outputs):
            raise Refused(f"{key} is no key: write a symbol, or an element such as xhat[i].")
    named = [text for text in map(str, map(base_of, where)) if is_name(text)]
    refuse_names([*arguments.values(), *map(label_of, outputs), *named])
    for expr in outputs.values():
        refuse_expression(expr)
    keys = list(where)
    for number, key in enumerate(keys):
        for later in keys[number:]:
            if depends(where[key], later):
                raise Refused(f"{key} is defined by {later}: define {later} before it.")


def _needed(where: Mapping[Expr, Expr], exprs: Mapping[Key, Expr]) -> dict[Expr, Expr]:
    """Return the definitions that `exprs` use, each in terms of those before it."""
    needed: dict[Expr, Expr] = {}
    for number, key in reversed(list(enumerate(where))):
        if any(base_of(key) in set(nodes(expr)) for expr in [*exprs.values(), *needed.values()]):
            earlier = dict(list(where.items())[:number])
            needed[key] = abbreviate(where[key], earlier)
    return dict(reversed(needed.items()))


def _recorded(lowered: Lowered, outputs: Mapping[Key, Expr]) -> Program:
    written = stable_lines(lowered.definitions, lowered.outputs)
    note_less_one(lowered.notes, (expr for lines in written for _, _, expr in lines))
    definitions, outputs_, made, scaled = shifted(*written, lowered.sort, lowered.taken)
    definitions, outputs_ = (
        [(name, axes, together(expr)) for name, axes, expr in lines]
        for lines in (definitions, outputs_)
    )
    hoister = Hoister(lowered)
    for name, axes, expr in means(ordered(definitions + outputs_, made), lowered.sizes):
        own = axes_of(expr)
        hoister.add(name, axes if own == {*axes} else lowered.sort(own), expr)
    for _, _, expr in hoister.lines:
        if hoister.excess([expr]) > 0:
            raise Refused(_too_large(expr))
    given = {name for name, _, _ in (*lowered.definitions, *lowered.outputs)}
    new = {name for name, _, _ in hoister.lines} - given
    lines = joined(hoister.lines, new, lowered.sort, lowered.taken)
    lines = share(lines, lowered.sort, lowered.taken)
    results = {name for name, _, _ in lowered.outputs}
    new = {name for name, _, _ in lines} - given
    lines, values = settled(lines, new, results, given - results)
    kept = given | {name for name, *_ in lowered.parameters}
    lines = numbered(lines, new - results, kept | {size.name for size in lowered.sizes.values()})

    def renamed(label: str, axes: Axes) -> Axes:
        names = hoister.names[label]
        rest = [axis for axis in axes if axis not in names]
        return tuple(names.get(a) or another(a, {*names.values()} | {*rest} - {a}) for a in axes)

    used = set().union(*(expr.free_symbols for _, _, expr in lines)) if lines else set()
    return Program(
        parameters=tuple(Parameter(*entry) for entry in lowered.parameters),
        lengths={size: axis for axis, size in lowered.sizes.items() if size in used},
        statements=tuple(Statement(*line) for line in lines),
        results=tuple(
            Result(label, values.get(label, label), renamed(label, axes))
            for label, axes, _ in lowered.outputs
        ),
        batch=lowered.batch,
        axes=tuple(lowered.order),
        formulas=tuple(outputs.items()),
        notes=tuple(lowered.notes),
        sizes=lowered.sizes,
        scaled=scaled,
    )


def _too_large(expr: Expr) -> str:
    def size(node: Expr) -> tuple[int, bool, int]:
        return len(axes_of(node)), not node.has(Position), -node.count_ops()

    largest = max(expr.atoms(Expr) | {expr}, key=size)
    axes = sorted(axis.name for axis in axes_of(largest) - {ROWS})
    one = min((axis.name for axis in axes_of(expr) - {ROWS}), default=axes[0])
    rows = {e: e.base[e.indices[1:]] for e in largest.atoms(Indexed) if e.indices[0] == ROWS}
    what = "What a condition chooses" if largest.has(Position) else largest.xreplace(rows)
    return (
        f"{what} does not come apart into sums over one index each: it needs an array with the "
        f"axes {', '.join(axes)}, which is larger than what is passed and returned. Print it for "
        f"one {one}, with what stands at {one} as an argument without that index, and map the "
        f"function over them, as jax.vmap and torch.func.vmap do."
    )
