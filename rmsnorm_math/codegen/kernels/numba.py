"""A row kernel in Numba: one loop over the rows, a chunk of a row at a time."""

from sympy import Expr, Pow, Symbol

from rmsnorm_math.codegen.kernels.flat import NUMBER, PLACE, ROW, TILE, WEIGHT, Line
from rmsnorm_math.codegen.kernels.languages import PYTHON
from rmsnorm_math.codegen.kernels.numba_call import wrapper
from rmsnorm_math.codegen.kernels.plan import Pass, Plan
from rmsnorm_math.codegen.kernels.text import indented, listed
from rmsnorm_math.codegen.nodes import Largest, Mean

HEAD = """\
import math

import numba
import numpy as np

CHUNK = 256  # elements whose sum is in the type of the arrays, before it is float64
ROWS = 16  # rows a task; a sum over rows has one part a task: it does not depend on the threads
SMALL = 2**16  # elements below which a second thread costs more than it brings
OPTIONS = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy", "nogil": True}
"""
RESERVED = {
    *("CHUNK", "OPTIONS", "ROWS", "SMALL", "T", "given", "j", "kind", "math", "n", "np", "numba"),
    *(
        "part",
        "row",
        "rows",
        "shape",
        "start",
        "task",
        "abs",
        "float",
        "len",
        "max",
        "min",
        "range",
    ),
}


class Numba:
    """The text of a kernel."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tiles, self.weights = plan.named(TILE), plan.named(WEIGHT)
        self.parts = {line.name: plan.roles[line.name] for line in plan.sums_over_rows()}
        self.outputs = {**plan.results(TILE), **plan.results(ROW)}

    def spell(self, expr: Expr, rows: bool = False) -> str:
        """Return an expression of elements, or of values of the row."""
        return PYTHON.spell(expr, self.of_row if rows else self.of_element, typed=not rows)

    def of_row(self, name: str) -> str:
        """Return how a value of the row is called."""
        return (
            f"{name}[row]" if name in self.plan.named(ROW) else self.plan.length(name, "rows", "n")
        )

    def of_element(self, name: str) -> str:
        """Return how an element is called in the loop over a chunk."""
        if name == PLACE.name:
            return "(start + j)"
        if name in self.tiles or name in self.weights or name in self.plan.kept:
            return f"{name}_[j]"
        if self.plan.roles[name] in (ROW, NUMBER):
            return f"{name}_"
        return name

    def kernel(self) -> list[str]:
        """Return the function that goes over the rows."""
        plan = self.plan
        arguments = plan.parameters()
        arguments += [f"out_{label}" for label in self.outputs] + [
            f"sum_{name}" for name in self.parts
        ]
        lines = ["rows, n = " + self.tiles[0] + ".shape", f"T = {self.tiles[0]}.dtype.type"]
        body = [line for one in plan.passes for line in self.one_pass(one)]
        body += [f"{line.name} = {self.spell(line.expr, rows=True)}" for line in plan.after]
        body += [
            f"out_{label}[row] = {self.spell(Symbol(name), rows=True)}"
            for label, name in plan.results(ROW).items()
        ]
        body += [
            f"sum_{line.name}[task] += {self.spell(line.expr, rows=True)}" for line in plan.parts
        ]
        kept = [f"{name} = np.empty(n, {self.tiles[0]}.dtype)" for name in plan.kept]
        loop = ["for row in range(task * ROWS, min(rows, (task + 1) * ROWS)):", *indented(body)]
        lines += ["for task in numba.prange((rows + ROWS - 1) // ROWS):", *indented([*kept, *loop])]
        return [*listed("def _rows(", arguments, "):"), *indented(lines)]

    def one_pass(self, one: Pass) -> list[str]:
        """Return what a pass along the row computes, a chunk at a time where sums need it."""
        plan, inputs = self.plan, one.inputs()
        chunked = [s for s in one.sums if s.over is not Largest and not self.squares(s)]
        by_chunk = bool(chunked) or PLACE.name in inputs
        part = "part" if by_chunk else ":"
        fresh = [line.name for line in one.lines if line.name in plan.kept]
        views = [f"{n}_ = {n}[row, {part}]" for n in self.tiles if n in inputs]
        views += [f"{n}_ = {n}[{part}]" for n in self.weights if n in inputs]
        views += [f"{n}_ = {n}[{part}]" for n in (*one.again, *fresh)]
        views += [f"{r.name}__ = out_{r.name}[row, {part}]" for r in one.results]
        views += [f"{p.name}__ = sum_{p.name}[task, {part}]" for p in one.parts]
        inner = [f"{self.of_element(x.name)} = {self.spell(x.expr)}" for x in one.lines]
        for s in one.sums:
            name = f"{s.name}__" if s in chunked else s.name
            text = self.wide(s) if self.squares(s) else self.spell(s.expr)
            inner.append(
                f"{name} = max({name}, {text})" if s.over is Largest else f"{name} += {text}"
            )
        inner += [f"{p.name}__[j] += {self.spell(p.expr)}" for p in one.parts]
        inner += [f"{r.name}__[j] = {self.spell(r.expr)}" for r in one.results]
        lines = [f"{line.name} = {self.spell(line.expr, rows=True)}" for line in one.before]
        typed = [n for n in sorted(inputs) if plan.roles[n] in (ROW, NUMBER)]
        lines += [f"{n}_ = T({self.of_row(n)})" for n in typed]
        lines += [f"{s.name} = {'T(-np.inf)' if s.over is Largest else '0.0'}" for s in one.sums]
        if by_chunk:
            views += [f"{s.name}__ = T(0)" for s in chunked]
            ends = [f"{s.name} += {s.name}__" for s in chunked]
            loop = ["for j in range(part.stop - start):", *indented(inner), *ends]
            chunk = ["part = slice(start, min(start + CHUNK, n))", *views, *loop]
            lines += ["for start in range(0, n, CHUNK):", *indented(chunk)]
        else:
            lines += [*views, "for j in range(n):", *indented(inner)]
        return lines + [f"{s.name} /= n" for s in one.sums if s.over is Mean]

    def squares(self, line: Line) -> bool:
        """Return whether what is added up may leave the range of float32: squares of an input."""
        powers = line.expr.atoms(Pow)
        return any(f.base.name in self.tiles for f in powers if f.exp == 2 and f.base.is_Symbol)

    def wide(self, line: Line) -> str:
        """Return what is added up, in float64."""

        def element(name: str) -> str:
            return f"np.float64({self.of_element(name)})"

        return PYTHON.spell(line.expr, element, typed=False)


def text(plan: Plan, name: str, docstring: str) -> str:
    """Return the source of a function `name` that runs the kernel."""
    plan.refuse_names(RESERVED | {name})
    compiled = ["_serial = numba.njit(**OPTIONS)(_rows)"]
    compiled += ["_parallel = numba.njit(parallel=True, **OPTIONS)(_rows)"]
    blocks = [
        HEAD.rstrip("\n").split("\n"),
        Numba(plan).kernel(),
        compiled,
        wrapper(plan, name, docstring),
    ]
    return "\n\n\n".join("\n".join(block) for block in blocks) + "\n"
