"""How NumPy spells a program."""

from typing import ClassVar

from sympy import Basic, Mul, Symbol
from sympy.functions.elementary.piecewise import ExprCondPair

from rmsnorm_math.codegen.layout import TIGHT, Layout, Text
from rmsnorm_math.codegen.lines import valued
from rmsnorm_math.codegen.nodes import Largest, Reduction, axes_of, parts
from rmsnorm_math.codegen.spell import Spelling

#: SymPy's functions that NumPy, PyTorch and JAX have under the same names.
ALIKE = (
    *("exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("asinh", "acosh", "atanh", "floor", "ceiling", "sign", "Abs"),
)
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
NUMPY |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "Abs": "abs"}
NUMPY |= {"ceiling": "ceil"}


class NumPy(Spelling):
    """Code for NumPy's arrays."""

    functions: ClassVar[dict[str, str]] = {name: f"np.{NUMPY.get(name, name)}" for name in ALIKE}

    special: ClassVar[str] = "scipy.special"  # NumPy has no polygamma functions
    exact_rows = True  # whether sums over rows are taken in float64: NumPy adds row after row

    def over_rows(self, node: Reduction, call: str) -> str:
        """Return a sum over rows that loses no digits, in the type that it would have."""
        if not self.exact_rows or isinstance(node, Largest):
            return call
        names = sorted({*valued(node.body)})
        wide = f"np.result_type({', '.join(names)}, np.float64)"  # complex arrays stay complex
        given = {p.name for p in self.program.parameters}
        scaled = any(type(part) is Symbol for part in parts(node.body))
        if scaled or given & {*names}:  # whole numbers may be given
            kind = f"np.result_type({', '.join(names)}, 0.0)"
        else:
            kind = f"np.result_type({', '.join(names)})" if names[1:] else f"{names[0]}.dtype"
        return f"{call[:-1]}, dtype={wide}).astype({kind})"

    def multiplied(self) -> set[str]:
        """Return the numbers that are factors and nothing else: one of NumPy's has a type."""
        found: dict[bool, set[str]] = {True: set(), False: set()}
        for node in (part for s in self.program.statements for part in parts(s.expr)):
            if isinstance(node, Mul) and not axes_of(node):
                continue
            factor = isinstance(node, Mul | ExprCondPair)
            found[factor] |= {arg.name for arg in node.args if type(arg) is Symbol}
        numbers = {p.name for p in self.program.parameters if not p.axes}
        arrays = numbers < {p.name for p in self.program.parameters}
        return numbers & found[True] - found[False] if arrays else set()

    def _max(self, node: Basic, want: Layout) -> Text:
        return self._extreme("maximum", node, want)

    def _min(self, node: Basic, want: Layout) -> Text:
        return self._extreme("minimum", node, want)

    def _extreme(self, word: str, node: Basic, want: Layout) -> Text:
        first, *others = sorted(self.text(arg, want)[0] for arg in node.args)
        for other in others:
            first = f"{self.module}.{word}({first}, {other})"
        return first, TIGHT

    def _heaviside(self, node: Basic, want: Layout) -> Text:
        return f"{self.module}.heaviside({self.text(node.args[0], want)[0]}, 0.5)", TIGHT

    def _logistic(self, node: Basic, want: Layout) -> Text:
        return f"np.exp(-np.logaddexp(0, {self.text(-node.args[0], want)[0]}))", TIGHT

    def _softplus(self, node: Basic, want: Layout) -> Text:
        return f"np.logaddexp(0, {self.text(node.args[0], want)[0]})", TIGHT

    def _erf(self, node: Basic, want: Layout) -> Text:
        self.needs.append("import math")
        name = node.func.__name__.replace("loggamma", "lgamma")
        function = f"np.vectorize(math.{name}, otypes=[{self.kind()}])"
        return f"{function}({self.text(node.args[0], want)[0]})", TIGHT

    _erfc = _loggamma = _erf

    def _polygamma(self, node: Basic, want: Layout) -> Text:
        self.needs.append(f"import {self.special}")
        order, text = node.args[0], self.text(node.args[1], want)[0]
        if order == 0:
            return f"{self.special}.digamma({text})", TIGHT
        return self.typed(f"{self.special}.polygamma({order}, {text})"), TIGHT

    def einsum(self, subscripts: str, texts: list[str]) -> str:
        """Return a sum of products, by matrix products where there are any."""
        return f"np.einsum({subscripts}, {', '.join(texts)}, optimize=True)"
