"""Which exponentials are divided by their sum, or stand in a logarithm of it."""

from collections.abc import Callable, Iterator, Sequence

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

Way = tuple[Expr, Expr, Expr]


class Pattern:
    """Exponents u over axes k, the array of the largest, and that of exp(u - largest).

    A mask says which count: where it is 0, so is exp(u - largest), whatever u is.
    """

    def __init__(self, total: Total, exponent: Expr, mask: Expr, sort: Callable[..., Axes]) -> None:
        self.total, self.exponent, self.mask, self.over = total, exponent, mask, total.over
        self.axes = sort(axes_of(exponent))
        self.outer = sort((axes_of(exponent) | axes_of(mask)) - {*total.over})
        self.joined = Joined(self)
        self.alone = False  # whether the largest is its own, and not that of all that is joined

    def called(self, taken: set[str]) -> "Pattern":
        """Take names for the arrays."""
        self.shifted, self.power = fresh("e", taken), fresh("t", taken)
        self.all = fresh("e", taken) if self.mask != 1 else self.shifted
        self.largest = fresh("largest", taken) if self.alone else self.joined.largest
        self.scale = f"exp({self.largest})"
        return self

    def chosen(self) -> Expr:
        """Return the exponents that count."""
        power = element(self.power, self.axes)
        if self.mask == 1:
            return power
        return Piecewise((power, self.mask.args[0].cond), (S.NegativeInfinity, True))

    def lines(self) -> list[Line]:
        """Return the lines of the arrays that are shifted."""
        top = element(self.largest, self.outer)
        axes = (*self.outer, *self.over)
        lines = [(self.shifted, axes, exp(self.chosen() - top))]
        if self.mask != 1:
            lines = [(self.all, axes, exp(element(self.power, self.axes) - top)), *lines]
        return lines

    def ways(self, exponent: Expr, beside: Sequence[Expr] = ()) -> Iterator[Way]:
        """Yield each way to write an exponential, if it is one of these.

        A way is exp(u - m), the factor exp(m), and the mask, if that stands `beside` the
        exponential, so that it is no longer needed.
        """
        every = {*axes_of(exponent)}.union(*map(axes_of, beside))
        for found in renamings(self.axes, axes_of(exponent)):
            rest = [axis for axis in self.outer if axis not in self.axes]
            for others in renamings(rest, every - {*found.values()}):
                names = {**others, **found}
                if _plain(rename(self.exponent, names)) != _plain(exponent):
                    break
                outer, over = (tuple(names[a] for a in own) for own in (self.outer, self.over))
                scale = element(self.scale, outer)
                mask = rename(self.mask, names)
                if mask == 1 or mask in beside:
                    yield element(self.shifted, outer + over), scale, mask
                elif not rest:
                    yield element(self.all, outer + over), scale, S.One

    def sums(self, exponent: Expr, over: Axes) -> bool:
        """Return whether an exponential is one of these, and these are summed over the axes."""
        count = len(self.over)
        return any({*way[0].indices[-count:]} == {*over} for way in self.ways(exponent))


class Joined:
    """Sums of exponentials, exponentials and numbers that are added, and the largest exponent."""

    def __init__(self, first: Pattern) -> None:
        self.outer, self.members = first.outer, [first]
        self.beside: list[Expr] = []  # the exponents of what is no sum: 0 of a number
        self.largest = ""

    def called(self, taken: set[str]) -> None:
        """Take names for the arrays."""
        self.largest = fresh("largest", taken)
        self.scale = f"exp({self.largest})"
        for pattern in self.members:
            pattern.called(taken)

    def depth(self) -> int:
        """Return how much the exponents hold."""
        return max(int(pattern.exponent.count_ops()) for pattern in self.members)

    def lines(self) -> list[Line]:
        """Return the lines of the largest exponents, and of what is shifted by them."""
        lines: list[Line] = []
        tops = []
        for pattern in self.members:
            top = Largest(pattern.chosen(), *pattern.over)
            if pattern.alone:
                lines.append((pattern.largest, pattern.outer, top))
                top = element(pattern.largest, pattern.outer)
            tops.append(top)
        lines.append((self.largest, self.outer, Max(*tops, *self.beside)))
        return lines + [line for pattern in self.members for line in pattern.lines()]

    def shifts(self, exponent: Expr, indices: Sequence[Expr]) -> Expr | None:
        """Return exp(u - m) of an exponent that is joined, where m has these indices."""
        names = dict(zip(self.outer, indices, strict=True))
        tops = [element(p.largest, p.outer) for p in self.members if p.alone]
        if any(_plain(rename(u, names)) == _plain(exponent) for u in (*self.beside, *tops)):
            return exp(exponent - element(self.largest, tuple(indices)))
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
    found: list[Pattern] = []
    for total in dict.fromkeys(sums):
        factors = Mul.make_args(total.body)
        exponents = [f.exp for f in factors if isinstance(f, exp)]
        masks = [f for f in factors if isinstance(f, Piecewise) and f.args[-1] == (0, True)]
        if len(exponents) == 1 and {*total.over} <= axes_of(exponents[0]):
            mask = masks[0] if masks and masks[0].args[0].expr == 1 else S.One
            if not any(p.sums(exponents[0], total.over) for p in found):
                found.append(Pattern(total, exponents[0], mask, sort).called(set()))
    _join(found, lines, names & definitions)
    return found


def _join(patterns: list[Pattern], lines: list[Line], divisors: set[str]) -> None:
    """Join what is added, and find which sums are divided by, or in a logarithm, alone as well."""
    named = {element(name, axes): expr for name, axes, expr in lines if name in divisors}
    nodes = [node for _, _, expr in lines for node in parts(expr)]
    below = [node.args[0] for node in nodes if isinstance(node, log) or is_reciprocal(node)]
    alone = {f for expr in (*below, *named.values()) for f in Mul.make_args(expr)}
    for node in nodes:
        if not isinstance(node, Add):
            continue
        factors = [[named.get(f, f) for f in Mul.make_args(term)] for term in node.args]
        here = [p.joined for p in patterns if any(p.total in own for own in factors)]
        if not here:
            continue
        joined = max(here, key=lambda each: len(each.outer))
        for other in dict.fromkeys(here):
            if other is not joined and {*other.outer} <= {*joined.outer}:
                joined.members += other.members
                joined.beside += other.beside
                for member in other.members:
                    member.joined = joined
        if node.as_coeff_Add()[0].is_positive:
            joined.beside.append(S.Zero)
        powers = [f.exp for own in factors for f in own if isinstance(f, exp)]
        joined.beside += [power for power in powers if axes_of(power) <= {*joined.outer}]
        joined.beside = [*dict.fromkeys(joined.beside)]
    for pattern in patterns:
        several = len(pattern.joined.members) + len(pattern.joined.beside) > 1
        narrow = pattern.outer != pattern.joined.outer
        pattern.alone = narrow or (several and pattern.total in alone)
