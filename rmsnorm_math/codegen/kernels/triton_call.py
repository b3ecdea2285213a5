"""The function around a kernel in Triton: it looks at arguments, makes results, chooses tiles."""

from rmsnorm_math.codegen.kernels.flat import NUMBER, ROW, TILE, WEIGHT
from rmsnorm_math.codegen.kernels.languages import TORCH
from rmsnorm_math.codegen.kernels.plan import Plan
from rmsnorm_math.codegen.kernels.text import indented
from rmsnorm_math.codegen.nodes import Mean

RESERVED = {
    *(
        "BLOCK",
        "COLUMNS",
        "STAGES",
        "WIDEST",
        "ahead",
        "block",
        "col",
        "columns",
        "device",
        "first",
    ),
    *(
        "float",
        "functools",
        "in_rows",
        "inside",
        "kernel",
        "kind",
        "len",
        "load",
        "max",
        "min",
        "n",
    ),
    *(
        "name",
        "programs",
        "row",
        "rows",
        "shape",
        "size",
        "start",
        "store",
        "strides",
        "tile",
        "tl",
    ),
    *("torch", "triton", "wanted", "warps", "a", "make", "number", "parts", "sums"),
}


def wrapper(plan: Plan, name: str, docstring: str) -> list[str]:
    """Return the function that is called: it looks at shapes, and makes the results."""
    tiles, weights, numbers = (plan.named(role) for role in (TILE, WEIGHT, NUMBER))
    of_row, sums, first = plan.named(ROW), plan.sums_over_rows(), tiles[0]
    checks = " ".join(f'("{key}", {key}, {shape}),' for key, shape in plan.shapes().items())
    lines = [f"shape, device, n = {first}.shape, {first}.device, {first}.shape[-1]"]
    lines += [f"rows = {first}.numel() // max(n, 1)"]
    lines += [f"kind = torch.promote_types({first}.dtype, torch.float32)"]
    if checks:
        message = "{name} has the shape {tuple(a.shape)}, not {tuple(wanted)}"
        lines += [f"for name, a, wanted in ({checks}):", "    if tuple(a.shape) != tuple(wanted):"]
        lines += [f'        raise ValueError(f"{message}")']
    lines += [f"{key} = {key}.reshape(rows, n)" for key in tiles]
    lines += [f"{key} = {key}.contiguous()" for key in weights]
    for key in of_row:
        lines.append(f"{key} = {key}.reshape(rows)")
        lines.append(f"{key} = {key}.to(kind) if {key}.is_floating_point() else {key}")
    lines += [f"{key} = _number({key}, kind, device)" for key in numbers]
    kinds = {TILE: "shape", ROW: "shape[:-1]"}
    outputs = [(label, kinds[role]) for role in kinds for label in plan.results(role)]
    lines += [
        f"{x}_out = torch.empty({shape}, dtype={first}.dtype, device=device)"
        for x, shape in outputs
    ]
    lines += [f"block, columns, warps, stages = _tile(rows, n, {first})"]
    many = "min(triton.cdiv(rows, block), _multiprocessors(device) * 8 // warps)"
    lines += [f"programs = {many if sums else 'triton.cdiv(rows, block)'}"]
    of_column = [line.name for line in sums if plan.roles[line.name] == WEIGHT]
    for line in sums:
        if line.name not in of_column:
            lines.append(f"sum_{line.name} = torch.zeros(programs, dtype=kind, device=device)")
    if of_column:
        size, exact = len(of_column), plan.last or any(line.over is Mean for line in sums)
        lines += [
            "make = torch.empty if n <= WIDEST else torch.zeros",
            f"parts = make({size}, programs, n, dtype=kind, device=device)",
            "make = torch.empty if rows * n else torch.zeros",
            f"sums = make({size}, n, dtype={'kind' if exact else f'{first}.dtype'}, device=device)",
        ]
    passed = [
        *plan.parameters(),
        *(f"{x}_out" for x, _ in outputs),
        *(f"parts[{at}]" for at in range(len(of_column))),
        *(f"sum_{x.name}" for x in sums if x.name not in of_column),
    ]
    passed += ["rows", "n", *(f"*{key}.stride()" for key in tiles)]
    passed += [f"isinstance({key}, torch.Tensor)" for key in numbers]
    passed += ["tl.float64 if kind == torch.float64 else tl.float32", "block", "columns"]
    passed += ["stages" if sums else "1", "num_warps=warps"]
    call = ["with torch.cuda.device_of(" + first + "):", "    kernel[(programs,)]("]
    call += [f"        {argument}," for argument in passed]
    call += ["    )"]
    if of_column:
        grid = f"(triton.cdiv(n, 16), {len(of_column)})"
        call += [f"    _add_parts[{grid}](parts, sums, programs, n, 64, 16)"]
    lines += ["if rows * n:", "    kernel = _rows if n <= WIDEST else _wide", *indented(call)]
    for line in sums:
        at = line.name in of_column and of_column.index(line.name)
        total = f"sum_{line.name}.sum(0)" if at is False else f"sums[{at}]"
        lines.append(f"{line.name} = {total}{' / rows' if line.over is Mean else ''}")
    lines += [
        f"{x.name} = {TORCH.spell(x.expr, lambda key: plan.length(key, 'rows', 'n'))}"
        for x in plan.last
    ]
    found = {x: f"{x}_out" for x, _ in outputs}
    found |= {
        x: f"{key}.to({first}.dtype)"
        for role in (WEIGHT, NUMBER)
        for x, key in plan.results(role).items()
    }
    results = ", ".join(found[result.label] for result in plan.program.results)
    names = ", ".join(p.name for p in plan.program.parameters)
    body = [*docstring.split("\n"), *lines, f"return {results}"]
    return [f"def {name}({names}):", *indented(body)]
