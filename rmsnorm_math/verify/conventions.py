"""Slips in a quantity that a formula uses, or in the whole: other definitions, and their words.

A quantity of another convention gets a name of its own and a definition, so that in a formula
only a name changes. Each may be used throughout, or in one term alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sympy import (
    Abs,
    Add,
    Eq,
    Expr,
    Float,
    Indexed,
    IndexedBase,
    Max,
    Pow,
    S,
    Sum,
    Symbol,
    nan,
    sqrt,
)
from sympy.functions.elementary.piecewise import Piecewise

from rmsnorm_math.index.names import freshen
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.mutations import Setting, padded, setting_of

FIXED = (1e-5, 1e-6, 1e-8, 1e-12)


@dataclass(frozen=True, eq=False)
class Convention:
    """A sentence, what changes its name in a formula, and the definitions of the new names."""

    says: str
    names: dict[Expr, Expr]
    definitions: dict[Expr, Expr] = field(default_factory=dict)

    def __call__(self, expr: Expr) -> Expr:
        """Return `expr` with the quantities of this convention."""
        changed: Expr = expr.xreplace(self.names)
        return changed


class Conventions:
    """What makes conventions for one layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.say = setting_of(layer, next(iter(layer.outputs))).say
        self.count = 0

    def all(self) -> Iterator[Convention]:
        """Yield every convention of the layer's numbers, weights and definitions."""
        for key in self.layer.inputs:
            if isinstance(key, Symbol) and key not in self.layer.lengths and not key.is_integer:
                yield from self._of_number(key)
        for key, definition in self.layer.definitions.items():
            if getattr(key, "base", key) not in self.layer.axes or definition.has(Sum):
                yield from self._of_definition(key, definition)
        for base, axes in self.layer.axes.items():
            if base in self.layer.inputs:
                if self.layer.rows is not None and self.layer.rows not in axes:
                    yield from self._of_weight(base)
        yield from self._of_data()

    def changed(self, says: str, changes: dict[Expr, Expr | Callable[..., Expr]]) -> Convention:
        """Return the convention of other quantities, and of all that is defined by them.

        `changes` holds an expression for a symbol, and a function of the indices for a base.
        """
        self.count += 1
        names: dict[Expr, Expr] = {}
        definitions: dict[Expr, Expr] = {}
        for old, new in changes.items():
            if isinstance(old, Symbol) and not callable(new):
                names[old] = new
                continue
            fresh = IndexedBase(f"{old}~{self.count}")
            indices = self._indices(old)
            definitions[fresh[indices]] = new(*indices)
            names[old] = fresh
        for key, definition in self.layer.definitions.items():
            base = getattr(key, "base", key)
            if base not in names and definition.has(*names):
                fresh = type(base)(f"{base}~{self.count}")
                definitions[fresh[key.indices] if isinstance(key, Indexed) else fresh] = (
                    definition.xreplace(names)
                )
                names[base] = fresh
        return Convention(says, names, definitions)

    def redefined(self, says: str, key: Expr, definition: Expr) -> Convention:
        """Return the convention of one other definition."""
        self.count += 1
        base = getattr(key, "base", key)
        fresh = type(base)(f"{base}~{self.count}")
        new = fresh[key.indices] if isinstance(key, Indexed) else fresh
        return Convention(says, {base: fresh}, {new: definition})

    def _indices(self, base: Expr) -> tuple[Expr, ...]:
        for expr in (*self.layer.short.values(), *self.layer.definitions.values()):
            for node in sorted(expr.atoms(Indexed), key=str):
                if node.base == base and len(set(node.indices)) == len(node.indices):
                    return tuple(node.indices)
        return ()

    def _of_number(self, number: Symbol) -> Iterator[Convention]:
        name = self.layer.inputs[number]
        yield self.changed(f"{name} is missing", {number: S.Zero})
        yield self.changed(f"{name} is added twice", {number: 2 * number})
        yield self.changed(f"{name} enters squared", {number: number**2})
        for length in sorted(self.layer.lengths - {self.layer.rows}, key=str):
            yield self.changed(f"{name} enters {length} times", {number: length * number})
            yield self.changed(f"{name} is divided by {length}", {number: number / length})
        for value in FIXED:
            yield self.changed(
                f"{name} is {value:g} whatever {name} is asked for", {number: Float(value)}
            )
        for value in FIXED[:3]:
            yield self.changed(
                f"{name} is {value:g} where less is asked for", {number: Max(number, Float(value))}
            )

    def _of_definition(self, key: Expr, definition: Expr) -> Iterator[Convention]:
        name, layer = self.say(key), self.layer
        base, power = definition.as_base_exp()
        numbers = [s for s in layer.inputs if isinstance(s, Symbol) and base.has(s)]
        if abs(power) == S.Half and isinstance(base, Add):
            for number in (s for s in numbers if s in base.args):
                rest, said = base - number, layer.inputs[number]
                outside = (sqrt(rest) + number) ** (2 * power)
                yield self.redefined(f"{said} is added outside the root", key, outside)
                yield self.redefined(
                    f"{said} is a floor, max({self.say(rest)}, {said})", key, Max(rest, number) ** power
                )
        if isinstance(definition, Pow) and abs(power) == S.Half:
            yield self.redefined(f"the root of {name} is missing", key, base ** (2 * power))
        yield self.redefined(f"1/{name} stands for {name}", key, 1 / definition)
        for length in sorted(layer.lengths - {layer.rows}, key=str):
            if definition.has(length):
                yield self.redefined(f"{name} is taken with the sum, not the mean", key, _as_sum(definition, length))
                yield self.redefined(f"{name} is taken with {length} - 1 for {length}", key, _in_factors(definition, length, length - 1))
                yield self.redefined(f"{name} is taken with the padded length for {length}", key, _in_factors(definition, length, padded(length)))
        yield from self._over_rows(key, definition)
        for inner in sorted((a for a in base.atoms(Add) if a != base), key=str):
            for part in inner.args:
                yield self.redefined(
                    f"{name} is taken without {self.say(part)}", key, freshen(definition).xreplace({inner: inner - part}) if False else definition.xreplace({inner: inner - part})
                )

    def _over_rows(self, key: Expr, definition: Expr) -> Iterator[Convention]:
        rows, name = self.layer.rows, self.say(key)
        if not isinstance(rows, Symbol) or len(getattr(key, "indices", ())) != 1:
            return
        ((index,), sums) = key.indices, [s for s in definition.atoms(Sum) if s.has(key.indices[0])]
        whole = {s: Sum(*s.args, (index, 1, rows)) / rows for s in sums}
        yield self.redefined(
            f"{name} is taken over the rows as well, not over the last axis alone", key, definition.xreplace(whole)
        )

    def _of_weight(self, weight: IndexedBase) -> Iterator[Convention]:
        name = self.layer.inputs[weight]
        for says, of in (
            (f"1 + {name} stands where {name} is asked for", lambda g: 1 + g),
            (f"{name} - 1 stands where {name} is asked for", lambda g: g - 1),
            (f"{name} is left out", lambda g: S.One),
            (f"{name} is applied twice", lambda g: g**2),
            (f"{name} is taken in absolute value", Abs),
        ):
            yield self.changed(says, {weight: lambda *at, of=of: of(weight[at])})

    def _of_data(self) -> Iterator[Convention]:
        layer = self.layer
        full = [base for base, axes in layer.axes.items() if base in layer.inputs and len(axes) > 1]
        data = [base for base in full if base not in layer.cotangents]
        for at, left in enumerate(full):
            for right in full[at + 1 :]:
                if layer.axes[left] != layer.axes[right]:
                    continue
                names = f"{layer.inputs[left]} and {layer.inputs[right]}"
                yield Convention(f"{names} are exchanged", {left: right, right: left})
                swap = {left: lambda *i, o=right: o[i], right: lambda *i, o=left: o[i]}
                yield self.changed(f"{names} are exchanged, in what is made of them as well", swap)
        for base in data:
            name = layer.inputs[base]
            for key in layer.definitions:
                index = getattr(key, "indices", ())
                if len(index) == 1 and layer.definitions[key].has(base):
                    divided = self._normalised(base, key)
                    yield self.changed(f"it is evaluated at {name} divided by {self.say(key)}, the normalised input", {base: divided})
            for weight, axes in layer.axes.items():
                if axes == layer.axes[base][1:] and weight in layer.inputs:
                    yield from self._of_division(base, weight)

    def _normalised(self, base: IndexedBase, key: Indexed) -> Callable[..., Expr]:
        inverse = self.layer.definitions[key].as_base_exp()[1].is_negative
        return lambda *at: base[at] * key.base[at[0]] if inverse else base[at] / key.base[at[0]]

    def _of_division(self, base: IndexedBase, weight: IndexedBase) -> Iterator[Convention]:
        """Yield what comes of an input that is recomputed from the output by a division."""
        name, by = self.layer.inputs[base], self.layer.inputs[weight]
        for says, value in (
            (f"{name} is recomputed from the output by dividing by {by}, which fails where {by} is 0", nan),
            (f"{name} is recomputed from the output by dividing by {by}, which is clamped: wrong where {by} is 0", S.Zero),
        ):
            def other(*at: Expr, value: Expr = value) -> Expr:
                return Piecewise((value, Eq(weight[at[-1]], 0)), (base[at], True))
            self.count += 1
            fresh = IndexedBase(f"{base}~{self.count}")
            indices = self._indices(base)
            yield Convention(says, {base: fresh}, {fresh[indices]: other(*indices)})


