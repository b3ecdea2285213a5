"""One walk through an expression as SymPy writes it: its names, its bound and its free indices."""

from collections.abc import Iterator
from functools import cache

from sympy import Basic, Dummy, Expr, Idx, Indexed, IndexedBase, Lambda, Product, Subs, Sum, Symbol
from sympy.core.function import AppliedUndef

Ranges = dict[Expr, tuple[Expr, Expr]]
BINDERS = (Sum, Product)


def is_leaf(node: Basic) -> bool:
    """Return whether `node` has no parts: so do a base and an index, whose label is none."""
    return not node.args or isinstance(node, IndexedBase | Idx)


def nodes(expr: Basic) -> Iterator[Basic]:
    """Yield every different node of `expr`."""
    seen: set[Basic] = set()
    rest = [expr]
    while rest:
        node = rest.pop()
        if node not in seen:
            seen.add(node)
            yield node
            if not is_leaf(node):
                rest.extend(reversed(node.args))


def base_of(node: Expr) -> Expr:
    """Return the base of an element; what is none, a symbol or a base, stays."""
    return node.base if isinstance(node, Indexed) else node


def name(node: Basic) -> str | None:
    """Return what `node` prints as, if it is something that has a name."""
    if isinstance(node, AppliedUndef):
        return str(node.func)
    if isinstance(node, Symbol | Idx | IndexedBase) and not isinstance(node, Dummy):
        return str(node.name)
    return None


def limits_of(expr: Basic) -> Iterator[tuple[Expr, Expr, Expr]]:
    """Yield (index, lower, upper) for every bound index in `expr`."""
    for node in nodes(expr):
        if isinstance(node, BINDERS):
            yield from (tuple(limit) for limit in node.limits)


def index_symbols(expr: Basic) -> set[Expr]:
    """Return the symbols that stand in the index of some element of `expr`."""
    found: set[Expr] = set()
    for node in nodes(expr):
        if isinstance(node, Idx):
            found.add(node)
        if isinstance(node, Indexed):
            for index in node.indices:
                found |= {leaf for leaf in nodes(index) if isinstance(leaf, Symbol | Idx)}
    return found


def free_indices(expr: Expr) -> list[Expr]:
    """Return the free indices of `expr`, sorted by name; a length that is used as one is none."""
    ends = {s for _, *limit in limits_of(expr) for end in limit for s in end.free_symbols}
    lengths = {s for s in ends if not isinstance(s, Idx)}
    return sorted(free_symbols(expr) & index_symbols(expr) - lengths, key=str)


def depends(expr: Basic, wrt: Expr) -> bool:
    """Return whether `wrt`, or for an element any element of its base, occurs in `expr`."""
    sought = base_of(wrt)
    return any(node == sought for node in nodes(expr))


def dummies_of(*exprs: Expr) -> list[Expr]:
    """Return the bound indices of `exprs`, without ranges, sorted by name."""
    bound = {index for expr in exprs for index, _, _ in limits_of(expr)}
    return sorted((plain(index) for index in bound if not isinstance(index, Dummy)), key=str)


def plain(index: Expr) -> Expr:
    """Return `index` without a range: a ranged `Idx` prints badly in LaTeX."""
    return Idx(index.label) if isinstance(index, Idx) else index


def free_symbols(*exprs: Basic) -> set[Expr]:
    """Return the free symbols, indices and bases of `exprs`; SymPy's own asks each sum anew."""

    @cache
    def walk(node: Basic) -> frozenset[Expr]:
        if isinstance(node, Symbol | Idx | IndexedBase):
            return frozenset([node])
        if isinstance(node, BINDERS):
            found = walk(node.function)
            for index, *ends in node.limits:
                found = (found - {index}).union(*map(walk, ends))
            return found
        if isinstance(node, Subs | Lambda):
            found = walk(node.expr) - set(node.variables)
            return found.union(*map(walk, getattr(node, "point", ())))
        return frozenset().union(*map(walk, node.args))

    return set().union(*map(walk, exprs))


def declared(*exprs: Basic) -> set[Expr]:
    """Return the symbols in what the indices and bases of `exprs` declare of ranges and lengths."""
    found: set[Expr] = set()
    for node in (node for expr in exprs for node in nodes(expr)):
        if isinstance(node, Idx) and node.lower is not None:
            found |= free_symbols(node.lower, node.upper)
        if isinstance(node, IndexedBase) and node.shape:
            found |= free_symbols(*node.shape)
    return found
