"""Where does a pattern with open indices occur? Matches, whatever bound indices are called."""

from collections.abc import Iterator, Sequence

from sympy import Add, Basic, Expr, Idx, Indexed, IndexedBase, Integer, KroneckerDelta, Mul, S, exp
from sympy.core.operations import LatticeOp

from rmsnorm_math.index.walk import BINDERS

#: What each open index of a pattern, or each bound one, is in an expression.
Meanings = dict[Basic, Basic]
UNORDERED = (Add, Mul, LatticeOp, KroneckerDelta)


def power_of(node: Basic) -> tuple[Expr, Expr]:
    """Return base and exponent; those of exp(2*x) are exp(x) and 2."""
    if isinstance(node, exp):
        factor, rest = node.exp.as_coeff_Mul()
        return exp(rest), factor
    base, exponent = node.as_base_exp()
    return base, exponent


def how_often(there: list[tuple[Expr, Expr]], needed: list[Expr]) -> Expr:
    """Return how often a core is there: a whole number, negative in a denominator."""
    ratios = [exponent / wanted for (_, exponent), wanted in zip(there, needed, strict=True)]
    if len(ratios) == 1:
        whole = ratios[0].is_integer or isinstance(there[0][0], exp)
        return ratios[0] if whole else S.Zero
    if not all(ratio.is_Rational for ratio in ratios):
        return S.Zero
    least = min(ratios, key=abs)
    same = all(ratio * least > 0 for ratio in ratios)
    return Integer(int(least)) if same else S.Zero


def matches(pattern: Basic, node: Basic, found: Meanings, bound: Meanings) -> Iterator[Meanings]:
    """Yield what each open index of `pattern` stands for where `node` is of its form.

    Parameters
    ----------
    pattern, node
        Two expressions; bound indices are unique in each.
    found
        What each open index stands for; None where that is still open.
    bound
        The bound index of `node` for each one of `pattern`.
    """
    if pattern in bound:
        yield from [found] if node == bound[pattern] else []
    elif pattern in found:
        taken = found[pattern]
        if taken is None and _may_be_index(node) and not node.has(*bound.values()):
            yield found | {pattern: node}
        elif taken == node:
            yield found
    elif isinstance(pattern, IndexedBase | Idx) or not pattern.args:
        yield from [found] if pattern == node else []
    elif type(pattern) is not type(node) or len(pattern.args) != len(node.args):
        return
    elif isinstance(pattern, BINDERS):
        yield from _sums(pattern, node, found, bound)
    elif isinstance(pattern, UNORDERED):
        for meant, _ in assignments([(arg,) for arg in pattern.args], node.args, found, bound):
            yield meant
    else:
        yield from _in_order(pattern.args, node.args, found, bound)


def assignments(
    patterns: Sequence[tuple[Basic, ...]],
    nodes: Sequence[Basic | None],
    found: Meanings,
    bound: Meanings,
) -> Iterator[tuple[Meanings, list[tuple[int, Basic]]]]:
    """Yield each way to find one form of every pattern among the nodes: its place, and the form.

    What is at the fewest places is placed first, and nothing where not all can have one.
    """
    if not patterns:
        yield found, []
        return
    options = [
        [
            (at, form)
            for form in forms
            for at, node in enumerate(nodes)
            if node is not None and next(matches(form, node, found, bound), None) is not None
        ]
        for forms in patterns
    ]
    if not _fit([[at for at, _ in ways] for ways in options]):
        return
    first = min(range(len(patterns)), key=lambda at: len(options[at]))
    rest = [*patterns[:first], *patterns[first + 1 :]]
    for at, form in options[first]:
        for meant in matches(form, nodes[at], found, bound):
            left = [None if place == at else other for place, other in enumerate(nodes)]
            for complete, places in assignments(rest, left, meant, bound):
                yield complete, [*places[:first], (at, form), *places[first:]]


def _fit(options: list[list[int]]) -> bool:
    """Return whether each can have one of its options for itself (Kuhn's algorithm)."""
    taken: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for at in options[one]:
            if at not in tried:
                tried.add(at)
                if at not in taken or place(taken[at], tried):
                    taken[at] = one
                    return True
        return False

    return all(place(one, set()) for one in range(len(options)))


def _in_order(
    patterns: tuple[Basic, ...], nodes: tuple[Basic, ...], found: Meanings, bound: Meanings
) -> Iterator[Meanings]:
    if not patterns:
        yield found
        return
    for meant in matches(patterns[0], nodes[0], found, bound):
        yield from _in_order(patterns[1:], nodes[1:], meant, bound)


def _sums(pattern: Basic, node: Basic, found: Meanings, bound: Meanings) -> Iterator[Meanings]:
    """Match limits from the outermost to the innermost, then what is summed."""
    ours, theirs = pattern.limits, node.limits
    within = bound | {one[0]: other[0] for one, other in zip(ours, theirs, strict=False)}
    ends = [tuple(end for limit in reversed(of) for end in limit[1:]) for of in (ours, theirs)]
    yield from _in_order((*ends[0], pattern.function), (*ends[1], node.function), found, within)


def _may_be_index(node: Basic) -> bool:
    return isinstance(node, Expr) and node.is_integer is not False and not node.has(Indexed)
