"""A layer as one file: its forward pass, what is kept, its backward pass, and the rule for both."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from textwrap import indent
from typing import Any

from sympy import Expr

from rmsnorm_math.codegen import SPELLINGS, Framework, body
from rmsnorm_math.codegen.blocks import BY_ROWS, SIZE, body_in_blocks
from rmsnorm_math.codegen.derived import Derived, derive
from rmsnorm_math.codegen.files import FILES
from rmsnorm_math.codegen.names import is_name, refuse_taken
from rmsnorm_math.codegen.passes import first_alone, passes
from rmsnorm_math.codegen.places import filled, widened
from rmsnorm_math.codegen.program import program
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.codegen.stages import rows_of
from rmsnorm_math.codegen.through import alone, longer, tangent_of, through
from rmsnorm_math.codegen.wrap import wrapped
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import base_of
from rmsnorm_math.inputs import as_expressions, as_mapping, as_ranges

Names = list[str] | None


def layer_source(
    output: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    framework: Framework = "numpy",
    name: str = "layer",
    *,
    wrt: Iterable[Expr] | None = None,
    ranges: Mapping[Any, Any] | None = None,
    kept: Iterable[Expr] | None = None,
    blocks: bool = False,
) -> str:
    r"""Return the text of a file with a layer and its derivative, derived from the layer alone.

    Parameters
    ----------
    output
        ``{name: expression}`` of the one output, or ``{y[b, i]: expression}``. What belongs to a
        row has an index for it, as ``x[b, i]``; what all rows share has none, as ``gamma[i]``,
        and its gradient is summed over them. The index of rows stands for any number of axes.
    arguments, where, framework
        As in `source`.
    name
        What the layer is called.
    wrt
        The arrays and symbols to differentiate by; by default all arrays that the output
        changes with smoothly.
    ranges
        As in `vjp`. An index whose axis no sum runs over has the length of the array.
    kept
        Keys of `where`, and arguments, that the backward pass gets from the forward pass; what
        else it needs it computes again. By default what needs least memory: inputs or the output,
        and one number a row where that spares a sum. JAX chooses itself.
    blocks
        Whether to work on some rows at a time, which is faster for large arrays on a CPU and needs
        little memory beside what is returned; PyTorch does so where it is not compiled. Sums over
        all rows, as batch norm has, take a loop each before what they are used for.

    Returns
    -------
    str
        For NumPy a pair of functions. For PyTorch a function that applies an `autograd.Function`,
        which can be differentiated again, in both modes, mapped and compiled. For JAX a function
        with a `custom_jvp`, which JAX transposes, so that all its transformations work. Sums of
        half precision are taken in float32.

    Raises
    ------
    TypeError, ValueError
        As `source` and `vjp`; if it is not clear which arrays the rows share; in blocks, if a row
        needs others one by one, or the largest of them.

    Examples
    --------
    >>> from sympy import IndexedBase
    >>> from rmsnorm_math import layer_source, rms, rmsnorm
    >>> from rmsnorm_math.notation import b, epsilon, gamma, x
    >>> names = {x: "x", gamma: "gamma", epsilon: "eps"}
    >>> where = {IndexedBase("r")[b]: rms(b)}
    >>> text = layer_source({"y": rmsnorm(b)}, names, where, name="rms_norm")
    >>> [line for line in text.splitlines() if line.startswith("def ")][:2]
    ['def rms_norm(x, gamma, eps):', 'def rms_norm_backward(dy, x, gamma, r):']
    """
    if framework not in FILES:
        raise Refused(f"there is no framework {framework!r}: choose one of {', '.join(FILES)}.")
    if not is_name(name):
        raise Refused(f"{name!r} is no name in Python: call the layer otherwise.")
    if framework == "jax" and kept is not None:
        raise Refused("JAX chooses itself what it keeps: leave kept out, or use jax.checkpoint.")
    output = as_expressions(output, "the output", "{'y': y}")
    arguments = as_mapping(arguments, "the arguments", "{x: 'x'}")
    layer = derive(output, arguments, wrt, as_ranges(ranges))
    names = None if kept is None else [arguments.get(k, str(base_of(k))) for k in kept]
    forward, backward = _passes(layer, arguments, where or {}, names)
    if framework == "jax":
        forward = first_alone(forward)
    texts = filled(layer, arguments, framework, name, (forward, backward))
    defined = {
        "forward": forward,
        "backward": backward,
        "tangent": tangent_of(layer, arguments, where or {}, with_output=framework == "jax"),
    }
    real = frozenset(widened(layer, arguments, framework, (forward, backward)))
    spellings = {}
    for word, unknown in defined.items():
        recorded = replace(unknown, real=real)
        if blocks and (word == "forward" or (word == "tangent") == (framework == "jax")):
            spellings[word], lines = body_in_blocks(
                SPELLINGS[framework], recorded, rows_of(recorded, layer.label)
            )
        else:
            spellings[word] = SPELLINGS[framework](recorded)
            lines = body(spellings[word])
        given = ", ".join(parameter.name for parameter in recorded.parameters)
        if word == "forward" or (word == "tangent" and framework == "jax"):
            lines = [*_checked(layer, recorded, arguments.values()), *lines]
        text = indent("\n".join(lines), "    ")
        texts[word] = f"def _{word}({given}):\n{text}\n"
    needs = dict.fromkeys(["import math"] * blocks)
    needs |= dict.fromkeys(line for spelling in spellings.values() for line in spelling.needs)
    texts["size"] = SIZE if blocks else ""
    texts["by_rows"] = BY_ROWS[framework] if blocks else ""
    texts["imports"] = "".join(f"{line}\n" for line in needs) + "\n" * bool(needs)
    text = FILES[framework].substitute(texts)
    refuse_taken(text, name, arguments.values())
    return wrapped(text)


def _checked(layer: Derived, recorded: Program, given: Iterable[str]) -> list[str]:
    """Return lines that refuse arrays with further axes, where no index stands for several."""
    fewest = 1 if layer.vectors else 2
    arrays = [p for p in recorded.parameters if len(p.axes) >= fewest and p.name in given]
    if recorded.batch is not None or not arrays:
        return []
    shapes = ", ".join(f"{p.name} ({', '.join(a.name for a in p.axes)})" for p in arrays)
    unlike = " or ".join(f"{p.name}.ndim != {len(p.axes)}" for p in arrays)
    return [f"if {unlike}:", f'    raise ValueError("the axes must be those of {shapes}")']


def _passes(
    layer: Derived, arguments: Mapping[Expr, str], where: Mapping[Expr, Expr], kept: Names
) -> tuple[Program, Program]:
    """Return the forward and the backward pass, through the output where that needs less."""
    label, cotangents = layer.label, layer.cotangent.values()
    given = {**layer.cotangent, **arguments}
    outputs = {**layer.output, **layer.gradients}
    joint = program(outputs, given, where, layer.alike, not layer.vectors)
    choices = [(where, passes(joint, label, cotangents, kept))]
    if kept is None and (whole := through(layer, layer.gradients, given, where)) is not None:
        choices.append((longer(layer, where), passes(whole, label, cotangents)))

    def cost(choice: tuple[Any, tuple[Program, Program]]) -> tuple[int, int]:
        _, (_, backward) = choice
        most = max(len(p.axes) for p in backward.parameters)
        large = sum(len(p.axes) == most for p in backward.parameters)
        return large, sum(len(recorded.statements) for recorded in choice[1])

    where, (forward, backward) = min(choices, key=cost)
    return forward, alone(layer, given, where, backward)
