"""A layer as one file: its forward pass, what is kept, its backward pass, and the rule for both."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from textwrap import indent

from sympy import Expr

from rmsnorm_math.codegen import SPELLINGS, Framework, body
from rmsnorm_math.codegen.derived import derive
from rmsnorm_math.codegen.files import FILES
from rmsnorm_math.codegen.places import filled
from rmsnorm_math.codegen.nodes import axes_of, family, parts
from rmsnorm_math.codegen.passes import passes
from rmsnorm_math.codegen.program import Program, program
from rmsnorm_math.errors import Refused
from rmsnorm_math.inputs import as_expressions, as_mapping


def layer_source(
    output: Mapping[str | Expr, Expr],
    arguments: Mapping[Expr, str],
    where: Mapping[Expr, Expr] | None = None,
    framework: Framework = "numpy",
    name: str = "layer",
    *,
    wrt: Iterable[Expr] | None = None,
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
    kept
        Keys of `where`, and arguments, that the backward pass gets from the forward pass; what
        else it needs it computes again. By default what needs least memory: inputs or the output,
        and one number a row where that spares a sum. JAX chooses itself.
    blocks
        Whether NumPy and PyTorch work on some rows at a time, which is faster for large arrays
        on a CPU. The layer must not mix rows.

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
        As `source` and `vjp`, or if it is not clear which arrays the rows share.

    Examples
    --------
    >>> from rmsnorm_math import layer_source, rmsnorm
    >>> from rmsnorm_math.notation import b, epsilon, gamma, x
    >>> names = {x: "x", gamma: "gamma", epsilon: "eps"}
    >>> text = layer_source({"y": rmsnorm(b)}, names, name="rms_norm")
    >>> [line for line in text.splitlines() if line.startswith("def ")][:2]
    ['def rms_norm(x, gamma, eps):', 'def rms_norm_backward(dy, x, gamma, r):']
    """
    if framework not in FILES:
        raise Refused(f"there is no framework {framework!r}: choose one of {', '.join(FILES)}.")
    output = as_expressions(output, "the output", "{'y': y}")
    arguments = as_mapping(arguments, "the arguments", "{x: 'x'}")
    layer = derive(output, arguments, wrt)
    joint = program(layer.output | layer.gradients, layer.cotangent | arguments, where)
    names = None if kept is None else [arguments.get(k, str(getattr(k, "base", k))) for k in kept]
    forward, backward = passes(joint, layer.label, layer.cotangent.values(), names)
    tangent = layer.tangent
    if framework == "jax":
        if kept is not None or blocks:
            raise Refused("JAX chooses itself what it keeps, and its blocks: leave both out.")
        forward, tangent = replace(forward, results=forward.results[:1]), layer.output | tangent
    if blocks and _mixes_rows(forward, backward):
        raise Refused(f"{name} cannot be computed in blocks: a row's result needs other rows.")
    texts = filled(layer, arguments, framework, name, (forward, backward), blocks)
    defined = {
        "forward": forward,
        "backward": backward,
        "tangent": program(tangent, layer.dots | arguments, where),
    }
    texts |= {k: _definition(recorded, framework, f"_{k}") for k, recorded in defined.items()}
    return FILES[framework].substitute(texts)


def _definition(recorded: Program, framework: str, name: str) -> str:
    parameters = ", ".join(parameter.name for parameter in recorded.parameters)
    lines = body(SPELLINGS[framework](recorded))
    return f"def {name}({parameters}):\n" + indent("\n".join(lines), "    ") + "\n"


def _mixes_rows(forward: Program, backward: Program) -> bool:
    """Return whether a row's results need other rows, sums of gradients over all of them aside."""
    rows = forward.parameters[0].axes[:1]
    returned = {r.name for r in backward.results}
    for statement in (*forward.statements, *backward.statements):
        nodes = [*parts(statement.expr)]
        over = {axis for node in nodes for axis in getattr(node, "over", ())}
        if {*rows} & over and (statement in forward.statements or statement.name not in returned):
            return True
        axes = {axis for node in nodes for axis in axes_of(node)} - {*rows}
        if {family(axis) for axis in axes} & {*rows}:
            return True
    return not rows or bool({*forward.lengths.values(), *backward.lengths.values()} & {*rows})
