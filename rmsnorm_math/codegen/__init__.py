"""An expression in index notation becomes readable array code.

No array is larger than the result. What would need a larger one is refused.
"""

from collections.abc import Callable, Collection, Mapping
from textwrap import fill, indent
from typing import Any, Literal

from sympy import Dummy, Expr, Indexed, Symbol, factor_terms

from rmsnorm_math.abbreviation import abbreviate
from rmsnorm_math.codegen.arrays import REDUCTIONS, OverAll, lower
from rmsnorm_math.codegen.printer import IMPORTS, MODULES, Printer
from rmsnorm_math.codegen.roles import lengths, row_indices
from rmsnorm_math.codegen.statements import (
    array_of,
    definitions_needed,
    named_reductions,
    refuse_names,
    refuse_order,
    share,
)
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.names import freshen
from rmsnorm_math.index.walk import free_indices, nodes
from rmsnorm_math.inputs import as_expressions, as_mapping
from rmsnorm_math.refusals import refuse_expression

Framework = Literal["numpy", "torch", "jax"]


def source(
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    framework: Framework = "numpy",
    name: str = "backward",
) -> str:
    r"""Return the source text of a function that computes `outputs`.

    Parameters
    ----------
    outputs
        ``{name: expression}``, in the order in which they are returned. Each
        has at most one free index besides those of rows. Without indices of
        rows the code holds for every row of a batch all the same.
    arguments
        ``{base or symbol: name}``, in the order of the function's parameters.
        The array of ``x[i]``, or of ``x[b, i]``, has the shape (..., n), that
        of ``gamma[i]`` the shape (n,), as has a sum over the rows b. The key
        ``r[b]`` stands for one value a row, in an array of shape (..., 1).
    where
        Abbreviations as in `abbreviate`; each becomes a line of its own.
    framework
        Whose arrays: ``"numpy"``, ``"torch"`` or ``"jax"``.
    name
        The function's name.

    Raises
    ------
    TypeError
        If an output or a definition is no expression.
    ValueError
        If an array larger than the result would be needed, no argument stands
        for a symbol or has a sum's axis, or there is no code for a function.

    Examples
    --------
    >>> from rmsnorm_math import rms, rmsnorm, source, vjp
    >>> from rmsnorm_math.notation import epsilon, gamma, i, j, r, x, xhat, ybar
    >>> dx = vjp(rmsnorm(), x[j], ybar[i])
    >>> names = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}
    >>> code = source({"dx": dx}, names, {r: rms(), xhat[i]: x[i] / r})
    >>> print(code[code.index("    r = "):])
        r = np.sqrt(eps + np.mean(x**2, axis=-1, keepdims=True))
        xhat = x/r
        dot = np.mean(dy*gamma*xhat, axis=-1, keepdims=True)
        dx = (dy*gamma - dot*xhat)/r
        return dx
    <BLANKLINE>
    """
    if framework not in MODULES:
        raise Refused(f"there is no framework {framework!r}: choose one of {', '.join(MODULES)}.")
    outputs = as_expressions(outputs, "the outputs", "{'dx': dx}")
    arguments = as_mapping(arguments, "the arguments", "{x: 'x'}")
    where = as_expressions({} if where is None else where, "the definitions", "{r: rms()}")
    refuse_names([*arguments.values()], [*outputs], [str(array_of(key)) for key in where])
    for expr in outputs.values():
        refuse_expression(expr)
    refuse_order(where)
    short = {label: abbreviate(expr, where) for label, expr in outputs.items()}
    given = [*outputs.values(), *where.values()]
    fresh = [freshen(expr) for expr in given]
    rows = {s.name for s in row_indices(*fresh) if not isinstance(s, Dummy)}
    of_rows = {
        key.base
        for key in (*where, *arguments)
        if isinstance(key, Indexed) and {s.name for s in key.indices} <= rows
    }
    sizes = lengths(*given) - set(arguments)
    names = {array_of(key): text for key, text in arguments.items()} | {
        array_of(key): str(array_of(key)) for key in where
    }

    taken = {*names.values(), *outputs, *map(str, sizes)}

    results = [
        (Symbol(label), factor_terms(lower(expr, names, rows, sizes, of_rows)))
        for label, expr in short.items()
    ]
    definitions = [
        (Symbol(names[array_of(key)]), lower(definition, names, rows, sizes, of_rows))
        for key, definition in definitions_needed(where, short).items()
    ]
    lines = share([*definitions, *named_reductions(results, taken)], taken)

    array = _full_array(arguments, fresh, of_rows)
    printer = Printer(MODULES[framework], array, sizes)
    body = [f"{target} = {printer.doprint(expr)}" for target, expr in lines]
    for size in sorted(sizes, key=str):
        if any(expr.has(size) for _, expr in lines):
            if size not in lengths(*fresh, but=row_indices(*fresh, of_rows=of_rows)):
                raise Refused(
                    f"the number of rows {size} would be needed, and there is no code for it. "
                    f"To sum over several axes of an element, reshape them into one."
                )
            body.insert(0, f"{size} = {array}.shape[-1]")
    if not array and any(expr.has(*REDUCTIONS, *sizes) for _, expr in lines):
        raise Refused(
            "there is a sum over the last axis, or its length, and no argument has that axis: "
            "add one that has it to the arguments."
        )
    columns = {Symbol(names[array_of(key)]) for key in where}
    returned = [
        f"{label}[..., 0]"
        if _is_scalar(short[label.name], rows)
        and (expr.has(*REDUCTIONS) or expr.free_symbols & columns)
        and not expr.has(OverAll)
        else label.name
        for label, expr in results
    ]
    formulas = "\n".join(_formula(label, expr, rows) for label, expr in short.items())
    renamed = ", ".join(f"{text} for {key}" for key, text in arguments.items() if text != str(key))
    note = f"\n\nWith {renamed}." if renamed else ""
    docstring = f'"""Return {", ".join(outputs)}.\n\n{formulas}{note}\n"""'
    block = indent("\n".join([docstring, *body, f"return {', '.join(returned)}"]), "    ")
    return f"{IMPORTS[framework]}\n\n\ndef {name}({', '.join(arguments.values())}):\n{block}\n"


