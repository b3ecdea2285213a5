"""Definitions and entries of matrices that nobody chose, and the kinds of thing in a case."""

from hypothesis import assume
from hypothesis import strategies as st
from sympy import (
    Add,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    Mul,
    Ne,
    Piecewise,
    Product,
    Sum,
    Symbol,
    exp,
    preorder_traversal,
    sin,
    sqrt,
)

from tests.drawn import Case, Draw, cases, chance, f, m, n, one_of, t


@st.composite
def abbreviations(draw: Draw) -> tuple[Case, dict[Expr, Expr]]:
    """Draw an expression and definitions of one or two of its parts, the second of the first."""
    case = draw(cases(depth=3))
    definitions: dict[Expr, Expr] = {}
    for symbol, letter in (("R", "u"), ("Q", "v")):
        parts = [p for p in preorder_traversal(case.expr) if _may_be_named(p)]
        assume(parts)
        part = one_of(draw, *parts)
        free = [s for s in case.world.indices if s in part.free_symbols]
        chosen = [s for s in free if chance(draw, 70)]
        key = IndexedBase(letter)[tuple(chosen)] if chosen else Symbol(symbol)
        factor = one_of(draw, 1, 1, 1, n, 2, t)
        definitions[key] = (
            one_of(draw, part, part, sqrt(part)) if part.is_nonnegative else part
        ) / factor
    return case, definitions


def _may_be_named(part: object) -> bool:
    return isinstance(part, Expr) and part.has(Indexed) and not isinstance(part, IndexedBase)


@st.composite
def matrices(draw: Draw) -> Expr:
    """Draw the entry of a matrix: a sum of products of vectors, matrices, sums and deltas."""
    i, j, k = map(Idx, "ijk")
    a, c, A, B = map(IndexedBase, "acAB")

    def vector(s: Expr) -> Expr:
        of_k = Sum(one_of(draw, A[s, k], A[k, s], B[s, k]) * one_of(draw, a[k], c[k], 1), (k, 1, n))
        plain = one_of(draw, a[s], c[s], of_k, a[s] + c[s], a[s] * c[s], s)
        wrap = one_of(draw, None, None, sin, exp, f, lambda e: e**2, lambda e: 1 / (2 + e**2))
        return wrap(plain) if wrap else plain

    def matrix() -> Expr:
        product_ = Sum(one_of(draw, A[i, k], A[k, i]) * one_of(draw, B[k, j], A[j, k]), (k, 1, n))
        shift = KroneckerDelta(i, j + one_of(draw, 1, -1))
        mask = Piecewise((1, one_of(draw, i <= j, i > j, Ne(i, j))), (0, True))
        return one_of(draw, A[i, j], A[j, i], B[i, j], product_, shift, KroneckerDelta(i, j), mask)

    terms = []
    for _ in range(draw(st.integers(1, 3))):
        factors = [one_of(draw, t, 2, -1 / n)]
        factors += [vector(i)] if chance(draw, 70) else []
        factors += [vector(j)] if chance(draw, 60) else []
        factors += [matrix()] if chance(draw, 60) else []
        terms.append(Mul(*factors))
    return Add(*terms)


KINDS = {
    *("Sum", "Product", "Piecewise", "KroneckerDelta", "Max", "Min", "Abs", "f", "g", "Mod"),
    *("And", "Or", "Not", "Equality", "Unequality"),
    *("StrictLessThan", "StrictGreaterThan", "LessThan", "GreaterThan"),
}


def features(case: object) -> set[str]:
    """Name the kinds of thing that a case has in it."""
    if isinstance(case, tuple):
        case = case[0]
    if not isinstance(case, Case):
        return set()
    found = {type(node).__name__ for node in preorder_traversal(case.expr)} & KINDS
    bound: set[Expr] = set()
    for node in preorder_traversal(case.expr):
        if isinstance(node, Sum | Product):
            indices = {s for s, *_ in node.limits}
            found |= {"nested sums"} if node.function.has(Sum, Product) else set()
            found |= {"a name bound twice"} if indices & bound else set()
            bound |= indices
            ends = {s for _, *ends in node.limits for end in ends for s in end.free_symbols}
            found |= {"dependent limits"} if ends & set(case.world.indices) else set()
            found |= {"another length"} if m in ends else set()
        elif isinstance(node, Indexed):
            found |= {"three indices"} if len(node.indices) == 3 else set()
            found |= {"a repeated index"} if len(set(node.indices)) < len(node.indices) else set()
            found |= {"a shift"} if any(s.args and s.is_Add for s in node.indices) else set()
    found |= {"0-based"} if case.world.first == 0 else set()
    found |= {"ranges stated"} if case.ranges else set()
    found |= {"a shape"} if case.world.bases[0].shape else set()
    found |= (
        {"a declared index"}
        if any(getattr(s, "lower", None) is not None for s in case.world.indices)
        else set()
    )
    return found
