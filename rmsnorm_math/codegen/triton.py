"""A row kernel in Triton: a tile of rows in registers, or a row in parts if it is longer."""

from sympy import Basic

from rmsnorm_math.codegen.arguments import indented
from rmsnorm_math.codegen.flat import NUMBER, PLACE, ROW, TILE, WEIGHT, Line
from rmsnorm_math.codegen.nodes import Largest, Mean
from rmsnorm_math.codegen.rows import Pass, Rows
from rmsnorm_math.codegen.scalar import TORCH, TRITON

HEAD = '''\
import functools

import torch
import triton
import triton.language as tl

WIDEST = {widest}  # columns that one program holds in its registers


@triton.jit
def load(pointer, row, col, row_stride, col_stride, inside, kind: tl.constexpr):
    # 64 bits: a tensor may have more than 2**31 elements
    at = row.to(tl.int64)[:, None] * row_stride + col.to(tl.int64)[None, :] * col_stride
    return tl.load(pointer + at, inside, 0.0).to(kind)


@triton.jit
def store(pointer, value, row, col, n, inside):
    at = row.to(tl.int64)[:, None] * n + col[None, :]
    tl.store(pointer + at, value.to(pointer.dtype.element_ty), inside)
'''


class Triton:
    """The text of a kernel: `wide` is for rows that do not fit a tile."""

    def __init__(self, plan: Rows, *, wide: bool) -> None:
        self.plan, self.wide = plan, wide
        self.tiles, self.weights = plan.named(TILE), plan.named(WEIGHT)
        self.parts = {line.name: plan.roles[line.name] for line in plan.sums_over_rows()}
        self.loaded: set[str] = set()

    def spell(self, expr: Basic) -> str:
        """Return an expression; elements, weights and values of a row are tiles that broadcast."""
        return TRITON.spell(expr, self.called)

    def called(self, name: str) -> str:
        """Return how a value is called."""
        return "col[None, :]" if name == PLACE.name else self.plan.length(name, "rows", "n")

    def kernel(self) -> list[str]:
        """Return the kernel."""
        plan = self.plan
        pointers = [f"{n}_ptr" for n in plan.parameters()]
        pointers += [f"{n}_out" for n in (*plan.results(TILE), *plan.results(ROW))]
        pointers += [f"sum_{n}_ptr" for n in self.parts]
        strides = [f"{n}_{axis}" for n in self.tiles for axis in ("row", "col")]
        constants = [f"{n}: tl.constexpr" for n in ("kind", "BLOCK", "COLUMNS", "STAGES")]
        lines = ["first, programs = tl.program_id(0).to(tl.int64), tl.num_programs(0)"]
        lines += [f"{name} = tl.load({name}_ptr)" for name in plan.named(NUMBER)]
        if not self.wide:
            lines += ["col = tl.arange(0, COLUMNS)", *map(self.weight, self.weights)]
        own = {n: role for n, role in self.parts.items() if role == NUMBER or not self.wide}
        shape = {WEIGHT: "[BLOCK, COLUMNS]", NUMBER: "[BLOCK, 1]"}
        lines += [f"sum_{name} = tl.zeros({shape[role]}, kind)" for name, role in own.items()]
        steps = ["row = tile * BLOCK + tl.arange(0, BLOCK)", "in_rows = (row < rows)[:, None]"]
        steps += [f"{n} = tl.load({n}_ptr + row[:, None], in_rows, 0)" for n in plan.named(ROW)]
        steps += [] if self.wide else ["inside = in_rows & (col < n)[None, :]"]
        steps += [line for one in plan.passes for line in self.one_pass(one)]
        steps += [f"{line.name} = {self.spell(line.expr)}" for line in plan.after]
        steps += [
            f"tl.store({label}_out + row[:, None], {name}.to({label}_out.dtype.element_ty), in_rows)"
            for label, name in plan.results(ROW).items()
        ]
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
        arguments = ", ".join([*pointers, "rows", "n", *strides, *constants])
        body = [*lines, loop, *indented(steps), *ends]
        return ["@triton.jit", f"{head}{arguments}):", *indented(body)]

    def weight(self, name: str) -> str:
        """Return the line that reads a weight."""
        return f"{name} = tl.load({name}_ptr + col, col < n, 0.0).to(kind)[None, :]"

    def one_pass(self, one: Pass) -> list[str]:
        """Return what a pass computes: a loop over the parts of a row, or lines that go on."""
        lines = [f"{line.name} = {self.spell(line.expr)}" for line in one.before]
        inputs = one.inputs()
        new = [name for name in self.tiles if name in inputs - self.loaded]
        reads = [f"{n} = load({n}_ptr, row, col, {n}_row, {n}_col, inside, kind)" for n in new]
        own = [line for line in one.lines if line.name not in self.loaded]
        steps = [f"{line.name} = {self.spell(line.expr)}" for line in own]
        if not self.wide:
            self.loaded |= {*new} | {line.name for line in own}
        steps += [line for s in one.sums for line in self.added(s)]
        for part in one.parts:
            value = f"tl.where(inside, {self.spell(part.expr)}, 0.0)"
            if self.wide:
                at = f"sum_{part.name}_ptr + first * n + col[None, :]"
                value = f"tl.load({at}, inside, 0.0) + {value}"
                steps.append(f"tl.store({at}, {value}, inside)")
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
        inner += [self.weight(n) for n in self.weights if n in inputs]
        loop = "for start in tl.range(0, n, COLUMNS, num_stages=STAGES):"
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


