"""An expression in index notation becomes readable array code.

No array is larger than the result. What would need a larger one is refused.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import count
from keyword import iskeyword
from textwrap import fill, indent
from typing import Any, Literal

from sympy import (
    Dummy,
    Expr,
    Indexed,
    Symbol,
    cse,
    default_sort_key,
    factor_terms,
    postorder_traversal,
    sympify,
)
from sympy.printing.pycode import PythonCodePrinter

from rmsnorm_math.abbreviation import abbreviate
from rmsnorm_math.arrays import ELEMENTWISE, REDUCTIONS, OverAll, lower
from rmsnorm_math.indices import depends, free_indices, freshen, nodes
from rmsnorm_math.refusals import refuse_expression
from rmsnorm_math.roles import lengths, row_indices

Framework = Literal["numpy", "torch", "jax"]
Statement = tuple[Symbol, Expr]
MODULES = {"numpy": "np", "torch": "torch", "jax": "jnp"}
IMPORTS = {
    "numpy": "import numpy as np",
    "torch": "import torch",
    "jax": "import jax.numpy as jnp",
}


def source(
    outputs: Mapping[str, Expr],
    arguments: Mapping[Expr, str],
    where: Mapping[Expr, Expr] | None = None,
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
    ValueError
        If an array larger than the result would be needed, a symbol is no
        argument, or there is no code for a function.

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
        raise ValueError(
            f"there is no framework {framework!r}: choose one of {', '.join(MODULES)}."
        )
    where = {key: sympify(definition) for key, definition in (where or {}).items()}
    _refuse_names([*arguments.values()], [*outputs], [str(_array(key)) for key in where])
    for expr in map(sympify, outputs.values()):
        refuse_expression(expr)
    _refuse_order(where)
    short = {label: abbreviate(sympify(expr), where) for label, expr in outputs.items()}
    given = [*map(sympify, outputs.values()), *where.values()]
    fresh = [freshen(expr) for expr in given]
    rows = {s.name for s in row_indices(*fresh) if not isinstance(s, Dummy)}
    of_rows = {
        key.base
        for key in (*where, *arguments)
        if isinstance(key, Indexed) and {s.name for s in key.indices} <= rows
    }
    sizes = lengths(*given) - set(arguments)
    names = {_array(key): text for key, text in arguments.items()} | {
        _array(key): str(_array(key)) for key in where
    }

    taken = {*names.values(), *outputs, *map(str, sizes)}

    results = [
        (Symbol(label), factor_terms(lower(expr, names, rows, sizes, of_rows)))
        for label, expr in short.items()
    ]
    definitions = [
        (Symbol(names[_array(key)]), lower(definition, names, rows, sizes, of_rows))
        for key, definition in _needed(where, short).items()
    ]
    lines = _share([*definitions, *_named_reductions(results, taken)], taken)

    array = _full_array(arguments, fresh, of_rows)
    printer = _Printer(MODULES[framework], array, sizes)
    body = [f"{target} = {printer.doprint(expr)}" for target, expr in lines]
    for size in sorted(sizes, key=str):
        if any(expr.has(size) for _, expr in lines):
            if size not in lengths(*fresh, but=row_indices(*fresh, of_rows=of_rows)):
                raise ValueError(
                    f"the number of rows {size} would be needed, and there is no code for it. "
                    f"To sum over several axes of an element, reshape them into one."
                )
            body.insert(0, f"{size} = {array}.shape[-1]")
    columns = {Symbol(names[_array(key)]) for key in where}
    returned = [
        f"{label}[..., 0]"
        if _is_scalar(short[label], rows)
        and (expr.has(*REDUCTIONS) or expr.free_symbols & columns)
        and not expr.has(OverAll)
        else label
        for label, (_, expr) in zip(outputs, results, strict=True)
    ]
    formulas = "\n".join(_formula(label, expr, rows) for label, expr in short.items())
    renamed = ", ".join(f"{text} for {key}" for key, text in arguments.items() if text != str(key))
    note = f"\n\nWith {renamed}." if renamed else ""
    docstring = f'"""Return {", ".join(outputs)}.\n\n{formulas}{note}\n"""'
    block = indent("\n".join([docstring, *body, f"return {', '.join(returned)}"]), "    ")
    return f"{IMPORTS[framework]}\n\n\ndef {name}({', '.join(arguments.values())}):\n{block}\n"


def function(
    outputs: Mapping[str, Expr],
    arguments: Mapping[Expr, str],
    where: Mapping[Expr, Expr] | None = None,
    framework: Framework = "numpy",
) -> Callable[..., Any]:
    """Return the function that `source` prints.

    Parameters
    ----------
    outputs, arguments, where, framework
        As in `source`.

    Raises
    ------
    ValueError
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


def _refuse_names(arguments: list[str], outputs: list[str], where: list[str]) -> None:
    """Raise if a name is no name in Python, or would stand for two things."""
    if not outputs:
        raise ValueError("there are no outputs: give at least one, as in {'dx': dx}.")
    taken = [*MODULES.values()]
    for text in [*arguments, *outputs, *where]:
        if not text.isidentifier() or iskeyword(text):
            raise ValueError(f"{text!r} is no name in Python: call it otherwise.")
        if text in taken:
            raise ValueError(
                f"{text!r} would stand for two things: arguments, outputs and definitions "
                f"need different names, and none may be called {', '.join(MODULES.values())}."
            )
        taken.append(text)


def _refuse_order(where: Mapping[Expr, Expr]) -> None:
    keys = list(where)
    for number, key in enumerate(keys):
        for later in keys[number:]:
            if depends(where[key], later):
                raise ValueError(f"{key} is defined by {later}: define {later} before it.")


