"""How NumPy spells a program."""

from sympy import Basic

from rmsnorm_math.codegen.spell import TIGHT, Layout, Spelling, Text

#: SymPy's functions that NumPy, PyTorch and JAX have under the same names.
ALIKE = (
    "exp log sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh floor sign Abs ceiling"
).split()
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
NUMPY |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "Abs": "abs"}
NUMPY |= {"ceiling": "ceil"}


class NumPy(Spelling):
    """Code for NumPy's arrays."""

    functions = {name: f"np.{NUMPY.get(name, name)}" for name in ALIKE}

    def _print_Max(self, node: Basic, want: Layout) -> Text:
        return self._extreme("maximum", node, want)

    def _print_Min(self, node: Basic, want: Layout) -> Text:
        return self._extreme("minimum", node, want)

    def _extreme(self, word: str, node: Basic, want: Layout) -> Text:
        first, *others = sorted(self.text(arg, want)[0] for arg in node.args)
        for other in others:
            first = f"{self.module}.{word}({first}, {other})"
        return first, TIGHT

    def _print_Heaviside(self, node: Basic, want: Layout) -> Text:
        at, middle = (self.text(arg, want)[0] for arg in node.args)
        return f"{self.module}.heaviside({at}, {middle})", TIGHT

    def _print_Logistic(self, node: Basic, want: Layout) -> Text:
        return f"np.exp(-np.logaddexp(0, {self.text(-node.args[0], want)[0]}))", TIGHT

    def _print_Softplus(self, node: Basic, want: Layout) -> Text:
        return f"np.logaddexp(0, {self.text(node.args[0], want)[0]})", TIGHT

    def _print_erf(self, node: Basic, want: Layout) -> Text:
        self.needs.append("import math")
        function = f"np.vectorize(math.{node.func.__name__}, otypes=[{self.like()}.dtype])"
        return f"{function}({self.text(node.args[0], want)[0]})", TIGHT

    _print_erfc = _print_erf

    def einsum(self, subscripts: str, texts: list[str]) -> str:
        """Return a sum of products, by matrix products where there are any."""
        return f"np.einsum({subscripts}, {', '.join(texts)}, optimize=True)"
