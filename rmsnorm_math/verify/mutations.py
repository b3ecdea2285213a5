"""Wrong formulas, made from right ones: each slip with the sentence that says what was done.

A slip changes one thing in one term: a factor, a power, a sum, a sign. What is done to the whole,
or to a quantity that it uses, is in `conventions`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sympy import (
    Add,
    Expr,
    Function,
    Indexed,
    Mul,
    Pow,
    S,
    Sum,
    Symbol,
)

from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.words import words

#: A sentence and the formula that it is about.
Slip = tuple[str, Expr]
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True, eq=False)
class Setting:
    """What the slips of one output need to know of its layer."""

    layer: Layer
    names: Mapping[Expr, str]
    free: tuple[Expr, ...]

    def say(self, expr: Expr) -> str:
        """Return `expr` in words."""
        return words(expr, self.names)

    def index_of(self, axis: Any) -> Expr | None:
        """Return the output's index along an axis."""
        return next((s for s in self.free if self.axis_of_free(s) == axis), None)

    def axis_of_free(self, index: Expr) -> Any:
        """Return the axis that a free index runs along."""
        for expr in self.layer.short.values():
            for node in expr.atoms(Indexed):
                if index in node.indices and node.base in self.layer.axes:
                    return self.layer.axes[node.base][list(node.indices).index(index)]
        return None

    def axes(self, node: Expr) -> tuple[Any, ...]:
        """Return the axes of an element."""
        return self.layer.axes.get(getattr(node, "base", node), ())


def setting_of(layer: Layer, key: Any) -> Setting:
    """Return the setting for the slips of the output `key`."""
    names = {k: v for k, v in layer.inputs.items()}
    return Setting(layer, names, tuple(layer.indices(key)))


def places(terms: list[Expr]) -> list[str]:
    """Say which term is meant: nothing where there is one alone."""
    if len(terms) == 1:
        return [""]
    return [f"the {ORDINALS[min(at, 7)]} term" for at in range(len(terms))]


def slips(term: Expr, setting: Setting, place: str) -> Iterator[Slip]:
    """Yield what one slip makes of a term; each sentence says at which `place`."""
    it, within = place or "it", f"in {place}, " if place else ""
    yield f"{it} has the wrong sign", -term
    yield f"{it} is half the right one", term / 2
    yield f"{it} is twice the right one", 2 * term
    for says, wrong in chain(_of_product(term, setting, ()), _foreign(term, setting)):
        yield within + says, wrong


def _of_product(term: Expr, setting: Setting, inside: tuple[Any, ...]) -> Iterator[Slip]:
    """Yield the slips in one factor of a product; `inside` holds the limits of a sum around it."""
    factors = [f for f in Mul.make_args(term)]
    for at, factor in enumerate(factors):
        others = Mul(*factors[:at], *factors[at + 1 :])
        if factor.is_number:
            continue
        for says, wrong in _of_factor(factor, setting, inside):
            yield says, Mul(others, wrong)
    if not inside:
        yield from _across(factors, setting)


def _of_factor(factor: Expr, setting: Setting, inside: tuple[Any, ...]) -> Iterator[Slip]:
    base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, S.One)
    name = setting.say(base)
    within = " inside the sum" if inside else ""
    if base in setting.layer.lengths:
        yield from _of_length(base, power, within)
        return
    if isinstance(base, Sum):
        for says, wrong in _of_sum(base, setting):
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
            yield f"{setting.say(part)} has the wrong sign in {name}{within}", (
                base - 2 * part
            ) ** power
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
            yield f"1/{shown(power)} is missing{within}" if power < 0 else (
                f"{shown(power)} is missing{within}"
            ), S.One
        elif (wrong < 0) == (power < 0):
            verb = "divided" if power < 0 else "multiplied"
            yield (
                f"it is {verb} by {shown(wrong)} where {shown(power)} is right{within}"
            ), base**wrong
    if power not in (-1, -2, 1, 2):
        kind = f"1/{shown(power)}" if power < 0 else shown(power)
        yield f"{kind} is missing{within}", S.One
    verbs = ("multiplied", "divided") if power < 0 else ("divided", "multiplied")
    yield f"it is {verbs[0]} by {shown(power)} where it should be {verbs[1]}{within}", base**-power


def _of_length(length: Symbol, power: Expr, within: str) -> Iterator[Slip]:
    name = length.name
    what = f"1/{name}" if power < 0 else name
    yield f"{what} is missing (a sum where the mean is right){within}", length ** (
        power - (-1 if power < 0 else 1)
    )
    yield f"{what} is applied twice{within}", length ** (power + (-1 if power < 0 else 1))
    yield f"{name} - 1 stands for {name}{within}", (length - 1) ** power
    yield (
        f"the padded length, the next power of two, stands for {name}{within}"
    ), padded(length) ** power


