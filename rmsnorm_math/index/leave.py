"""From the inner form back to SymPy's: readable names, and conditions that stay in their sums."""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain, count

from sympy import (
    And,
    Basic,
    Eq,
    Expr,
    Idx,
    Indexed,
    KroneckerDelta,
    Mod,
    Mul,
    Ne,
    Piecewise,
    Product,
    Sum,
    ceiling,
    floor,
)
from sympy.core.symbol import Str
from sympy.logic.boolalg import Boolean

from rmsnorm_math.index.inner import (
    Binder,
    Bound,
    BoundSum,
    Bracket,
    Choice,
    Partial,
)
from rmsnorm_math.index.nested import kept_together
from rmsnorm_math.index.partial import applied_derivative
from rmsnorm_math.index.rebuild import is_count, made, renamed, with_leaves
from rmsnorm_math.index.terms import is_smooth, times
from rmsnorm_math.index.walk import free_symbols, is_leaf, name, nodes

Labels = Callable[[Basic], tuple[Expr, ...]]


def leave(expr: Expr, candidates: Iterable[Expr]) -> Expr:
    """Return `expr` as SymPy writes it; its bound indices become those of `candidates`.

    An index keeps its own name if that is among them, is free nowhere, and stands in no sum
    within; else it takes the first that does not. Sums that differ in names alone become one.
    """
    candidates = list(candidates)
    expr = unified(expr, [str(s) for s in candidates])
    return _written(expr, _labels(expr, candidates))


def unified(expr: Expr, order: list[str]) -> Expr:
    """Return `expr`, with sums that differ in their hints alone made one; early in `order` wins."""

    def rank(hint: str) -> tuple[int, str]:
        return order.index(hint) if hint in order else len(order), hint

    hints: dict[Basic, str] = {}
    binders = [node for node in nodes(expr) if isinstance(node, Binder)]
    for node in binders:
        key, hint = without_hints(node), node.args[0].name
        hints[key] = min(hints.get(key, hint), hint, key=rank)
    if len(hints) == len(binders):
        return expr

    @cache
    def walk(node: Basic) -> Basic:
        known = node if is_leaf(node) else made(node, tuple(map(walk, node.args)))
        if not isinstance(known, Binder):
            return known
        hint = hints.setdefault(without_hints(known), known.args[0].name)
        return known.func(Str(hint), *known.args[1:])

    return walk(expr)


def without_hints(node: Basic) -> Basic:
    """Return `node`, in the inner form, with no name for any of its bound indices."""
    return with_leaves(node, lambda leaf, _: Str("") if isinstance(leaf, Str) else leaf)


def _labels(expr: Expr, candidates: list[Expr]) -> Labels:
    """Return a function that gives the bound indices in a node, its own first."""
    taken = {name(node) for node in nodes(expr)}
    pool = [candidate for candidate in candidates if str(candidate) not in taken]
    letters = chain("klpqstuvw", (f"k_{number}" for number in count(1)))
    spare = (Idx(s) for s in letters if s not in taken and s not in set(map(str, pool)))

    @cache
    def labels(node: Basic) -> tuple[Expr, ...]:
        if is_leaf(node) or isinstance(node, Indexed):
            return ()
        within = tuple(dict.fromkeys(s for arg in node.args for s in labels(arg)))
        return (pick(node.args[0].name, within), *within) if isinstance(node, Binder) else within

    def pick(hint: str, used: tuple[Expr, ...]) -> Expr:
        for candidate in sorted(pool, key=lambda c: str(c) != hint):
            if candidate not in used:
                return candidate
        pool.append(next(spare))
        return pick(hint, used)

    return labels


def _written(expr: Expr, labels: Labels) -> Expr:
    @cache
    def write(node: Basic, around: tuple[Expr, ...]) -> Basic:
        """Return a node that stands in sums over the indices `around`, the innermost first."""
        if isinstance(node, Bound):
            return around[node.distance]
        if is_leaf(node):
            return node
        if isinstance(node, Binder):
            return binder(node, around)
        if isinstance(node, Bracket) or (
            isinstance(node, Mul) and any(isinstance(f, Bracket) for f in node.args)
        ):
            return conditional(node, around)
        args = tuple(write(arg, around) for arg in node.args)
        if isinstance(node, Choice):
            return Piecewise(*zip(args[::2], args[1::2], strict=True))
        if isinstance(node, Partial):
            return applied_derivative(*args)
        return renamed(node, args)

    def conditional(node: Expr, around: tuple[Expr, ...]) -> Expr:
        factors = Mul.make_args(node)
        rest = Mul(*(f for f in factors if not isinstance(f, Bracket)))
        smooth, kept, deltas = is_smooth(rest), [], []
        for factor in factors:
            if isinstance(factor, Bracket):
                for part in And.make_args(factor.args[0]):
                    delta = _delta(write(part, around)) if smooth else None
                    kept += [write(part, around)] if delta is None else []
                    deltas += [] if delta is None else [delta]
        return Piecewise((times(*deltas, write(rest, around)), And(*kept)), (0, True))

    def binder(node: Expr, around: tuple[Expr, ...]) -> Expr:
        kind, inner, here = type(node), node, around
        limits: list[tuple[Basic, ...]] = []
        while isinstance(inner, kind):
            index = labels(inner)[0]
            limits.insert(0, (index, *(write(end, here) for end in inner.args[2:])))
            here, inner = (index, *here), inner.args[1]
        result = (Sum if kind is BoundSum else Product)(write(inner, here), *limits)
        if not (
            any(isinstance(part, Bracket | Choice) for part in nodes(inner))
            and free_symbols(result) & set(labels(inner))
        ):
            return result
        return kept_together(node, lambda other: binder(other, around))

    return write(expr, ())


def _delta(condition: Boolean) -> Expr | None:
    """Return the factor that an equation of indices is, if it has no other form."""
    plain = all(is_count(end) and not end.has(Mod, floor, ceiling) for end in condition.args)
    if isinstance(condition, Eq | Ne) and plain:
        delta = KroneckerDelta(*condition.args)
        return delta if isinstance(condition, Eq) else 1 - delta
    return None
