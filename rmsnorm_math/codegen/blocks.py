"""A program that works on some rows at a time, as code: functions of a few rows, and `_by_rows`."""

from dataclasses import replace
from string import Template
from textwrap import indent

from sympy import Symbol

from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import Position
from rmsnorm_math.codegen.numpy import NumPy
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.codegen.spell import Spelling
from rmsnorm_math.codegen.stages import Loop, staged, taken_in
from rmsnorm_math.errors import Refused

SIZE = "\nBLOCK = 2**16  # elements worked on at a time: a few such arrays fit into a cache\n"


def body_in_blocks(
    spell: type[Spelling], program: Program, rows: Symbol
) -> tuple[Spelling, list[str]]:
    """Return the lines of a function that works on some rows at a time, and what spelled them."""
    program, steps = staged(program, rows)
    whole, few = spell(program), spell(replace(program, batch=None))  # rows are one axis in a block
    few.layouts, few.axes, few.needs = whole.layouts, whole.axes, whole.needs
    if isinstance(few, NumPy):
        few.exact_rows = False  # a block's few rows are added up in float64
    few.returned |= {name for step in steps if isinstance(step, Loop) for name in step.sums}
    first = next(p.name for p in program.parameters if rows in p.axes)
    trailing = len(whole.layouts[first]) - 1
    lead = f"{first}.shape" + (f"[:-{trailing}]" if trailing else "")
    taken = taken_in(program)
    lines = sorted(f"{size} = {whole.length(axis)}" for size, axis in program.lengths.items())
    head = len(lines)
    for step in steps:
        if not isinstance(step, Loop):
            whole.compared = isinstance(step.expr, Position)  # places are whole numbers
            lines.append(whole.statement(step))
            continue
        name = fresh("_rows", taken)
        inner = [few.statement(s) for s in step.statements]
        for given in step.rows:
            if whole.layouts[given][:1] != (rows,):
                raise Refused(f"{given} does not have its rows first: leave out blocks=True.")
        gives = [*step.rows, *step.sums]
        targets = f"({gives[0]},)" if len(gives) == 1 else ", ".join(gives)
        inner.append(f"return {targets}")
        lines += ["", f"def {name}({', '.join(step.takes)}):", indent("\n".join(inner), "    "), ""]
        sums = f", sums={len(step.sums)}" if step.sums else ""
        lines.append(f"{targets} = _by_rows({name}, {lead}, {', '.join(step.takes)}{sums})")
    whole.scalars |= few.scalars
    lines[head:head] = whole.prelude()
    results = ", ".join(map(whole.result, program.results))
    return whole, [*lines[not lines[0] :], f"return {results}"]


_BY_ROWS = Template('''

def _by_rows(f, lead, *rows, sums=0):
    """Return f(*rows), some rows at a time; its last results, as many as `sums`, are added up."""
    count = math.prod(lead)
    flat = [a.reshape(count, *a.shape[len(lead) :]) for a in rows]
    step = min(64, max(1, BLOCK * count // max(1, *(${size} for a in flat))))
${unless}    if count <= step:
        results = f(*flat)
        added = len(results) - sums
        return [a.reshape(*lead, *a.shape[1:]) for a in results[:added]] + [*results[added:]]
    whole = []
    for start in range(0, count, step):
        results = f(*(a[start : start + step] for a in flat))
        added = len(results) - sums
        if start == 0:
            whole += [${new} for a in results[:added]]
            whole += [${sum} for a in results[added:]]
            types = [a.dtype for a in results]
        for k, part in enumerate(results):
            if k < added:
                whole[k][start : start + step] = part
            else:
                whole[k] += part
        del results, part  # the next rows' take their memory
    whole[:added] = [a.reshape(*lead, *a.shape[1:]) for a in whole[:added]]
    whole[added:] = [a.${to}(kind) for a, kind in zip(whole[added:], types[added:])]
    return whole
''')
JAX = '''

def _by_rows(f, lead, *rows, sums=0):
    """Return f(*rows), some rows at a time; its last results, as many as `sums`, are added up.

    What f computes on its way is not held for the derivative, but computed again.
    """
    count = math.prod(lead)
    flat = [a.reshape(count, *a.shape[len(lead) :]) for a in rows]
    most = min(64, count, BLOCK * count // max(1, *(a.size for a in flat)))
    step = next((k for k in range(most, 1, -1) if count % k == 0), 1)  # blocks are of one size
    blocks = [a.reshape(count // step, step, *a.shape[1:]) for a in flat]
    f = jax.checkpoint(f)
    shapes = jax.eval_shape(f, *(a[:step] for a in flat))
    added = len(shapes) - sums

    def next_block(totals, block):
        results = f(*block)
        return [a + b for a, b in zip(totals, results[added:])], results[:added]

    zeros = [jnp.zeros(a.shape, a.dtype) for a in shapes[added:]]
    totals, whole = jax.lax.scan(next_block, zeros, blocks)
    return [a.reshape(*lead, *a.shape[2:]) for a in whole] + totals
'''
BY_ROWS = {
    "numpy": _BY_ROWS.substitute(
        size="a.size",
        unless="",
        new="np.empty((count, *a.shape[1:]), a.dtype)",
        sum="np.zeros(a.shape)",
        to="astype",
    ),
    "torch": _BY_ROWS.substitute(
        size="a.numel()",
        unless="""\
    if not rows[0].is_cpu or torch.compiler.is_compiling():
        step = count
""",
        new="a.new_empty((count, *a.shape[1:]))",
        sum="torch.zeros_like(a, dtype=torch.float64)",
        to="to",
    ),
    "jax": JAX,
}
