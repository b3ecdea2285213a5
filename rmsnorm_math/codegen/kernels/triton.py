"""A row kernel in Triton: a tile of rows in registers, or a row in parts if it is longer."""

from sympy import Basic

from rmsnorm_math.codegen.kernels.flat import NUMBER, PLACE, ROW, TILE, WEIGHT, Line
from rmsnorm_math.codegen.kernels.languages import TRITON
from rmsnorm_math.codegen.kernels.plan import Pass, Plan
from rmsnorm_math.codegen.kernels.text import indented, listed
from rmsnorm_math.codegen.kernels.triton_call import RESERVED, wrapper
from rmsnorm_math.codegen.kernels.triton_text import HEAD, NUMBER_OF, NUMBERS, SUMS, TILE_OF
from rmsnorm_math.codegen.nodes import Largest, Mean


class Triton:
    """The text of a kernel: `wide` is for rows that do not fit a tile."""

    def __init__(self, plan: Plan, *, wide: bool) -> None:
        self.plan, self.wide = plan, wide
        self.tiles, self.weights = plan.named(TILE), plan.named(WEIGHT)
        self.parts = {line.name: plan.roles[line.name] for line in plan.sums_over_rows()}
        self.loaded: set[str] = set()

    def spell(self, expr: Basic) -> str:
        """Return an expression; elements, weights and values of a row are tiles that broadcast."""
        return TRITON.spell(expr, self.called)

    def called(self, name: str) -> str:
        """Return how a value is called."""
        return "col[None, :]" if name == PLACE.name else self.plan.length(name, "rows_", "n_")

    def lengths(self) -> list[str]:
        """Return the lengths of axes that expressions hold."""
        return sorted(
            {self.plan.length(size.name, "rows", "n") for size in self.plan.program.lengths}
        )

    def kernel(self) -> list[str]:
        """Return the kernel."""
        plan = self.plan
        pointers = [f"{n}_ptr" for n in plan.parameters()]
        pointers += [f"{n}_out" for n in (*plan.results(TILE), *plan.results(ROW))]
        pointers += [f"sum_{n}_ptr" for n in self.parts]
        strides = [f"{n}_{axis}" for n in self.tiles for axis in ("row", "col")]
        flags = [f"{name}_in_memory" for name in plan.named(NUMBER)]
        constants = [f"{n}: tl.constexpr" for n in (*flags, "kind", "BLOCK", "COLUMNS", "STAGES")]
        lines = ["first, programs = tl.program_id(0).to(tl.int64), tl.num_programs(0)"]
        lines += [
            f"{name} = number({name}_ptr, {name}_in_memory, kind)" for name in plan.named(NUMBER)
        ]
        lines += [f"{name}_ = tl.full([1, 1], {name}, kind)" for name in self.lengths()]
        if not self.wide:
            lines.append("col = tl.arange(0, COLUMNS)")
        if self.parts and not self.wide:  # many tiles a program: weights are read once
            lines += map(self.weight, self.weights)
            self.loaded |= {*self.weights}
        own = {n: role for n, role in self.parts.items() if role == NUMBER or not self.wide}
        shape = {WEIGHT: "[BLOCK, COLUMNS]", NUMBER: "[BLOCK, 1]"}
        lines += [f"sum_{name} = tl.zeros({shape[role]}, kind)" for name, role in own.items()]
        steps = ["row = tile * BLOCK + tl.arange(0, BLOCK)", "in_rows = (row < rows)[:, None]"]
        steps += [f"{n} = tl.load({n}_ptr + row[:, None], in_rows, 0)" for n in plan.named(ROW)]
        steps += [] if self.wide else ["inside = in_rows & (col < n)[None, :]"]
        steps += [line for one in plan.passes for line in self.one_pass(one)]
        steps += [f"{line.name} = {self.spell(line.expr)}" for line in plan.after]
        for label, name in plan.results(ROW).items():
            value = f"{name}.to({label}_out.dtype.element_ty)"
            steps.append(f"tl.store({label}_out + row[:, None], {value}, in_rows)")
        steps += [
            f"sum_{line.name} += tl.where(in_rows, {self.spell(line.expr)}, 0.0)"
            for line in plan.parts
        ]
        stages = "" if self.wide else ", num_stages=STAGES"
        loop = f"for tile in tl.range(first, tl.cdiv(rows, BLOCK), programs{stages}):"
        ends = [
            f"tl.store(sum_{name}_ptr + first * n + col, tl.sum(sum_{name}, 0), col < n)"
            if role == WEIGHT
            else f"tl.store(sum_{name}_ptr + first, tl.sum(sum_{name}))"
            for name, role in own.items()
        ]
        head = f"def {'_wide' if self.wide else '_rows'}("
        arguments = [*pointers, "rows", "n", *strides, *constants]
        body = [*lines, loop, *indented(steps), *ends]
        return ["@triton.jit", *listed(head, arguments, "):"), *indented(body)]

    def weight(self, name: str) -> str:
        """Return the line that reads a weight."""
        return f"{name} = tl.load({name}_ptr + col, col < n, 0.0).to(kind)[None, :]"

    def element(self, name: str) -> str:
        """Return the line that reads elements."""
        return f"{name} = load({name}_ptr, row, col, {name}_row, {name}_col, inside, kind)"

    def one_pass(self, one: Pass) -> list[str]:
        """Return what a pass computes: a loop over the parts of a row, or lines that go on."""
        lines = [f"{line.name} = {self.spell(line.expr)}" for line in one.before]
        inputs = one.inputs()
        new = [name for name in (*self.weights, *self.tiles) if name in inputs - self.loaded]
        reads = [self.weight(name) if name in self.weights else self.element(name) for name in new]
        own = [line for line in one.lines if line.name not in self.loaded]
        steps = [f"{line.name} = {self.spell(line.expr)}" for line in own]
        if not self.wide:
            self.loaded |= {*new} | {line.name for line in own}
        steps += [line for s in one.sums for line in self.added(s)]
        for part in one.parts:
            value = f"tl.where(inside, {self.spell(part.expr)}, 0.0)"
            if self.wide:
                at = f"sum_{part.name}_at"
                steps.append(f"{at} = sum_{part.name}_ptr + first * n + col[None, :]")
                steps.append(f"tl.store({at}, tl.load({at}, inside, 0.0) + {value}, inside)")
            else:
                steps.append(f"sum_{part.name} += {value}")
        for result in one.results:
            value = self.spell(result.expr)
            if self.plan.roles[result.expr.name] != TILE:
                value = f"{value} + tl.zeros([BLOCK, COLUMNS], kind)"
            steps.append(f"store({result.name}_out, {value}, row, col, n, inside)")
        if not self.wide:
            return [*lines, *reads, *steps]
        lines += [f"{s.name} = {self.nothing(s)}" for s in one.sums]
        lines += ["tl.debug_barrier()  # what the row before added up is read"] if one.parts else []
        inner = ["col = start + tl.arange(0, COLUMNS)", "inside = in_rows & (col < n)[None, :]"]
        loop = "for start in range(0, n, COLUMNS):"
        lines += [loop, *indented([*inner, *reads, *steps])]
        return lines + [f"{s.name} /= n" for s in one.sums if s.over is Mean]

    def nothing(self, line: Line) -> str:
        """Return what a sum in parts begins with."""
        if line.over is Largest:
            return 'tl.full([BLOCK, 1], float("-inf"), kind)'
        return "tl.zeros([BLOCK, 1], kind)"

    def added(self, line: Line) -> list[str]:
        """Return the line that adds elements up; those beyond the row's end do not count."""
        word, neutral = ("max", 'float("-inf")') if line.over is Largest else ("sum", "0.0")
        value = f"tl.{word}(tl.where(inside, {self.spell(line.expr)}, {neutral}), 1)[:, None]"
        if not self.wide:
            return [f"{line.name} = {value}{' / n' if line.over is Mean else ''}"]
        if line.over is Largest:
            return [f"{line.name} = tl.maximum({line.name}, {value})"]
        return [f"{line.name} += {value}"]


