"""Statements over arrays with named axes, as array code; a subclass is a framework."""

import math
from typing import ClassVar

from sympy import (
    Add,
    Basic,
    Expr,
    Indexed,
    Mul,
    Piecewise,
    S,
    Symbol,
)
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Not, Or

from rmsnorm_math.codegen.arithmetic import Arithmetic
from rmsnorm_math.codegen.layout import (
    LOOSE,
    SIGN,
    SUM,
    TIGHT,
    Layout,
    Text,
    tight,
)
from rmsnorm_math.codegen.names import is_name
from rmsnorm_math.codegen.nodes import (
    Contraction,
    Position,
    Reduction,
    array_name,
    axes_of,
    element,
    parts,
)
from rmsnorm_math.codegen.record import Program, Result, Statement
from rmsnorm_math.errors import Refused


class Spelling(Arithmetic):
    """How array code is written; NumPy's words are the default."""

    functions: ClassVar[dict[str, str]] = {}

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        used = {array_name(p) for s in program.statements for p in parts(s.expr)}
        self.returned = {result.name for result in program.results} - used

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
            return self.aligned(self.array(node), layout, want)
        if isinstance(node, Symbol):
            return node.name, TIGHT
        if not node.free_symbols and isinstance(node, Expr):
            return self.number(node)
        if isinstance(node, Add):
            return self.sum(node, want)
        if isinstance(node, Mul):
            return self.product(node, want)
        if node.is_Pow and node.base != S.Exp1:
            return self.power(node.base, node.exp, want)
        if isinstance(node, Piecewise):
            return self.choice(node, want)
        if isinstance(node, Relational):
            self.compared = True
            left, right = (tight(self.text(arg, want), SUM) for arg in (node.lhs, node.rhs))
            self.compared = False
            return f"{left} {node.rel_op} {right}", LOOSE
        if isinstance(node, And | Or | Not):
            args = [tight(self.text(arg, want), SUM) for arg in sorted(node.args, key=str)]
            if isinstance(node, Not):
                return f"~{args[0]}", SIGN
            return (" & " if isinstance(node, And) else " | ").join(args), LOOSE
        return self.function(node, want)

    def choice(self, node: Piecewise, want: Layout) -> Text:
        """Return the code of a choice by a condition."""
        *pieces, (last, condition) = node.args
        if condition != True:  # noqa: E712  a SymPy truth
            raise Refused(f"{node} has no value where none of its conditions holds: add one.")
        numbers = bool(axes_of(node)) and not any(axes_of(value) for value, _ in node.args)
        if numbers and [value for value, _ in node.args] == [1, 0]:
            return self.typed(f"({self.text(pieces[0][1], want)[0]})"), TIGHT
        spell = self.one_of if numbers else self.text
        text = spell(last, want)[0]
        for value, condition in reversed(pieces):
            choice = self.text(condition, want)[0]
            text = f"{self.module}.where({choice}, {spell(value, want)[0]}, {text})"
        return self.typed(text) if numbers else text, TIGHT

    def one_of(self, value: Expr, want: Layout) -> Text:
        """Return a number that is chosen among others."""
        return self.text(value, want)

    def statement(self, statement: Statement) -> str:
        """Return a line, and note how its array is laid out."""
        self.alone = statement.expr if statement.name in self.returned else None
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
        if None in have and not missing:  # columns go back to what they are
            slots = tuple(slot for slot in have if slot)
            text = self.squeezed(result.name, have)
            return self.aligned((text, TIGHT), slots, result.axes)[0]
        text = self.aligned((result.name, TIGHT), have, result.axes)[0]
        if missing and not result.added:
            shape = self.shape(result.axes)
            if have:
                return f"{self.module}.broadcast_to({text}, {shape})"
            return self.full(text, shape)
        return text

    def squeezed(self, name: str, have: Layout) -> str:
        """Return an array without its axes of length 1."""
        batch = self.program.batch
        index = ["..." if s == batch and s else ":" if s else "0" for s in have]
        while index and index[-1] == ":" and "..." not in index:
            index.pop()
        return f"{name}[{', '.join(index)}]"

    def function(self, node: Basic, want: Layout) -> Text:
        """Return a function's value."""
        name = node.func.__name__
        if not axes_of(node):
            self.scalars |= {*map(array_name, node.free_symbols)}
        special = getattr(self, f"_{name.lower()}", None)
        if special is not None and name not in self.functions:
            spelled: Text = special(node, want)
            return spelled
        if name not in self.functions:
            raise Refused(
                f"there is no code for {name} in {node}: only for sums, powers, "
                f"{', '.join(sorted({*self.functions}))}. "
                f"Add it, as in FUNCTIONS['{self.word}']['{name}'] = 'module.function'."
            )
        word = self.functions[name]
        if node.free_symbols <= {*self.program.lengths} and hasattr(math, name):
            self.needs.append("import math")  # of a number of Python's, such as a length
            word = f"math.{name}"
        elif not all(map(is_name, word.split("."))):
            raise Refused(f"{word!r} is no name of a function: write it as 'module.function'.")
        elif word.split(".")[0] not in (self.module, "jnp"):
            self.needs.append(f"import {word.rpartition('.')[0]}")
        return f"{word}({', '.join(self.text(arg, want)[0] for arg in node.args)})", TIGHT

    def multiplied(self) -> set[str]:
        """Return the numbers among the arguments that would change the type of an array."""
        return set()

    def prelude(self) -> list[str]:
        """Return lines for the numbers that are arguments of functions: they take a type."""
        numbers = [p.name for p in self.program.parameters if p.name in self.scalars]
        return [f"{name} = {self.as_array(name)}" for name in numbers]

    def as_array(self, name: str) -> str:
        """Return a number as an array of the type of the others."""
        arrays = any(p.axes for p in self.program.parameters)
        return f"np.asarray({name}{f', dtype={self.kind()}' if arrays else ''})"
