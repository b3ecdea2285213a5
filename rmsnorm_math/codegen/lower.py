"""From index notation to arrays with named axes; see `program` for what comes out.

`Reader.read` gives every bound index a dummy of its own, and learns which axes are one.
`settle` then contracts what deltas are left, makes a condition of a sum over a part of an axis,
and names the axes, so that sums that differ in their indices alone are equal.
"""

from collections.abc import Iterable, Mapping

from sympy import (
    Add,
    And,
    Basic,
    DiracDelta,
    Dummy,
    Eq,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    Mul,
    Number,
    NumberSymbol,
    Piecewise,
    S,
    Sum,
    Symbol,
    Tuple,
)
from sympy.core.function import Function
from sympy.core.relational import Relational
from sympy.functions.elementary.miscellaneous import MinMaxBase
from sympy.logic.boolalg import Boolean, BooleanAtom

from rmsnorm_math.codegen.axes import Axes, Groups
from rmsnorm_math.codegen.nodes import Position, Reduction, Total, another, axes_of, parts, rebuilt
from rmsnorm_math.errors import Refused

ROWS = Symbol("rows", integer=True)


class Reader:
    """Reads expressions over the arrays in `names` and the `numbers`, which are symbols.

    With `rows`, arrays that are written with one index have any number of axes before it.
    """

    def __init__(self, names: Mapping[Expr, str], lengths: Iterable[Expr], rows: bool) -> None:
        self.names, self.lengths, self.rows = names, {*lengths}, rows
        self.numbers: dict[Expr, Expr] = {}
        self.groups = Groups()
        self.limits: dict[Dummy, tuple[Expr, Expr]] = {}
        self.ranks: dict[Expr, int] = {}
        self.shapes: dict[tuple[Expr, int], Expr] = {}
        self.order: list[Dummy] = []
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
            return KroneckerDelta(*(self._place(arg, scope) for arg in node.args[:2]))
        if isinstance(node, DiracDelta):
            return S.Zero
        plain = isinstance(node, Add | Mul | Function | MinMaxBase | Relational | Boolean) or node.is_Pow
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
                chosen.append((axes[-1], self.read(index, scope)))
            else:
                raise Refused(f"{node} is no whole array: only plain indices are printed.")
            self.groups.join(place, axes[-1])
            if node.base.shape:
                self.shapes[place] = node.base.shape[at]
        self.ranks[node.base] = len(axes)
        front = (ROWS,) if self.rows and len(axes) == 1 else ()
        value: Expr = IndexedBase(self.names.get(node.base, "_"))[(*front, *axes)]
        for axis, label in chosen:
            value = Total(KroneckerDelta(axis, label) * value, axis)
        return value

    def _sum(self, node: Sum, scope: Mapping[Expr, Dummy]) -> Expr:
        *inner, (index, lower, upper) = node.limits
        dummy = self.dummy(index.name)
        self.limits[dummy] = (self.read(lower, scope), self.read(upper, scope))
        body = node.func(node.function, *inner) if inner else node.function
        return Total(self.read(body, {**scope, index: dummy}), dummy)


def _no_value(node: Expr) -> str:
    return f"{node} has no value: add it to the arguments, as in {{{node}: '{node}'}}."


def settle(node: Basic, reader: Reader, axes: Axes) -> Basic:
    """Return what `reader` read with its sums simplified and its bound axes named."""

    def walk(node: Basic) -> Basic:
        if isinstance(node, Indexed):
            return node
        if isinstance(node, Position):
            return Position(node.args[0], axes.start(node.args[0]))
        if isinstance(node, Total):
            (dummy,) = node.over
            body = walk(node.body) * guard(dummy)
            return named(_as_choices(_sum_over(body, dummy, axes), axes, dummy), dummy)
        if isinstance(node, Relational):
            return _decided(rebuilt(node, map(walk, node.args)), axes)
        return rebuilt(node, map(walk, node.args))

    def guard(dummy: Dummy) -> Expr:
        if dummy not in reader.limits:
            return S.One
        lower, upper = reader.limits[dummy]
        begins, ends = axes.is_whole(dummy, lower, upper)
        here = Position(dummy, axes.start(dummy))
        conditions = [] if begins else [here >= walk(lower)]
        conditions += [] if ends else [here <= walk(upper)]
        return Piecewise((1, And(*conditions)), (0, True)) if conditions else S.One

    def named(expr: Expr, dummy: Dummy) -> Expr:
        return in_place(expr, {dummy: axes.name(dummy)})

    return _as_choices(walk(node), axes)


