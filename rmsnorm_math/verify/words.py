"""Formulas in the words of the function's arguments: no indices, sums as `sum(...)`."""

from collections.abc import Mapping

from sympy import Expr, Indexed, IndexedBase, Sum, Symbol
from sympy.printing.str import StrPrinter


class _Printer(StrPrinter):  # type: ignore[misc]
    # ruff: noqa: N802  SymPy's names
    printmethod = "_no_method"  # else an element prints itself, with its indices

    def __init__(self, names: Mapping[Expr, str]) -> None:
        super().__init__()
        self.names = names

    def _print_Indexed(self, expr: Indexed) -> str:
        return self.names.get(expr, self.names.get(expr.base, str(expr.base)))

    def _print_IndexedBase(self, expr: IndexedBase) -> str:
        return self.names.get(expr, str(expr.label))

    def _print_Symbol(self, expr: Symbol) -> str:
        return self.names.get(expr, expr.name)

    def _print_Sum(self, expr: Sum) -> str:
        return f"sum({self._print(expr.function)})"


def words(expr: Expr, names: Mapping[Expr, str]) -> str:
    """Return `expr` as text without indices.

    Examples
    --------
    >>> from rmsnorm_math.notation import gamma, i, n, x, ybar
    >>> words(Sum(gamma[i] * x[i] * ybar[i], (i, 1, n)), {ybar: "dy"})
    'sum(gamma*x*dy)'
    """
    return str(_Printer(names).doprint(expr))
