"""When is an index in range? Conditions, and what is known of them.

A condition travels through a contraction as a factor that is 1 or 0, so that
sums and products stay simple; `settle` decides or shows it at the end.
"""

from collections import defaultdict
from collections.abc import Iterable

from sympy import (
    And,
    Dummy,
    Expr,
    Ge,
    Idx,
    Indexed,
    Le,
    Max,
    Min,
    Mul,
    Piecewise,
    S,
    Symbol,
    false,
    sympify,
    true,
)
from sympy.core.relational import Relational
from sympy.functions.elementary.miscellaneous import MinMaxBase
from sympy.logic.boolalg import Boolean

from rmsnorm_math.indices import Ranges, limits_of, nodes

Limit = tuple[Expr, Expr, Expr]


def only_if(value: Expr, lower: Expr, upper: Expr) -> Expr:
    """Return the factor that is 1 where lower <= value <= upper, and 0 elsewhere."""
    return Piecewise((1, And(Le(lower, value), Le(value, upper))), (0, True))


def narrow(term: Expr, limit: Limit) -> tuple[Expr, Limit]:
    """Return `term` and the limit of its sum, with the conditions on the index in the limit.

    SymPy folds a condition that stands beside another sum's index out of its own
    sum, where it has lost the index that it is about.
    """
    index, lower, upper = limit
    factors = []
    for factor in Mul.make_args(term):
        if not (_is_indicator(factor) and factor.has(index)):
            factors.append(factor)
            continue
        kept = []
        for relation in And.make_args(factor.args[0].cond):
            difference = (relation.gts - relation.lts).expand()
            slope = difference.coeff(index)
            rest = difference - slope * index
            if slope == 1 and not rest.has(index):
                lower = Max(lower, -rest)
            elif slope == -1 and not rest.has(index):
                upper = Min(upper, rest)
            else:
                kept.append(relation)
        factors.append(Piecewise((1, And(*kept)), (0, True)))
    return Mul(*factors), (index, lower, upper)


def known_ranges(
    met: Iterable[Limit], indices: set[Expr], given: Iterable[Expr], stated: Ranges
) -> Ranges:
    """Return the range of each free index that is known.

    What the caller states comes first, then what an `Idx` or the shape of a
    base declares. An index of neither kind that meets sums over 1..n, with one
    and the same symbol n that is no index itself, is an index into 1..n.
    """
    known: Ranges = {}
    lengths = defaultdict(set)
    for value, lower, upper in met:
        if value in indices and lower == 1:
            lengths[value].add(upper)
    for index, uppers in lengths.items():
        upper = next(iter(uppers))
        if (
            len(uppers) == 1
            and isinstance(upper, Symbol)
            and not (upper in indices or isinstance(upper, Dummy))
        ):
            known[index] = (S.One, upper)
    for expr in given:
        for node in nodes(expr):
            if isinstance(node, Indexed) and node.base.shape:
                known |= {
                    index: (S.One, node.base.shape[axis])
                    for axis, index in enumerate(node.indices)
                    if index in indices
                }
            if isinstance(node, Idx) and node.lower is not None:
                known[node] = (node.lower, node.upper)
    return known | {index: (sympify(low), sympify(high)) for index, (low, high) in stated.items()}


def settle(expr: Expr, known: Ranges) -> Expr:
    """Return `expr` with every condition decided, as far as `known` goes, or shown."""
    bounds = known | {index: (lower, upper) for index, lower, upper in limits_of(expr)}
    ends_of_sums = {end for _, *ends in limits_of(expr) for end in ends}

    def decide(relation: Relational) -> Boolean | None:
        difference = (relation.gts - relation.lts).expand()
        if _extreme(difference, bounds, 0).is_nonnegative:
            return true
        if _extreme(difference, bounds, 1).is_negative:
            return false
        return _isolate(difference)

    def tightest(ends: MinMaxBase) -> Expr:
        """Drop each end of a sum that another one makes redundant."""
        args = list(ends.args)
        for end in ends.args:
            others = [other for other in args if other != end]
            gaps = [(o - end if isinstance(ends, Max) else end - o).expand() for o in others]
            if any(_extreme(gap, bounds, 0).is_nonnegative for gap in gaps):
                args.remove(end)
        return ends.func(*args)

    def walk(node: Expr) -> Expr:
        if isinstance(node, MinMaxBase) and node in ends_of_sums:
            return tightest(node)
        if not node.has(Piecewise, MinMaxBase):
            return node
        if _is_indicator(node):
            condition = node.args[0].cond
            decided = condition.replace(lambda c: isinstance(c, Ge | Le), decide)
            return Piecewise((1, decided), (0, True))
        args = [walk(arg) for arg in node.args]
        return _fold(args) if isinstance(node, Mul) else node.func(*args)

    return _fold([walk(expr)])


def _extreme(difference: Expr, bounds: Ranges, side: int) -> Expr:
    """Return the least (side 0) or greatest (side 1) value of an expression linear in indices."""
    for _ in range(len(bounds)):
        before = difference
        for index, ends in bounds.items():
            slope = difference.coeff(index)
            if slope.is_positive or slope.is_negative:
                end = ends[side if slope.is_positive else 1 - side]
                difference = (difference - slope * index + slope * end).expand()
        if difference == before:
            break
    return difference


def _isolate(difference: Expr) -> Boolean | None:
    """Solve difference >= 0 for an index, else a symbol; None leaves the relation as it is."""
    for index in sorted(difference.free_symbols, key=lambda s: (not isinstance(s, Idx), str(s))):
        slope = difference.coeff(index)
        if slope in (1, -1):
            rest = (difference - slope * index).expand()
            return Ge(index, -rest) if slope == 1 else Le(index, rest)
    return None


def _is_indicator(node: Expr) -> bool:
    return (
        isinstance(node, Piecewise)
        and len(node.args) == 2
        and node.args == ((1, node.args[0].cond), (0, True))
    )


def _fold(factors: list[Expr]) -> Expr:
    """Multiply `factors`, their conditions gathered around the product."""
    conditions = [f.args[0].cond for f in factors if _is_indicator(f)]
    rest = Mul(*(f for f in factors if not _is_indicator(f)))
    return Piecewise((rest, And(*conditions)), (0, True))
