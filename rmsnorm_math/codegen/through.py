"""Programs in terms of what the forward pass returns: the output, and what is kept."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sympy import Add, Expr, Indexed, IndexedBase, Mul, Sum, Symbol, exp

from rmsnorm_math.abbreviation import abbreviate
from rmsnorm_math.codegen.derived import Derived
from rmsnorm_math.codegen.lines import names_in
from rmsnorm_math.codegen.nodes import axes_of, parts
from rmsnorm_math.codegen.passes import trimmed
from rmsnorm_math.codegen.program import program
from rmsnorm_math.codegen.record import Program, Result
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import base_of, free_indices


def tangent_of(
    layer: Derived, arguments: Mapping[Expr, str], where: Mapping[Expr, Expr], with_output: bool
) -> Program:
    """Return what each argument's tangent adds to the output's; with that, it goes through it."""
    given = {**layer.dots, **arguments}
    outputs = layer.output | layer.tangent if with_output else layer.tangent
    tangent = program(outputs, given, where, layer.alike, not layer.vectors)
    other = through(layer, layer.tangent, given, where) if with_output else None
    if other is not None:
        tangent = min(tangent, other, key=lambda p: _cost(p, {*layer.dots.values()}))
    if with_output:  # XLA computes a product anew where it is used, but holds what two need
        lines = (replace(s, expr=_multiplied_out(s.expr)) for s in tangent.statements)
        tangent = replace(tangent, statements=tuple(lines))
    results = (replace(r, added=layer.added and r.label != layer.label) for r in tangent.results)
    return replace(tangent, results=tuple(results))


def _multiplied_out(expr: Expr) -> Expr:
    """Return (v - dot)*y as v*y - dot*y, where the arrays v and y are large and `dot` is not."""
    large = [f for f in Mul.make_args(expr) if isinstance(f, Indexed)]
    for factor in Mul.make_args(expr):
        axes = axes_of(factor)
        wide = [term for term in factor.args if axes_of(term) == axes]
        both = len(wide) == 1 and isinstance(wide[0], Indexed) and axes in map(axes_of, large)
        if factor.is_Add and both:
            return Add(*(term * expr / factor for term in factor.args))
    return expr


def _cost(tangent: Program, dots: set[str]) -> tuple[int, int]:
    """Return how many large arrays the transposed tangent holds, and how many lines there are."""
    moving, held = {*dots}, set[str]()
    for line in tangent.statements:
        names = {*names_in(line.expr)}
        if names & moving:
            moving.add(line.name)
            held |= names - moving
    axes = {p.name: p.axes for p in tangent.parameters}
    axes |= {s.name: s.axes for s in tangent.statements}
    most = max(map(len, axes.values()))
    return sum(len(axes.get(n, ())) == most for n in held), len(tangent.statements)


def through(
    layer: Derived,
    outputs: Mapping[Any, Expr],
    given: Mapping[Expr, str],
    where: Mapping[Expr, Expr],
) -> Program | None:
    """Return the program of the output, and of `outputs` in terms of it, if they use it."""
    if not isinstance(layer.element, Indexed):
        return None
    found = program(outputs, given, longer(layer, where), layer.alike, not layer.vectors)
    for line in found.statements:
        if line.name == layer.label and line.name not in found.scaled:
            results = (Result(layer.label, layer.label, line.axes), *found.results)
            return replace(found, results=results)
    return None


def alone(
    layer: Derived, given: dict[Expr, str], where: Mapping[Expr, Expr], backward: Program
) -> Program:
    """Return the backward pass printed on its own, which need not share lines with the forward.

    What is kept must have a name for that; else it is returned as it is.
    """
    names = {str(base_of(key)): key for key in where}
    values = [p.name for p in backward.parameters if p.name not in given.values()]
    if not values or not all(name in names and name not in backward.scaled for name in values):
        return backward
    kept = [names[name] for name in values]
    rows = layer.element.args[1:-1][:1]  # the first index, where another one follows
    row = [key for key in kept if rows and getattr(key, "indices", ()) == rows]
    arguments = given | {
        key if key in row else base_of(key): name for key, name in zip(kept, values, strict=True)
    }
    gradients = {key: abbreviate(expr, where) for key, expr in layer.gradients.items()}
    rest: dict[Expr, Expr] = {}
    earlier: dict[Expr, Expr] = {}
    for key, expr in where.items():
        if key not in kept:
            rest[key] = abbreviate(expr, earlier)
        earlier[key] = expr
    try:
        own = trimmed(program(gradients, arguments, rest, rows=not layer.vectors))
    except Refused:  # a length that only the forward pass shows
        return backward
    return min(own, backward, key=_exponentials)  # what is kept may hide a logistic function


def _exponentials(recorded: Program) -> int:
    return sum(isinstance(part, exp) for s in recorded.statements for part in parts(s.expr))


def longer(layer: Derived, where: Mapping[Expr, Expr]) -> dict[Expr, Expr]:
    """Return the definitions, and names for the output and what it is divided by."""
    (y,) = layer.output.values()
    return {**where, **_divisors(y, where), layer.element: y}


def _divisors(y: Expr, where: Mapping[Expr, Expr]) -> dict[Expr, Expr]:
    """Return a name for each sum without one that `y` is divided by, as softmax is."""
    powers = [f for f in Mul.make_args(y) if f.is_Pow and f.exp == -1 and isinstance(f.base, Sum)]
    sums = [power.base for power in powers if abbreviate(power.base, where) == power.base]
    names = [f"divisor_{at}" if at > 1 else "divisor" for at, _ in enumerate(sums, 1)]
    indices = [free_indices(total) for total in sums]
    return {
        IndexedBase(name)[tuple(own)] if own else Symbol(name): total
        for name, own, total in zip(names, indices, sums, strict=True)
    }