def _full_array(arguments: Mapping[Expr, str], exprs: list[Expr], of_rows: Collection[Expr]) -> str:
    """Return the name of an argument that has the last axis."""
    bases = {n.base for expr in exprs for n in nodes(expr) if isinstance(n, Indexed)} - {*of_rows}
    return next((text for base, text in arguments.items() if base in bases), "")


def _array(key: Expr) -> Expr:
    return getattr(key, "base", key)


def _needed(where: Mapping[Expr, Expr], exprs: Mapping[str, Expr]) -> dict[Expr, Expr]:
    """Return the definitions that `exprs` use, each in terms of those before it."""
    needed: dict[Expr, Expr] = {}
    for number, key in reversed(list(enumerate(where))):
        if any(_array(key) in set(nodes(expr)) for expr in [*exprs.values(), *needed.values()]):
            earlier = dict(list(where.items())[:number])
            needed[key] = abbreviate(where[key], earlier)
    return dict(reversed(needed.items()))


def _named_reductions(statements: list[Statement], taken: set[str]) -> Iterator[Statement]:
    """Yield the statements, each sum along the axis on a line of its own before its first use."""
    names: dict[Expr, Symbol] = {}
    for target, expr in statements:
        for node in postorder_traversal(expr):
            if isinstance(node, REDUCTIONS) and node != expr and node not in names:
                stem = "dot" if node.args[0].is_Mul else node.func.__name__.lower()
                line = node.func(*(arg.xreplace(names) for arg in node.args))
                names[node] = Symbol(_fresh(stem, taken))
                yield names[node], line
        yield target, expr.func(*(arg.xreplace(names) for arg in expr.args)) if expr.args else expr


def _share(statements: list[Statement], taken: set[str]) -> list[Statement]:
    """Put what several statements have in common on a line before the first of them."""
    fresh = (Symbol(_fresh("t", taken)) for _ in count())
    shared, exprs = cse([expr for _, expr in statements], symbols=fresh)
    reciprocals = {s: expr for s, expr in shared if expr.is_Pow and expr.exp == -1}
    shared = [(s, expr.xreplace(reciprocals)) for s, expr in shared if s not in reciprocals]
    exprs = [expr.xreplace(reciprocals) for expr in exprs]
    lines: list[Statement] = []
    for (target, _), expr in zip(statements, exprs, strict=True):
        used = expr.free_symbols
        for symbol, part in reversed(shared):
            used |= part.free_symbols if symbol in used else set()
        lines += [line for line in shared if line[0] in used and line not in lines]
        lines.append((target, expr))
    return lines


def _fresh(stem: str, taken: set[str]) -> str:
    name = next(
        name
        for name in (stem, *(f"{stem}_{number}" for number in range(2, 99)))
        if name not in taken
    )
    taken.add(name)
    return name


def _is_scalar(expr: Expr, rows: set[str]) -> bool:
    return all(index.name in rows for index in free_indices(expr))


def _formula(label: str, expr: Expr, rows: set[str]) -> str:
    indices = sorted(free_indices(expr), key=lambda index: index.name not in rows)
    left = f"{label}[{', '.join(map(str, indices))}]" if indices else label
    return fill(f"{left} = {expr}", 92, subsequent_indent="    ", break_long_words=False)


class _Printer(PythonCodePrinter):  # type: ignore[misc]
    """SymPy's printer for Python, with the functions of an array module."""

    def __init__(self, module: str, array: str, sizes: set[Symbol]) -> None:
        functions = {f.__name__: f"{module}.{f.__name__.lower()}" for f in ELEMENTWISE}
        super().__init__({"user_functions": functions})
        self.module, self.array, self.sizes = module, array, sizes
        self.axis = "dim=-1, keepdim=True" if module == "torch" else "axis=-1, keepdims=True"

    def _as_ordered_terms(self, expr: Expr, order: str | None = None) -> list[Expr]:
        terms = super()._as_ordered_terms(expr, order)
        return sorted(terms, key=lambda term: bool(term.could_extract_minus_sign()))

    def _print_Mean(self, expr: Expr) -> str:
        return f"{self.module}.mean({self._print(expr.args[0])}, {self.axis})"

    def _print_Total(self, expr: Expr) -> str:
        return f"{self.module}.sum({self._print(expr.args[0])}, {self.axis})"

    def _print_OverRows(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])}).reshape(-1, {self.array}.shape[-1]).sum(0)"

    def _print_OverAll(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])}).sum()"

    def _print_Max(self, expr: Expr) -> str:
        first: str
        first, *others = map(self._print, sorted(expr.args, key=default_sort_key))
        for other in others:
            if self.module == "torch":  # torch.maximum takes no numbers
                first = f"torch.where({first} < {other}, {other}, {first})"
            else:
                first = f"{self.module}.maximum({first}, {other})"
        return first

    def _print_Heaviside(self, expr: Expr) -> str:
        return f"1.0*({self._print(expr.args[0])} > 0)"

    def _print_sign(self, expr: Expr) -> str:
        return f"{self.module}.sign({self._print(expr.args[0])})"

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:
        if expr.free_symbols <= self.sizes:  # a number, of which torch takes no root
            return f"{self._print(expr.base)}**({self._print(expr.exp)})"
        return str(self._hprint_Pow(expr, rational=rational, sqrt=f"{self.module}.sqrt"))

    def _print_Pi(self, expr: Expr) -> str:
        return f"{self.module}.pi"

    def _print_Exp1(self, expr: Expr) -> str:
        return f"{self.module}.e"
