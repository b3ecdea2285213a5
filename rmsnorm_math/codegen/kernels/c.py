"""A row kernel in C99 with OpenMP: what is computed is double, and rounded once."""

from sympy import Basic

from rmsnorm_math.codegen.kernels.flat import NUMBER, PLACE, ROW, TILE, WEIGHT
from rmsnorm_math.codegen.kernels.languages import C
from rmsnorm_math.codegen.kernels.plan import Pass, Plan
from rmsnorm_math.codegen.kernels.text import indented, listed
from rmsnorm_math.codegen.nodes import Largest, Mean

HEAD = """\
// cc -std=c99 -O3 -march=native -ffp-contract=fast -fopenmp -shared -fPIC
//    {name}.c -o {name}.so -lm
//
// Arrays are REAL, and have rows * n elements, or n; what has one value a row, and a sum over
// all, is double. What is computed is double, and rounded once; it does not depend on how many
// threads there are.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef REAL
#define REAL float
#endif

enum {{
    TASKS = 64,   // a sum over the rows has one part a task
    SMALL = 65536 // elements below which a second thread costs more than it brings
}};
"""
PARALLEL = "#pragma omp parallel for schedule(static) if (rows * n > SMALL)"
RESERVED = {
    *(
        "REAL",
        "TASKS",
        "SMALL",
        "rows",
        "n",
        "task",
        "row",
        "j",
        "failed",
        "double",
        "int",
        "const",
    ),
    *("for", "if", "else", "return", "enum", "float", "int64_t", "malloc", "calloc", "free"),
    *("auto", "break", "case", "char", "continue", "default", "do", "extern", "goto", "inline"),
    *("long", "register", "restrict", "short", "signed", "sizeof", "static", "struct", "switch"),
    *("typedef", "union", "unsigned", "void", "volatile", "while"),
}


