"""Reads index notation: every bound index gets a dummy of its own, and axes that are one, join."""

from collections.abc import Iterable, Mapping

from sympy import (
    Add,
    Basic,
    DiracDelta,
    Dummy,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    Max,
    Mul,
    Number,
    NumberSymbol,
    S,
    Sum,
    Symbol,
)
from sympy.core.function import Function
from sympy.core.relational import Relational
from sympy.functions.elementary.miscellaneous import MinMaxBase
from sympy.logic.boolalg import Boolean, BooleanAtom

from rmsnorm_math.codegen.axes import Groups
from rmsnorm_math.codegen.nodes import Position, Total, rebuilt
from rmsnorm_math.errors import Refused

ROWS = Symbol("rows", integer=True)


class Reader:
    """Reads expressions over the arrays in `names` and the `numbers`, which are symbols.

    With `leading`, arrays that are written with one index have any number of axes before it.
    """

    def __init__(self, names: Mapping[Expr, str], lengths: Iterable[Expr], leading: bool) -> None:
        self.names, self.lengths, self.leading = names, {*lengths}, leading
        self.numbers: dict[Expr, Expr] = {}
        self.groups = Groups()
        self.limits: dict[Dummy, tuple[Expr, Expr]] = {}
        self.ranks: dict[Expr, int] = {}
        self.shapes: dict[tuple[Expr, int], Expr] = {}
        self.order: list[Dummy] = []
        self.labels: dict[Dummy, set[Expr]] = {}  # the labels that an index is compared with
        self.compared: list[set[Dummy]] = []  # indices that a condition compares
        self.steep: list[Expr] = []  # the delta functions that are taken for 0
        self.lenient = False  # whether what has no value is passed over

    def read(self, node: Basic, scope: Mapping[Expr, Dummy]) -> Basic:
        """Return `node` over arrays; `scope` holds its free indices."""
        if node in scope:
            return Position(scope[node])
        if node in self.numbers:
            return self.numbers[node]
        if isinstance(node, Number | NumberSymbol | BooleanAtom) or node in self.lengths:
            return node
        if isinstance(node, Symbol | Idx):
            if self.lenient:
                return node
            raise Refused(_no_value(node))
        if isinstance(node, Indexed):
            return self._element(node, scope)
        if isinstance(node, Sum):
            return self._sum(node, scope)
        if isinstance(node, KroneckerDelta):
            places = [self._place(arg, scope) for arg in node.args[:2]]
            if all(isinstance(place, Dummy) for place in places):
                self.groups.join(*places)
            for place, label in (places, places[::-1]):
                if isinstance(place, Dummy) and isinstance(label, Indexed):
                    self.labels.setdefault(place, set()).add(label.base)
            return KroneckerDelta(*places)
        if isinstance(node, DiracDelta):
            self.steep.append(node)
            return S.Zero
        if isinstance(node, Relational):
            self.compared.append({scope[s] for s in node.free_symbols if s in scope})
        plain = (
            isinstance(node, Add | Mul | Function | MinMaxBase | Relational | Boolean)
            or node.is_Pow
        )
        if plain or node.func.__name__ == "ExprCondPair":
            return rebuilt(node, (self.read(arg, scope) for arg in node.args))
        raise Refused(f"there is no code for {type(node).__name__} in {node}.")

    def dummy(self, name: str) -> Dummy:
        """Return an index of its own."""
        self.order.append(Dummy(name, integer=True))
        return self.order[-1]

    def _place(self, index: Expr, scope: Mapping[Expr, Dummy]) -> Expr:
        """Return an index: its dummy, a number, or an array of numbers."""
        if index in scope:
            return scope[index]
        return self.read(index, scope)

    def _element(self, node: Indexed, scope: Mapping[Expr, Dummy]) -> Expr:
        if node.base not in self.names and not self.lenient:
            raise Refused(_no_value(node.base))
        axes: list[Dummy] = []
        chosen: list[tuple[Dummy, Expr]] = []
        for at, index in enumerate(node.indices):
            place = (node.base, at)
            if index in scope:
                axes.append(scope[index])
            elif isinstance(index, Indexed):  # x[label[b]]: the sum of those that have the label
                axes.append(self.dummy("k"))
                self.labels.setdefault(axes[-1], set()).add(index.base)
                chosen.append((axes[-1], self.read(index, scope)))
            else:
                raise Refused(
                    f"{node} is no whole array: only plain indices are printed. Give what is "
                    f"shifted or chosen as an argument of its own, such as {node.base}_before[i]."
                )
            self.groups.join(place, axes[-1])
            if node.base.shape:
                self.shapes[place] = node.base.shape[at]
        self.ranks[node.base] = len(axes)
        front = (ROWS,) if self.leading and len(axes) == 1 else ()
        value: Expr = IndexedBase(self.names.get(node.base, "_"))[(*front, *axes)]
        for axis, label in chosen:
            value = Total(KroneckerDelta(axis, label) * value, axis)
        return value

    def _sum(self, node: Sum, scope: Mapping[Expr, Dummy]) -> Expr:
        *inner, (index, first, last) = node.limits
        dummy = self.dummy(index.name)
        for end in (first.xreplace({Max(1, s): s for s in scope}), last):  # no other length
            if end in scope:
                self.groups.join(dummy, scope[end])
        beside = {scope[s] for end in (first, last) for s in end.free_symbols if s in scope}
        self.compared.append({dummy, *beside})
        self.limits[dummy] = self.read(first, scope), self.read(last, scope)
        body = node.func(node.function, *inner) if inner else node.function
        return Total(self.read(body, {**scope, index: dummy}), dummy)


def _no_value(node: Expr) -> str:
    text = f"{node} has no value: add it to the arguments, as in {{{node}: '{node}'}}"
    if isinstance(node, Symbol) and node.is_integer and node.is_positive:
        text += f", or print the loss beside it, whose sum shows which axis is {node} long"
    return f"{text}."
