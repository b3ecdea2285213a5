"""What a row kernel does: passes along a row, and what stands before and after them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sympy import Symbol

from rmsnorm_math.codegen.kernels.flat import NUMBER, PLACE, ROW, TILE, WEIGHT, Line
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.errors import Refused


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
class Plan:
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
        return [p.name for p in self.program.parameters if p.name in used(lines)]

    def named(self, role: str) -> list[str]:
        """Return the parameters of a role that are used, in order."""
        return [name for name in self.parameters() if self.roles[name] == role]

    def shapes(self) -> dict[str, str]:
        """Return the shape of each parameter that is used, where the first tile's is `shape`."""
        column = {p.name for p in self.program.parameters if p.column}
        found = dict.fromkeys(self.named(TILE)[1:], "shape")
        found |= dict.fromkeys(self.named(WEIGHT), "shape[-1:]")
        of_row = {True: "(*shape[:-1], 1)", False: "shape[:-1]"}
        return found | {name: of_row[name in column] for name in self.named(ROW)}

    def length(self, name: str, rows: str, columns: str) -> str:
        """Return how the length of an axis is called, or the name itself if it is none."""
        axes = {size.name: axis for size, axis in self.program.lengths.items()}
        return {self.row: rows, self.column: columns}.get(axes.get(name), name)

    def refuse_names(self, reserved: set[str]) -> None:
        """Raise if a name would stand for two things in the code."""
        known = {PLACE.name, *(size.name for size in self.program.lengths)}
        labels = {result.label for result in self.program.results}
        for name in sorted(({*self.roles} | labels) - known):
            starts = name.startswith(("out_", "sum_", "keep_", "_"))
            ends = name.endswith(("_", "_ptr", "_row", "_col", "_out", "_in_memory"))
            if name in reserved or starts or ends:
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


def used(lines: Iterable[Line]) -> set[str]:
    """Return the names that stand in lines."""
    return {symbol.name for line in lines for symbol in line.expr.free_symbols}
