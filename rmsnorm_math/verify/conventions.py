"""Other conventions for a quantity that a formula uses: a definition under another name.

In a formula only a name changes. Each may be followed throughout, or in one term alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sympy import Abs, Eq, Expr, Float, Indexed, IndexedBase, Max, Piecewise, S, Sum, Symbol, nan

from rmsnorm_math.index.walk import base_of
from rmsnorm_math.verify.definitions import other_definitions
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.setting import setting_of

FIXED = (1e-5, 1e-6, 1e-8, 1e-12)


@dataclass(frozen=True, eq=False)
class Convention:
    """A sentence, what changes its name in a formula, and the definitions of the new names."""

    says: str
    renamed: dict[Expr, Expr]
    definitions: dict[Expr, Expr] = field(default_factory=dict)

    def __call__(self, expr: Expr) -> Expr:
        """Return `expr` with the quantities of this convention."""
        changed: Expr = expr.xreplace(self.renamed)
        return changed


class Conventions:
    """What makes conventions for one layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.setting = setting_of(layer, next(iter(layer.outputs)))
        self.count = 0

    def all(self) -> Iterator[Convention]:
        """Yield every convention of the layer's numbers, definitions, weights and data."""
        layer = self.layer
        for key in layer.inputs:
            if isinstance(key, Symbol) and key not in layer.lengths and not key.is_integer:
                yield from self._of_number(key)
        for key, definition in layer.definitions.items():
            if base_of(key) not in layer.axes or definition.has(Sum):
                for says, other in other_definitions(self.setting, key, definition):
                    yield self._redefined(says, key, other)
        for base, axes in layer.axes.items():
            if base in layer.inputs and layer.rows is not None and layer.rows not in axes:
                yield from self._of_weight(base)
        yield from self._of_data()

    def _changed(self, says: str, changes: dict[Expr, Any]) -> Convention:
        """Return the convention of other quantities, and of all that is defined by them.

        `changes` holds an expression for a symbol, and a function of the indices for a base.
        """
        self.count += 1
        renamed: dict[Expr, Expr] = {}
        definitions: dict[Expr, Expr] = {}
        for old, new in changes.items():
            if callable(new) and not isinstance(new, Expr):
                fresh, indices = self._fresh(old), self._indices(old)
                definitions[fresh[indices]] = new(*indices)
                renamed[old] = fresh
            else:
                renamed[old] = new
        for key, definition in self.layer.definitions.items():
            base = base_of(key)
            if base not in renamed and definition.has(*renamed):
                renamed[base] = self._fresh(base)
                definitions[key.xreplace({base: renamed[base]})] = definition.xreplace(renamed)
        return Convention(says, renamed, definitions)

    def _redefined(self, says: str, key: Expr, definition: Expr) -> Convention:
        """Return the convention of one other definition."""
        self.count += 1
        base = base_of(key)
        renamed = {base: self._fresh(base)}
        return Convention(says, renamed, {key.xreplace(renamed): definition})

    def _fresh(self, base: Expr) -> Expr:
        return type(base)(f"{base}~{self.count}")

    def _indices(self, base: Expr) -> tuple[Expr, ...]:
        for expr in (*self.layer.short.values(), *self.layer.definitions.values()):
            for node in sorted(expr.atoms(Indexed), key=str):
                if node.base == base and len(set(node.indices)) == len(node.indices):
                    return tuple(node.indices)
        return ()

    def _of_number(self, number: Symbol) -> Iterator[Convention]:
        name = self.layer.inputs[number]
        found: list[tuple[str, Expr]] = [
            (f"{name} is missing", S.Zero),
            (f"{name} is added twice", 2 * number),
            (f"{name} enters squared", number**2),
        ]
        for length in sorted(self.layer.lengths - {self.layer.rows}, key=str):
            found += [(f"{name} enters {length} times", length * number)]
            found += [(f"{name} is divided by {length}", number / length)]
        for value in FIXED:
            found += [(f"{name} is {value:g} whatever {name} is asked for", Float(value))]
        for value in FIXED[:3]:
            found += [(f"{name} is {value:g} where less is asked for", Max(number, Float(value)))]
        for says, other in found:
            yield self._changed(says, {number: other})

    def _of_weight(self, weight: IndexedBase) -> Iterator[Convention]:
        name = self.layer.inputs[weight]
        for says, of in (
            (f"1 + {name} stands where {name} is asked for", lambda g: 1 + g),
            (f"{name} - 1 stands where {name} is asked for", lambda g: g - 1),
            (f"{name} is left out", lambda _: S.One),
            (f"{name} is applied twice", lambda g: g**2),
            (f"{name} is taken in absolute value", Abs),
        ):
            yield self._changed(says, {weight: lambda *at, of=of: of(weight[at])})

    def _of_data(self) -> Iterator[Convention]:
        layer = self.layer
        full = [base for base, axes in layer.axes.items() if base in layer.inputs and len(axes) > 1]
        for at, left in enumerate(full):
            for right in full[at + 1 :]:
                if layer.axes[left] == layer.axes[right]:
                    says = f"{layer.inputs[left]} and {layer.inputs[right]} are exchanged"
                    yield Convention(says, {left: right, right: left})
                    swap = {left: right.__getitem__, right: left.__getitem__}
                    more = {old: lambda *i, of=of: of(i) for old, of in swap.items()}
                    yield self._changed(f"{says}, in what is made of them as well", more)
        for base in (base for base in full if base not in layer.cotangents):
            name = layer.inputs[base]
            for key, definition in layer.definitions.items():
                if len(getattr(key, "indices", ())) == 1 and definition.has(base):
                    says = f"it is evaluated at the normalised input, {name} divided by "
                    says += self.setting.say(key)
                    yield self._changed(says, {base: _normalised(base, key, definition)})
            for weight, axes in layer.axes.items():
                if axes == layer.axes[base][1:] and weight in layer.inputs:
                    yield from self._of_division(base, weight)

    def _of_division(self, base: IndexedBase, weight: IndexedBase) -> Iterator[Convention]:
        """Yield what comes of an input that is recomputed from the output by a division."""
        by, indices = self.layer.inputs[weight], self._indices(base)
        name = self.layer.inputs[base]
        how = f"as if it were recomputed from the output by dividing by {by}"
        for says, value in (
            (f"{name} is not a number where {by} is 0, {how}", nan),
            (f"{name} counts as 0 where {by} is 0, {how}, clamped", S.Zero),
        ):
            self.count += 1
            fresh = self._fresh(base)
            zero = Eq(weight[indices[-1]], 0)
            other = Piecewise((value, zero), (base[indices], True))
            yield Convention(says, {base: fresh}, {fresh[indices]: other})


def _normalised(base: IndexedBase, key: Indexed, definition: Expr) -> Callable[..., Expr]:
    inverse = definition.as_base_exp()[1].is_negative
    return lambda *at: base[at] * key.base[at[0]] if inverse else base[at] / key.base[at[0]]
