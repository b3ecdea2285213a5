"""Matrix products that share a factor and are added are one: a @ k - c*(e @ k), (a - c*e) @ k."""

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import NamedTuple

from sympy import Add, Expr, Indexed, Mul, S, Symbol, Tuple, factor_terms

from rmsnorm_math.codegen.lines import put, uses
from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    BINDERS,
    Axes,
    Contraction,
    Line,
    array_name,
    axes_of,
    canonical,
    element,
    parts,
    rename,
    replaced,
)

Known = dict[str, tuple[Axes, Expr]]


class Term(NamedTuple):
    """A term of a sum: the factors that are summed over the axes, and the axes of the operands."""

    term: Expr
    over: Axes
    factors: tuple[Expr, ...]
    sides: tuple[set[Symbol], ...]


def joined(
    lines: list[Line], made: set[str], sort: Callable[[Iterable[Symbol]], Axes], taken: set[str]
) -> list[Line]:
    """Return the lines with products added before they are summed, where that spares one."""
    while (found := _first(lines, made)) is not None:
        at, node, one, other, (shared, rest) = found
        name, axes, expr = lines[at]
        gone = {one.term, other.term}
        left = [term for term in node.args if term not in gone]
        before = expr / node if isinstance(expr, Mul) and node in expr.args and not left else 1
        if axes_of(S(before)) <= axes_of(rest):
            rest, node = factor_terms(before * rest), before * node
        own = sort(axes_of(rest))
        term = element(fresh("t", taken), own)
        product = canonical(Contraction(Tuple(*one.over), term, shared))
        result = element(fresh("product", taken), sort(axes_of(product)))
        made |= {array_name(term), array_name(result)}
        new = [
            (array_name(term), own, rest),
            (array_name(result), sort(axes_of(product)), product),
            (name, axes, replaced(expr, {node: Add(*left, result)}.get)),
        ]
        lines = _needed([*lines[:at], *new, *lines[at + 1 :]], made)
    return lines


def _needed(lines: list[Line], made: set[str]) -> list[Line]:
    """Return the lines without those of `made` that none uses any more."""
    while True:
        counts = uses(lines)
        left = [line for line in lines if counts[line[0]] or line[0] not in made]
        if len(left) == len(lines):
            return lines
        lines = left


def _first(
    lines: list[Line], made: set[str]
) -> tuple[int, Add, Term, Term, tuple[Expr, Expr]] | None:
    counts = uses(lines)
    known = {name: (axes, expr) for name, axes, expr in lines if name in made}
    once = {n: v for n, v in known.items() if counts[n] == 1 and isinstance(v[1], Contraction)}
    for at, (_, _, expr) in enumerate(lines):
        for node in parts(expr):
            if isinstance(node, Add) and not isinstance(expr, BINDERS):
                terms = [t for term in node.args for t in _terms(term, once, known)]
                for one, other in combinations(terms, 2):
                    if one.term != other.term and (both := _both(one, other)) is not None:
                        return at, node, one, other, both
    return None


def _terms(
    term: Expr, once: dict[str, tuple[Axes, Expr]], known: dict[str, tuple[Axes, Expr]]
) -> list[Term]:
    """Return a term that is a product used once, with its factors as they are before the sum."""
    found = []
    for factor in Mul.make_args(term):
        if array_name(factor) in once:
            axes, product = once[array_name(factor)]
            product = rename(product, dict(zip(axes, getattr(factor, "indices", ()), strict=True)))
            factors = [term / factor]
            for side in product.factors:
                name = array_name(side)
                plain = name in known and not known[name][1].has(*BINDERS)
                factors += Mul.make_args(put(side, name, *known[name]) if plain else side)
            sides = tuple(axes_of(side) for side in product.factors)
            found.append(Term(term, product.over, tuple(factors), sides))
    return found


def _both(one: Term, other: Term) -> tuple[Expr, Expr] | None:
    """Return the factor that two terms share, and the sum of what is left of both."""
    if len(one.over) != len(other.over):
        return None
    names = dict(zip(other.over, one.over, strict=True))
    if {*one.over} & {a for f in other.factors for a in axes_of(f) - {*other.over}}:
        return None
    factors = [rename(f, names) for f in other.factors]
    for shared in one.factors:
        if (
            not isinstance(shared, Indexed)
            or shared not in factors
            or axes_of(shared) not in one.sides
        ):
            continue
        side = next((s for s in one.sides if s != axes_of(shared)), None)
        rest = [
            Mul(*(f for k, f in enumerate(every) if k != every.index(shared)))
            for every in ([*one.factors], factors)
        ]
        if side and all(axes_of(r) <= side for r in rest) and axes_of(rest[0]) == side:
            return shared, Add(*rest)
    return None
