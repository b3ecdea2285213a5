"""A program of a layer and its gradients comes apart into a forward and a backward pass.

The backward pass is given the cotangent, and what was kept for it: inputs, the output, and values
that the forward pass computed on its way.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from itertools import combinations

from sympy import IndexedBase, Symbol

from rmsnorm_math.codegen.lines import names_in
from rmsnorm_math.codegen.nodes import Contraction, Reduction, family
from rmsnorm_math.codegen.record import Parameter, Program, Result, Statement
from rmsnorm_math.errors import Refused

MOST = 12  # large arrays among which the cheapest are looked for, all subsets of them


def passes(
    joint: Program, output: str, cotangents: Collection[str], kept: Iterable[str] | None = None
) -> tuple[Program, Program]:
    """Return the forward pass, which returns what it keeps after its output, and the backward.

    Parameters
    ----------
    joint
        The program of the output and its gradients, in this order.
    output
        What the output is called.
    cotangents
        The names of the parameters that only the backward pass has.
    kept
        The names of what is kept; by default what needs least memory. An output and an input
        are there anyway, so that they cost less than a value on the way; of what is smaller
        than they, as one number a row, all is kept that spares a sum. Of equal choices the one
        is taken that computes least again.

    Raises
    ------
    ValueError
        If a name in `kept` is none of the forward pass's.
    """
    joint, other = _returned(joint, output)
    kept = None if kept is None else [output if name == other else name for name in kept]
    parameters = {p.name: p for p in joint.parameters}
    lines = {s.name: s for s in joint.statements}
    uses = {name: {*names_in(s.expr)} & {*parameters, *lines} for name, s in lines.items()}
    late = {*cotangents}
    for name in lines:
        if uses[name] & late:
            late.add(name)
    returned = {r.label: r.name for r in joint.results}
    gradients = [name for label, name in returned.items() if label != output]
    value = returned[output]
    early = [name for name in (*parameters, *lines) if name not in late]
    axes = {name: v.axes for name, v in (parameters | lines).items()}
    rows = next(r.axes for r in joint.results if r.label == output)[:1] or axes[early[0]][:1]
    most = max((len(a) for a in axes.values()), default=0)

    def needed(targets: Iterable[str], stop: Collection[str]) -> set[str]:
        """Return what the targets need, up to what is in `stop` and the parameters."""
        found: set[str] = set()
        todo = [*targets]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                if name not in stop:
                    todo += uses.get(name, ())
        return found

    if kept is None:
        size = {n: len(axes[n]) if {*rows} & {*axes[n]} else 0 for n in early}
        once = needed(gradients, ())
        large = [n for n in early if n in once and size[n] == most]
        small = [n for n in early if n in once and n in lines and 0 < len(axes[n]) < most]
        sums = {n for n in early if n in lines and lines[n].expr.atoms(Reduction, Contraction)}

        def cost(choice: Collection[str]) -> tuple[int, ...]:
            found = needed(gradients, {*choice, *small})
            lacks = any(n not in choice for n in found if n in parameters and n in large)
            paid = {n for n in choice if n in lines and n != value}
            again = found & {*early} & {*lines} - {*choice, *small}
            return lacks, len(choice) + len(paid), len(paid), len(again)

        chosen = _best(large, cost)

        def cost_of_small(choice: Collection[str]) -> tuple[int, ...]:
            again = needed(gradients, {*chosen, *choice}) & {*early} & {*lines}
            again -= {*chosen, *choice}
            return len(again & sums), len(choice), len(again)

        keep = {*chosen, *_best(small, cost_of_small)}
    else:
        keep = {*kept}
        if unknown := sorted(keep - {*early}):
            raise Refused(
                f"{', '.join(unknown)} cannot be kept: it is neither an argument nor a definition "
                f"that the output and its gradients share. There are {', '.join(early)}."
            )
    backward = needed(gradients, keep)
    backward |= _measured(joint, backward, output, cotangents)
    keep &= backward & {*lines}
    forward = needed([value, *keep], ())
    first = [name for name in lines if name in keep and name != value]
    values = [Parameter(name, axes[name], False, Symbol(name)) for name in lines if name in keep]
    given = [p for p in joint.parameters if p.name in backward]
    return (
        _part(
            joint,
            [p for p in joint.parameters if p.name not in cotangents],
            [s for name, s in lines.items() if name in forward],
            [r for r in joint.results if r.label == output]
            + [Result(name, name, axes[name]) for name in first],
        ),
        _part(
            joint,
            [*given, *values],
            [s for name, s in lines.items() if name in backward - keep],
            [r for r in joint.results if r.label != output],
        ),
    )


def _returned(joint: Program, output: str) -> tuple[Program, str]:
    """Return a program whose output is called so in its lines, and what it was called there."""
    result = next(r for r in joint.results if r.label == output)
    whole = any((s.name, s.axes) == (result.name, result.axes) for s in joint.statements)
    arrays = [p.name for p in joint.parameters] + [s.name for s in joint.statements]
    if not whole or output in arrays:
        return joint, output
    names = {IndexedBase(result.name): IndexedBase(output), Symbol(result.name): Symbol(output)}
    called = {result.name: output}
    lines = (
        replace(s, name=called.get(s.name, s.name), expr=s.expr.xreplace(names))
        for s in joint.statements
    )
    results = (replace(r, name=called.get(r.name, r.name)) for r in joint.results)
    scaled = frozenset(called.get(name, name) for name in joint.scaled)
    renamed = replace(joint, statements=tuple(lines), results=tuple(results), scaled=scaled)
    return renamed, result.name


def _measured(
    joint: Program, backward: Collection[str], output: str, cotangents: Collection[str]
) -> set[str]:
    """Return arguments that are needed for the lengths of their axes alone, as an embedding's."""
    shown = {a for p in joint.parameters if p.name in {*backward, *cotangents} for a in p.axes}
    found: set[str] = set()
    for axis in (family(a) for r in joint.results if r.label != output for a in r.axes):
        alike = {a for a, size in joint.sizes.items() if size == joint.sizes.get(axis)} | {axis}
        if not alike & shown:
            found |= {next(p.name for p in joint.parameters if axis in p.axes)}
            shown.add(axis)
    return found


def first_alone(recorded: Program) -> Program:
    """Return a program with the first of its results, and the lines that it needs."""
    wanted, lines = {recorded.results[0].name}, list[Statement]()
    for line in reversed(recorded.statements):
        if line.name in wanted:
            wanted |= {*names_in(line.expr)}
            lines.insert(0, line)
    return _part(recorded, [*recorded.parameters], lines, [recorded.results[0]])


def trimmed(recorded: Program) -> Program:
    """Return a program with the first of its parameters, and those that it needs."""
    used = {name for s in recorded.statements for name in names_in(s.expr)}
    used |= {r.name for r in recorded.results} | {recorded.parameters[0].name}
    return replace(recorded, parameters=tuple(p for p in recorded.parameters if p.name in used))


def _part(
    joint: Program,
    parameters: list[Parameter],
    statements: list[Statement],
    results: list[Result],
) -> Program:
    used = {symbol for s in statements for symbol in s.expr.free_symbols}
    lengths = {symbol: axis for symbol, axis in joint.lengths.items() if symbol in used}
    return replace(
        joint,
        parameters=tuple(parameters),
        lengths=lengths,
        statements=tuple(statements),
        results=tuple(results),
    )


def _best(large: list[str], cost: Callable[[Collection[str]], tuple[int, ...]]) -> tuple[str, ...]:
    subsets = (c for r in range(len(large[:MOST]) + 1) for c in combinations(large[:MOST], r))
    return min(subsets, key=cost)