def in_place(expr: Basic, names: Mapping[Dummy, Symbol]) -> Basic:
    """Return `expr` with names for dummies, bound or free; each differs from those it meets."""
    for dummy, axis in names.items():
        holding = [p for p in parts(expr) if isinstance(p, Reduction) and p.has(dummy)]
        taken = {a for p in parts(Tuple(*holding)) if isinstance(p, Reduction) for a in p.over}
        free = axes_of(expr) if dummy in axes_of(expr) else set()
        met = set().union(free, *(axes_of(p.body) for p in holding)) - {dummy}
        expr = expr.xreplace({dummy: another(axis, taken | met)})
    return expr


def _decided(relation: Basic, axes: Axes) -> Basic:
    """Return whether a place lies on its axis, where that is what is asked."""
    if isinstance(relation, Relational) and relation.rel_op in ("<=", ">="):
        place, end = relation.args
        if isinstance(end, Position):
            place, end, relation = end, place, relation.reversed
        if isinstance(place, Position):
            index, start = place.args
            length = axes.length(index)
            if relation.rel_op == ">=" and (start - end).is_nonnegative:
                return S.true
            if relation.rel_op == "<=" and length and (end - length - start + 1).is_nonnegative:
                return S.true
    return relation


def _sum_over(body: Expr, axis: Dummy, axes: Axes) -> Expr:
    """Return the sum of `body`: deltas contracted, what does not depend on the axis before it."""
    total = []
    for term in Add.make_args(_distributed(_outside(body), axis)):
        factors = Mul.make_args(term)
        delta = next((f for f in factors if _meets(f, axis)), None)
        if delta is not None:
            value = next(a for a in delta.args if a != axis)
            rest = Mul(*(f for f in factors if f is not delta))
            total.append(rest.xreplace({axis: value}))
            continue
        free = Mul(*(f for f in factors if not f.has(axis)))
        inside = Mul(*(f for f in factors if f.has(axis)))
        if inside == 1:
            length = axes.length(axis)
            if length is None:
                raise Refused(f"the length of the axis of {axis.name} is not known.")
            total.append(free * length)
        else:
            total.append(free * Total(inside, axis))
    return merged(total, axis)


def merged(terms: list[Expr], axis: Symbol) -> Expr:
    """Add terms, those that are sums without a factor as one sum."""
    plain = [t for t in terms if isinstance(t, Total) and t.over == (axis,)]
    if len(plain) < 2:
        return Add(*terms)
    others = [t for t in terms if not (isinstance(t, Total) and t.over == (axis,))]
    return Add(*others, Total(Add(*(t.body for t in plain)), axis))


def _meets(factor: Expr, axis: Dummy) -> bool:
    """Return whether a factor is a delta of the axis and another one."""
    return (
        isinstance(factor, KroneckerDelta)
        and axis in factor.args
        and all(isinstance(a, Dummy) for a in factor.args)
    )


def _has_delta(expr: Expr, axis: Dummy) -> bool:
    return any(_meets(delta, axis) for delta in expr.atoms(KroneckerDelta))


def _outside(expr: Expr) -> Expr:
    """Return `expr` with the deltas that every branch of a choice has before the choice."""

    def out(choice: Piecewise) -> Expr:
        common: set[Expr] | None = None
        for value, _ in choice.args:
            deltas = {f for f in Mul.make_args(value) if isinstance(f, KroneckerDelta)}
            if value != 0:
                common = deltas if common is None else common & deltas
        if not common:
            return choice
        ones = dict.fromkeys(common, S.One)
        return Mul(*common) * Piecewise(*((v.xreplace(ones), c) for v, c in choice.args))

    return expr.replace(lambda node: isinstance(node, Piecewise), out)


def _distributed(expr: Expr, axis: Dummy) -> Expr:
    """Expand just enough of `expr` to make every delta with `axis` a factor of its term."""
    if not _has_delta(expr, axis):
        return expr
    if isinstance(expr, Add):
        return Add(*(_distributed(arg, axis) for arg in expr.args))
    if expr.is_Pow and expr.base.is_Add and expr.exp.is_Integer and expr.exp > 0:
        rest = expr.base ** (expr.exp - 1)
        return Add(*(_distributed(arg * rest, axis) for arg in expr.base.args))
    for factor in Mul.make_args(expr) if expr.is_Mul else ():
        if not isinstance(factor, KroneckerDelta) and _has_delta(factor, axis):
            rest = Mul(*(f for f in expr.args if f is not factor))
            terms = Add.make_args(_distributed(factor, axis))
            if len(terms) > 1:
                return Add(*(_distributed(rest * term, axis) for term in terms))
    return expr


def _as_choices(expr: Basic, axes: Axes, axis: Dummy | None = None) -> Basic:
    """Return `expr` with each delta that is left, or is left of an axis, as a choice."""

    def place(arg: Expr) -> Expr:
        return Position(arg, axes.start(arg)) if isinstance(arg, Dummy) else arg

    return expr.replace(
        lambda node: isinstance(node, KroneckerDelta) and (axis is None or node.has(axis)),
        lambda node: Piecewise((1, Eq(*map(place, node.args[:2]))), (0, True)),
    )
