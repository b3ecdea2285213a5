"""Nothing is computed twice, and no line only renames: what lines have in common gets its own."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

from sympy import Basic, Dummy, Expr, Indexed, Mul, Number, Pow, Rational, Symbol, factor_terms
from sympy.core.relational import Relational

from rmsnorm_math.codegen.contract import Line, element
from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import BINDERS, Axes, Contraction, Position, axes_of, rebuilt

Sort = Callable[[Iterable[Symbol]], Axes]
Change = Callable[[Basic, Expr], Basic]


def share(lines: list[Line], sort: Sort, taken: set[str]) -> list[Line]:
    """Return lines that compute the same, each part once."""
    marks: dict[Expr, Symbol] = {}
    lines = [(name, axes, _factored(_marked(expr, marks))) for name, axes, expr in lines]
    lines = _shared(lines, sort, taken)
    numbers = {mark: number for number, mark in marks.items()}
    return [(name, axes, expr.xreplace(numbers)) for name, axes, expr in lines]


def _marked(node: Basic, marks: dict[Expr, Symbol]) -> Basic:
    """Return `node` with symbols for its long constants: SymPy would multiply them out."""
    if isinstance(node, Indexed | Position):
        return node
    if isinstance(node, Expr) and node.is_number and node.is_real:
        return marks.setdefault(node, Dummy(positive=True)) if _is_long(node) else node
    if isinstance(node, Mul):
        constant = Mul(*(f for f in node.args if f.is_number))
        rest = Mul(*(_marked(f, marks) for f in node.args if not f.is_number))
        return (-_marked(-constant, marks) if constant.is_negative else _marked(constant, marks)) * rest
    return rebuilt(node, (_marked(arg, marks) for arg in node.args))


def _is_long(number: Expr) -> bool:
    """Return whether a constant is one number in the code, 0.7978845608028654 or 0.044715."""
    if isinstance(number, Rational):
        return max(abs(number.p), number.q) > 1000
    return not number.is_Atom and bool(number.is_finite)


def _shared(lines: list[Line], sort: Sort, taken: set[str]) -> list[Line]:
    """Return lines that compute each part once."""
    while True:
        if (node := _again(lines)) is not None:
            lines = _with_line(lines, node, lambda e, by, n=node: e.xreplace({n: by}), sort, taken)
        elif (pair := _pair(lines)) is not None:
            lines = _with_line(lines, pair, _taking(pair), sort, taken)
        else:
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
            name = fresh("t", taken)
            new = element(name, axes)
            rest = [(n, a, change(e, new)) for n, a, e in lines[k:]]
            return [*lines[:k], (name, axes, value), *rest]
    raise AssertionError(value)


def _worth(node: Basic) -> bool:
    """Return whether a node is work: no leaf, number, reciprocal, or multiple of a leaf."""
    if isinstance(node, Indexed | Relational | Position) or not node.args:
        return False
    if not isinstance(node, Expr) or not node.free_symbols or isinstance(node, BINDERS):
        return False
    if isinstance(node, Pow) and node.exp == -1:
        return False
    if isinstance(node, Mul):
        factors = [f for f in node.args if not isinstance(f, Number)]
        return bool(axes_of(node)) and (len(factors) > 1 or _worth(factors[0]))
    return bool(axes_of(node)) or not (node.is_Add or node.is_Pow)


def _again(lines: list[Line]) -> Expr | None:
    """Return the largest node that is computed more than once."""
    seen: Counter[Basic] = Counter()

    def count(node: Basic) -> None:
        seen[node] += 1
        if seen[node] == 1 and not isinstance(node, Indexed | Position):
            for arg in node.args:
                count(arg)

    for _, _, expr in lines:
        count(expr)
    again = [node for node, times in seen.items() if times > 1 and _worth(node)]
    return max(again, key=lambda node: (node.count_ops(), str(node)), default=None)


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
            if len(axes_of(one) | axes_of(other)) == most and not under:
                found[Mul(one, other)] += 1
    again = [pair for pair, times in found.items() if times > 1 and len(pair.args) == 2]
    return max(again, key=lambda p: (found[p], -p.count_ops(), str(p)), default=None)


def _taking(pair: Expr) -> Change:
    """Return how to write products that hold both factors of `pair` with one name for it."""
    gone = {*pair.args}

    def change(node: Basic, by: Expr) -> Basic:
        if isinstance(node, Indexed):
            return node
        if isinstance(node, Mul) and gone <= {*node.args}:
            return Mul(by, *(change(f, by) for f in node.args if f not in gone))
        return rebuilt(node, (change(arg, by) for arg in node.args))

    return change


def uses(lines: list[Line]) -> Counter[str]:
    """Return how often each array is used."""
    counts: Counter[str] = Counter()

    def count(node: Basic) -> None:
        if isinstance(node, Indexed):
            counts[node.base.name] += 1
        elif isinstance(node, Symbol):
            counts[node.name] += 1
        else:
            for arg in node.args:
                count(arg)

    for _, _, expr in lines:
        count(expr)
    return counts


def settled(
    lines: list[Line], made: set[str], results: set[str], defined: set[str]
) -> tuple[list[Line], dict[str, str]]:
    """Return the lines with those of `made` that are used once in their place, and new names.

    A result that is another value is that value: ``{label: name}`` says which.
    """
    values: dict[str, str] = {}
    for name, axes, expr in [*lines]:
        other = getattr(getattr(expr, "base", expr), "name", None)
        own = {n: a for n, a, _ in lines}.get(other, ())
        here = getattr(expr, "indices", ())
        if name in results and other and {*here} == {*axes} and (here == own or other not in made):
            lines = [line for line in lines if line[0] != name]
            if other in made and other not in values.values():
                lines = [_renamed(line, other, name) for line in lines]
            else:
                values[name] = other
    counts = uses(lines)
    for name, axes, expr in [*lines]:
        once = name in made and name not in results and counts[name] == 1
        user = next((l for l in lines if once and uses([l])[name]), None)
        if user is None:
            continue
        here = not user[2].has(*BINDERS)
        if here and (user[0] in defined or isinstance(expr, Contraction) or not expr.has(*BINDERS)):
            lines = [
                (n, a, e.xreplace({element(name, axes): expr})) if n == user[0] else (n, a, e)
                for n, a, e in lines
                if n != name
            ]
    return lines, values


def _renamed(line: Line, old: str, new: str) -> Line:
    def walk(node: Basic) -> Basic:
        if isinstance(node, Indexed):
            return element(new, node.indices) if node.base.name == old else node
        if isinstance(node, Symbol):
            return Symbol(new) if node == Symbol(old) else node
        return rebuilt(node, map(walk, node.args))

    name, axes, expr = line
    return (new if name == old else name), axes, walk(expr)


def ordered(lines: list[Line], made: list[Line]) -> list[Line]:
    """Return the lines with each of `made` before the first that uses it."""
    for line in reversed(made):
        at = next((k for k, user in enumerate(lines) if uses([user])[line[0]]), None)
        if at is not None:
            lines = [*lines[:at], line, *lines[at:]]
    return lines
