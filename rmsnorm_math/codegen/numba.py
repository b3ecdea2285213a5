"""A row kernel in Numba: one loop over the rows, a chunk of a row at a time."""

from sympy import Expr, Pow, Symbol

from rmsnorm_math.codegen.flat import NUMBER, PLACE, ROW, TILE, WEIGHT, Line
from rmsnorm_math.codegen.nodes import Largest, Mean
from rmsnorm_math.codegen.rows import Pass, Rows
from rmsnorm_math.codegen.scalar import PYTHON

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
    """The text of a kernel, and of the function that calls it."""

    def __init__(self, plan: Rows, name: str, docstring: str) -> None:
        self.plan, self.name, self.docstring = plan, name, docstring
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
        loop = ["for row in range(task * ROWS, min(rows, (task + 1) * ROWS)):", *_in(body)]
        lines += ["for task in numba.prange((rows + ROWS - 1) // ROWS):", *_in([*kept, *loop])]
        return [f"def _rows({', '.join(arguments)}):", *_in(lines)]

    def one_pass(self, one: Pass) -> list[str]:
        """Return what a pass along the row computes."""
        plan, roles = self.plan, self.plan.roles
        lines = [f"{line.name} = {self.spell(line.expr, rows=True)}" for line in one.before]
        inputs = one.inputs()
        lines += [
            f"{n}_ = T({self.of_row(n)})" for n in sorted(inputs) if roles[n] in (ROW, NUMBER)
        ]
        lines += [f"{s.name} = {'-np.inf' if s.over is Largest else '0.0'}" for s in one.sums]
        views = [f"{n}_ = {n}[row, part]" for n in self.tiles if n in inputs]
        views += [f"{n}_ = {n}[part]" for n in self.weights if n in inputs]
        fresh = [line.name for line in one.lines if line.name in plan.kept]
        views += [f"{n}_ = {n}[part]" for n in (*one.again, *fresh)]
        views += [f"{r.name}__ = out_{r.name}[row, part]" for r in one.results]
        views += [f"{p.name}__ = sum_{p.name}[task, part]" for p in one.parts]
        views += [f"{s.name}__ = {self.nothing(s)}" for s in one.sums]
        inner = [f"{self.of_element(x.name)} = {self.spell(x.expr)}" for x in one.lines]
        for s in one.sums:
            text = self.wide(s) if self.squares(s) else self.spell(s.expr)
            inner.append(
                f"{s.name}__ = max({s.name}__, {text})"
                if s.over is Largest
                else f"{s.name}__ += {text}"
            )
        inner += [f"{p.name}__[j] += {self.spell(p.expr)}" for p in one.parts]
        inner += [f"{r.name}__[j] = {self.spell(r.expr)}" for r in one.results]
        ends = [
            f"{s.name} = max({s.name}, {s.name}__)"
            if s.over is Largest
            else f"{s.name} += {s.name}__"
            for s in one.sums
        ]
        chunk = [
            "part = slice(start, min(start + CHUNK, n))",
            *views,
            "for j in range(part.stop - start):",
            *_in(inner),
            *ends,
        ]
        lines += ["for start in range(0, n, CHUNK):", *_in(chunk)]
        return lines + [f"{s.name} /= n" for s in one.sums if s.over is Mean]

    def squares(self, line: Line) -> bool:
        """Return whether what is added up may leave the range of float32: squares of an input."""
        return any(
            f.is_Pow and f.exp > 1 and f.base.name in self.tiles for f in line.expr.atoms(Pow)
        )

    def wide(self, line: Line) -> str:
        """Return what is added up, in float64."""
        return PYTHON.spell(
            line.expr, lambda name: f"np.float64({self.of_element(name)})", typed=False
        )

    def nothing(self, line: Line) -> str:
        """Return what the sum over a chunk begins with, in its type."""
        if self.squares(line):
            return "0.0"
        return f"T({'-np.inf' if line.over is Largest else 0})"

    def wrapper(self) -> list[str]:
        """Return the function that is called: it looks at shapes, and makes the results."""
        plan, first = self.plan, self.tiles[0]
        parameters = plan.program.parameters
        column = {p.name for p in parameters if p.column}
        wanted = {name: "shape" for name in self.tiles[1:]}
        wanted |= {name: "shape[-1:]" for name in self.weights}
        wanted |= {n: "(*shape[:-1], 1)" if n in column else "shape[:-1]" for n in plan.named(ROW)}
        checks = ", ".join(f'("{name}", {name}, {shape})' for name, shape in wanted.items())
        lines = [f"shape, given = np.shape({first}), np.asarray({first}).dtype"]
        lines += ["kind = np.result_type(given, np.float32)", 'if given.kind in "biucO":']
        lines += [
            f'    raise TypeError(f"{first} has dtype {{given}}: pass floating-point numbers")'
        ]
        if checks:
            lines += [f"for name, a, wanted in ({checks},):", "    if np.shape(a) != wanted:"]
            lines += [
                '        raise ValueError(f"{name} has the shape {np.shape(a)}, but must have {wanted}")'
            ]
        lines += ["rows, n = math.prod(shape[:-1]), shape[-1]"]
        lines += [
            f"{name} = np.ascontiguousarray({name}, kind).reshape(rows, n)" for name in self.tiles
        ]
        lines += [f"{name} = np.ascontiguousarray({name}, kind)" for name in self.weights]
        lines += [
            f"{name} = np.ascontiguousarray({name}).reshape(rows)" for name in plan.named(ROW)
        ]
        for role, shape in ((TILE, "(rows, n)"), (ROW, "rows")):
            lines += [f"out_{label} = np.empty({shape}, kind)" for label in plan.results(role)]
        for name, role in self.parts.items():
            size = "(-(-rows // ROWS), n), kind" if role == WEIGHT else "-(-rows // ROWS)"
            lines.append(f"sum_{name} = np.zeros({size})")
        numbers = plan.named(NUMBER)
        passed = [f"float({name})" if name in numbers else name for name in plan.parameters()]
        passed += [f"out_{label}" for label in self.outputs] + [
            f"sum_{name}" for name in self.parts
        ]
        lines.append(f"(_serial if rows * n < SMALL else _parallel)({', '.join(passed)})")
        for line in plan.sums_over_rows():
            mean = " / rows" if line.over is Mean else ""
            lines.append(f"{line.name} = sum_{line.name}.sum(0, dtype=np.float64){mean}")
        at_end = lambda name: plan.length(name, "rows", "n")  # noqa: E731
        lines += [f"{x.name} = {PYTHON.spell(x.expr, at_end, typed=False)}" for x in plan.last]
        found = {}
        found |= {
            x: f"out_{x}.reshape(shape).astype(given, copy=False)" for x in plan.results(TILE)
        }
        found |= {
            x: f"out_{x}.reshape(shape[:-1]).astype(given, copy=False)" for x in plan.results(ROW)
        }
        found |= {
            x: f"{name}.astype(given)"
            for x, name in {**plan.results(WEIGHT), **plan.results(NUMBER)}.items()
        }
        results = ", ".join(found[result.label] for result in plan.program.results)
        names = ", ".join(p.name for p in parameters)
        return [
            f"def {self.name}({names}):",
            *_in([*self.docstring.split("\n"), *lines, f"return {results}"]),
        ]


def text(plan: Rows, name: str, docstring: str) -> str:
    """Return the source of a function `name` that runs the kernel."""
    plan.refuse_names(RESERVED | {name})
    printed = Numba(plan, name, docstring)
    compiled = ["_serial = numba.njit(**OPTIONS)(_rows)"]
    compiled += ["_parallel = numba.njit(parallel=True, **OPTIONS)(_rows)"]
    blocks = [HEAD.rstrip("\n").split("\n"), printed.kernel(), compiled, printed.wrapper()]
    return "\n\n\n".join("\n".join(block) for block in blocks) + "\n"


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else line for line in lines]
