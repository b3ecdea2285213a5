"""How each framework spells an expression over whole arrays."""

from sympy import Expr, Symbol, default_sort_key
from sympy.printing.pycode import PythonCodePrinter

from rmsnorm_math.codegen.arrays import ELEMENTWISE

MODULES = {"numpy": "np", "torch": "torch", "jax": "jnp"}
IMPORTS = {
    "numpy": "import numpy as np",
    "torch": "import torch",
    "jax": "import jax.numpy as jnp",
}


class Printer(PythonCodePrinter):  # type: ignore[misc]
    """SymPy's printer for Python, with the functions of an array module."""

    def __init__(self, module: str, array: str, sizes: set[Symbol]) -> None:
        functions = {f.__name__: f"{module}.{f.__name__.lower()}" for f in ELEMENTWISE}
        super().__init__({"user_functions": functions})
        self.module, self.array, self.sizes = module, array, sizes
        self.axis = "dim=-1, keepdim=True" if module == "torch" else "axis=-1, keepdims=True"

    def _as_ordered_terms(self, expr: Expr, order: str | None = None) -> list[Expr]:
        terms = super()._as_ordered_terms(expr)
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

    def _print_Pow(self, expr: Expr) -> str:
        if expr.free_symbols <= self.sizes:  # a number, of which torch takes no root
            return f"{self._print(expr.base)}**({self._print(expr.exp)})"
        return str(self._hprint_Pow(expr, sqrt=f"{self.module}.sqrt"))

    def _print_Pi(self, expr: Expr) -> str:
        return f"{self.module}.pi"

    def _print_Exp1(self, expr: Expr) -> str:
        return f"{self.module}.e"
