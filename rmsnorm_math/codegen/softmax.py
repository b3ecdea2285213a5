"""The largest exponent comes off where exponentials are divided by their sum, or logarithms taken.

A sum of exponentials, Total(exp(u)), is exp(m)*Total(exp(u - m)) with m the largest u. Where the
factors exp(m) of a product cancel, as in a softmax and its derivatives, nothing overflows.
"""

from collections.abc import Callable

from sympy import Basic, Expr, Indexed, Mul, Piecewise, Pow, S, Symbol, exp, log

from rmsnorm_math.codegen.contract import Line, element
from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    Axes,
    Largest,
    Position,
    Total,
    axes_of,
    canonical,
    parts,
    rebuilt,
    rename,
    renamings,
)
from rmsnorm_math.codegen.stable import log_of


class Pattern:
    """Exponents u over axes k, the array of the largest, and that of exp(u - largest)."""

    def __init__(self, exponent: Expr, mask: Expr, over: Axes, sort: Callable[..., Axes]) -> None:
        self.exponent, self.mask, self.over = exponent, mask, over
        self.axes = sort(axes_of(exponent))
        self.outer = sort((axes_of(exponent) | axes_of(mask)) - {*over})

    def called(self, taken: set[str]) -> "Pattern":
        """Take names for the arrays."""
        self.largest, self.shifted = fresh("largest", taken), fresh("e", taken)
        self.scale = f"exp({self.largest})"
        return self

    def lines(self) -> list[Line]:
        """Return the lines of the two arrays."""
        chosen = self.exponent
        if self.mask != 1:
            chosen = Piecewise((chosen, self.mask.args[0].cond), (S.NegativeInfinity, True))
        top = element(self.largest, self.outer)
        return [
            (self.largest, self.outer, Largest(chosen, *self.over)),
            (self.shifted, (*self.outer, *self.over), exp(self.exponent - top)),
        ]

    def shifts(self, exponent: Expr) -> tuple[Expr, Expr] | None:
        """Return exp(u - m) and the factor exp(m) of an exponential, if it is one of these."""
        for names in renamings(self.axes, axes_of(exponent)):
            if canonical(rename(self.exponent, names)) == canonical(exponent):
                if not all(axis in names for axis in self.outer):
                    names = {axis: names.get(axis, axis) for axis in (*self.outer, *self.over)}
                axes = [tuple(names[a] for a in own) for own in (self.outer, self.over)]
                scale = element(self.scale, axes[0])
                return element(self.shifted, axes[0] + axes[1]), scale
        return None


def shifted(
    definitions: list[Line], outputs: list[Line], sort: Callable[..., Axes], taken: set[str]
) -> tuple[list[Line], list[Line], list[Line]]:
    """Return the lines with the largest exponents off, and the lines that are made for it."""
    lines = definitions + outputs
    patterns = _patterns(lines, {name for name, _, _ in definitions}, sort)
    if not patterns:
        return definitions, outputs, []
    for pattern in patterns:
        pattern.called(taken)
    scales: dict[str, tuple[Axes, Expr]] = {}
    divided = _divided(lines)
    done: list[Line] = []
    for name, axes, expr in lines:
        value = _shift(expr, patterns, scales)
        factor = Mul(*(f for f in Mul.make_args(value) if _is_scale(f, patterns)))
        if name in divided and factor != 1:
            scales[name] = axes, factor
            value /= factor
        done.append((name, axes, _unscaled(value, patterns)))
    made = [line for pattern in patterns for line in pattern.lines()]
    return done[: len(definitions)], done[len(definitions) :], made


def _divided(lines: list[Line]) -> set[str]:
    """Return the names of what something is divided by, or of which a logarithm is taken."""
    found: set[str] = set()
    for _, _, expr in lines:
        for node in parts(expr):
            if isinstance(node, log) or _is_reciprocal(node):
                inside = node.args[0]
                found |= {p.base.name for p in parts(inside) if isinstance(p, Indexed)}
                found |= {p.name for p in parts(inside) if isinstance(p, Symbol)}
    return found


def _is_reciprocal(node: Basic) -> bool:
    return isinstance(node, Pow) and not isinstance(node, exp) and bool(node.exp.is_negative)


