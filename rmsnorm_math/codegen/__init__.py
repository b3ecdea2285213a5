"""An expression in index notation becomes readable array code.

`program` records what is computed; here it is printed. No array is larger than what is passed,
returned or compared: what would need a larger one is refused.
"""

import linecache
from collections.abc import Callable, Mapping
from itertools import count
from textwrap import indent
from typing import Any, Literal

from sympy import Expr

from rmsnorm_math.codegen.docstring import docstring_of
from rmsnorm_math.codegen.jax import Jax
from rmsnorm_math.codegen.kernels import PRINTERS, kernel
from rmsnorm_math.codegen.names import is_name, refuse_taken
from rmsnorm_math.codegen.numpy import NumPy
from rmsnorm_math.codegen.program import program
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.codegen.spell import Spelling
from rmsnorm_math.codegen.torch import Torch
from rmsnorm_math.codegen.wrap import wrapped
from rmsnorm_math.errors import Refused

Framework = Literal["numpy", "torch", "jax", "numba", "triton", "c"]
SPELLINGS: dict[str, type[Spelling]] = {"numpy": NumPy, "torch": Torch, "jax": Jax}
#: ``{framework: {function: code}}``: what prints for SymPy's functions; add your own to it.
FUNCTIONS = {word: spelling.functions for word, spelling in SPELLINGS.items()}


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
        ``{key: expression}``, in the order in which they are returned. The key
        is a name or, with two axes and more, an element: ``dW[o, i]`` has the
        axes o and i, in this order. A name stands where the elements of the
        expression show the order.
    arguments
        ``{base or symbol: name}``, in the order of the function's parameters.
        An array has the axes of its elements: ``W[o, i]`` has the shape (O, n),
        ``label[b]`` one number for each row, counted as the indices are. An
        index b that only ever stands before one other is any number of leading
        axes: ``x[b, i]`` has the shape (..., n), ``gamma[i]`` beside it (n,).
        Where every array has one index, each may have leading axes: ``x[i]``
        holds for every row of a batch. The key ``r[b]`` stands for one value a
        row, in an array of shape (..., 1). Lengths are read from the shapes; a
        length that is an argument itself, ``{m: "m"}``, is a part of its axis.
    where
        Abbreviations as in `abbreviate`; each that is used becomes a line.
    framework
        Whose arrays: ``"numpy"``, ``"torch"`` or ``"jax"``. Or one fused kernel, if all
        sums run along a row or over the rows: ``"numba"`` and ``"triton"``, for arrays
        of NumPy and of PyTorch, and ``"c"``, for C99 with OpenMP. Of float32, Numba and
        C add up squares in float64, and are right from 1e-30 to 1e20; Triton adds them
        up in float32, from 1e-18 to 1e18.
    name
        The function's name.

    Raises
    ------
    TypeError
        If an output or a definition is no expression.
    ValueError
        If an array with more axes than are passed, returned or compared would be needed,
        the order of a result's axes is not shown, one axis would have two
        lengths, something has no value, or there is no code for a function: add
            that to ``rmsnorm_math.codegen.FUNCTIONS[framework]``. For a kernel, if it holds
        a matrix product, or for each row a sum over all of them.

    Notes
    -----
    Exponentials that are divided by their sum lose the largest exponent first;
    logistic functions, ``log(1 + exp(x))`` and ``log(cosh(x))`` are written so
    that they do not overflow. At a kink the code is what the derivative is
    there, a half for ``Max(x[i], 0)``; a delta function is 0, and its docstring
    says so. An argument that is a number may be one of Python's; one of NumPy's that arrays
    are multiplied by, as the gradient by a loss is, takes their type.

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
        t = dy*gamma
        dot = np.mean(t*xhat, axis=-1, keepdims=True)
        dx = (t - dot*xhat)/r
        return dx
    <BLANKLINE>

    A linear layer, whose weight has the gradient:

    >>> from sympy import Idx, IndexedBase, Sum, symbols
    >>> from rmsnorm_math.notation import b, m, n
    >>> W, dW = IndexedBase("W"), IndexedBase("dW")
    >>> o, q, O = Idx("o"), Idx("q"), symbols("O", integer=True, positive=True)
    >>> y = Sum(W[o, i] * x[b, i], (i, 1, n))
    >>> gradient = vjp(y, W[q, j], ybar[b, o], {b: (1, m), o: (1, O), q: (1, O), j: (1, n)})
    >>> print(source({dW[q, j]: gradient}, {ybar: "dy", x: "x"}).splitlines()[-2].strip())
    dW = dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])
    """
    if framework not in (*SPELLINGS, *PRINTERS):
        known = ", ".join((*SPELLINGS, *PRINTERS))
        raise Refused(f"there is no framework {framework!r}: choose one of {known}.")
    if not is_name(name):
        raise Refused(f"{name!r} is no name in Python: call the function otherwise.")
    return printed(program(outputs, arguments, where), framework, name)


def printed(recorded: Program, framework: Framework, name: str) -> str:
    """Return the source text of a function that computes what a program records."""
    docstring = docstring_of(recorded, {p.key: p.name for p in recorded.parameters})
    if framework in PRINTERS:
        return _finished(kernel(recorded, framework, name, docstring), framework, name)
    spelling = SPELLINGS[framework](recorded)
    spelling.scalars |= spelling.multiplied()
    lines = body(spelling)
    imports = "\n".join(sorted({*spelling.needs, *spelling.imports}))
    imports = imports.replace("import math\n", "import math\n\n")  # Python's own stand apart
    block = indent("\n".join([docstring, *lines]), "    ")
    parameters = ", ".join(parameter.name for parameter in recorded.parameters)
    text = f"{imports}\n\n\ndef {name}({parameters}):\n{block}\n"
    return _finished(text, framework, name)


def _finished(text: str, framework: Framework, name: str) -> str:
    """Return the text with its lines broken, if nothing else in it has the function's name."""
    if framework != "c":
        refuse_taken(text, name)
    return wrapped(text)


def function(
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    framework: Framework = "numpy",
    name: str = "backward",
) -> Callable[..., Any]:
    """Return the function that `source` prints.

    Parameters
    ----------
    outputs, arguments, where, framework, name
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
    if framework == "c":
        raise Refused("a function in C has to be compiled: print it with source, and load it.")
    return compiled(source(outputs, arguments, where, framework, name), name)


def compiled(text: str, name: str) -> Callable[..., Any]:
    """Return the function called `name` in a source text, whose lines a traceback shows."""
    file = f"<{name} {next(NUMBERS)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": file}  # Triton looks where a function is from
    exec(compile(text, file, "exec"), namespace)
    return namespace[name]  # type: ignore[no-any-return]


def body(spelling: Spelling) -> list[str]:
    """Return the lines of a function, the last of which returns the results."""
    recorded = spelling.program
    lines = [spelling.statement(statement) for statement in recorded.statements]
    sizes = [f"{size} = {spelling.length(axis)}" for size, axis in recorded.lengths.items()]
    results = ", ".join(map(spelling.result, recorded.results))
    return [*sorted(sizes), *spelling.prelude(), *lines, f"return {results}"]


NUMBERS = count(1)
