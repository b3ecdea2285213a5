"""The function around a kernel in Numba: it looks at arguments, makes and shapes the results."""

from rmsnorm_math.codegen.kernels.flat import NUMBER, ROW, TILE, WEIGHT
from rmsnorm_math.codegen.kernels.languages import PYTHON
from rmsnorm_math.codegen.kernels.plan import Plan
from rmsnorm_math.codegen.kernels.text import indented
from rmsnorm_math.codegen.nodes import Mean


def wrapper(plan: Plan, name: str, docstring: str) -> list[str]:
    """Return the function that is called: it looks at shapes, and makes the results."""
    tiles, weights = plan.named(TILE), plan.named(WEIGHT)
    first, outputs = tiles[0], {**plan.results(TILE), **plan.results(ROW)}
    sums = {line.name: plan.roles[line.name] for line in plan.sums_over_rows()}
    parameters = plan.program.parameters
    checks = " ".join(f'("{key}", {key}, {shape}),' for key, shape in plan.shapes().items())
    lines = [f"shape, given = np.shape({first}), np.asarray({first}).dtype"]
    lines += ["kind = np.result_type(given, np.float32)", 'if given.kind in "biucO":']
    lines += [f'    raise TypeError(f"{first} has dtype {{given}}: pass floating-point numbers")']
    if checks:
        message = "{name} has the shape {np.shape(a)}, but must have {wanted}"
        lines += [f"for name, a, wanted in ({checks}):", "    if np.shape(a) != wanted:"]
        lines += [f'        raise ValueError(f"{message}")']
    lines += ["rows, n = math.prod(shape[:-1]), shape[-1]"]
    lines += [f"{name} = np.ascontiguousarray({name}, kind).reshape(rows, n)" for name in tiles]
    lines += [f"{name} = np.ascontiguousarray({name}, kind)" for name in weights]
    for key in plan.named(ROW):
        whole = f'None if np.asarray({key}).dtype.kind in "biu" else kind'
        lines.append(f"{key} = np.ascontiguousarray({key}, {whole}).reshape(rows)")
    for role, shape in ((TILE, "(rows, n)"), (ROW, "rows")):
        lines += [f"out_{label} = np.empty({shape}, kind)" for label in plan.results(role)]
    for part, role in sums.items():
        size = "(-(-rows // ROWS), n), kind" if role == WEIGHT else "-(-rows // ROWS)"
        lines.append(f"sum_{part} = np.zeros({size})")
    numbers = plan.named(NUMBER)
    passed = [f"float({name})" if name in numbers else name for name in plan.parameters()]
    passed += [f"out_{label}" for label in outputs] + [f"sum_{name}" for name in sums]
    lines.append(f"(_serial if rows * n < SMALL else _parallel)({', '.join(passed)})")
    for line in plan.sums_over_rows():
        mean, parts = " / rows" if line.over is Mean else "", f"sum_{line.name}"
        total = f"{parts}.sum(0, dtype=np.float64)"
        if sums[line.name] == WEIGHT:
            total = f"({parts}[0] if len({parts}) == 1 else {total})"
        lines.append(f"{line.name} = {total}{mean}")
    at_end = lambda name: plan.length(name, "rows", "n")  # noqa: E731
    lines += [f"{x.name} = {PYTHON.spell(x.expr, at_end, typed=False)}" for x in plan.last]
    found: dict[str, str] = {}
    found |= {x: f"out_{x}.reshape(shape).astype(given, copy=False)" for x in plan.results(TILE)}
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
        f"def {name}({names}):",
        *indented([*docstring.split("\n"), *lines, f"return {results}"]),
    ]
