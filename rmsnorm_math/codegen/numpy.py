"""How NumPy spells a program."""

from typing import ClassVar

from sympy import Basic, Indexed, Symbol

from rmsnorm_math.codegen.layout import TIGHT, Layout, Text
from rmsnorm_math.codegen.nodes import Largest, Reduction, parts
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

    exact_rows = True  # whether sums over rows are taken in float64: NumPy adds row after row

    def over_rows(self, node: Reduction, call: str) -> str:
        """Return a sum over rows that loses no digits, in the type that it would have."""
        if not self.exact_rows or isinstance(node, Largest):
            return call
        names = sorted({part.base.name for part in parts(node.body) if isinstance(part, Indexed)})
        wide = f"np.result_type({', '.join(names)}, np.float64)"  # complex arrays stay complex
        given = {p.name for p in self.program.parameters}
        scaled = any(type(part) is Symbol for part in parts(node.body))
        # whole numbers may be given: divided by 1, they are real
        kinds = [f"{name}[:0]/1" if name in given or scaled else name for name in names]
        one = f"({kinds[0]}).dtype" if "/" in kinds[0] else f"{kinds[0]}.dtype"
        kind = one if len(kinds) == 1 else f"np.result_type({', '.join(kinds)})"
        return f"{call[:-1]}, dtype={wide}).astype({kind})"

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
        function = f"np.vectorize(math.{node.func.__name__}, otypes=[{self.like()}.dtype])"
        return f"{function}({self.text(node.args[0], want)[0]})", TIGHT

    _erfc = _erf

    def einsum(self, subscripts: str, texts: list[str]) -> str:
        """Return a sum of products, by matrix products where there are any."""
        return f"np.einsum({subscripts}, {', '.join(texts)}, optimize=True)"
