"""The lines of a printed function: which there are, what they share, and what they are called."""

from collections.abc import Iterator, Mapping
from itertools import chain, count
from keyword import iskeyword
from typing import Any

from sympy import Expr, Symbol, cse, postorder_traversal

from rmsnorm_math.abbreviation import abbreviate
from rmsnorm_math.codegen.arrays import REDUCTIONS
from rmsnorm_math.codegen.printer import MODULES
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import depends, nodes

Statement = tuple[Symbol, Expr]


def refuse_names(arguments: list[Any], outputs: list[Any], where: list[str]) -> None:
    """Raise if a name is no name in Python, or would stand for two things."""
    if not outputs:
        raise Refused("there are no outputs: give at least one, as in {'dx': dx}.")
    taken = [*MODULES.values()]
    for text in [*arguments, *outputs, *where]:
        if not isinstance(text, str) or not text.isidentifier() or iskeyword(text):
            raise Refused(f"{text!r} is no name in Python: call it otherwise.")
        if text in taken:
            raise Refused(
                f"{text!r} would stand for two things: arguments, outputs and definitions "
                f"need different names, and none may be called {', '.join(MODULES.values())}."
            )
        taken.append(text)


def refuse_order(where: Mapping[Expr, Expr]) -> None:
    """Raise if a definition uses itself or one that comes after it."""
    keys = list(where)
    for number, key in enumerate(keys):
        for later in keys[number:]:
            if depends(where[key], later):
                raise Refused(f"{key} is defined by {later}: define {later} before it.")


def array_of(key: Expr) -> Expr:
    """Return what is one array in the code: the base of an element, or a symbol."""
    return getattr(key, "base", key)


def definitions_needed(where: Mapping[Expr, Expr], exprs: Mapping[str, Expr]) -> dict[Expr, Expr]:
    """Return the definitions that `exprs` use, each in terms of those before it."""
    needed: dict[Expr, Expr] = {}
    for number, key in reversed(list(enumerate(where))):
        if any(array_of(key) in set(nodes(expr)) for expr in [*exprs.values(), *needed.values()]):
            earlier = dict(list(where.items())[:number])
            needed[key] = abbreviate(where[key], earlier)
    return dict(reversed(needed.items()))


def named_reductions(statements: list[Statement], taken: set[str]) -> Iterator[Statement]:
    """Yield the statements, each sum along the axis on a line of its own before its first use."""
    names: dict[Expr, Symbol] = {}
    for target, expr in statements:
        for node in postorder_traversal(expr):
            if isinstance(node, REDUCTIONS) and node != expr and node not in names:
                stem = "dot" if node.args[0].is_Mul else node.func.__name__.lower()
                line = node.func(*(arg.xreplace(names) for arg in node.args))
                names[node] = Symbol(_fresh(stem, taken))
                yield names[node], line
        yield target, expr.func(*(arg.xreplace(names) for arg in expr.args)) if expr.args else expr


def share(statements: list[Statement], taken: set[str]) -> list[Statement]:
    """Put what several statements have in common on a line before the first of them."""
    fresh = (Symbol(_fresh("t", taken)) for _ in count())
    shared, exprs = cse([expr for _, expr in statements], symbols=fresh)
    reciprocals = {s: expr for s, expr in shared if expr.is_Pow and expr.exp == -1}
    shared = [(s, expr.xreplace(reciprocals)) for s, expr in shared if s not in reciprocals]
    exprs = [expr.xreplace(reciprocals) for expr in exprs]
    lines: list[Statement] = []
    for (target, _), expr in zip(statements, exprs, strict=True):
        used = expr.free_symbols
        for symbol, part in reversed(shared):
            used |= part.free_symbols if symbol in used else set()
        lines += [line for line in shared if line[0] in used and line not in lines]
        lines.append((target, expr))
    return lines


def _fresh(stem: str, taken: set[str]) -> str:
    names = chain([stem], (f"{stem}_{number}" for number in count(2)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name
