"""What a quantity is taken for by mistake: other places for its numbers, other sums."""

from collections.abc import Iterator

from sympy import Add, Expr, IndexedBase, Max, Mul, Pow, S, Sum, Symbol, sqrt

from rmsnorm_math.verify.setting import Setting, Slip, padded


def other_definitions(setting: Setting, key: Expr, definition: Expr) -> Iterator[Slip]:
    """Yield the definitions that may stand in the place of one, with a sentence each."""
    layer, name = setting.layer, setting.say(key)
    base, power = definition.as_base_exp()
    root = isinstance(definition, Pow) and abs(power) == S.Half
    if root and isinstance(base, Add):
        for number in (s for s in layer.inputs if isinstance(s, Symbol) and s in base.args):
            rest, said = base - number, layer.inputs[number]
            yield f"{said} is added outside the root", (sqrt(rest) + number) ** (2 * power)
            yield f"{said} is a floor, max({setting.say(rest)}, {said})", Max(rest, number) ** power
    if root:
        yield f"the root of {name} is missing", base ** (2 * power)
    yield f"1/{name} stands for {name}", 1 / definition
    for length in sorted(layer.lengths - {layer.rows}, key=str):
        if definition.has(length):
            for says, other in (
                ("the sum, not the mean", S.One),
                (f"{length} - 1 for {length}", length - 1),
                (f"the padded length for {length}", padded(length)),
            ):
                yield f"{name} is taken with {says}", _in_factors(definition, length, other)
        divided = {f.as_base_exp()[0] for a in Add.make_args(base) for f in Mul.make_args(a)}
        totals = [s for s in base.atoms(Sum) if root and s.limits[0][2] == length]
        if totals and length not in divided:
            other = definition.xreplace({total: total / length for total in totals})
            yield f"{name} is taken with the mean, not the sum", other
    for old in sorted(definition.atoms(IndexedBase) & {*layer.inputs}, key=str):
        for new, said in layer.inputs.items():
            if new != old and layer.axes.get(new) == layer.axes[old]:
                says = f"{name} is that of {said}, not of {layer.inputs[old]}"
                yield says, definition.xreplace({old: new})
    yield from _over_rows(setting, key, definition)
    for inner in sorted((a for a in base.atoms(Add) if a != base), key=str):
        for part in inner.args:
            other = definition.xreplace({inner: inner - part})
            yield f"{name} is taken without {setting.say(part)}", other


def _over_rows(setting: Setting, key: Expr, definition: Expr) -> Iterator[Slip]:
    rows = setting.layer.rows
    indices: tuple[Expr, ...] = getattr(key, "indices", ())
    if isinstance(rows, Symbol) and len(indices) == 1:
        sums = [total for total in definition.atoms(Sum) if total.has(indices[0])]
        whole = {total: Sum(*total.args, (indices[0], 1, rows)) / rows for total in sums}
        says = f"{setting.say(key)} is taken over the rows as well, not over the last axis alone"
        yield says, definition.xreplace(whole)


def _in_factors(expr: Expr, length: Symbol, other: Expr) -> Expr:
    """Return `expr` with another length, save where it ends a sum."""
    if expr == length:
        return other
    if isinstance(expr, Sum):
        return Sum(_in_factors(expr.function, length, other), *expr.limits)
    return expr.func(*(_in_factors(a, length, other) for a in expr.args)) if expr.args else expr