class padded(Function):  # type: ignore[misc]  # noqa: N801
    """The next power of two."""

    def fdiff(self, _argindex: int = 1) -> Expr:
        """Return 0: a length is exact."""
        return S.Zero

    def _numpycode(self, printer: Any) -> str:
        return f"2.0**{printer._module_format('numpy.ceil')}({printer._module_format('numpy.log2')}({printer._print(self.args[0])}))"


def _of_sum(total: Sum, setting: Setting) -> Iterator[Slip]:
    """Yield what can be wrong with a sum: its factors, what it is over, whether it is one."""
    body, limits = total.function, total.limits
    spoken = f"the sum, which is over {setting.say(total)[4:-1]}"
    for says, wrong in _of_product(body, setting, limits):
        yield says, Sum(wrong, *limits)
    if len(limits) > 1:
        return
    ((index, low, high),) = limits
    axis = _axis_of_bound(body, index, setting)
    outside = setting.index_of(axis)
    if outside is not None and outside != index:
        for part in Mul.make_args(body):
            if part.has(index) and not part.has(outside):
                left = Sum(body / part, *limits)
                moved = part.xreplace({index: outside})
                yield f"{setting.say(part)} stands outside {spoken}", left * moved
        yield (
            f"only the diagonal is used: the sum over the axis is missing"
        ), body.xreplace({index: outside})
    row = _row_index(body, setting)
    if axis is not None and axis != setting.layer.rows and row is not None:
        over = (row, 1, setting.layer.rows)
        if isinstance(setting.layer.rows, Symbol):
            yield f"the sum is taken over the rows as well", Sum(body, *limits, over)
            mean = high / setting.layer.rows
            yield (
                f"the mean is taken over the rows as well"
            ), Sum(body, *limits, over) / setting.layer.rows
            if outside is not None:
                first = Sum(body.xreplace({index: outside}), over)
                yield f"the sum is taken over the rows, not over the last axis", first
                yield (
                    f"the mean is taken over the rows, not over the last axis"
                ), first * mean
    if axis is not None and axis == setting.layer.rows and isinstance(high, Symbol):
        yield f"averaged over the rows; it is a sum", total / high


def _axis_of_bound(body: Expr, index: Expr, setting: Setting) -> Any:
    for node in sorted(body.atoms(Indexed), key=str):
        if index in node.indices and (axes := setting.axes(node)):
            return axes[list(node.indices).index(index)]
    return None


def _row_index(body: Expr, setting: Setting) -> Expr | None:
    """Return the index of rows that is free in `body`."""
    rows = setting.layer.rows
    for node in sorted(body.atoms(Indexed), key=str):
        axes = setting.axes(node)
        if axes and axes[0] == rows and node.indices[0] in setting.free:
            return node.indices[0]
    return None


def _across(factors: list[Expr], setting: Setting) -> Iterator[Slip]:
    """Yield what moves from one factor into another: into a sum, or two that change places."""
    for at, factor in enumerate(factors):
        if not isinstance(factor, Sum) or len(factor.limits) > 1:
            continue
        ((index, *_),) = factor.limits
        axis = _axis_of_bound(factor.function, index, setting)
        outside = setting.index_of(axis)
        for other, part in enumerate(factors):
            if other == at or part.is_number or outside is None or not part.has(outside):
                continue
            rest = [f for spot, f in enumerate(factors) if spot not in (at, other)]
            inner = factor.function * part.xreplace({outside: index})
            says = f"{setting.say(part)} stands inside the sum, where it belongs outside"
            yield says, Mul(*rest, Sum(inner, *factor.limits))


def _foreign(term: Expr, setting: Setting) -> Iterator[Slip]:
    """Yield the term with a factor that it does not have."""
    outer = [f for f in Mul.make_args(term) if not isinstance(f, Sum)]
    for base, axes in setting.layer.axes.items():
        indices = [setting.index_of(axis) for axis in axes]
        if None in indices:
            continue
        node = Indexed(base, *indices)
        if not any(f.has(node) for f in outer):
            name = setting.say(node)
            yield f"{name} is a factor, where it has no place", term * node
            yield f"{name} divides, where it has no place", term / node
    for key in setting.layer.definitions:
        if not term.has(getattr(key, "base", key)) and _fits(key, setting):
            name = setting.say(key)
            yield f"{name} is a factor, where it has no place", term * key
            yield f"1/{name} is a factor, where it has no place", term / key
    for length in sorted(setting.layer.lengths, key=str):
        if not term.has(length) and length != setting.layer.rows:
            yield f"{length} is a factor, where it has no place", term * length
            yield f"1/{length} is a factor, where it has no place", term / length


def _fits(key: Expr, setting: Setting) -> bool:
    return all(index in setting.free for index in getattr(key, "indices", ()))


def with_terms(terms: list[Expr], at: int, term: Expr) -> list[Expr]:
    """Return `terms` with another one at a place."""
    return [*terms[:at], term, *terms[at + 1 :]]

