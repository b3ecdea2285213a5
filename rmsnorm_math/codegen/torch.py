"""How PyTorch spells a program."""

from typing import ClassVar

from sympy import Basic, Expr

from rmsnorm_math.codegen.layout import PRODUCT, SIGN, TIGHT, Layout, Text
from rmsnorm_math.codegen.nodes import array_name, axes_of
from rmsnorm_math.codegen.numpy import ALIKE
from rmsnorm_math.codegen.spell import Spelling


class Torch(Spelling):
    """Code for PyTorch's tensors."""

    word = "torch"
    module = "torch"
    imports = ("import torch",)
    functions: ClassVar[dict[str, str]] = {
        name: f"torch.{name.lower().replace('ceiling', 'ceil')}" for name in ALIKE
    } | {
        "erf": "torch.erf",
        "erfc": "torch.erfc",
        "loggamma": "torch.lgamma",
        "Logistic": "torch.sigmoid",
    }
    options = "dim={}, keepdim=True"
    over = "dim={}"
    real_kind: ClassVar[str] = "({}[:0]/1).dtype"  # torch.compile cannot trace result_type
    words: ClassVar[dict[str, str]] = {"max": "amax"}

    def _max(self, node: Basic, want: Layout) -> Text:
        return self._bounded(node, want, "maximum", "min")

    def _min(self, node: Basic, want: Layout) -> Text:
        return self._bounded(node, want, "minimum", "max")

    def _bounded(self, node: Basic, want: Layout, word: str, bound: str) -> Text:
        order = sorted(node.args, key=lambda arg: (not axes_of(arg), arg.is_number, str(arg)))
        texts = [(not axes_of(arg), self.text(arg, want)[0]) for arg in order]
        (_, first), *others = texts
        for number, other in others:  # torch.maximum takes no numbers
            first = (
                f"torch.clamp({first}, {bound}={other})"
                if number
                else f"torch.{word}({first}, {other})"
            )
        return first, TIGHT

    def _heaviside(self, node: Basic, want: Layout) -> Text:
        return f"(torch.sign({self.text(node.args[0], want)[0]}) + 1)/2", PRODUCT

    def _softplus(self, node: Basic, want: Layout) -> Text:
        return f"-torch.nn.functional.logsigmoid({self.text(-node.args[0], want)[0]})", SIGN

    def _polygamma(self, node: Basic, want: Layout) -> Text:
        order, text = node.args[0], self.text(node.args[1], want)[0]
        return (
            f"torch.digamma({text})" if order == 0 else f"torch.polygamma({order}, {text})",
            TIGHT,
        )

    def as_array(self, name: str) -> str:
        """Return a number as a tensor of the type of the others."""
        if not any(p.axes for p in self.program.parameters):
            return f"torch.as_tensor({name})"
        return f"torch.as_tensor({name}, dtype={self.kind()}, device={self.like()}.device)"

    def transposed(self, text: Text, order: list[int]) -> Text:
        """Return a tensor with its dimensions in another order."""
        turned = super().transposed(text, order)
        return turned[0].replace(".transpose(", ".permute("), TIGHT

    def positions(self, ends: str, typed: bool) -> str:
        """Return the places along an axis, where the arguments are."""
        kind = f", dtype={self.like()}.dtype" if typed else ""
        return f"torch.arange({ends}{kind}, device={self.like()}.device)"

    def full(self, value: str, shape: str) -> str:
        """Return a tensor that is the same all along."""
        return f"{self.as_array(value)}.expand({shape})"

    def typed(self, text: str) -> str:
        """Return a tensor in the type of the arguments."""
        return f"{text}.to({self.kind()})"

    def one_of(self, value: Expr, want: Layout) -> Text:
        """Return a number that is chosen: as a tensor, for PyTorch takes it in float32."""
        self.scalars |= {*map(array_name, value.free_symbols)}
        text = self.text(value, want)
        whole = value.free_symbols or (8 * value).is_integer
        return text if whole else (self.as_array(text[0]), TIGHT)