class Source:
    """The text of a kernel."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tiles, self.weights = plan.named(TILE), plan.named(WEIGHT)
        self.labels = dict.fromkeys(plan.results(TILE), "_j") | dict.fromkeys(
            plan.results(ROW), "_row"
        )
        self.parts = {line.name: plan.roles[line.name] for line in plan.sums_over_rows()}

    def spell(self, expr: Basic) -> str:
        """Return an expression, of an element or of the row."""
        return C.spell(expr, self.called)

    def called(self, name: str) -> str:
        """Return how a value is called."""
        if name == PLACE.name:
            return "j"
        if name in self.tiles:
            return f"(double){name}_[j]"
        if name in self.plan.kept:
            return f"{name}_[j]"
        if name in self.weights:
            return f"(double){name}[j]"
        if name in self.plan.named(ROW):
            return f"{name}[row]"
        if name in self.labels:  # which is a parameter
            return f"{name}{self.labels[name]}"
        return self.plan.length(name, "rows", "n")

    def signature(self) -> list[str]:
        """Return the parameters: what is read in the order given, then what is written."""
        kinds = {TILE: "REAL *", WEIGHT: "REAL *", ROW: "double *", NUMBER: "double *"}
        given = []
        for name in self.plan.parameters():
            kind = kinds[self.plan.roles[name]]
            number = self.plan.roles[name] == NUMBER
            given.append(f"double {name}" if number else f"const {kind}{name}")
        made = {x: kind for role, kind in kinds.items() for x in self.plan.results(role)}
        results = [f"{made[r.label]}{r.label}" for r in self.plan.program.results]
        return ["int64_t rows", "int64_t n", *given, *results]

    def one_pass(self, one: Pass) -> list[str]:
        """Return the loop along a row."""
        lines = [f"const double {self.called(x.name)} = {self.spell(x.expr)};" for x in one.before]
        sums = {self.called(x.name): x for x in one.sums if x.over is not Largest}
        largest = {self.called(x.name): x for x in one.sums if x.over is Largest}
        lines += [f"double {name} = 0;" for name in sums]
        lines += [f"double {name} = -INFINITY;" for name in largest]
        added = f" reduction(+ : {', '.join(sums)})" if sums else ""
        added += f" reduction(max : {', '.join(largest)})" if largest else ""
        inner = []
        for line in one.lines:
            kept = line.name in self.plan.kept
            target = f"{line.name}_[j]" if kept else f"const double {self.called(line.name)}"
            inner.append(f"{target} = {self.spell(line.expr)};")
        inner += [f"{name} += {self.spell(x.expr)};" for name, x in sums.items()]
        for name, x in largest.items():
            text = self.spell(x.expr)
            inner.append(f"{name} = {text} > {name} ? {text} : {name};")
        inner += [f"{x.name}_[j] += {self.spell(x.expr)};" for x in one.parts]
        inner += [f"{x.name}_[j] = (REAL){self.spell(x.expr)};" for x in one.results]
        loop = [
            f"#pragma omp simd{added}",
            "for (int64_t j = 0; j < n; j++) {",
            *indented(inner),
            "}",
        ]
        return [*lines, *loop, *(f"{name} /= n;" for name, x in sums.items() if x.over is Mean)]

    def kernel(self, name: str) -> list[str]:
        """Return the function."""
        plan = self.plan
        row = [f"const REAL *{x}_ = {x} + row * n;" for x in self.tiles]
        row += [f"REAL *{x}_ = {x} + row * n;" for x in plan.results(TILE)]
        row += [line for one in plan.passes for line in self.one_pass(one)]
        row += [f"const double {self.called(x.name)} = {self.spell(x.expr)};" for x in plan.after]
        row += [f"{x}_[row] = {self.called(value)};" for x, value in plan.results(ROW).items()]
        row += [f"sum_{x.name}[task] += {self.spell(x.expr)};" for x in plan.parts]
        wide = [x for x, role in self.parts.items() if role == WEIGHT]
        task = [f"double *{x}_ = sum_{x} + task * n;" for x in wide]
        task += [f"double *{x}_ = keep_{x} + task * n;" for x in plan.kept]
        task += [
            "for (int64_t row = rows * task / TASKS; row < rows * (task + 1) / TASKS; row++) {"
        ]
        memory = {f"sum_{x}": "n" if x in wide else "1" for x in self.parts}
        memory |= {f"keep_{x}": "n" for x in plan.kept}
        size = "(size_t)(TASKS * {} + 1), sizeof(double)"
        lines = [f"double *{x} = calloc({size.format(length)});" for x, length in memory.items()]
        lines += ["int failed = 0;"]
        lines += [f"double *{x}_ = {x};" for x in plan.results(ROW)]
        loop = [PARALLEL, "for (int64_t task = 0; task < TASKS; task++) {"]
        loop += [*indented([*task, *indented(row), "}"]), "}", *self.ends()]
        if memory:
            lines += [f"if ({' || '.join(f'!{x}' for x in memory)})", "    failed = -1;"]
            lines += ["if (!failed) {", *indented(loop), "}"]
        else:
            lines += loop
        lines += [f"free({x});" for x in memory]
        head = listed(f"int {name}(", self.signature(), ")")
        return [*head, "{", *indented([*lines, "return failed;"]), "}"]

    def ends(self) -> list[str]:
        """Return what is made of the sums over the rows."""
        plan, late = self.plan, {*self.parts, *(x.name for x in self.plan.last)}

        def at_end(name: str) -> str:
            return f"{name}_total" if name in late else self.called(name)

        lines: dict[str, list[str]] = {NUMBER: [], WEIGHT: []}
        for x in plan.sums_over_rows():
            role = plan.roles[x.name]
            at = "task * n + j" if role == WEIGHT else "task"
            lines[role] += [
                f"double {x.name}_total = 0;",
                "for (int64_t task = 0; task < TASKS; task++)",
                f"    {x.name}_total += sum_{x.name}[{at}];",
                *([f"{x.name}_total /= rows;"] if x.over is Mean else []),
            ]
        for x in plan.last:
            lines[plan.roles[x.name]] += [
                f"const double {x.name}_total = {C.spell(x.expr, at_end)};"
            ]
        lines[NUMBER] += [f"*{x} = {value}_total;" for x, value in plan.results(NUMBER).items()]
        for label, value in plan.results(WEIGHT).items():
            lines[WEIGHT] += [f"{label}[j] = (REAL){value}_total;"]
        if not lines[WEIGHT]:
            return lines[NUMBER]
        return [*lines[NUMBER], "for (int64_t j = 0; j < n; j++) {", *indented(lines[WEIGHT]), "}"]


def text(plan: Plan, name: str, docstring: str) -> str:
    """Return the source of a function `name`."""
    plan.refuse_names(RESERVED | {name} | {f"{label}_j" for label in plan.results(TILE)})
    comment = [f"// {line}".rstrip() for line in docstring.strip('r"\n').split("\n")]
    comment = [f"{line} ." if line.endswith(("\\", "??/")) else line for line in comment]
    return HEAD.format(name=name) + "\n" + "\n".join([*comment, *Source(plan).kernel(name)]) + "\n"
