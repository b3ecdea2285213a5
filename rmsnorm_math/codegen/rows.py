"""A program as passes over a row, which is how a fused kernel computes it.

A sum along a row is one deeper than what it adds up, and each depth needs a pass of its own; all
else is done in the first pass that can. Sums over the rows are added up in parts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sympy import Symbol, cos, cosh, erf, exp, log, sin, sinh, tan, tanh

from rmsnorm_math.codegen.flat import NUMBER, PLACE, ROW, TILE, WEIGHT, Flat, Line
from rmsnorm_math.codegen.nodes import Logistic, Softplus
from rmsnorm_math.codegen.program import Program
from rmsnorm_math.errors import Refused

COSTLY = (exp, log, tanh, sin, cos, tan, sinh, cosh, erf, Logistic, Softplus)


@dataclass(frozen=True)
class Pass:
    """One way along a row.

    Attributes
    ----------
    before
        Values of the row that are known before it.
    again
        Elements that an earlier pass kept.
    lines
        What is computed for each element.
    sums
        Over the row.
    parts
        Over the rows, for each element.
    results
        What is written, ``label = expr``.
    """

    before: tuple[Line, ...]
    again: tuple[str, ...]
    lines: tuple[Line, ...]
    sums: tuple[Line, ...]
    parts: tuple[Line, ...]
    results: tuple[Line, ...]

    def inputs(self) -> set[str]:
        """Return the names that stand in it, but for those that it computes."""
        every = (*self.lines, *self.sums, *self.parts, *self.results)
        used = {symbol.name for line in every for symbol in line.expr.free_symbols}
        return used - {line.name for line in self.lines}


@dataclass(frozen=True)
class Rows:
    """A program for rows.

    Attributes
    ----------
    program
        What it was made of.
    row, column
        The axes of rows and of a row's elements.
    roles
        What each name stands for: `TILE`, `WEIGHT`, `ROW` or `NUMBER`.
    passes
        In order.
    after
        Values of a row that are known after the last pass.
    parts
        Sums over the rows of one value a row.
    last
        What is made of sums over the rows.
    kept
        Elements that are kept for a later pass, since they take long to compute.
    """

    program: Program
    row: Symbol
    column: Symbol
    roles: dict[str, str]
    passes: tuple[Pass, ...]
    after: tuple[Line, ...]
    parts: tuple[Line, ...]
    last: tuple[Line, ...]
    kept: tuple[str, ...]

    def parameters(self) -> list[str]:
        """Return the names of the parameters that are used, in order."""
        lines = [*self.after, *self.parts, *self.last]
        for one in self.passes:
            lines += [*one.before, *one.lines, *one.sums, *one.parts, *one.results]
        return [p.name for p in self.program.parameters if p.name in _used(lines)]

    def named(self, role: str) -> list[str]:
        """Return the parameters of a role that are used, in order."""
        return [name for name in self.parameters() if self.roles[name] == role]

    def length(self, name: str, rows: str, columns: str) -> str:
        """Return how the length of an axis is called, or the name itself if it is none."""
        axes = {size.name: axis for size, axis in self.program.lengths.items()}
        return {self.row: rows, self.column: columns}.get(axes.get(name), name)

    def refuse_names(self, reserved: set[str]) -> None:
        """Raise if a name would stand for two things in the code."""
        lengths = {PLACE.name, *(size.name for size in self.program.lengths)}
        for name in {*self.roles, *(result.label for result in self.program.results)} - lengths:
            if name in reserved or name.endswith("_") or name.startswith(("out_", "sum_", "_")) or name.endswith(("_ptr", "_row", "_col", "_out")):
                raise Refused(
                    f"{name} has a meaning of its own in a row kernel: call it otherwise."
                )

    def results(self, role: str) -> dict[str, str]:
        """Return the results of a role, ``{label: name}``."""
        found = {}
        for result in self.program.results:
            own = {0: NUMBER, 2: TILE}.get(len(result.axes), self.roles[result.name])
            if own == role:
                found[result.label] = result.name
        return found

    def sums_over_rows(self) -> list[Line]:
        """Return all sums over the rows: those of elements, then those of values of a row."""
        return [*(line for one in self.passes for line in one.parts), *self.parts]


def rows(program: Program, *, keep: bool = True) -> Rows:
    """Return `program` as passes over rows, or raise `Refused` with the reason why it has none.

    With `keep`, elements that take long to compute are kept for later passes.
    """
    flat = Flat(program)
    roles, lines = flat.roles, flat.lines
    late = _late(lines)
    wide = [result for result in program.results if len(result.axes) == 2]
    for line in lines:
        if (line.name in late and not line.over and roles[line.name] in (TILE, ROW)) or (
            line.over and line.along and late & _used([line])
        ):
            raise Refused(_twice(line.name, late & _used([line])))
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
        x: max((depth.get(name, 0) for name in _used([x])), default=0)
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
    passes, seen = [], set()
    for k, group in enumerate(groups):
        wanted = [x for kind in group for x in kind]
        names = _needed(wanted, {n: x for n, x in elements.items() if n not in seen})
        own = tuple(x for n, x in elements.items() if n in names)
        again = tuple(name for name in kept if name in seen & _used([*wanted, *own]))
        before = tuple(x for x in of_row if depth[x.name] == k)
        passes.append(Pass(before, again, own, *group))
        seen |= {*kept} & names
    given = {result.name for result in program.results}
    return Rows(
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


def _used(lines: Iterable[Line]) -> set[str]:
    return {symbol.name for line in lines for symbol in line.expr.free_symbols}


def _late(lines: list[Line]) -> set[str]:
    """Return what is known when all rows are done."""
    late: set[str] = set()
    for line in lines:
        if (line.over and not line.along) or late & _used([line]):
            late.add(line.name)
    return late


def _depths(lines: list[Line]) -> dict[str, int]:
    """Return after how many passes a value is known."""
    depth: dict[str, int] = {}
    for line in lines:
        own = max((depth.get(name, 0) for name in _used([line])), default=0)
        depth[line.name] = own + bool(line.over and line.along)
    return depth


def _needed(lines: Iterable[Line], elements: Mapping[str, Line]) -> set[str]:
    """Return the names of the elements that lines are made of, directly or not."""
    found: set[str] = set()
    left = [*lines]
    while left:
        names = _used([left.pop()]) & {*elements} - found
        found |= names
        left += [elements[name] for name in names]
    return found