def function(
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    framework: Framework = "numpy",
) -> Callable[..., Any]:
    """Return the function that `source` prints.

    Parameters
    ----------
    outputs, arguments, where, framework
        As in `source`.

    Raises
    ------
    TypeError, ValueError
        As `source`.

    Examples
    --------
    >>> import numpy as np
    >>> from rmsnorm_math import function, mean_square
    >>> from rmsnorm_math.notation import x
    >>> mean = function({"s": mean_square()}, {x: "x"})
    >>> mean(np.array([[3.0, 4.0], [1.0, 7.0]])).tolist()
    [12.5, 25.0]
    """
    namespace: dict[str, Any] = {}
    exec(source(outputs, arguments, where, framework), namespace)
    return namespace["backward"]  # type: ignore[no-any-return]


def _full_array(arguments: Mapping[Any, str], exprs: list[Expr], of_rows: Collection[Expr]) -> str:
    """Return the name of an argument that has the last axis."""
    bases = {n.base for expr in exprs for n in nodes(expr) if isinstance(n, Indexed)} - {*of_rows}
    return next((text for base, text in arguments.items() if base in bases), "")


def _is_scalar(expr: Expr, rows: set[str]) -> bool:
    return all(index.name in rows for index in free_indices(expr))


def _formula(label: str, expr: Expr, rows: set[str]) -> str:
    indices = sorted(free_indices(expr), key=lambda index: index.name not in rows)
    left = f"{label}[{', '.join(map(str, indices))}]" if indices else label
    return fill(f"{left} = {expr}", 92, subsequent_indent="    ", break_long_words=False)
