"""A program as passes over a row, which is how a fused kernel computes it.

A sum along a row is one deeper than what it adds up, and each depth needs a pass of its own; all
else is done in the first pass that can. Sums over the rows are added up in parts.
"""

from collections.abc import Iterable, Mapping

from sympy import Symbol, cos, cosh, erf, exp, log, sin, sinh, tan, tanh

from rmsnorm_math.codegen.kernels.flat import NUMBER, ROW, TILE, WEIGHT, Flat, Line
from rmsnorm_math.codegen.kernels.plan import Pass, Plan, used
from rmsnorm_math.codegen.nodes import Logistic, Softplus
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.errors import Refused

COSTLY = (exp, log, tanh, sin, cos, tan, sinh, cosh, erf, Logistic, Softplus)


def planned(program: Program, *, keep: bool = True) -> Plan:
    """Return `program` as passes over rows, or raise `Refused` with the reason why it has none.

    With `keep`, elements that take long to compute are kept for later passes.
    """
    flat = Flat(program)
    roles, lines = flat.roles, flat.lines
    late = _late(lines)
    wide = [result for result in program.results if len(result.axes) == 2]
    for line in lines:
        if (line.name in late and not line.over and roles[line.name] in (TILE, ROW)) or (
            line.over and line.along and late & used([line])
        ):
            raise Refused(_twice(line.name, late & used([line])))
    for result in wide:
        if result.name in late:
            raise Refused(_twice(result.label, {result.name}))
        if result.axes != (flat.row, flat.column):
            raise Refused(
                f"{result.label} is transposed: a row kernel writes what it reads in order."
            )
    depth = _depths(lines)
    of_row = [
        x for x in lines if not x.over and roles[x.name] in (ROW, NUMBER) and x.name not in late
    ]
    elements = {
        x.name: x
        for x in lines
        if not x.over and roles[x.name] in (TILE, WEIGHT) and x.name not in late
    }
    sums = [x for x in lines if x.over and x.along]
    parts = [x for x in lines if x.over and not x.along and roles[x.name] == WEIGHT]
    written = [Line(result.label, Symbol(result.name)) for result in wide]
    level = {
        x: max((depth.get(name, 0) for name in used([x])), default=0)
        for x in (*sums, *parts, *written)
    }
    groups = [
        [tuple(x for x in kind if level[x] == k) for kind in (sums, parts, written)]
        for k in range(max(level.values(), default=0) + 1)
    ]
    needed = [_needed([x for kind in group for x in kind], elements) for group in groups]
    kept = tuple(
        name
        for name, line in elements.items()
        if keep and line.expr.has(*COSTLY) and sum(name in names for names in needed) > 1
    )
    passes: list[Pass] = []
    seen: set[str] = set()
    for k, group in enumerate(groups):
        wanted = [x for kind in group for x in kind]
        names = _needed(wanted, {n: x for n, x in elements.items() if n not in seen})
        own = tuple(x for n, x in elements.items() if n in names)
        again = tuple(name for name in kept if name in seen & used([*wanted, *own]))
        before = tuple(x for x in of_row if depth[x.name] == k)
        passes.append(Pass(before, again, own, *group))
        seen |= {*kept} & names
    given = {result.name for result in program.results}
    return Plan(
        program=program,
        row=flat.row,
        column=flat.column,
        roles=roles,
        passes=tuple(passes),
        after=tuple(x for x in of_row if depth[x.name] >= len(groups)),
        parts=tuple(x for x in lines if x.over and not x.along and roles[x.name] == NUMBER),
        last=tuple(
            x
            for x in lines
            if not x.over and (x.name in late or (x.name in given and roles[x.name] == WEIGHT))
        ),
        kept=kept,
    )


def _twice(name: str, sums: set[str]) -> str:
    return (
        f"{name} needs {', '.join(sorted(sums))}, a sum over all rows, for each row: that is a "
        f"second way over the whole array, and a row kernel goes over it once."
    )


def _late(lines: list[Line]) -> set[str]:
    """Return what is known when all rows are done."""
    late: set[str] = set()
    for line in lines:
        if (line.over and not line.along) or late & used([line]):
            late.add(line.name)
    return late


def _depths(lines: list[Line]) -> dict[str, int]:
    """Return after how many passes a value is known."""
    depth: dict[str, int] = {}
    for line in lines:
        own = max((depth.get(name, 0) for name in used([line])), default=0)
        depth[line.name] = own + bool(line.over and line.along)
    return depth


def _needed(lines: Iterable[Line], elements: Mapping[str, Line]) -> set[str]:
    """Return the names of the elements that lines are made of, directly or not."""
    found: set[str] = set()
    left = [*lines]
    while left:
        names = used([left.pop()]) & {*elements} - found
        found |= names
        left += [elements[name] for name in names]
    return found
