"""Wrong formulas, made from right ones: each slip with the sentence that says what was done.

A slip changes one thing in one term: a factor, a power, a sum, a sign. What is done to the whole,
or to a quantity that it uses, is in `conventions`.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from sympy import Add, Expr, Function, Indexed, Mul, Pow, S, Sum, Symbol

from rmsnorm_math.verify.setting import Setting, Slip, padded
from rmsnorm_math.verify.sums import across, foreign, of_sum


def slips(term: Expr, setting: Setting, place: str) -> Iterator[Slip]:
    """Yield what one slip makes of a term; each sentence says at which `place`."""
    it, within = place or "it", f"in {place}, " if place else ""
    yield f"{it} has the wrong sign", -term
    yield f"{it} is half the right one", term / 2
    yield f"{it} is twice the right one", 2 * term
    for says, wrong in chain(_of_product(term, setting, ()), foreign(term, setting)):
        yield within + says, wrong


def _of_product(term: Expr, setting: Setting, inside: tuple[Any, ...]) -> Iterator[Slip]:
    """Yield the slips in one factor of a product; `inside` holds the limits of a sum around it."""
    factors = list(Mul.make_args(term))
    for at, factor in enumerate(factors):
        others = Mul(*factors[:at], *factors[at + 1 :])
        if factor.is_number:
            continue
        for says, wrong in _of_factor(factor, setting, inside):
            yield says, Mul(others, wrong)
    if not inside:
        yield from across(factors, setting)


def _of_factor(factor: Expr, setting: Setting, inside: tuple[Any, ...]) -> Iterator[Slip]:
    base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, S.One)
    name = setting.say(base)
    within = " inside the sum" if inside else ""
    if base in setting.layer.lengths:
        yield from _of_length(base, power, within)
        return
    if isinstance(base, Sum):
        for says, wrong in of_sum(base, setting, _of_product):
            yield says, wrong**power
    if power == 1:
        yield f"{name} is missing{within}", S.One
        yield f"{name} is applied twice{within}", base**2
        yield f"{name} divides where it should multiply{within}", 1 / base
    else:
        yield from _powers(base, power, name, within)
    if isinstance(base, Add):
        for part in base.args:
            yield f"{setting.say(part)} is missing from {name}{within}", (base - part) ** power
            yield (
                f"{setting.say(part)} has the wrong sign in {name}{within}",
                (base - 2 * part) ** power,
            )
    if isinstance(base, Function) and len(base.args) == 1:
        function = base.func.__name__
        yield f"{function} is missing from {name}{within}", base.args[0] ** power
    if isinstance(base, Indexed) and power == 1:
        for other in setting.layer.inputs:
            if other != base.base and setting.layer.axes.get(other) == setting.axes(base):
                stands = f"{setting.names[other]} stands for {name}{within}"
                yield stands, Indexed(other, *base.indices)


def _powers(base: Expr, power: Expr, name: str, within: str) -> Iterator[Slip]:
    def shown(exponent: Expr) -> str:
        size = abs(exponent)
        return name if size == 1 else f"{name}**{size}"

    for step in (1, -1, 2, -2):
        wrong = power + step
        if wrong == 0:
            yield (
                f"1/{shown(power)} is missing{within}"
                if power < 0
                else (f"{shown(power)} is missing{within}"),
                S.One,
            )
        elif (wrong < 0) == (power < 0):
            verb = "divided" if power < 0 else "multiplied"
            yield (
                (f"it is {verb} by {shown(wrong)} where {shown(power)} is right{within}"),
                base**wrong,
            )
    if power not in (-1, -2, 1, 2):
        kind = f"1/{shown(power)}" if power < 0 else shown(power)
        yield f"{kind} is missing{within}", S.One
    verbs = ("multiplied", "divided") if power < 0 else ("divided", "multiplied")
    yield f"it is {verbs[0]} by {shown(power)} where it should be {verbs[1]}{within}", base**-power


def _of_length(length: Symbol, power: Expr, within: str) -> Iterator[Slip]:
    name = length.name
    what = f"1/{name}" if power < 0 else name
    yield (
        f"{what} is missing (a sum where the mean is right){within}",
        length ** (power - (-1 if power < 0 else 1)),
    )
    yield f"{what} is applied twice{within}", length ** (power + (-1 if power < 0 else 1))
    yield f"{name} - 1 stands for {name}{within}", (length - 1) ** power
    yield (
        (f"the padded length, the next power of two, stands for {name}{within}"),
        padded(length) ** power,
    )