def _patterns(lines: list[Line], definitions: set[str], sort: Callable[..., Axes]) -> list[Pattern]:
    """Return what the exponents are of the sums that are divided by, or in a logarithm."""
    divided = _divided(lines)
    sums: list[Total] = []
    for name, _, expr in lines:
        for node in parts(expr):
            if isinstance(node, log) or _is_reciprocal(node):
                sums += [p for p in parts(node.args[0]) if isinstance(p, Total)]
        if name in divided and name in definitions:
            sums += [p for p in parts(expr) if isinstance(p, Total)]
    found: list[Pattern] = []
    for total in dict.fromkeys(sums):
        factors = Mul.make_args(total.body)
        exponents = [f.exp for f in factors if isinstance(f, exp)]
        masks = [f for f in factors if isinstance(f, Piecewise) and f.args[-1] == (0, True)]
        if len(exponents) == 1 and {*total.over} <= axes_of(exponents[0]):
            mask = masks[0] if masks and masks[0].args[0].expr == 1 else S.One
            if not any(p.shifts(exponents[0]) for p in map(_trial, found)):
                found.append(Pattern(exponents[0], mask, total.over, sort))
    return found


def _trial(pattern: Pattern) -> Pattern:
    return pattern.called(set())


def _is_scale(factor: Expr, patterns: list[Pattern]) -> bool:
    base = factor.as_base_exp()[0]
    name = getattr(getattr(base, "base", base), "name", None)
    return name in {pattern.scale for pattern in patterns}


def _shift(
    node: Basic, patterns: list[Pattern], scales: dict[str, tuple[Axes, Expr]]
) -> Basic:
    """Return `node` with each exponential of a pattern as exp(u - m)*exp(m)."""

    def walk(node: Basic) -> Basic:
        if isinstance(node, Position):
            return node
        if isinstance(node, Indexed | Symbol):
            name = getattr(getattr(node, "base", node), "name", "")
            if name in scales:
                axes, factor = scales[name]
                return node * rename(factor, dict(zip(axes, node.indices, strict=True)))
            return node
        if isinstance(node, exp):
            for pattern in patterns:
                if (found := pattern.shifts(node.exp)) is not None:
                    return found[0] * found[1]
        if isinstance(node, Total):
            return _taken_out(walk(node.body), node.over)
        if isinstance(node, log):
            return logarithm(walk(node.args[0]))
        return rebuilt(node, map(walk, node.args))

    def logarithm(arg: Expr) -> Expr:
        total = S.Zero
        rest = []
        for factor in Mul.make_args(arg):
            base, power = factor.as_base_exp()
            name = getattr(getattr(base, "base", base), "name", None)
            pattern = next((p for p in patterns if name in (p.scale, p.shifted)), None)
            if pattern is None:
                rest.append(factor)
                continue
            own = getattr(base, "indices", ())
            names = dict(zip((*pattern.outer, *pattern.over), own, strict=False))
            top = element(pattern.largest, tuple(names[axis] for axis in pattern.outer))
            value = top if name == pattern.scale else rename(pattern.exponent, names) - top
            total += power * value
        return total + (log_of(Mul(*rest)) if rest else 0)

    return walk(node)


def _taken_out(body: Expr, over: Axes) -> Expr:
    """Return the sum of `body` with the factors before it that do not have its axes."""
    factors = Mul.make_args(body)
    free = [f for f in factors if not axes_of(f) & {*over}]
    inside = Mul(*(f for f in factors if f not in free))
    return Mul(*free) * Total(inside, *over)


def _unscaled(node: Basic, patterns: list[Pattern]) -> Basic:
    """Return `node` with what is left of the factors exp(m) as it is."""

    def walk(node: Basic) -> Basic:
        if isinstance(node, Mul) and any(_is_scale(f, patterns) for f in node.args):
            node = _together(node, patterns)
        if isinstance(node, Indexed | Symbol):
            for pattern in patterns:
                if getattr(getattr(node, "base", node), "name", "") == pattern.scale:
                    return exp(element(pattern.largest, getattr(node, "indices", ())))
            return node
        return node if isinstance(node, Position) else rebuilt(node, map(walk, node.args))

    return walk(node)


def _together(node: Mul, patterns: list[Pattern]) -> Expr:
    """Write exp(u) for exp(u - m)*exp(m)."""
    for pattern in patterns:
        for factor in node.args:
            base, power = factor.as_base_exp()
            if getattr(getattr(base, "base", None), "name", "") != pattern.shifted:
                continue
            outer = base.indices[: len(pattern.outer)]
            scale = element(pattern.scale, outer)
            if power == 1 and scale in node.args:
                names = dict(zip((*pattern.outer, *pattern.over), base.indices, strict=True))
                return node / base / scale * exp(rename(pattern.exponent, names))
    return node
