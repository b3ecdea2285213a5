"""A program in blocks of rows: loops over them, and what their sums over all rows are used for."""

from collections import defaultdict
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


def taken_in(recorded: Program) -> set[str]:
    """Return the names that the code of a program has already."""
    names = {p.name for p in recorded.parameters} | {s.name for s in recorded.statements}
    return {*MODULES, *names, *map(str, recorded.lengths)}


def rows_of(recorded: Program, output: str) -> Symbol:
    """Return the axis of rows: that of the batch, or the first of the output or its cotangent."""
    arrays = {p.name: p.axes for p in recorded.parameters if p.axes}
    arrays |= {r.name: r.axes for r in recorded.results if r.axes}
    shown = [arrays[n] for n in (output, f"d{output}") if n in arrays]
    longest = max(arrays.values(), key=len, default=())
    first = recorded.batch or next(iter([*shown, longest][0]), None)
    if not any(p.axes[:1] == (first,) for p in recorded.parameters):
        raise Refused("there are no rows to work on in blocks: leave out blocks=True.")
    return first


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
    places = [s for s in recorded.statements if isinstance(s.expr, Position)]
    lines = {n: s for n, s in lines.items() if s not in places}
    given = [*(p.name for p in recorded.parameters if rows in p.axes), *(s.name for s in places)]
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
                kept = binds or other in gives[level[other]]
                if other in given or (kept and level[other] < at):
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
    steps: list[Loop | Statement] = [*places]
    for at in range(last + 2):
        between = [n for n in lines if level[n] == at and n not in {*summed, *in_rows}]
        steps += [*(lines[n] for n in between), *([loops[at]] if at in loops else [])]
    return recorded, steps


def _over(node: Basic) -> tuple[Symbol, ...]:
    return node.over if isinstance(node, BINDERS) else ()


def _apart(recorded: Program, rows: Symbol) -> Program:
    """Return the program with each sum over rows on a line of its own, and no mean over them."""
    taken = taken_in(recorded)
    sizes = {axis: size for size, axis in recorded.lengths.items()}
    lines: list[Statement] = []
    known: dict[Expr, str] = {}

    def place(node: Position) -> Expr:
        """Return the element of an array of the places of all rows."""
        if node not in known:
            known[node] = fresh("places", taken)
            lines.insert(0, Statement(known[node], (rows,), node))
        return element(known[node], (rows,))

    def size(axis: Symbol) -> Symbol:
        if axis not in sizes:
            name = fresh("rows" if axis == rows else f"n_{axis}", taken)
            sizes[axis] = Symbol(name, integer=True, positive=True)
        return sizes[axis]

    def lifted(node: Basic) -> Basic:
        if isinstance(node, Indexed | Position):
            return place(node) if node.args[0] == rows else node
        if rows not in _over(node):
            return rebuilt(node, map(lifted, node.args))
        total = (Total if isinstance(node, Mean) else node.func)(*map(lifted, node.args))
        axes = in_order(axes_of(total), recorded.axes)
        if total not in known:
            known[total] = fresh("total", taken)
            names = first_names(axes)
            value = rename(total, names)
            lines.append(Statement(known[total], tuple(names.values()), value))
        lengths = (size(family(a)) for a in node.over) if isinstance(node, Mean) else ()
        return element(known[total], axes) / Mul(*lengths)

    for s in recorded.statements:
        sums = rows in _over(s.expr) and not isinstance(s.expr, Mean)
        expr = rebuilt(s.expr, map(lifted, s.expr.args)) if sums else lifted(s.expr)
        lines.append(replace(s, expr=expr))
    return replace(
        recorded, statements=tuple(lines), lengths={size: axis for axis, size in sizes.items()}
    )


def _refuse(recorded: Program, rows: Symbol) -> None:
    """Raise if a row meets other rows otherwise than in a sum."""
    nodes = {node for s in recorded.statements for node in parts(s.expr)}
    axes = {axis for node in nodes for axis in axes_of(node)}
    arrays = [p.axes for p in recorded.parameters] + [r.axes for r in recorded.results]
    if any(family(axis) == rows != axis for axis in axes):
        reason = "a row's result needs other rows one by one"
    elif any(isinstance(n, Largest) and rows in n.over for n in nodes):
        reason = "the largest of other rows is needed"
    elif any(rows in a[1:] for a in arrays):
        reason = f"{rows} is not the first axis of all arrays that have it"
    else:
        return
    raise Refused(f"there is no code in blocks of rows: {reason}. Leave out blocks=True.")
