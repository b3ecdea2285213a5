"""The exponential that a label picks from a row: its logarithm is the exponent there."""

from sympy import Equality, Expr, Mul, Piecewise, Symbol, exp

from rmsnorm_math.codegen.nodes import Position, Total


def picked(node: Expr) -> tuple[Expr, Expr] | None:
    """Return a delta and u, of Total(delta*exp(u)) over the places that may be the label."""
    if not isinstance(node, Total) or len(node.over) != 1:
        return None
    factors = Mul.make_args(node.body)
    powers = [f for f in factors if isinstance(f, exp)]
    rest = Mul(*(f for f in factors if f not in powers))
    if len(powers) != 1 or label_of(rest, node.over[0]) is None:
        return None
    return rest, powers[0].exp


def label_of(node: Expr, axis: Symbol) -> Expr | None:
    """Return the label, if `node` is 1 where the place on the axis is that, and else 0."""
    if not isinstance(node, Piecewise) or node.args[1:] != ((0, True),) or node.args[0][0] != 1:
        return None
    condition = node.args[0][1]
    if isinstance(condition, Equality):
        for place, label in (condition.args, condition.args[::-1]):
            if isinstance(place, Position) and place.args[0] == axis and not label.has(axis):
                return label
    return None


def at_label(node: Mul) -> Expr:
    """Return delta for delta*exp(u)/Total(delta*exp(u)), as in the derivative of a logarithm."""
    deltas = [f for f in node.args if isinstance(f, Piecewise)]
    places = {label_of(f, at.args[0]): at.args[0] for f in deltas for at in f.atoms(Position)}
    powers = Mul(*(f for f in node.args if isinstance(f, exp)))
    for factor in node.args if places and isinstance(powers, exp) else ():
        base, power = factor.as_base_exp()
        found = picked(base) if power == -1 else None
        free = places.get(label_of(found[0], base.over[0])) if found else None
        if found and free is not None:
            left = powers * exp(-found[1].xreplace({base.over[0]: free}))
            if left == 1:
                return Mul(*(f for f in node.args if f not in (factor, powers)))
    return node
