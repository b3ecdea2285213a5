"""The largest exponent comes off where exponentials are divided by their sum, or logarithms taken.

A sum of exponentials, Total(exp(u)), is exp(m)*Total(exp(u - m)) with m the largest u. Where the
factors exp(m) of a product cancel, as in a softmax and its derivatives, nothing overflows.
"""

from collections.abc import Callable

from sympy import Add, Basic, Expr, Indexed, Mul, Piecewise, S, Symbol, exp, log

from rmsnorm_math.codegen.logistic import log_of
from rmsnorm_math.codegen.nodes import (
    Axes,
    Line,
    Position,
    Total,
    array_name,
    axes_of,
    element,
    is_reciprocal,
    rebuilt,
    rename,
    replaced,
)
from rmsnorm_math.codegen.patterns import Pattern, divided, patterns_of
from rmsnorm_math.codegen.powers import beside, factors_of, masked


def shifted(
    definitions: list[Line], outputs: list[Line], sort: Callable[..., Axes], taken: set[str]
) -> tuple[list[Line], list[Line], list[Line], frozenset[str]]:
    """Return the lines with the largest exponents off, and the lines that are made for it.

    Some definitions are divided by powers of exp(m) for good: their names are returned last.
    """
    definitions, outputs = (
        [(name, axes, masked(expr)) for name, axes, expr in lines]
        for lines in (definitions, outputs)
    )
    lines = definitions + outputs
    patterns = patterns_of(lines, {name for name, _, _ in definitions}, sort)
    if not patterns:
        return definitions, outputs, [], frozenset()
    for pattern in patterns:
        pattern.called(taken)
    scales: dict[str, tuple[Axes, Expr]] = {}
    names = divided(lines)
    done: list[Line] = []
    for name, axes, expr in lines:
        value = _shift(expr, patterns, scales)
        factor = Mul(*(f for f in Mul.make_args(value) if _is_scale(f, patterns)))
        if name in names and factor != 1:
            scales[name] = axes, factor
            value /= factor
        done.append((name, axes, _unscaled(value, patterns)))
    made = []
    for pattern in sorted(patterns, key=Pattern.depth):  # inner first
        inner = [p for p in patterns if p.scale != pattern.scale]
        for name, axes, power in pattern.powers():
            made.append((name, axes, _unscaled(_shift(power, inner, scales), inner)))
        made += pattern.lines()
    return done[: len(definitions)], done[len(definitions) :], made, frozenset(scales)


def _is_scale(factor: Expr, patterns: list[Pattern]) -> bool:
    return array_name(factor.as_base_exp()[0]) in {pattern.scale for pattern in patterns}


def _shift(node: Basic, patterns: list[Pattern], scales: dict[str, tuple[Axes, Expr]]) -> Basic:
    """Return `node` with each exponential of a pattern as exp(u - m)*exp(m)."""

    def walk(node: Basic) -> Basic:
        if isinstance(node, Position):
            return node
        if isinstance(node, Indexed | Symbol):
            if array_name(node) in scales:
                axes, factor = scales[array_name(node)]
                names = zip(axes, getattr(node, "indices", ()), strict=True)
                return node * rename(factor, dict(names))
            return node
        if isinstance(node, exp) and (product := factors_of(node.exp, patterns)) is not None:
            return product
        if isinstance(node, Mul) and any(isinstance(f, Piecewise) for f in node.args):
            for power in node.args:
                for pattern in patterns if isinstance(power, exp) else ():
                    found = pattern.shifts(power.exp, node.args)
                    if found is not None and found[2] != 1:
                        rest = Mul(*(f for f in node.args if f not in (power, found[2])))
                        return found[0] * found[1] * walk(rest)
        if isinstance(node, Total):
            return _taken_out(walk(node.body), node.over)
        if isinstance(node, log):
            return logarithm(walk(node.args[0]))
        node = rebuilt(node, map(walk, node.args))
        if isinstance(node, Mul):
            for power in node.args:
                if isinstance(power, exp):
                    node = divided_by(power.exp, node / power) or node
            return node
        return common(node) if isinstance(node, Add) else node

    def divided_by(exponent: Expr, rest: Expr) -> Expr | None:
        """Return exp(exponent)*rest with exp(u - m), where `rest` is divided by exp(m)."""
        factors = Mul.make_args(rest)
        if power := beside(exponent, Mul(*filter(is_reciprocal, factors)), patterns):
            return power * rest
        for total in factors:
            if isinstance(total, Total) and not axes_of(exponent) & {*total.over}:
                inside = divided_by(exponent, total.body)
                if inside is not None:
                    return rest / total * _taken_out(inside, total.over)
        return None

    def scaled(term: Expr, scales: Expr) -> Expr:
        """Write exp(u - m)*exp(m) for an exponential that is added to others."""
        factors = Mul.make_args(term)
        powers = {f: beside(f.exp, scales, patterns) for f in factors if isinstance(f, exp)}
        return Mul(*(powers.get(f) or f for f in factors))

    def common(node: Add) -> Expr:
        """Take the factors exp(m) that all terms have before the sum: 1 is exp(-m)*exp(m)."""
        scales = Mul(*node.args)
        number, rest = node.as_coeff_Add()
        one = beside(S.Zero, scales, patterns) if number.is_positive else None
        node = number * (one or 1) + Add(*(scaled(term, scales) for term in Add.make_args(rest)))
        if not isinstance(node, Add):
            return node
        powers = [f for f in Mul.make_args(node.args[0]) if _is_scale(f, patterns)]
        kept = [f for f in powers if all(f in Mul.make_args(term) for term in node.args)]
        return Mul(*kept) * Add(*(term / Mul(*kept) for term in node.args)) if kept else node

    def logarithm(arg: Expr) -> Expr:
        total = S.Zero
        rest = []
        for factor in Mul.make_args(arg):
            base, power = factor.as_base_exp()
            name = array_name(base)
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
    largest = {pattern.scale: pattern.largest for pattern in patterns}

    def value(part: Basic) -> Basic | None:
        if top := largest.get(array_name(part)):
            return exp(element(top, getattr(part, "indices", ())))
        whole = isinstance(part, Mul) and any(_is_scale(f, patterns) for f in part.args)
        together = _together(part, patterns) if whole else part
        if together == part:
            return None
        return rebuilt(together, (_unscaled(arg, patterns) for arg in together.args))

    return replaced(node, value)


def _together(node: Mul, patterns: list[Pattern]) -> Expr:
    """Write exp(u) for exp(u - m)*exp(m)."""
    for pattern in patterns:
        for factor in node.args:
            base, power = factor.as_base_exp()
            if array_name(base) != pattern.shifted:
                continue
            outer = base.indices[: len(pattern.outer)]
            scale = element(pattern.scale, outer)
            if power == 1 and scale in node.args:
                names = dict(zip((*pattern.outer, *pattern.over), base.indices, strict=True))
                return node / base / scale * exp(rename(pattern.exponent, names))
    return node
