"""Row kernels: a program whose sums run along a row, or over the rows, as one fused kernel."""

import ast

from rmsnorm_math.codegen.kernels import c, numba, triton
from rmsnorm_math.codegen.kernels.rows import planned
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.errors import Refused

PRINTERS = {"numba": numba.text, "triton": triton.text, "c": c.text}


def kernel(program: Program, framework: str, name: str, docstring: str) -> str:
    """Return the source text of a kernel and of the function that calls it.

    Raises
    ------
    ValueError
        If the program needs more than sums along a row and over the rows.
    """
    plan = planned(program, keep=framework != "triton")  # a tile in registers keeps everything
    text: str = PRINTERS[framework](plan, name, docstring)
    if framework != "c" and top_level(text).count(name) > 1:
        raise Refused(f"the file has a {name} of its own: call the function otherwise.")
    return text


def top_level(text: str) -> list[str]:
    """Return the names that a file in Python gives: of modules, constants and functions."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Import):
            found += [alias.asname or alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found
