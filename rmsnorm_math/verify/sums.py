"""Slips in a sum and around it: what it is over, what stands in it, what it is multiplied by."""

from collections.abc import Callable, Iterator

from sympy import Expr, Indexed, Mul, Sum, Symbol

from rmsnorm_math.index.walk import base_of
from rmsnorm_math.verify.axes import axis_of
from rmsnorm_math.verify.setting import Setting, Slip


def of_sum(
    total: Sum, setting: Setting, of_product: Callable[..., Iterator[Slip]]
) -> Iterator[Slip]:
    """Yield what can be wrong with a sum: its factors, what it is over, whether it is one."""
    body, limits = total.function, total.limits
    spoken = f"the sum, which is over {setting.say(total)[4:-1]}"
    for says, wrong in of_product(body, setting, limits):
        yield says, Sum(wrong, *limits)
    if len(limits) > 1:
        return
    ((index, _, high),) = limits
    axis = axis_of(index, [body], setting.layer.axes)
    outside = setting.index_of(axis)
    if outside is not None and outside != index:
        for part in Mul.make_args(body):
            if part.has(index) and not part.has(outside):
                left = Sum(body / part, *limits)
                moved = part.xreplace({index: outside})
                yield f"{setting.say(part)} stands outside {spoken}", left * moved
        yield (
            ("only the diagonal is used: the sum over the axis is missing"),
            body.xreplace({index: outside}),
        )
    row = _row_index(body, setting)
    if axis is not None and axis != setting.layer.rows and row is not None:
        over = (row, 1, setting.layer.rows)
        if isinstance(setting.layer.rows, Symbol):
            yield "the sum is taken over the rows as well", Sum(body, *limits, over)
            mean = high / setting.layer.rows
            yield (
                ("the mean is taken over the rows as well"),
                Sum(body, *limits, over) / setting.layer.rows,
            )
            if outside is not None:
                first = Sum(body.xreplace({index: outside}), over)
                yield "the sum is taken over the rows, not over the last axis", first
                yield ("the mean is taken over the rows, not over the last axis"), first * mean
    if axis is not None and axis == setting.layer.rows and isinstance(high, Symbol):
        yield "averaged over the rows; it is a sum", total / high


def _row_index(body: Expr, setting: Setting) -> Expr | None:
    """Return the index of rows that is free in `body`."""
    rows = setting.layer.rows
    for node in sorted(body.atoms(Indexed), key=str):
        axes = setting.axes(node)
        if axes and axes[0] == rows and node.indices[0] in setting.free:
            return node.indices[0]
    return None


def across(factors: list[Expr], setting: Setting) -> Iterator[Slip]:
    """Yield what moves from one factor into another: into a sum, or two that change places."""
    for at, factor in enumerate(factors):
        if not isinstance(factor, Sum) or len(factor.limits) > 1:
            continue
        ((index, *_),) = factor.limits
        axis = axis_of(index, [factor.function], setting.layer.axes)
        outside = setting.index_of(axis)
        for other, part in enumerate(factors):
            if other == at or part.is_number or outside is None or not part.has(outside):
                continue
            rest = [f for spot, f in enumerate(factors) if spot not in (at, other)]
            inner = factor.function * part.xreplace({outside: index})
            says = f"{setting.say(part)} stands inside the sum, where it belongs outside"
            yield says, Mul(*rest, Sum(inner, *factor.limits))


def foreign(term: Expr, setting: Setting) -> Iterator[Slip]:
    """Yield the term with a factor that it does not have."""
    outer = [f for f in Mul.make_args(term) if not isinstance(f, Sum)]
    for base, axes in setting.layer.axes.items():
        indices = [setting.index_of(axis) for axis in axes]
        if None in indices:
            continue
        node = Indexed(base, *indices)
        if not any(f.has(node) for f in outer):
            name = setting.say(node)
            yield f"{name} is a factor, where it has no place", term * node
            yield f"{name} divides, where it has no place", term / node
    for key in setting.layer.definitions:
        if not term.has(base_of(key)) and _fits(key, setting):
            name = setting.say(key)
            yield f"{name} is a factor, where it has no place", term * key
            yield f"1/{name} is a factor, where it has no place", term / key
    bases = {factor.as_base_exp()[0] for factor in Mul.make_args(term)}
    for length in sorted(setting.layer.lengths - bases - {setting.layer.rows}, key=str):
        mean = " (a mean where the sum is right)" * term.has(length)
        yield f"{length} is a factor, where it has no place", term * length
        yield f"1/{length} is a factor, where it has no place{mean}", term / length


def _fits(key: Expr, setting: Setting) -> bool:
    return all(index in setting.free for index in getattr(key, "indices", ()))