def _as_sum(definition: Expr, length: Symbol) -> Expr:
    return _in_factors(definition, length, S.One)


def _in_factors(expr: Expr, length: Symbol, other: Expr) -> Expr:
    """Return `expr` with another length, save where it ends a sum."""
    if expr == length:
        return other
    if isinstance(expr, Sum):
        return Sum(_in_factors(expr.function, length, other), *expr.limits)
    return expr.func(*(_in_factors(a, length, other) for a in expr.args)) if expr.args else expr


def of_whole(terms: list[Expr], setting: Setting) -> Iterator[tuple[str, Expr, Expr]]:
    """Yield what is wrong with an output as a whole: a factor of it, and what is added."""
    layer = setting.layer
    factors: list[tuple[str, Expr]] = [("it is all zeros", S.Zero)]
    if len(terms) > 1:
        factors += [
            ("the whole has the wrong sign", -S.One),
            ("the whole is twice the right one", S(2)),
            ("the whole is half the right one", S.Half),
        ]
        for key in layer.definitions:
            if all(index in setting.free for index in getattr(key, "indices", ())):
                name = setting.say(key)
                factors += [(f"the whole is multiplied by {name} once too often", key)]
                factors += [(f"the whole is divided by {name} once too often", 1 / key)]
        for length in sorted(layer.lengths - {layer.rows}, key=str):
            factors += [(f"the whole is multiplied by {length}", length)]
            factors += [(f"the whole is divided by {length}", 1 / length)]
    for says, factor in factors:
        yield says, factor, S.Zero
    for base in sorted(layer.cotangents, key=str):
        indices = [setting.index_of(axis) for axis in layer.axes[base]]
        if None not in indices:
            says = f"it contains {layer.inputs[base]} on top of the right one"
            yield says, S.One, base[tuple(indices)]
