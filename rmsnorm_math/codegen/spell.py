"""Statements over arrays with named axes, as array code: which axis is where, and what lines up.

The layout of an array is the tuple of its axes, in order; None stands for an axis of length 1.
Arrays line up from the right, as in NumPy. A subclass says how a framework spells things.
"""

from collections.abc import Callable, Iterable
from string import ascii_letters
from typing import ClassVar

from sympy import (
    Add,
    Basic,
    Expr,
    Indexed,
    Mul,
    Piecewise,
    Rational,
    S,
    Symbol,
    pi,
)
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Not, Or

from rmsnorm_math.codegen.contract import element
from rmsnorm_math.codegen.nodes import (
    Axes,
    Contraction,
    Largest,
    Mean,
    Position,
    Reduction,
    Total,
    axes_of,
    family,
)
from rmsnorm_math.codegen.program import Parameter, Program, Result, Statement
from rmsnorm_math.errors import Refused

Layout = tuple[Symbol | None, ...]
LOOSE, SUM, PRODUCT, SIGN, POWER, TIGHT = range(6)
Text = tuple[str, int]


def tight(text: Text, than: int) -> str:
    """Return a text, in parentheses if it binds less than is needed."""
    return text[0] if text[1] >= than else f"({text[0]})"


class Spelling:
    """How array code is written; NumPy's words are the default."""

    word: ClassVar[str] = "numpy"
    module: ClassVar[str] = "np"
    imports: ClassVar[tuple[str, ...]] = ("import numpy as np",)
    functions: ClassVar[dict[str, str]] = {}
    options: ClassVar[str] = "axis={}, keepdims=True"
    over: ClassVar[str] = "axis={}"

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layouts: dict[str, Layout] = {}
        self.axes: dict[str, Axes] = {}
        for parameter in program.parameters:
            unit = (None,) if parameter.column else ()
            self.layouts[parameter.name] = (*parameter.axes, *unit)
            self.axes[parameter.name] = parameter.axes
        self.needs: list[str] = []
        self.scalars: set[str] = set()

    # --- layouts -----------------------------------------------------------------------------

    def layout_of(self, node: Basic) -> Layout | None:
        """Return the layout of an array as it stands, or None if `node` is made of several."""
        if isinstance(node, Indexed):
            name = node.base.name
            names = dict(zip(self.axes[name], node.indices, strict=True))
            return tuple(names.get(slot) for slot in self.layouts[name])
        if isinstance(node, Position):
            return (node.args[0],)
        if isinstance(node, Reduction):
            return self._reduced(self.natural(node.body), node.over)
        if isinstance(node, Contraction):
            return self._matmul(node)[1]
        return None

    def leaves(self, node: Basic) -> list[Layout]:
        """Return the layouts of the arrays that an expression is made of."""
        if (layout := self.layout_of(node)) is not None:
            return [layout]
        return [layout for arg in node.args for layout in self.leaves(arg)]

    def natural(self, node: Basic) -> Layout:
        """Return the layout in which an expression needs the fewest changes."""
        layouts = sorted({*self.leaves(node)}, key=lambda slots: (-len(slots), str(slots)))
        merged: list[Symbol | None] = []
        for layout in layouts:
            merged = [None] * (len(layout) - len(merged)) + merged
            for at, slot in enumerate(reversed(layout), 1):
                if slot is not None:
                    if merged[-at] not in (None, slot) or slot in merged[: len(merged) - at]:
                        return self._widest(layouts, axes_of(node))
                    if slot in merged and merged[-at] != slot:
                        return self._widest(layouts, axes_of(node))
                    merged[-at] = slot
        return tuple(merged)

    def _widest(self, layouts: Iterable[Layout], axes: set[Symbol]) -> Layout:
        """Return the layout of an array that has all axes, in order, or the axes in order."""
        order = self.sort(axes)
        for layout in layouts:
            if tuple(slot for slot in layout if slot is not None) == order:
                return layout
        return order

    def sort(self, axes: Iterable[Symbol]) -> Axes:
        """Return axes in the program's order."""
        order = [*self.program.axes]

        def place(axis: Symbol) -> tuple[int, str]:
            known = axis if axis in order else family(axis)
            return order.index(known) if known in order else 99, axis.name

        return tuple(sorted(axes, key=place))

    def _reduced(self, body: Layout, over: Axes) -> Layout:
        left = tuple(None if slot in over else slot for slot in body)
        first = next((at for at, slot in enumerate(left) if slot is not None), len(left))
        return left[first:] if self._drops(body, over) else left

    def _drops(self, body: Layout, over: Axes) -> bool:
        """Return whether what is reduced stands in front, so that nothing is kept for it."""
        kept = [slot for slot in body if slot not in over]
        return all(slot in over or slot is None for slot in body[: len(body) - len(kept)]) and (
            None not in kept or all(slot is None for slot in kept)
        )

    def aligned(self, text: Text, have: Layout, want: Layout) -> Text:
        """Return an array laid out as `have`, indexed so that it lines up with `want`."""
        slots = [slot for slot in have if slot is not None]
        order = [slot for slot in want if slot in slots]
        if order != slots:
            if None in have or {*order} != {*slots}:
                raise Refused(f"{text[0]} has the axes {have}, and {want} are needed.")
            text = self.transposed(text, [slots.index(slot) for slot in order])
            have = tuple(order)
        fits = len(have) <= len(want) and all(
            slot in (None, goal) for slot, goal in zip(reversed(have), reversed(want), strict=False)
        )
        if fits:
            return text
        index: list[str] = []
        before, goal = 0, [slot for slot in want]
        for slot in (*order, None):
            stop = have.index(slot, before) if slot is not None else len(have)
            end = goal.index(slot) if slot is not None else len(goal)
            units, wanted = stop - before, end
            if not index and slot is not None:
                index += ["0"] * units
            else:
                index += [":"] * min(units, wanted) + ["0"] * (units - wanted)
                index += ["None"] * (wanted - units)
            if slot is not None:
                index.append("..." if slot == self.program.batch else ":")
                before, goal = stop + 1, goal[end + 1 :]
        while index and index[-1] == ":" and "..." not in index:
            index.pop()
        if index[:2] == ["...", ":"]:
            del index[1]
        return (f"{tight(text, TIGHT)}[{', '.join(index)}]" if index else text[0]), TIGHT

    # --- expressions -------------------------------------------------------------------------

    def text(self, node: Basic, want: Layout) -> Text:
        """Return the code of an expression, lined up with `want`."""
        if isinstance(node, Indexed):
            slots = self.layout_of(node)
            assert slots is not None
            text = self.diagonal(node) if len({*node.indices}) < len(node.indices) else None
            if text:
                return self.aligned(text, tuple(dict.fromkeys(slots)), want)
            return self.aligned((node.base.name, TIGHT), slots, want)
        if isinstance(node, Position | Reduction | Contraction):
            layout = self.layout_of(node)
            assert layout is not None
            return self.aligned(self._array(node), layout, want)
        if isinstance(node, Symbol):
            return node.name, TIGHT
        if not node.free_symbols and isinstance(node, Expr):
            return self.number(node)
        if isinstance(node, Add):
            return self._sum(node, want)
        if isinstance(node, Mul):
            return self._product(node, want)
        if node.is_Pow and node.base != S.Exp1:
            return self._power(node.base, node.exp, want)
        if isinstance(node, Piecewise):
            return self._choice(node, want)
        if isinstance(node, Relational):
            left, right = (tight(self.text(arg, want), SUM) for arg in (node.lhs, node.rhs))
            return f"{left} {node.rel_op} {right}", LOOSE
        if isinstance(node, And | Or | Not):
            args = [tight(self.text(arg, want), SUM) for arg in sorted(node.args, key=str)]
            if isinstance(node, Not):
                return f"~{args[0]}", SIGN
            return (" & " if isinstance(node, And) else " | ").join(args), LOOSE
        return self.function(node, want)

    def _array(self, node: Basic) -> Text:
        if isinstance(node, Position):
            axis, first = node.args
            length = self.length(axis)
            ends = length if first == 0 else f"1, {length} + 1"
            return self.positions(ends), TIGHT
        if isinstance(node, Contraction):
            return self._matmul(node)[0]
        assert isinstance(node, Reduction)
        body = self.natural(node.body)
        text = self.text(node.body, body)
        word = {Total: "sum", Mean: "mean", Largest: "max"}[type(node)]
        batch = self.program.batch
        if batch in node.over and {slot for slot in body if slot} - {*node.over}:
            lengths = [self.length(slot) if slot else "1" for slot in body[1:]]
            return f"{tight(text, TIGHT)}.reshape(-1, {', '.join(lengths)}).{word}(0)", TIGHT
        return self.reduction(word, text[0], self._places(body, node.over), self._drops(body, node.over))

    def _places(self, body: Layout, over: Axes) -> str | None:
        """Return the numbers of the axes that are reduced, or None for all."""
        if all(slot in over for slot in body if slot is not None) and self._drops(body, over):
            return None
        places = [at - len(body) for at, slot in enumerate(body) if slot in over]
        if self.program.batch is None and self._drops(body, over):
            places = [at + len(body) for at in places]
        return str(places[0]) if len(places) == 1 else f"({', '.join(map(str, places))})"

    def _sum(self, node: Expr, want: Layout) -> Text:
        terms = []
        for term in node.args:
            minus = term.could_extract_minus_sign()
            text = tight(self.text(-term if minus else term, want), PRODUCT if minus else SUM)
            terms.append((minus, term.is_Number, text))
        (minus, _, text), *rest = sorted(terms)
        first = f"-{text}" if minus else text
        return first + "".join(f" {'-' if minus else '+'} {text}" for minus, _, text in rest), SUM

    def _product(self, node: Expr, want: Layout) -> Text:
        if node.could_extract_minus_sign():
            return f"-{tight(self.text(-node, want), PRODUCT)}", SIGN
        constant = Mul(*(f for f in node.args if not f.free_symbols))
        factors = [f for f in node.args if f.free_symbols]
        choices = [f for f in factors if isinstance(f, Piecewise)]
        if choices and any(v == 0 or not axes_of(v) for v, _ in choices[0].args):
            rest = Mul(constant, *(f for f in factors if f is not choices[0]))
            if axes_of(rest):
                pieces = [(value * rest, condition) for value, condition in choices[0].args]
                return self._choice(Piecewise(*pieces, evaluate=False), want)
        axes = axes_of(node)
        small = self._column(factors, axes)
        if small and len(small) + (constant != 1) > 1:
            large = Mul(*(f for f in factors if f not in small))
            column = Mul(constant, *small)
            if large.args and not _is_reciprocal(large):
                left = self.text(large, want)
                return f"{tight(left, PRODUCT)}*{tight(self.text(column, want), POWER)}", PRODUCT
        over = [f for f in factors if _is_reciprocal(f)]
        above = sorted(tight(self.text(f, want), SIGN) for f in factors if f not in over)
        below = sorted(tight(self._power(f.base, -f.exp, want), SIGN) for f in over)
        if constant != 1:
            if isinstance(constant, Rational) and max(abs(constant.p), constant.q) <= 1000:
                above = ([str(constant.p)] if constant.p != 1 else []) + above
                below = ([str(constant.q)] if constant.q != 1 else []) + below
            else:
                above = [self.number(constant)[0], *above]
        numerator = "*".join(above) or "1"
        if not below:
            return numerator, PRODUCT
        return f"{numerator}/{below[0] if len(below) == 1 else '(' + '*'.join(below) + ')'}", PRODUCT

    def _column(self, factors: list[Expr], axes: set[Symbol]) -> list[Expr]:
        """Return the factors that make a smaller array together, for one product less."""
        sets = sorted({frozenset(axes_of(f)) for f in factors} - {frozenset(axes)}, key=len)
        for chosen in reversed(sets):
            if chosen:
                return [f for f in factors if axes_of(f) <= chosen]
        return []

    def _power(self, base: Expr, exponent: Expr, want: Layout) -> Text:
        if exponent == 1:
            return self.text(base, want)
        if exponent.is_negative:
            return f"1/{tight(self._power(base, -exponent, want), SIGN)}", PRODUCT
        if exponent == S.Half and axes_of(base):
            return f"{self.module}.sqrt({self.text(base, want)[0]})", TIGHT
        power = exponent if exponent.is_Symbol or exponent.is_Integer else None
        text = self.text(exponent, want)[0]
        return f"{tight(self.text(base, want), TIGHT)}**{text if power else f'({text})'}", POWER

    def _choice(self, node: Piecewise, want: Layout) -> Text:
        *pieces, (last, condition) = node.args
        if condition != True:  # noqa: E712  a SymPy truth
            raise Refused(f"{node} has no value where none of its conditions holds: add one.")
        text = self.text(last, want)[0]
        for value, condition in reversed(pieces):
            choice = self.text(condition, want)[0]
            text = f"{self.module}.where({choice}, {self.text(value, want)[0]}, {text})"
        if not any(axes_of(value) for value, _ in node.args) and axes_of(node):
            text = self.typed(text)
        return text, TIGHT

    def number(self, value: Expr) -> Text:
        """Return a constant as one number of Python, which takes the arrays' type."""
        if value.is_Integer:
            return str(value), TIGHT if value >= 0 else SIGN
        if isinstance(value, Rational) and max(abs(value.p), value.q) <= 1000:
            return f"{value.p}/{value.q}", PRODUCT
        if value in (S.Infinity, S.NegativeInfinity):
            return ("-" if value == S.NegativeInfinity else "") + f"{self.module}.inf", SIGN
        if value == pi:
            return f"{self.module}.pi", TIGHT
        if value == S.Exp1:
            return f"{self.module}.e", TIGHT
        text = repr(float(value.evalf(17)))
        return text, SIGN if text.startswith("-") else TIGHT

    def length(self, axis: Symbol) -> str:
        """Return the length of an axis, as an array's shape has it."""
        for parameter in self.program.parameters:
            if family(axis) in parameter.axes:
                return self.size(parameter, family(axis))
        raise Refused(f"no argument has the axis {axis}, whose length is needed: add one.")

    def size(self, parameter: Parameter, axis: Symbol) -> str:
        """Return the length of an axis of a parameter."""
        layout = self.layouts[parameter.name]
        at = layout.index(axis)
        if axis == self.program.batch:
            self.needs.append("import math")
            return f"math.prod({parameter.name}.shape[:{1 - len(layout) or ''}])"
        return f"{parameter.name}.shape[{at - len(layout) if at or len(layout) == 1 else 0}]"

    # --- matrix products ---------------------------------------------------------------------

    def _matmul(self, node: Contraction) -> tuple[Text, Layout]:
        """Return a matrix product, with its layout."""
        result = self.sort(axes_of(node))
        for one, other in (node.factors, node.factors[::-1]):
            left, right = self._operand(one), self._operand(other)
            if len(node.over) == 1 and not ({*left} & {*right}) - {*node.over}:
                (axis,) = node.over
                layout = tuple(slot for slot in (*left, *right) if slot != axis)
                turned = left[-1] != axis and left[:1] == (axis,) and len(left) == 2
                if len(right) <= 2 and layout == result and (left[-1] == axis or turned):
                    return self._at(one, other, left, right, axis, turned), layout
        return self._einsum(node, result), result

    def _operand(self, factor: Expr) -> Layout:
        """Return the layout of a factor, without axes of length 1."""
        layout = self.natural(factor)
        return layout if None not in layout else self.sort(axes_of(factor))

    def _at(
        self, one: Expr, other: Expr, left: Layout, right: Layout, axis: Symbol, turned: bool
    ) -> Text:
        texts = []
        for factor, layout in ((one, left), (other, right)):
            text = self.text(factor, layout)
            if axis == self.program.batch and len(layout) == 2:
                last = self.length(layout[1])
                text = f"{tight(text, TIGHT)}.reshape(-1, {last})", TIGHT
            elif axis == self.program.batch:
                text = f"{tight(text, TIGHT)}.reshape(-1)", TIGHT
            texts.append(text)
        if turned:
            texts[0] = f"{tight(texts[0], TIGHT)}.T", TIGHT
        if len(right) == 2 and right[1] == axis:
            texts[1] = f"{tight(texts[1], TIGHT)}.T", TIGHT
        return f"{tight(texts[0], PRODUCT)} @ {tight(texts[1], SIGN)}", PRODUCT

    def _einsum(self, node: Contraction, result: Axes) -> Text:
        operands = [self._operand(factor) for factor in node.factors]
        met = dict.fromkeys(slot for layout in operands for slot in layout)
        letters: dict[Symbol | None, str] = {}
        batch = self.program.batch
        for slot in met:
            if slot == batch and batch not in node.over:
                letters[slot] = "..."
            else:
                wish = slot.name[0] if slot else ""
                free = [c for c in (wish, *ascii_letters) if c not in letters.values()]
                letters[slot] = next(c for c in free if c in ascii_letters)
        spelled = ["".join(letters[slot] for slot in layout) for layout in operands]
        into = "".join(letters[slot] for slot in result)
        texts = []
        for factor, layout in zip(node.factors, operands, strict=True):
            text = self.text(factor, layout)
            if batch in node.over and layout[:1] == (batch,):
                rest = ", ".join(["-1", *map(self.length, layout[1:])])
                text = f"{tight(text, TIGHT)}.reshape({rest})", TIGHT
            texts.append(text[0])
        return self.einsum(f'"{",".join(spelled)}->{into}"', texts), TIGHT

    def statement(self, statement: Statement) -> str:
        """Return a line, and note how its array is laid out."""
        layout = self.natural(statement.expr)
        if {slot for slot in layout if slot} != {*statement.axes}:
            layout = statement.axes
        text = self.text(statement.expr, layout)[0]
        self.layouts[statement.name] = layout
        self.axes[statement.name] = statement.axes
        return f"{statement.name} = {text}"

    def result(self, result: Result) -> str:
        """Return what is returned for a result, with its axes in the order asked for."""
        node = element(result.name, self.axes.get(result.name, ()))
        have = self.layout_of(node) or ()
        missing = [axis for axis in result.axes if axis not in have]
        text = self.aligned((result.name, TIGHT), have, result.axes)[0]
        slots = [slot for slot in have if slot]
        if None in have and not missing:  # columns go back to what they are
            text = self.aligned((result.name, TIGHT), have, tuple(slots))[0]
            text = self.squeezed(result.name, have)
            text = self.aligned((text, TIGHT), tuple(slots), result.axes)[0]
        if missing:
            lengths = ", ".join(map(self.length, result.axes))
            text = f"{self.module}.broadcast_to({text}, ({lengths}{',' * (len(result.axes) < 2)}))"
        return text

    def squeezed(self, name: str, have: Layout) -> str:
        """Return an array without its axes of length 1."""
        batch = self.program.batch
        index = ["..." if s == batch and s else ":" if s else "0" for s in have]
        while index and index[-1] == ":" and "..." not in index:
            index.pop()
        return f"{name}[{', '.join(index)}]"

    # --- what a framework says ---------------------------------------------------------------

    def reduction(self, word: str, text: str, places: str | None, drops: bool) -> Text:
        """Return a reduction over axes; None is over all."""
        if places is None:
            return f"{self.module}.{word}({text})", TIGHT
        options = (self.over if drops else self.options).format(places)
        return f"{self.module}.{word}({text}, {options})", TIGHT

    def transposed(self, text: Text, order: list[int]) -> Text:
        """Return an array with its axes in another order."""
        if order == [1, 0]:
            return f"{tight(text, TIGHT)}.T", TIGHT
        return f"{tight(text, TIGHT)}.transpose({', '.join(map(str, order))})", TIGHT

    def diagonal(self, node: Indexed) -> Text:
        """Return the elements of an array whose indices are equal."""
        if len(node.indices) != 2:
            raise Refused(f"{node} has an index twice: there is no code for it.")
        return f"{self.module}.diagonal({node.base.name})", TIGHT

    def einsum(self, subscripts: str, texts: list[str]) -> str:
        """Return a sum of products."""
        return f"{self.module}.einsum({subscripts}, {', '.join(texts)})"

    def positions(self, ends: str) -> str:
        """Return the places along an axis."""
        return f"{self.module}.arange({ends})"

    def typed(self, text: str) -> str:
        """Return an array in the type of the arguments."""
        return f"{text}.astype({self.like()}.dtype)"

    def like(self) -> str:
        """Return the name of an argument that is an array."""
        arrays = [p.name for p in self.program.parameters if p.axes]
        if not arrays:
            raise Refused("no argument is an array: add one that has the type of the result.")
        return arrays[0]

    def function(self, node: Basic, want: Layout) -> Text:
        """Return a function's value."""
        name = node.func.__name__
        if not axes_of(node):
            self.scalars |= {symbol.name for symbol in node.free_symbols}
        special: Callable[..., Text] | None = getattr(self, f"_print_{name}", None)
        if special is not None and name not in self.functions:
            return special(node, want)
        if name not in self.functions:
            raise Refused(
                f"there is no code for {name} in {node}: only for sums, powers, "
                f"{', '.join(sorted({*self.functions}))}. "
                f"Add it, as in FUNCTIONS['{self.word}']['{name}'] = 'module.function'."
            )
        word = self.functions[name]
        if word.split(".")[0] not in (self.module, "jnp"):
            self.needs.append(f"import {word.rpartition('.')[0]}")
        return f"{word}({', '.join(self.text(arg, want)[0] for arg in node.args)})", TIGHT

    def prelude(self) -> list[str]:
        """Return lines for the numbers that are arguments of functions: they take a type."""
        numbers = [p.name for p in self.program.parameters if p.name in self.scalars]
        return [f"{name} = {self.as_array(name)}" for name in numbers]

    def as_array(self, name: str) -> str:
        """Return a number as an array of the type of the others."""
        arrays = any(p.axes for p in self.program.parameters)
        return f"np.asarray({name}{f', dtype={self.like()}.dtype' if arrays else ''})"


def _is_reciprocal(factor: Expr) -> bool:
    return bool(factor.is_Pow and factor.base != S.Exp1 and factor.exp.is_negative)
