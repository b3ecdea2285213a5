"""Which exponentials are divided by their sum, or stand in a logarithm of it."""

from collections.abc import Callable, Iterator, Sequence

from sympy import Add, Basic, Expr, Max, Mul, Piecewise, S, Symbol, exp, log

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

    def __init__(self, total: Total, exponent: Expr, mask: Expr, sort: Callable[..., Axes]) -> None:
        self.total, self.exponent, self.mask, self.over = total, exponent, mask, total.over
        self.axes = sort(axes_of(exponent))
        self.outer = sort((axes_of(exponent) | axes_of(mask)) - {*total.over})
        self.beside: list[Expr] = []  # the exponents of what is added to the sum: 0 of a number
        self.first = self  # whose largest is that of this, too, where their sums are added
        self.others: list[Pattern] = []
        self.largest = ""

    def called(self, taken: set[str]) -> "Pattern":
        """Take names for the arrays."""
        self.shifted, self.power = fresh("e", taken), fresh("t", taken)
        self.all = fresh("e", taken) if self.mask != 1 else self.shifted
        self.largest = fresh("largest", taken) if self.first is self else self.first.largest
        self.scale = f"exp({self.largest})"
        return self

    def chosen(self) -> Expr:
        """Return the exponents that count."""
        power = element(self.power, self.axes)
        if self.mask == 1:
            return power
        return Piecewise((power, self.mask.args[0].cond), (S.NegativeInfinity, True))

    def depth(self) -> int:
        """Return how much its exponents hold, or those that have one largest with them."""
        return max(int(p.exponent.count_ops()) for p in (self.first, *self.first.others))

    def powers(self) -> list[Line]:
        """Return the lines of the exponents whose largest is taken here."""
        together = [self, *self.others] if self.first is self else []
        return [(p.power, p.axes, p.exponent) for p in together]

    def lines(self) -> list[Line]:
        """Return the lines of the two arrays."""
        lines: list[Line] = []
        if self.first is self:
            largest = [Largest(p.chosen(), *p.over) for p in (self, *self.others)]
            lines.append((self.largest, self.outer, Max(*largest, *self.beside)))
        top = element(self.largest, self.outer)
        axes = (*self.outer, *self.over)
        if self.mask != 1:
            lines.append((self.all, axes, exp(element(self.power, self.axes) - top)))
        return [*lines, (self.shifted, axes, exp(self.chosen() - top))]

    def added(self, exponent: Expr, indices: Sequence[Expr]) -> Expr | None:
        """Return exp(u - m) of an exponential that is added to the sum with these indices."""
        names = dict(zip(self.outer, indices, strict=True))
        if any(_plain(rename(u, names)) == _plain(exponent) for u in self.beside):
            return exp(exponent - element(self.largest, tuple(indices)))
        return None

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


def divided(lines: list[Line]) -> set[str]:
    """Return the names of what something is divided by, or of which a logarithm is taken."""
    found: set[str] = set()
    for _, _, expr in lines:
        for node in parts(expr):
            if isinstance(node, log) or is_reciprocal(node):
                inside = node.args[0]
                found |= {array_name(part) for part in parts(inside)}
    return found


def _beside(total: Total, sums: list[Add], outer: set[Symbol]) -> Iterator[Expr]:
    """Yield the exponents of what is added to a sum of exponentials."""
    for node in sums:
        if any(total in Mul.make_args(term) for term in node.args):
            for term in node.args:
                if term.is_number and term.is_positive:
                    yield S.Zero
                powers = [f.exp for f in Mul.make_args(term) if isinstance(f, exp)]
                yield from (power for power in powers if axes_of(power) <= outer)


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
    found: list[Pattern] = []
    for total in dict.fromkeys(sums):
        factors = Mul.make_args(total.body)
        exponents = [f.exp for f in factors if isinstance(f, exp)]
        masks = [f for f in factors if isinstance(f, Piecewise) and f.args[-1] == (0, True)]
        if len(exponents) == 1 and {*total.over} <= axes_of(exponents[0]):
            mask = masks[0] if masks and masks[0].args[0].expr == 1 else S.One
            if not any(p.shifts(exponents[0]) for p in map(_trial, found)):
                found.append(Pattern(total, exponents[0], mask, sort))
                found[-1].beside = [*dict.fromkeys(_beside(total, every, {*found[-1].outer}))]
    for node in every:
        _join([p for p in found for term in node.args if p.total in Mul.make_args(term)])
    return found


def _join(patterns: list[Pattern]) -> None:
    """Let exponents have one largest, where sums of their exponentials are added."""
    for pattern in patterns[1:]:
        first = patterns[0].first
        alone = pattern.first is pattern and not pattern.others
        if alone and first is not pattern and first.outer == pattern.outer:
            pattern.first = first
            first.others.append(pattern)
            first.beside = [*dict.fromkeys([*first.beside, *pattern.beside])]


def _trial(pattern: Pattern) -> Pattern:
    return pattern.called(set())
