"""Which exponentials are divided by their sum, or stand in a logarithm of it."""

from collections.abc import Callable, Sequence
from itertools import combinations

from sympy import Add, Basic, Expr, Max, Mul, Piecewise, S, exp, log

from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    Axes,
    Largest,
    Line,
    Total,
    array_name,
    axes_of,
    canonical,
    element,
    is_reciprocal,
    parts,
    rename,
    renamings,
)


class Pattern:
    """Exponents u over axes k, the array of the largest, and that of exp(u - largest).

    A mask says which count: where it is 0, so is exp(u - largest), whatever u is.
    """

    def __init__(self, exponent: Expr, mask: Expr, over: Axes, sort: Callable[..., Axes]) -> None:
        self.exponent, self.mask, self.over = exponent, mask, over
        self.axes = sort(axes_of(exponent))
        self.outer = sort((axes_of(exponent) | axes_of(mask)) - {*over})
        self.beside_number = False  # whether a number is added to the sum: its exponent is 0

    def called(self, taken: set[str]) -> "Pattern":
        """Take names for the arrays."""
        self.largest, self.shifted = fresh("largest", taken), fresh("e", taken)
        self.power = fresh("t", taken)
        self.all = fresh("e", taken) if self.mask != 1 else self.shifted
        self.scale = f"exp({self.largest})"
        return self

    def lines(self) -> list[Line]:
        """Return the lines of the two arrays."""
        chosen = power = element(self.power, self.axes)
        if self.mask != 1:
            chosen = Piecewise((chosen, self.mask.args[0].cond), (S.NegativeInfinity, True))
        top = element(self.largest, self.outer)
        axes = (*self.outer, *self.over)
        largest = Largest(chosen, *self.over)
        largest = Max(0, largest) if self.beside_number else largest
        lines = [(self.power, self.axes, self.exponent), (self.largest, self.outer, largest)]
        if self.mask != 1:
            lines.append((self.all, axes, exp(power - top)))
        return [*lines, (self.shifted, axes, exp(chosen - top))]

    def shifts(self, exponent: Expr, beside: Sequence[Expr] = ()) -> tuple[Expr, ...] | None:
        """Return exp(u - m) and the factor exp(m) of an exponential, if it is one of these.

        The mask follows, if that stands `beside` the exponential, so that it is no longer needed.
        """
        every = {*axes_of(exponent)}.union(*map(axes_of, beside))
        for found in renamings(self.axes, axes_of(exponent)):
            rest = [axis for axis in self.outer if axis not in self.axes]
            for others in renamings(rest, every - {*found.values()}):
                names = {**others, **found}
                if _plain(rename(self.exponent, names)) != _plain(exponent):
                    break
                axes = [tuple(names[a] for a in own) for own in (self.outer, self.over)]
                scale = element(self.scale, axes[0])
                mask = rename(self.mask, names)
                if mask == 1 or mask in beside:
                    return element(self.shifted, axes[0] + axes[1]), scale, mask
                if not rest:
                    return element(self.all, axes[0] + axes[1]), scale, S.One
        return None


def _plain(exponent: Expr) -> Basic:
    """Return an exponent multiplied out: x/tau + g/tau for (x + g)/tau."""
    return canonical(exponent.expand(deep=False))


def factors_of(exponent: Expr, patterns: Sequence[Pattern]) -> Expr | None:
    """Return exp(exponent) as powers of exp(u - m) and exp(m), if it is a product of these."""
    for pattern in patterns:
        for times in range(1, 5):
            if (found := pattern.shifts(exponent / times)) is not None:
                return (found[0] * found[1]) ** times
    terms = Add.make_args(exponent.expand(deep=False))
    for size in range(1, len(terms) if len(terms) < 7 else 0):
        for chosen in combinations(terms, size):
            part = Add(*chosen)
            if any(pattern.shifts(part) for pattern in patterns):
                first, rest = (factors_of(e, patterns) for e in (part, exponent - part))
                if first is not None and rest is not None:
                    return first * rest
    return None


def divided(lines: list[Line]) -> set[str]:
    """Return the names of what something is divided by, or of which a logarithm is taken."""
    found: set[str] = set()
    for _, _, expr in lines:
        for node in parts(expr):
            if isinstance(node, log) or is_reciprocal(node):
                inside = node.args[0]
                found |= {array_name(part) for part in parts(inside)}
    return found


def _is_count(term: Expr) -> bool:
    return bool(term.is_number and term.is_positive)


def patterns_of(
    lines: list[Line], definitions: set[str], sort: Callable[..., Axes]
) -> list[Pattern]:
    """Return what the exponents are of the sums that are divided by, or in a logarithm."""
    names = divided(lines)
    sums: list[Total] = []
    for name, _, expr in lines:
        for node in parts(expr):
            if isinstance(node, log) or is_reciprocal(node):
                sums += [p for p in parts(node.args[0]) if isinstance(p, Total)]
        if name in names and name in definitions:
            sums += [p for p in parts(expr) if isinstance(p, Total)]
    every = [node for _, _, expr in lines for node in parts(expr) if isinstance(node, Add)]
    with_number = [node for node in every if any(_is_count(term) for term in node.args)]
    beside = {term for node in with_number for term in node.args}
    found: list[Pattern] = []
    for total in dict.fromkeys(sums):
        factors = Mul.make_args(total.body)
        exponents = [f.exp for f in factors if isinstance(f, exp)]
        masks = [f for f in factors if isinstance(f, Piecewise) and f.args[-1] == (0, True)]
        if len(exponents) == 1 and {*total.over} <= axes_of(exponents[0]):
            mask = masks[0] if masks and masks[0].args[0].expr == 1 else S.One
            if not any(p.shifts(exponents[0]) for p in map(_trial, found)):
                found.append(Pattern(exponents[0], mask, total.over, sort))
                found[-1].beside_number = total in beside
    return found


def _trial(pattern: Pattern) -> Pattern:
    return pattern.called(set())