def text(plan: Plan, name: str, docstring: str) -> str:
    """Return the source of a function `name` that runs the kernel."""
    plan.refuse_names(RESERVED | {name})
    tiles, sums = len(plan.named(TILE)), plan.sums_over_rows()
    sizes = {
        "arrays": tiles,
        "least": "8 if columns <= 256 else 4" if tiles > 1 and not sums else "4",
        "most": 8 if sums else 4 if tiles == 1 else 16,
        "widest": 16384 if tiles + len(plan.results(TILE)) < 4 else 8192,
    }
    kernels = ["\n".join(Triton(plan, wide=wide).kernel()) for wide in (False, True)]
    tile_of = TILE_OF
    for key, size in sizes.items():
        tile_of = tile_of.replace(f"{{{key}}}", str(size))
    parts = [
        HEAD.replace("{widest}", str(sizes["widest"])),
        *([NUMBERS] if plan.named(NUMBER) else []),
        *kernels,
        *([SUMS] if any(plan.roles[line.name] == WEIGHT for line in sums) else []),
        *([NUMBER_OF] if plan.named(NUMBER) else []),
        tile_of,
        "\n".join(wrapper(plan, name, docstring)),
    ]
    return "\n\n\n".join(part.rstrip("\n") for part in parts) + "\n"
