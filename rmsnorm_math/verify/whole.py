"""Slips in an output as a whole: a factor too many, something on top."""

from collections.abc import Iterator, Sequence

from sympy import Expr, S

from rmsnorm_math.verify.setting import Setting


def of_whole(terms: Sequence[Expr], setting: Setting) -> Iterator[tuple[str, Expr, Expr]]:
    """Yield what is wrong with an output as a whole: a factor of it, and what is added."""
    layer = setting.layer
    factors: list[tuple[str, Expr]] = [("it is all zeros", S.Zero)]
    if len(terms) > 1:
        factors += [
            ("the whole has the wrong sign", -S.One),
            ("the whole is twice the right one", S(2)),
            ("the whole is half the right one", S.Half),
        ]
        for key in layer.definitions:
            if all(index in setting.free for index in getattr(key, "indices", ())):
                name = setting.say(key)
                factors += [(f"the whole is multiplied by {name} once too often", key)]
                factors += [(f"the whole is divided by {name} once too often", 1 / key)]
        for base, axes in layer.axes.items():
            at = tuple(setting.index_of(axis) for axis in axes)
            if base in layer.inputs and None not in at:
                name = layer.inputs[base]
                factors += [(f"the whole is multiplied by {name} once too often", base[at])]
        for length in sorted(layer.lengths - {layer.rows}, key=str):
            factors += [(f"the whole is multiplied by {length}", length)]
            factors += [(f"the whole is divided by {length}", 1 / length)]
    for says, factor in factors:
        yield says, factor, S.Zero
    for base in sorted(layer.cotangents, key=str):
        indices = [setting.index_of(axis) for axis in layer.axes[base]]
        if None not in indices:
            says = f"it contains {layer.inputs[base]} on top of the right one"
            yield says, S.One, base[tuple(indices)]
