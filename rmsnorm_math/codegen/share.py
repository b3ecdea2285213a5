"""Nothing is computed twice, and no line only renames: what lines have in common gets its own."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

from sympy import Add, Basic, Expr, Indexed, Mul, Number, Piecewise, Pow, Symbol, factor_terms
from sympy.core.relational import Relational

from rmsnorm_math.codegen.constants import marked
from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    BINDERS,
    Axes,
    Line,
    Position,
    axes_of,
    element,
    family,
    rename,
    renamings,
    replaced,
)

Sort = Callable[[Iterable[Symbol]], Axes]
Change = Callable[[Basic, Expr], Basic]


def share(lines: list[Line], sort: Sort, taken: set[str]) -> list[Line]:
    """Return lines that compute the same, each part once."""
    marks: dict[Expr, Symbol] = {}
    lines = [(name, axes, _factored(marked(expr, marks))) for name, axes, expr in lines]
    lines = _shared(_turned(lines), sort, taken)
    numbers = {mark: number for number, mark in marks.items()}
    return [(name, axes, expr.xreplace(numbers)) for name, axes, expr in lines]


def _shared(lines: list[Line], sort: Sort, taken: set[str]) -> list[Line]:
    """Return lines that compute each part once."""
    while True:
        if (node := _again(lines)) is not None:
            lines = _with_line(lines, node, _putting(node), sort, taken)
        elif (pair := _pair(lines)) is not None:
            lines = _with_line(lines, pair, _taking(pair), sort, taken)
        else:
            return lines


def _turned(lines: list[Line]) -> list[Line]:
    """Return lines that take an earlier one with its axes turned, where they compute that."""
    for k in range(len(lines)):
        name, own, expr = lines[k]
        if len({*map(family, own)}) == len(own) or not _worth(expr):
            continue
        for names in renamings(own, own):
            if [*names] != [*names.values()]:
                new = element(name, tuple(names[axis] for axis in own))
                change = _putting(rename(expr, names))
                lines = [*lines[: k + 1], *((n, a, change(e, new)) for n, a, e in lines[k + 1 :])]
    return lines


def _factored(expr: Expr) -> Expr:
    return expr if expr.has(*BINDERS) else factor_terms(expr)


def _with_line(
    lines: list[Line], value: Expr, change: Change, sort: Sort, taken: set[str]
) -> list[Line]:
    """Return the lines with `value` on a line of its own before the first that uses it."""
    axes = sort(axes_of(value))
    for k, (name, own, expr) in enumerate(lines):
        probe = Symbol("_")
        if expr == value:
            new = element(name, own)
            return lines[: k + 1] + [(n, a, change(e, new)) for n, a, e in lines[k + 1 :]]
        if change(expr, probe) != expr:
            made = fresh("t", taken)
            new = element(made, axes)
            rest = [(n, a, change(e, new)) for n, a, e in lines[k:]]
            return [*lines[:k], (made, axes, value), *rest]
    raise AssertionError(value)


def _worth(node: Basic) -> bool:
    """Return whether a node is work: no leaf, number, reciprocal, or multiple of a leaf."""
    if isinstance(node, Indexed | Relational | Position) or not node.args:
        return False
    if not isinstance(node, Expr) or not node.free_symbols or isinstance(node, BINDERS):
        return False
    if (isinstance(node, Pow) and node.exp == -1) or is_mask(node):
        return False  # a mask chooses: 0 times what has no value has none
    if isinstance(node, Mul):
        return bool(axes_of(node))
    return bool(axes_of(node)) or not (node.is_Add or node.is_Pow)


def is_mask(node: Basic) -> bool:
    """Return whether a node is 1 under a condition, else 0."""
    return isinstance(node, Piecewise) and [value for value, _ in node.args] == [1, 0]


def _again(lines: list[Line]) -> Expr | None:
    """Return the largest node that is computed more than once."""
    seen: Counter[Basic] = Counter()

    def count(node: Basic) -> None:
        node = _bare(node)
        node = node.base if isinstance(node, Pow) and node.exp == -1 else node
        seen[node] += 1
        if seen[node] == 1 and not isinstance(node, Indexed | Position):
            for arg in node.args:
                count(arg)

    for _, _, expr in lines:
        count(expr)
    for node in [*seen]:
        if isinstance(node, Add) and seen[node] and seen.get(-node):
            seen[node] += seen.pop(-node)
    again = [node for node, times in seen.items() if times > 1 and _worth(node)]
    return max(again, key=lambda node: (node.count_ops(), str(node)), default=None)


def _bare(node: Basic) -> Basic:
    """Return a product without its number, so that -x/r and 2*x/r have x/r in common."""
    if not isinstance(node, Mul):
        return node
    return Mul(*(f for f in node.args if not isinstance(f, Number)))


def _products(expr: Basic) -> Iterator[Mul]:
    if not isinstance(expr, Indexed):
        for arg in expr.args:
            yield from _products(arg)
    if isinstance(expr, Mul):
        yield expr


def _pair(lines: list[Line]) -> Expr | None:
    """Return two factors that several products have in common, if they make a large array."""
    products = {p for _, _, expr in lines for p in _products(expr)}
    most = max((len(axes_of(p)) for p in products), default=0)
    found: Counter[Expr] = Counter()
    for node in products:
        factors = sorted((f for f in node.args if axes_of(f)), key=str)
        for one, other in combinations(factors, 2):
            under = all(isinstance(f, Pow) and f.exp.is_negative for f in (one, other))
            if is_mask(one) or is_mask(other):
                continue
            if len(axes_of(one) | axes_of(other)) == most and not under:
                found[Mul(one, other)] += 1
    again = [pair for pair, times in found.items() if times > 1 and len(pair.args) == 2]
    return max(again, key=lambda p: (found[p], -p.count_ops(), str(p)), default=None)


def _putting(node: Expr) -> Change:
    """Return how to write one name for `node`."""
    if isinstance(node, Mul):
        return _taking(node)
    if isinstance(node, Add):
        return lambda expr, by: expr.xreplace({node: by, -node: -by})
    return lambda expr, by: expr.xreplace({node: by})


def _taking(pair: Expr) -> Change:
    """Return how to write products that hold both factors of `pair` with one name for it."""
    gone = {*pair.args}

    def change(node: Basic, by: Expr) -> Basic:
        def value(part: Basic) -> Basic | None:
            if not (isinstance(part, Mul) and gone <= {*part.args}):
                return None
            return Mul(by, *(change(f, by) for f in part.args if f not in gone))

        return replaced(node, value)

    return change
