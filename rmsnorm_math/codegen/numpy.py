"""How NumPy spells a program."""

from sympy import Basic

from rmsnorm_math.codegen.spell import SIGN, SUM, TIGHT, PRODUCT, Spelling, Text

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

    def _print_Max(self, node: Basic, *texts: str) -> Text:
        first, *others = sorted(texts)
        for other in others:
            first = f"{self.module}.maximum({first}, {other})"
        return first, TIGHT

    def _print_Min(self, node: Basic, *texts: str) -> Text:
        first, *others = sorted(texts)
        for other in others:
            first = f"{self.module}.minimum({first}, {other})"
        return first, TIGHT

    def _print_Heaviside(self, node: Basic, *texts: str) -> Text:
        return f"{self.module}.heaviside({texts[0]}, {texts[1] if texts[1:] else '0.5'})", TIGHT

    def _print_Logistic(self, node: Basic, text: str) -> Text:
        return f"np.exp(-np.logaddexp(0, -({text})))", TIGHT

    def _print_Softplus(self, node: Basic, text: str) -> Text:
        return f"np.logaddexp(0, {text})", TIGHT

    def _print_erf(self, node: Basic, text: str) -> Text:
        self.needs.append("import math")
        name = node.func.__name__
        return f"np.vectorize(math.{name}, otypes=[{self.like()}.dtype])({text})", TIGHT

    _print_erfc = _print_erf

    def einsum(self, subscripts: str, texts: list[str]) -> str:
        """Return a sum of products, by matrix products where there are any."""
        return f"np.einsum({subscripts}, {', '.join(texts)}, optimize=True)"


_ = (SIGN, SUM, PRODUCT)
