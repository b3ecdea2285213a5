"""The largest exponent comes off where exponentials are divided by their sum, or logarithms taken.

A sum of exponentials, Total(exp(u)), is exp(m)*Total(exp(u - m)) with m the largest u. Where the
factors exp(m) of a product cancel, as in a softmax and its derivatives, nothing overflows.
"""

from collections.abc import Callable
from itertools import chain

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
)
from rmsnorm_math.codegen.patterns import Joined, Pattern, divided, patterns_of
from rmsnorm_math.codegen.powers import (
    apart,
    beside,
    factors_of,
    is_scale,
    masked,
    nearest,
    scales_below,
    tops,
    unscaled,
)


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
    every = list(dict.fromkeys(pattern.joined for pattern in patterns))
    for joined in every:
        joined.called(taken)
    scales: dict[str, tuple[Axes, Expr]] = {}
    names = divided(lines)
    done: list[Line] = []
    for name, axes, expr in lines:
        value = _shift(expr, patterns, scales)
        factor = Mul(*(f for f in Mul.make_args(value) if is_scale(f, patterns)))
        if name in names and factor != 1:
            scales[name] = axes, factor
            value /= factor
        done.append((name, axes, unscaled(value, patterns)))
    made = []
    for joined in sorted(every, key=Joined.depth):  # inner first
        inner = [pattern for pattern in patterns if pattern not in joined.members]
        for p in joined.members:
            power = unscaled(_shift(p.exponent, inner, scales), inner)
            made.append((p.power, p.axes, power))
        made += joined.lines()
    return done[: len(definitions)], done[len(definitions) :], made, frozenset(scales)


def _shift(node: Basic, patterns: list[Pattern], scales: dict[str, tuple[Axes, Expr]]) -> Basic:
    """Return `node` with each exponential of a pattern as exp(u - m)*exp(m)."""
    largest = tops(patterns)

    def walk(node: Basic, below: Axes = (), over: Axes = ()) -> Basic:
        """Shift what is divided by the factors exp(m) in `below`, and summed over axes."""
        if isinstance(node, Position):
            return node
        if isinstance(node, Indexed | Symbol):
            if array_name(node) in scales:
                axes, factor = scales[array_name(node)]
                names = zip(axes, getattr(node, "indices", ()), strict=True)
                return node * rename(factor, dict(names))
            return node
        if isinstance(node, exp):
            product = factors_of(node.exp, patterns, nearest(below, over, patterns))
            if product is not None:
                return product
        if isinstance(node, Mul) and any(isinstance(f, Piecewise) for f in node.args):
            for power in node.args:
                ways = chain(*(p.ways(power.exp, node.args) for p in patterns if power.func is exp))
                if found := [way for way in ways if way[2] != 1]:
                    shifted, scale, mask = min(found, key=nearest(below, over, patterns))
                    rest = Mul(*(f for f in node.args if f not in (power, mask)))
                    return shifted * scale * walk(rest, below, over)
        if isinstance(node, Total):
            return _taken_out(walk(node.body, below, node.over), node.over)
        if isinstance(node, log):
            return logarithm(walk(node.args[0]))
        if isinstance(node, Mul):
            if (terms := apart(node, patterns, walk)) is not None:
                return common(Add(*(walk(term, below, over) for term in terms)))
            below = (*scales_below(node, patterns, walk), *below)
        node = rebuilt(node, (walk(arg, below, over) for arg in node.args))
        if isinstance(node, Mul):
            for power in node.args:
                if (exponent := exponent_of(power)) is not None:
                    node = divided_by(exponent, node / power) or node
            return node
        return common(node) if isinstance(node, Add) else node

    def exponent_of(factor: Expr) -> Expr | None:
        """Return u of exp(u), and m of a factor exp(m)."""
        if isinstance(factor, exp):
            return factor.exp
        base, power = factor.as_base_exp()
        if power.is_negative or array_name(base) not in largest:
            return None
        return power * element(largest[array_name(base)], getattr(base, "indices", ()))

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

    def common(node: Add) -> Expr:
        """Take the factors exp(m) that all terms have before the sum: 1 is exp(-m)*exp(m)."""
        if (whole := all_have(node)) is not None:
            return whole
        scales, below = S.One, dict[Expr, Expr]()
        for factor in (f for term in node.args for f in Mul.make_args(term)):
            base, power = factor.as_base_exp()
            own = getattr(base, "indices", ())
            for pattern in patterns:
                if array_name(base) != pattern.scale or pattern.outer != pattern.joined.outer:
                    continue
                joined = element(pattern.joined.scale, own)
                scales *= joined
                if power.is_negative and pattern.alone:  # 1/exp(m), m of all that is joined
                    less = element(pattern.largest, own) - element(pattern.joined.largest, own)
                    below.setdefault(joined**power, factor * exp(-power * less))
        number, rest = node.as_coeff_Add()
        one = beside(S.Zero, scales, patterns) if number.is_positive else None
        added = number * (one or 1)
        for term in Add.make_args(rest):
            powers = [(f, exponent_of(f)) for f in Mul.make_args(term)]
            found = ((f, u is not None and beside(u, scales, patterns)) for f, u in powers)
            added += Mul(*(product or below.get(f, f) for f, product in found))
        return (all_have(added) if isinstance(added, Add) else added) or added

    def all_have(node: Add) -> Expr | None:
        powers = [f for f in Mul.make_args(node.args[0]) if is_scale(f, patterns)]
        kept = [f for f in powers if all(f in Mul.make_args(term) for term in node.args)]
        return Mul(*kept) * Add(*(term / Mul(*kept) for term in node.args)) if kept else None

    def logarithm(arg: Expr) -> Expr:
        total = S.Zero
        rest = []
        for factor in Mul.make_args(arg):
            base, power = factor.as_base_exp()
            name = array_name(base)
            own = getattr(base, "indices", ())
            if name in largest:
                total += power * element(largest[name], own)
                continue
            pattern = next((p for p in patterns if name == p.shifted), None)
            if pattern is None:
                rest.append(factor)
                continue
            names = dict(zip((*pattern.outer, *pattern.over), own, strict=True))
            top = element(pattern.largest, tuple(names[axis] for axis in pattern.outer))
            total += power * (rename(pattern.exponent, names) - top)
        return total + (log_of(Mul(*rest)) if rest else 0)

    return walk(node)


def _taken_out(body: Expr, over: Axes) -> Expr:
    """Return the sum of `body` with the factors before it that do not have its axes."""
    factors = Mul.make_args(body)
    free = [f for f in factors if not axes_of(f) & {*over}]
    inside = Mul(*(f for f in factors if f not in free))
    return Mul(*free) * Total(inside, *over)
