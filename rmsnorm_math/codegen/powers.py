"""Exponentials put together, where they are large together, and taken apart again."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations

from sympy import Add, Basic, Expr, Indexed, Mul, Piecewise, S, exp

from rmsnorm_math.codegen.nodes import (
    Axes,
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
from rmsnorm_math.codegen.patterns import Pattern, Way

Near = Callable[[Way], int]  # the less, the better a way fits what is beside


def masked(node: Basic) -> Basic:
    """Write the exponentials in a choice between something and 0 before it, beside a mask."""
    if isinstance(node, Indexed | Position):
        return node
    node = _one_power(rebuilt(node, map(masked, node.args)))
    if isinstance(node, Piecewise) and node.args[1:] == ((S.Zero, S.true),):
        value, condition = node.args[0]
        powers = [f for f in Mul.make_args(value) if isinstance(f, exp)]
        if powers and value.has(Total) and any(is_reciprocal(f) for f in Mul.make_args(value)):
            mask = Piecewise((1, condition), (0, True))  # what is divided by stays guarded
            return Piecewise((value * mask, condition), (0, True), evaluate=False)
        if powers:
            rest = Mul(*(f for f in Mul.make_args(value) if f not in powers))
            choices = [Piecewise((v, condition), (0, True)) for v in {rest, S.One}]
            return Mul(*powers, *choices)
    return node


def together(node: Basic) -> Basic:
    """Return `node` with one exponential for what is left of the largest and those beside it."""
    if isinstance(node, Indexed | Position):
        return node
    return _one_power(rebuilt(node, map(together, node.args)))


def _one_power(node: Basic) -> Basic:
    """Write exp(u + v) for exp(u)*exp(v), where u has the axes of v: they are large together."""
    powers = [f for f in node.args if isinstance(f, exp)] if isinstance(node, Mul) else []
    for total in node.args if powers else ():
        factors = Mul.make_args(total.body) if isinstance(total, Total) else ()
        axes = {frozenset(axes_of(f)) for f in factors if isinstance(f, exp)}
        inside = [p for p in powers if axes_of(p) and any(axes_of(p) < own for own in axes)]
        if inside:  # a factor before a sum of exponentials
            body = _one_power(Mul(total.body, *inside))
            rest = Mul(*(f for f in node.args if f not in (*inside, total)))
            return _one_power(rest * Total(body, *total.over))
    widest = max((axes_of(power) for power in powers), key=len, default=set())
    powers = [power for power in powers if axes_of(power) <= widest]
    if len(powers) < 2:
        return node
    rest = Mul(*(f for f in node.args if f not in powers))
    return rest * exp(Add(*(power.exp for power in powers)))


def nearest(below: Axes, over: Axes, patterns: Sequence[Pattern]) -> Near:
    """Return what tells which way suits best, as a number: what is divided by its exp(m), first.

    Then come those with a largest over the axes that are summed over.
    """
    joined = {pattern.scale: pattern.joined.scale for pattern in patterns}

    def rank(way: Way) -> int:
        shifted, scale, _ = way
        outer = getattr(scale, "indices", ())
        fits = {scale, element(joined[array_name(scale)], outer)}
        places = [at for at, factor in enumerate(below) if factor in fits]
        alike = {*shifted.indices} - {*outer} == {*over}
        return places[0] if places else len(below) + (not alike)

    return rank


def factors_of(exponent: Expr, patterns: Sequence[Pattern], near: Near) -> Expr | None:
    """Return exp(exponent) as powers of exp(u - m) and exp(m), if it is a product of these."""
    found = []
    for pattern in patterns:
        for times in range(1, 5):
            found += [(way, times) for way in pattern.ways(exponent / times)]
    if found:
        (shifted, scale, _), times = min(found, key=lambda pair: near(pair[0]))
        return (shifted * scale) ** times
    terms = Add.make_args(exponent.expand(deep=False))
    for size in range(1, len(terms) if len(terms) < 7 else 0):
        for chosen in combinations(terms, size):
            part = Add(*chosen)
            if any(True for pattern in patterns for _ in pattern.ways(part)):
                first, rest = (factors_of(e, patterns, near) for e in (part, exponent - part))
                if first is not None:
                    rest = beside(exponent - part, first, patterns) if rest is None else rest
                if first is not None and rest is not None:
                    return first * rest
    return None


def beside(exponent: Expr, product: Expr, patterns: Sequence[Pattern]) -> Expr | None:
    """Return exp(exponent) as exp(u - m)*exp(m), if a factor exp(m) is that of what is added."""
    for factor in Mul.make_args(product):
        base = factor.as_base_exp()[0]
        for joined in dict.fromkeys(pattern.joined for pattern in patterns):
            if array_name(base) == joined.scale:
                for times in range(1, 5):
                    found = joined.shifts(exponent / times, getattr(base, "indices", ()))
                    if found is not None:
                        return (found * base) ** times
    return None


def tops(patterns: list[Pattern]) -> dict[str, str]:
    """Return the names of the largest exponents m, under those of the factors exp(m)."""
    return {p.scale: p.largest for pattern in patterns for p in (pattern, pattern.joined)}


def is_scale(factor: Expr, patterns: list[Pattern]) -> bool:
    """Return whether a factor is exp(m), or a power of it."""
    return array_name(factor.as_base_exp()[0]) in tops(patterns)


def unscaled(node: Basic, patterns: list[Pattern]) -> Basic:
    """Return `node` with what is left of the factors exp(m) as it is."""
    largest = tops(patterns)

    def value(part: Basic) -> Basic | None:
        if top := largest.get(array_name(part)):
            return exp(element(top, getattr(part, "indices", ())))
        whole = isinstance(part, Mul) and any(is_scale(f, patterns) for f in part.args)
        new = _as_they_were(part, patterns) if whole else part
        return None if new == part else rebuilt(new, (unscaled(arg, patterns) for arg in new.args))

    return replaced(node, value)


def _as_they_were(node: Mul, patterns: list[Pattern]) -> Expr:
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


def scales_below(node: Expr, patterns: list[Pattern], walk: Callable[..., Expr]) -> Axes:
    """Return the factors exp(m) that a product is divided by."""
    walked = (walk(f) for f in Mul.make_args(node) if is_reciprocal(f))
    powers = [f.as_base_exp() for product in walked for f in Mul.make_args(product)]
    return tuple(base for base, power in powers if power.is_negative and is_scale(base, patterns))


def apart(node: Mul, patterns: list[Pattern], walk: Callable[..., Expr]) -> list[Expr] | None:
    """Return a product as terms, if it has exp(u)*(1/t_1 + 1/t_2), u less a largest for each."""
    powers = [f.exp for f in node.args if isinstance(f, exp)]
    if not any(len([*chain(*(p.ways(u) for p in patterns))]) > 1 for u in powers):
        return None
    for added in node.args:
        if isinstance(added, Add):
            scales = {scales_below(term, patterns, walk) for term in added.args}
            if len(scales - {()}) > 1:
                return [term * node / added for term in added.args]
    return None