RESERVED = {
    *("BLOCK", "COLUMNS", "STAGES", "WIDEST", "ahead", "block", "col", "columns", "device", "first"),
    *("float", "functools", "in_rows", "inside", "kernel", "kind", "len", "load", "max", "min", "n"),
    *("name", "programs", "row", "rows", "shape", "size", "start", "store", "strides", "tile", "tl"),
    *("torch", "triton", "wanted", "warps", "a"),
}
TILE_OF = '''\
@functools.cache
def _multiprocessors(device):
    if device.type == "cpu":  # Triton's interpreter
        return 2
    return torch.get_device_module(device).get_device_properties(device).multi_processor_count


def _tile(rows, n, a):
    """Return rows and columns of a tile, the warps for it, and how many tiles are read ahead."""
    columns = triton.next_power_of_2(n) if n <= WIDEST else min(WIDEST, 4096)
    block = max(1, min(1024, {tile} // columns)) if n <= WIDEST else 1
    while block > 1 and rows < 2 * block * _multiprocessors(a.device):
        block //= 2
    size = block * columns
    ahead = 2**16 // (size * a.element_size() * {arrays})
    return block, columns, max(4, min(16, size // 1024)), min(3, 1 + ahead)
'''


def wrapper(plan: Rows, name: str, docstring: str) -> list[str]:
    """Return the function that is called: it looks at shapes, and makes the results."""
    tiles, weights, numbers = (plan.named(role) for role in (TILE, WEIGHT, NUMBER))
    of_row, sums, first = plan.named(ROW), plan.sums_over_rows(), tiles[0]
    column = {p.name for p in plan.program.parameters if p.column}
    wanted = {**dict.fromkeys(tiles[1:], "shape"), **dict.fromkeys(weights, "shape[-1:]")}
    wanted |= {n: "(*shape[:-1], 1)" if n in column else "shape[:-1]" for n in of_row}
    checks = ", ".join(f'("{key}", {key}, {shape})' for key, shape in wanted.items())
    lines = [f"shape, device, n = {first}.shape, {first}.device, {first}.shape[-1]"]
    lines += [f"rows, kind = {first}.numel() // max(n, 1), torch.promote_types({first}.dtype, torch.float32)"]
    if checks:
        lines += [f"for name, a, wanted in ({checks},):", "    if tuple(a.shape) != tuple(wanted):"]
        lines += ['        raise ValueError(f"{name} has the shape {tuple(a.shape)}, not {tuple(wanted)}")']
    lines += [f"{key} = {key}.reshape(rows, n)" for key in tiles]
    lines += [f"{key} = {key}.contiguous()" for key in weights]
    lines += [f"{key} = {key}.reshape(rows)" for key in of_row]
    lines += [f"{key} = torch.as_tensor({key}, dtype=kind, device=device)" for key in numbers]
    kinds = {TILE: "shape", ROW: "shape[:-1]"}
    outputs = [(label, kinds[role]) for role in kinds for label in plan.results(role)]
    lines += [f"{x}_out = torch.empty({shape}, dtype={first}.dtype, device=device)" for x, shape in outputs]
    lines += [f"block, columns, warps, stages = _tile(rows, n, {first})"]
    many = f"min(triton.cdiv(rows, block), _multiprocessors(device) * 16 // warps)"
    lines += [f"programs = {many if sums else 'triton.cdiv(rows, block)'}"]
    for line in sums:
        size = "programs, n" if plan.roles[line.name] == WEIGHT else "programs"
        lines.append(f"sum_{line.name} = torch.zeros({size}, dtype=kind, device=device)")
    passed = [*plan.parameters(), *(f"{x}_out" for x, _ in outputs), *(f"sum_{x.name}" for x in sums)]
    passed += ["rows", "n", *(f"*{key}.stride()" for key in tiles)]
    passed += ["tl.float64 if kind == torch.float64 else tl.float32", "block", "columns"]
    passed += ["stages" if sums else "1", "num_warps=warps"]
    call = ["with torch.cuda.device_of(" + first + "):", "    kernel[(programs,)]("]
    call += [f"        {argument}," for argument in passed]
    lines += ["if rows * n:", "    kernel = _rows if n <= WIDEST else _wide", *indented([*call, "    )"])]
    for line in sums:
        mean = " / rows" if line.over is Mean else ""
        lines.append(f"{line.name} = sum_{line.name}.sum(0){mean}")
    lines += [f"{x.name} = {TORCH.spell(x.expr, lambda key: plan.length(key, 'rows', 'n'))}" for x in plan.last]
    found = {x: f"{x}_out" for x, _ in outputs}
    found |= {x: f"{key}.to({first}.dtype)" for role in (WEIGHT, NUMBER) for x, key in plan.results(role).items()}
    results = ", ".join(found[result.label] for result in plan.program.results)
    names = ", ".join(p.name for p in plan.program.parameters)
    body = [*docstring.split("\n"), *lines, f"return {results}"]
    return [f"def {name}({names}):", *indented(body)]


def text(plan: Rows, name: str, docstring: str) -> str:
    """Return the source of a function `name` that runs the kernel."""
    plan.refuse_names(RESERVED | {name})
    arrays = len(plan.named(TILE)) + len(plan.results(TILE))
    sizes = {"tile": 8192 if arrays < 4 else 4096, "arrays": len(plan.named(TILE)), "widest": 16384 if arrays < 4 else 8192}
    kernels = ["\n".join(Triton(plan, wide=wide).kernel()) for wide in (False, True)]
    head, tile = (part.rstrip("\n") for part in (HEAD.replace("{widest}", str(sizes["widest"])), TILE_OF.replace("{tile}", str(sizes["tile"])).replace("{arrays}", str(sizes["arrays"]))))
    return "\n\n\n".join([head, *kernels, tile, "\n".join(wrapper(plan, name, docstring))]) + "\n"
