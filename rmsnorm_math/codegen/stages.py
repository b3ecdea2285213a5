"""A program in blocks of rows: loops over them, and what their sums over all rows are used for."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sympy import Basic, Expr, Indexed, Mul, Symbol

from rmsnorm_math.codegen.lines import names_in
from rmsnorm_math.codegen.names import MODULES, fresh
from rmsnorm_math.codegen.nodes import (
    BINDERS,
    Largest,
    Mean,
    Position,
    Total,
    axes_of,
    element,
    family,
    first_names,
    in_order,
    parts,
    rebuilt,
    rename,
)
from rmsnorm_math.codegen.record import Program, Statement
from rmsnorm_math.errors import Refused


@dataclass(frozen=True)
class Loop:
    """Statements for some rows at a time, of the arrays that it takes.

    The arrays in `rows` are put together again; those in `sums`, which have no rows, are added up.
    """

    takes: tuple[str, ...]
    statements: tuple[Statement, ...]
    rows: tuple[str, ...]
    sums: tuple[str, ...]


def rows_of(forward: Program) -> Symbol:
    """Return the axis of rows: that of the batch, or the first of the output."""
    if forward.batch is not None:
        return forward.batch
    axes = forward.results[0].axes or max((p.axes for p in forward.parameters), key=len)
    if not axes:
        raise Refused("there are no rows to work on in blocks: leave out blocks=True.")
    return axes[0]


def staged(recorded: Program, rows: Symbol) -> tuple[Program, list[Loop | Statement]]:
    """Return the program with each sum over rows on a line of its own, and its steps.

    A loop computes what it can: each sum over rows in the first that has what is summed, each
    result with rows likewise. What is elementwise is computed again in a later loop; sums along
    rows are kept for it. What has no rows stands between the loops.

    Raises
    ------
    ValueError
        If a row meets other rows otherwise than in a sum over all.
    """
    _refuse(recorded, rows)
    recorded = _apart(recorded, rows)
    lines = {s.name: s for s in recorded.statements}
    given = [p.name for p in recorded.parameters if rows in p.axes]
    uses = {n: {*names_in(s.expr)} & {*given, *lines} for n, s in lines.items()}
    summed = {n for n, s in lines.items() if rows in _over(s.expr)}
    in_rows = [n for n, s in lines.items() if rows in s.axes]
    level: dict[str, int] = dict.fromkeys(given, 0)
    for name in lines:
        level[name] = max((level[u] for u in uses[name]), default=0) + (name in summed)
    gives: dict[int, set[str]] = defaultdict(set)
    for name in summed:
        gives[level[name] - 1].add(name)
    for result in recorded.results:
        if result.name in in_rows:
            gives[level[result.name]].add(result.name)

    first = dict.fromkeys([*(r.name for r in recorded.results), *in_rows])

    def loop(at: int) -> Loop:
        """Return a loop, and let those before it give what it takes."""
        needed, takes, todo = set[str](), set[str](), [*gives[at]]
        while todo:
            name = todo.pop()
            needed.add(name)
            for other in uses[name] & {*given, *in_rows} - needed:
                binds = other in lines and lines[other].expr.has(*BINDERS)
                if other in given or (level[other] < at and (binds or other in gives[level[other]])):
                    takes.add(other)
                    gives[level[other]] |= {other} - {*given}
                else:
                    todo.append(other)
        return Loop(
            tuple(n for n in (*given, *lines) if n in takes),
            tuple(s for n, s in lines.items() if n in needed),
            tuple(n for n in first if n in gives[at] - summed),
            tuple(n for n in lines if n in gives[at] & summed),
        )

    last = max(gives, default=-1)
    loops = {at: loop(at) for at in range(last, -1, -1) if gives[at]}
    steps: list[Loop | Statement] = []
    for at in range(last + 2):
        between = [n for n in lines if level[n] == at and n not in {*summed, *in_rows}]
        steps += [*(lines[n] for n in between), *([loops[at]] if at in loops else [])]
    return recorded, steps


def _over(node: Basic) -> tuple[Symbol, ...]:
    return node.over if isinstance(node, BINDERS) else ()


def _apart(recorded: Program, rows: Symbol) -> Program:
    """Return the program with each sum over rows on a line of its own, and no mean over them."""
    taken = {*MODULES, *(p.name for p in recorded.parameters), *map(str, recorded.lengths)}
    taken |= {s.name for s in recorded.statements}
    sizes = {axis: size for size, axis in recorded.lengths.items()}
    lines: list[Statement] = []
    known: dict[Expr, str] = {}

    def size(axis: Symbol) -> Symbol:
        if axis not in sizes:
            name = fresh("rows" if axis == rows else f"n_{axis}", taken)
            sizes[axis] = Symbol(name, integer=True, positive=True)
        return sizes[axis]

    def lifted(node: Basic) -> Basic:
        if isinstance(node, Indexed | Position):
            return node
        if rows not in _over(node):
            return rebuilt(node, map(lifted, node.args))
        total = Total(*node.args) if isinstance(node, Mean) else node
        axes = in_order(axes_of(total), recorded.axes)
        if total not in known:
            known[total] = fresh("total", taken)
            names = first_names(axes)
            value = rename(total, names)
            lines.append(Statement(known[total], tuple(names.values()), value))
        lengths = (size(family(axis)) for axis in node.over) if total is not node else ()
        return element(known[total], axes) / Mul(*lengths)

    for s in recorded.statements:
        if isinstance(s.expr, Mean) or rows not in _over(s.expr):
            lines.append(replace(s, expr=lifted(s.expr)))
        else:
            lines.append(s)
    return replace(
        recorded, statements=tuple(lines), lengths={size: axis for axis, size in sizes.items()}
    )


def _refuse(recorded: Program, rows: Symbol) -> None:
    """Raise if a row's place counts, or it meets other rows otherwise than in a sum."""
    nodes = {node for s in recorded.statements for node in parts(s.expr)}
    axes = {axis for node in nodes for axis in axes_of(node)}
    arrays: Iterable[tuple[Symbol, ...]] = (
        *(p.axes for p in recorded.parameters),
        *(r.axes for r in recorded.results),
    )
    if any(family(axis) == rows != axis for axis in axes):
        reason = "a row's result needs other rows one by one"
    elif any(isinstance(n, Position) and n.args[0] == rows for n in nodes):
        reason = "a row's result needs its place among the rows"
    elif any(isinstance(n, Largest) and rows in n.over for n in nodes):
        reason = "the largest of other rows is needed"
    elif any(rows in a[1:] for a in arrays):
        reason = f"{rows} is not the first axis of all arrays that have it"
    else:
        return
    raise Refused(f"there is no code in blocks of rows: {reason}. Leave out blocks=True.")
