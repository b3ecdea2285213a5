"""Where the axes of arrays are, and what lines them up.

A layout is a tuple of axes; None stands for one of length 1. Arrays line up from the right. What a
framework spells in its own way is a method that its class replaces; NumPy's words are the default.
"""

from collections.abc import Iterable
from typing import ClassVar

from sympy import Basic, Indexed, Symbol

from rmsnorm_math.codegen.lines import valued
from rmsnorm_math.codegen.nodes import Axes, Contraction, Position, Reduction, axes_of, in_order
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.errors import Refused

Layout = tuple[Symbol | None, ...]
LOOSE, SUM, PRODUCT, SIGN, POWER, TIGHT = range(6)
Text = tuple[str, int]


def tight(text: Text, than: int) -> str:
    """Return a text, in parentheses if it binds less than is needed."""
    return text[0] if text[1] >= than else f"({text[0]})"


class Layouts:
    """The layouts of a program's arrays, and the words of a framework."""

    word: ClassVar[str] = "numpy"
    module: ClassVar[str] = "np"
    imports: ClassVar[tuple[str, ...]] = ("import numpy as np",)
    options: ClassVar[str] = "axis={}, keepdims=True"
    over: ClassVar[str] = "axis={}"
    real_kind: ClassVar[str] = "{1}.result_type({0}, 0.0)"  # that of an array, or a real one
    words: ClassVar[dict[str, str]] = {}  # what is not called sum, mean or max

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
        self.alone: Basic | None = None  # a reduction that is returned as it is
        self.compared = False  # whether what is written stands in a comparison

    def layout_of(self, node: Basic) -> Layout | None:
        """Return the layout of an array as it stands, or None if `node` is made of several."""
        if isinstance(node, Indexed):
            name = node.base.name
            names = dict(zip(self.axes[name], node.indices, strict=True))
            return tuple(names.get(slot) for slot in self.layouts[name])
        if isinstance(node, Position):
            return (node.args[0],)
        if isinstance(node, Reduction):
            layout = self._reduced(self.natural(node.body), node.over)
            return tuple(s for s in layout if s is not None) if node is self.alone else layout
        if isinstance(node, Contraction):
            return self.contraction(node)[1]
        return None

    def contraction(self, node: Contraction) -> tuple[Text, Layout]:
        """Return the code of a matrix product, and its layout."""
        raise NotImplementedError

    def leaves(self, node: Basic) -> list[Layout]:
        """Return the layouts of the arrays that an expression is made of."""
        if (layout := self.layout_of(node)) is not None:
            return [layout]
        return [layout for arg in node.args for layout in self.leaves(arg)]

    def natural(self, node: Basic) -> Layout:
        """Return the layout in which an expression needs the fewest changes."""
        merged: list[Symbol | None] = []
        for layout in (layouts := sorted({*self.leaves(node)}, key=lambda s: (-len(s), str(s)))):
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
        return in_order(axes, self.program.axes)

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
        before, goal = 0, list(want)
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

    def reduction(self, word: str, text: str, places: str | None, drops: bool) -> Text:
        """Return a reduction over axes; None is over all."""
        word = self.words.get(word, word)
        options = "" if places is None else ", " + (self.over if drops else self.options)
        return f"{self.module}.{word}({text}{options.format(places)})", TIGHT

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

    def positions(self, ends: str, typed: bool) -> str:
        """Return the places along an axis, as numbers of the arguments' type if `typed`."""
        kind = f", dtype={self.like()}.dtype" if typed else ""
        return f"{self.module}.arange({ends}{kind})"

    def full(self, value: str, shape: str) -> str:
        """Return an array that is the same all along."""
        return f"{self.module}.full({shape}, {value}, dtype={self.kind()})"

    def typed(self, text: str) -> str:
        """Return an array in the type of the arguments."""
        return f"{text}.astype({self.kind()})"

    def kind(self) -> str:
        """Return the arguments' type, or a real one of whole numbers."""
        name = self.like()
        form = "{}.dtype" if name in self.program.real else self.real_kind
        return form.format(name, self.module)

    def like(self) -> str:
        """Return the name of an argument that is an array."""
        names = {name for s in self.program.statements for name in valued(s.expr)}
        arrays = [(p.name not in names, -len(p.axes), p) for p in self.program.parameters if p.axes]
        if not arrays:  # labels stand in comparisons alone; what a row has one of may be a number
            raise Refused("no argument is an array: add one that has the type of the result.")
        return min(arrays, key=lambda entry: entry[:2])[2].name
