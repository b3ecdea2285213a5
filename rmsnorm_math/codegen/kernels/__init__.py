"""Row kernels: a program whose sums run along a row, or over the rows, as one fused kernel."""

from rmsnorm_math.codegen.kernels import c, numba, triton
from rmsnorm_math.codegen.kernels.rows import planned
from rmsnorm_math.codegen.record import Program

PRINTERS = {"numba": numba.text, "triton": triton.text, "c": c.text}


def kernel(program: Program, framework: str, name: str, docstring: str) -> str:
    """Return the source text of a kernel and of the function that calls it.

    Raises
    ------
    ValueError
        If the program needs more than sums along a row and over the rows.
    """
    plan = planned(program, keep=framework != "triton")  # a tile in registers keeps everything
    return PRINTERS[framework](plan, name, docstring)
