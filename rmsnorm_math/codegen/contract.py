"""The order in which a product of arrays is summed, so that none is larger than it must be."""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import combinations, permutations
from math import inf

from sympy import Add, Basic, Dummy, Expr, Indexed, Mul, Symbol, exp, expand

from rmsnorm_math.codegen.nodes import (
    Contraction,
    Position,
    Total,
    axes_of,
    is_reciprocal,
    parts,
    rename,
    renamings,
)

Best = tuple[tuple[float, float], frozenset[Symbol], tuple[int, int]]

DIGITS = (
    "Squares of differences are multiplied out, so that no array is larger than those passed and "
    "returned: where the two are nearly equal, the result has lost its digits, and may be below 0."
)

LESS_ONE = (
    "A sum of exponentials over all but one is taken as the sum over all less that one: where that "
    "is nearly all of it, the result has lost its digits, and may be infinite."
)


def note(notes: list[str], factors: Sequence[Expr]) -> None:
    """Note that digits are lost, once, if a square of a difference is among the factors."""
    if DIGITS not in notes and any(f.is_Pow and f.base.is_Add for f in factors):
        notes.append(DIGITS)


def note_less_one(notes: list[str], exprs: Iterable[Expr]) -> None:
    """Note that digits are lost, once, if an exponential is taken off a sum of such."""
    for node in (part for expr in exprs for part in parts(expr) if isinstance(part, Add)):
        for term, other in permutations(node.args, 2):
            number, total = term.as_coeff_Mul()
            if isinstance(total, Total) and total.body.has(exp):
                own = axes_of(total.body)
                one = (rename(number * total.body, n) for n in renamings(own, axes_of(other)))
                if -other in one and LESS_ONE not in notes:
                    notes.append(LESS_ONE)


def largest(expr: Basic, batch: Symbol | None) -> tuple[int, int]:
    """Return how many axes the arrays have, at most, that `expr` needs: all, and but the batch."""
    own = axes_of(expr)
    inner = () if isinstance(expr, Indexed | Position) else expr.args
    if isinstance(expr, Contraction):
        inner = expr.factors
    found = [(len(own), len(own - {batch})), *(largest(arg, batch) for arg in inner)]
    return max(n for n, _ in found), max(n for _, n in found)


def pairs(factors: Sequence[Expr], over: set[Symbol]) -> dict[int, Best]:
    """Return how to contract two by two: with the fewest axes, then with the least work.

    A set of factors is a number with a bit for each; its entry holds the cost, the axes of the
    result and the two sets that it is contracted from.
    """
    best: dict[int, Best] = {}
    axes = [frozenset(axes_of(f)) for f in factors]

    def kept(subset: int, all_: frozenset[Symbol]) -> frozenset[Symbol]:
        later = {a for k, own in enumerate(axes) if not subset >> k & 1 for a in own}
        return frozenset(a for a in all_ if a not in over or a in later)

    for k, own in enumerate(axes):
        best[1 << k] = ((len(own), 0.0), kept(1 << k, own), (0, 0))
    for size in range(2, len(factors) + 1):
        for chosen in combinations(range(len(factors)), size):
            subset = sum(1 << k for k in chosen)
            least: tuple[float, float] = (inf, inf)
            for part in _halves(subset):
                (high, work), left, _ = best[part]
                (other, more), right, _ = best[subset ^ part]
                result = kept(subset, left | right)
                widest = max(high, other, len(result))
                ready = all(isinstance(f, Indexed) for f in _single(factors, part, subset))
                cost = (widest, work + more + 10.0 ** len(left | right) - 0.5 * ready)
                if cost < least:
                    least = cost
                    best[subset] = (cost, result, (part, subset ^ part))
    return best


def spanning(factors: list[Expr]) -> bool:
    """Return whether one factor has the axes of all."""
    union = set().union(*map(axes_of, factors))
    return any(axes_of(factor) == union for factor in factors)


def has_vector(factors: list[Expr], over: set[Symbol]) -> bool:
    """Return whether a factor is a vector along an axis that is summed, beside a matrix."""
    axes = [axes_of(factor) for factor in factors]
    return any(own <= over and len(own) == 1 for own in axes) and any(len(a) > 1 for a in axes)


def components(factors: list[Expr], over: set[Symbol]) -> list[list[Expr]]:
    """Return the factors in groups that share no axis of those in `over`."""
    groups: list[list[Expr]] = []
    for factor in factors:
        mine = axes_of(factor) & over
        near = [g for g in groups if any(axes_of(f) & mine for f in g)]
        groups = [g for g in groups if g not in near] + [[*reduce(list.__add__, near, []), factor]]
    return groups


def _whole(factor: Expr) -> bool:
    """Return whether a factor is a sum of arrays that each have all its axes, or its power."""
    base = factor.as_base_exp()[0]
    return bool(base.is_Add) and all(
        any(axes_of(f) == axes_of(base) for f in Mul.make_args(term)) for term in base.args
    )


def _halves(subset: int) -> Iterator[int]:
    part = (subset - 1) & subset
    while part:
        if part > subset ^ part:
            yield part
        part = (part - 1) & subset


def _single(factors: Sequence[Expr], part: int, subset: int) -> list[Expr | None]:
    """Return the factors of two halves that are one factor each, None for others."""
    return [
        factors[half.bit_length() - 1] if half.bit_count() == 1 else None
        for half in (part, subset ^ part)
    ]


def expanded(factors: Sequence[Expr]) -> Expr:
    """Return a product multiplied out, its powers of sums, too; not what it is divided by."""
    options = dict.fromkeys(("deep", "power_base", "power_exp", "log", "basic"), False)
    product = Mul(*factors)
    if product.is_Add:
        return Add(*(expanded([term]) for term in product.args))
    below = {f: Dummy() for f in Mul.make_args(product) if is_reciprocal(f) or _whole(f)}
    above = [expand(f, **options) for f in Mul.make_args(product) if f not in below]
    whole = expand(Mul(*above, *below.values()), **options)
    return whole.xreplace({mark: factor for factor, mark in below.items()})
