"""What stands in the places of a layer's file: names, calls, types."""

from collections.abc import Iterable, Mapping
from textwrap import fill, indent

from sympy import Expr, IndexedBase

from rmsnorm_math.codegen.derived import Derived
from rmsnorm_math.codegen.files import BY_ROWS, CASTS, SIZE, UNLESS
from rmsnorm_math.codegen.program import Program


def values(
    layer: Derived,
    arguments: Mapping[Expr, str],
    framework: str,
    name: str,
    passes: tuple[Program, Program],
    blocks: bool,
) -> dict[str, str]:
    """Return the text for each place in the template of a framework."""
    forward, backward = passes
    label, every = layer.label, [*arguments.values()]
    (dy,) = layer.cotangent.values()
    arrays = [text for key, text in arguments.items() if isinstance(key, IndexedBase)]
    smooth = [a for a in layer.differentiated if a in arrays]
    dots = {a: f"{a}_dot" for a in every}
    kept = [r.label for r in forward.results[1:]]
    given = [p.name for p in backward.parameters]
    gradients = [f"d{a}" for a in layer.differentiated]
    scalar = not forward.results[0].axes
    wide = {*smooth, label, *map(dots.get, smooth), *([] if scalar else [dy])}
    cast = CASTS[framework]

    def call(function: str, names: Iterable[str]) -> str:
        return f"{function}({', '.join(f'_wide({a})' if a in wide else a for a in names)})"

    def run(targets: list[str], function: str, names: list[str], results: Program) -> str:
        text = call(function, names)
        if not blocks:
            return f"{', '.join(targets)} = {text}"
        axes = {p.name: p.axes for p in results.parameters}
        row = results.parameters[0].axes[0] if function == "_backward" else None
        ...

    def typed(names: Iterable[str], likes: Iterable[str], there: Iterable[str]) -> list[str]:
        there = [*there]
        return [
            cast.format(n, a if a in there else dy) if a in smooth else n
            for n, a in zip(names, likes, strict=True)
        ]
