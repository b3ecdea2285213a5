"""Reductions and matrix products: which axes, and `@` or `einsum`."""

from string import ascii_letters

from sympy import Basic, Expr, Symbol

from rmsnorm_math.codegen.layout import PRODUCT, SIGN, TIGHT, Layout, Layouts, Text, tight
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
from rmsnorm_math.codegen.record import Parameter
from rmsnorm_math.codegen.running import running
from rmsnorm_math.errors import Refused


class Products(Layouts):
    """How reductions and matrix products are written."""

    def text(self, node: Basic, want: Layout) -> Text:
        """Return the code of an expression, lined up with `want`."""
        raise NotImplementedError

    def contraction(self, node: Contraction) -> tuple[Text, Layout]:
        """Return a matrix product, with its layout."""
        result = self.sort(axes_of(node))
        if (found := running(node)) is not None:
            array, axis, into, back = found
            layout = self._operand(array)
            text = self._running(
                self.text(array, layout)[0], layout.index(axis) - len(layout), back
            )
            return (text, TIGHT), tuple(into if slot == axis else slot for slot in layout)
        for one, other in (node.factors, node.factors[::-1]):
            left, right = self._operand(one), self._operand(other)
            if len(node.over) == 1 and not ({*left} & {*right}) - {*node.over}:
                (axis,) = node.over
                layout = tuple(slot for slot in (*left, *right) if slot != axis)
                turned = left[-1] != axis and left[:1] == (axis,) and len(left) == 2
                if len(right) <= 2 and layout == result and (left[-1] == axis or turned):
                    return self._at(one, other, left, right, axis, turned), layout
        return self._einsum(node, result), result

    def _running(self, text: str, at: int, back: bool) -> str:
        """Return the sums up to each place along an axis, or from each place on."""
        if back:
            flipped = self._running(f"{self.module}.flip({text}, ({at},))", at, back=False)
            return f"{self.module}.flip({flipped}, ({at},))"
        return f"{self.module}.cumsum({text}, {self.over.format(at)})"

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
        slots = dict.fromkeys(slot for layout in operands for slot in layout)
        letters: dict[Symbol | None, str] = {}
        batch = self.program.batch
        for slot in slots:
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

    def array(self, node: Basic) -> Text:
        """Return the code of a reduction, a matrix product or a place."""
        if isinstance(node, Position):
            axis, first = node.args
            length = self.length(axis)
            ends = length if first == 0 else f"1, {length} + 1"
            return self.positions(ends, typed=not self.compared), TIGHT
        if isinstance(node, Contraction):
            return self.contraction(node)[0]
        assert isinstance(node, Reduction)
        body = self.natural(node.body)
        text = self.text(node.body, body)
        word = {Total: "sum", Mean: "mean", Largest: "max"}[type(node)]
        batch = self.program.batch
        if batch in node.over and {slot for slot in body if slot} - {*node.over}:
            lengths = [self.length(slot) if slot else "1" for slot in body[1:]]
            rows = f"{tight(text, TIGHT)}.reshape(-1, {', '.join(lengths)})"
            return self.over_rows(node, f"{rows}.{self.words.get(word, word)}(0)"), TIGHT
        drops, gone = self._drops(body, node.over), node.over
        if node is self.alone:  # what is returned has no axes of length 1
            gone = (*gone, *(slot for slot in body if slot is None))
        places = self._places(body, gone)
        value, tightness = self.reduction(word, text[0], places, drops or node is self.alone)
        return self.over_rows(node, value) if places == "0" else value, tightness

    def _places(self, body: Layout, over: Axes) -> str | None:
        """Return the numbers of the axes that are reduced, or None for all."""
        if all(slot in over for slot in body if slot is not None) and self._drops(body, over):
            return None
        places = [at - len(body) for at, slot in enumerate(body) if slot in over]
        if self.program.batch is None and self._drops(body, over):
            places = [at + len(body) for at in places]
        return str(places[0]) if len(places) == 1 else f"({', '.join(map(str, places))})"

    def over_rows(self, node: Reduction, call: str) -> str:  # noqa: ARG002
        """Return the code of a reduction over rows, with the digits that it should have."""
        return call

    def length(self, axis: Symbol) -> str:
        """Return the length of an axis, as an array's shape has it."""
        own, sizes = family(axis), self.program.sizes
        alike = [a for a, size in sizes.items() if size == sizes.get(own)]
        for one in dict.fromkeys([own, *alike]):
            for parameter in self.program.parameters:
                if one in parameter.axes:
                    return self.size(parameter, one)
        raise Refused(f"no argument has the axis {axis}, whose length is needed: add one.")

    def shape(self, axes: Axes) -> str:
        """Return the shape of an array with these axes."""
        for parameter in self.program.parameters:
            if parameter.axes == axes and not parameter.column:
                return f"{parameter.name}.shape"
        lengths = [self.length(axis) for axis in axes if axis != self.program.batch]
        if self.program.batch in axes:
            batch = next(p for p in self.program.parameters if self.program.batch in p.axes)
            lengths.insert(0, f"*{batch.name}.shape[:{1 - len(self.layouts[batch.name]) or ''}]")
        return f"({', '.join(lengths)}{',' * (len(lengths) < 2)})"

    def size(self, parameter: Parameter, axis: Symbol) -> str:
        """Return the length of an axis of a parameter."""
        layout = self.layouts[parameter.name]
        at = layout.index(axis)
        if axis == self.program.batch:
            self.needs.append("import math")
            return f"math.prod({parameter.name}.shape[:{1 - len(layout) or ''}])"
        return f"{parameter.name}.shape[{at - len(layout) if at or len(layout) == 1 else 0}]"
