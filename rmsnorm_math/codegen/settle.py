"""From index notation to arrays with named axes; see `program` for what comes out.

`settle` makes a condition of a sum over a part of an axis, and names the axes that are bound, so
that sums that differ in their indices alone are equal. A delta has met its sum before: what
`abbreviate` returns is contracted.
"""

from sympy import (
    Add,
    And,
    Basic,
    Dummy,
    Expr,
    Indexed,
    Mul,
    Piecewise,
    S,
    Symbol,
    Tuple,
)
from sympy.core.relational import Relational

from rmsnorm_math.codegen.axes import KnownAxes
from rmsnorm_math.codegen.choices import as_choices, decided, left_out, outside
from rmsnorm_math.codegen.nodes import Position, Reduction, Total, another, axes_of, parts, rebuilt
from rmsnorm_math.codegen.read import Reader
from rmsnorm_math.errors import Refused


def settle(node: Basic, reader: Reader, axes: KnownAxes) -> Basic:
    """Return what `reader` read with its sums simplified and its bound axes named."""

    def walk(node: Basic) -> Basic:
        if isinstance(node, Indexed):
            return node
        if isinstance(node, Position):
            return Position(node.args[0], axes.start(node.args[0]))
        if isinstance(node, Total):
            (dummy,) = node.over
            body = walk(node.body) * guard(dummy)
            total = as_choices(_sum_over(body, dummy, axes), axes, dummy)
            return in_place(total, dummy, axes.name(dummy))
        if isinstance(node, Relational):
            return decided(rebuilt(node, map(walk, node.args)), axes)
        if isinstance(node, Mul):
            return left_out(Mul(*map(walk, node.args)), axes)
        return rebuilt(node, map(walk, node.args))

    def guard(dummy: Dummy) -> Expr:
        if dummy not in reader.limits:
            return S.One
        first, last = map(walk, reader.limits[dummy])
        here = Position(dummy, axes.start(dummy))
        within = And(decided(here >= first, axes), decided(here <= last, axes))
        return Piecewise((1, within), (0, True))

    return as_choices(outside(walk(node)), axes)


def in_place(expr: Basic, dummy: Dummy, axis: Symbol) -> Basic:
    """Return `expr` with an axis for a dummy, bound or free, that differs from those beside it."""
    holding = [p for p in parts(expr) if isinstance(p, Reduction) and p.has(dummy)]
    taken = {a for p in parts(Tuple(*holding)) if isinstance(p, Reduction) for a in p.over}
    free = axes_of(expr) if dummy in axes_of(expr) else set()
    beside = set().union(free, *(axes_of(p.body) for p in holding)) - {dummy}
    return expr.xreplace({dummy: another(axis, taken | beside)})


def _sum_over(body: Expr, axis: Dummy, axes: KnownAxes) -> Expr:
    """Return the sum of `body`, what does not depend on the axis before it."""
    total = []
    for term in Add.make_args(outside(body)):
        factors = Mul.make_args(term)
        free = Mul(*(f for f in factors if not f.has(axis)))
        inside = Mul(*(f for f in factors if f.has(axis)))
        if inside == 1:
            length = axes.length(axis)
            if length is None:
                raise Refused(f"the length of the axis of {axis.name} is not known.")
            total.append(free * length)
        elif isinstance(inside, Total):
            total.append(free * Total(inside.body, *inside.over, axis))
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
