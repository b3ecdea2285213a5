"""Lines that only rename, or are used once, go; lines that are made come before their use."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from sympy import Basic, Expr, Indexed
from sympy.core.relational import Relational

from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    BINDERS,
    Axes,
    Contraction,
    Line,
    array_name,
    element,
    rename,
    replaced,
)


def names_in(node: Basic) -> Iterator[str]:
    """Yield the names of the arrays and numbers in an expression, each as often as it is used."""
    if name := array_name(node):
        yield name
    else:
        for arg in node.args:
            yield from names_in(arg)


def uses(lines: list[Line]) -> Counter[str]:
    """Return how often each array is used."""
    return Counter(name for _, _, expr in lines for name in names_in(expr))


def valued(node: Basic) -> Iterator[str]:
    """Yield the names of the arrays in an expression, but for those in comparisons."""
    if isinstance(node, Indexed):
        yield str(node.base.name)
    elif not isinstance(node, Relational):
        for arg in node.args:
            yield from valued(arg)


def settled(
    lines: list[Line], made: set[str], results: set[str], defined: set[str]
) -> tuple[list[Line], dict[str, str]]:
    """Return the lines with those of `made` that are used once in their place, and new names.

    A result that is another value is that value: ``{label: name}`` says which.
    """
    values: dict[str, str] = {}
    for name, axes, expr in [*lines]:
        other = array_name(expr)
        own = {n: a for n, a, _ in lines}.get(other, ())
        here = getattr(expr, "indices", ())
        if name in results and other and {*here} == {*axes} and (here == own or other not in made):
            lines = [line for line in lines if line[0] != name]
            if other in made and other not in values.values():
                lines = [_renamed(line, {other: name}) for line in lines]
            else:
                values[name] = other
    for name, axes, expr in [*lines]:
        turned = {*getattr(expr, "indices", ())} == {*axes}
        if name in made - results and array_name(expr) and turned:
            lines = [(n, a, put(e, name, axes, expr)) for n, a, e in lines if n != name]
    counts = uses(lines)
    for name in [name for name, _, _ in lines if name in made - results and counts[name] == 1]:
        axes, expr = next((a, e) for n, a, e in lines if n == name)
        user, _, into = next(line for line in lines if uses([line])[name])
        binds = expr.has(*BINDERS)
        short = user in results and expr.count_ops() < 4 and {*uses([(user, (), into)])} == {name}
        fits = short or user in defined or isinstance(expr, Contraction)
        inside = any(uses([(user, (), part)])[name] for part in into.atoms(*BINDERS))
        if binds and (inside or not fits):
            continue
        value = put(into, name, axes, expr)
        lines = [(n, a, value if n == user else e) for n, a, e in lines if n != name]
    return lines, values


def put(node: Basic, name: str, axes: Axes, expr: Expr) -> Basic:
    """Return `node` with what the line ``name = expr`` says for its elements."""

    def value(part: Basic) -> Basic | None:
        if array_name(part) != name:
            return None
        return rename(expr, dict(zip(axes, getattr(part, "indices", ()), strict=True)))

    return replaced(node, value)


def _renamed(line: Line, names: Mapping[str, str]) -> Line:
    """Return a line with other names for arrays and numbers."""

    def value(part: Basic) -> Basic | None:
        new = names.get(array_name(part))
        return None if new is None else element(new, getattr(part, "indices", ()))

    name, axes, expr = line
    return names.get(name, name), axes, replaced(expr, value)


def ordered(lines: list[Line], made: list[Line]) -> list[Line]:
    """Return the lines with each of `made` before the first that uses it."""
    for line in reversed(made):
        at = next((k for k, user in enumerate(lines) if uses([user])[line[0]]), None)
        if at is not None:
            lines = [*lines[:at], line, *lines[at:]]
    return lines


def numbered(lines: list[Line], made: set[str], taken: set[str]) -> list[Line]:
    """Return the lines with the names that are made counted in the order of the lines."""
    taken = {*taken}
    names = {n: fresh(re.sub(r"_\d+$", "", n), taken) for n, _, _ in lines if n in made}
    return [_renamed(line, names) for line in lines]
