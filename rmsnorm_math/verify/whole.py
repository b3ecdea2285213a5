"""Slips in an output as a whole: a factor too many, something on top."""

from collections.abc import Iterator, Sequence

from sympy import Expr, Mul, S, Sum

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
        for common in _common(terms):
            name = setting.say(common)
            factors += [(f"{name} is missing from the whole", 1 / common)]
            factors += [(f"the whole is multiplied by {name} once too often", common)]
    for says, factor in factors:
        yield says, factor, S.Zero
    for base in sorted(layer.cotangents, key=str):
        indices = [setting.index_of(axis) for axis in layer.axes[base]]
        if None not in indices:
            says = f"it contains {layer.inputs[base]} on top of the right one"
            yield says, S.One, base[tuple(indices)]


def _common(terms: Sequence[Expr]) -> list[Expr]:
    """Return the factors that all terms have, sums aside, and their product."""
    first, *rest = (_powers(term) for term in terms)
    shared = [
        base ** min((powers[base] for powers in (first, *rest)), key=abs)
        for base in sorted(first, key=str)
        if not (base.is_number or base.has(Sum)) and all(base in powers for powers in rest)
    ]
    return [*shared, Mul(*shared)] if len(shared) > 1 else shared


def _powers(term: Expr) -> dict[Expr, Expr]:
    pairs = ((f.base, f.exp) if f.is_Pow else (f, S.One) for f in Mul.make_args(term))
    return dict(pairs)
