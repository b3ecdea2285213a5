"""How PyTorch spells a program."""

from sympy import Basic, Expr

from rmsnorm_math.codegen.nodes import axes_of
from rmsnorm_math.codegen.numpy import ALIKE
from rmsnorm_math.codegen.spell import PRODUCT, SIGN, TIGHT, Spelling, Text


class Torch(Spelling):
    """Code for PyTorch's tensors."""

    module = "torch"
    imports = ("import torch",)
    functions = {name: f"torch.{name.lower().replace('ceiling', 'ceil')}" for name in ALIKE} | {
        "erf": "torch.erf",
        "erfc": "torch.erfc",
        "Logistic": "torch.sigmoid",
    }
    options = "dim={}, keepdim=True"
    over = "dim={}"

    def _print_Max(self, node: Basic, *texts: str) -> Text:
        return self._bounded(node, texts, "maximum", "min")

    def _print_Min(self, node: Basic, *texts: str) -> Text:
        return self._bounded(node, texts, "minimum", "max")

    def _bounded(self, node: Basic, texts: tuple[str, ...], word: str, bound: str) -> Text:
        pairs = sorted(zip(node.args, texts, strict=True), key=lambda p: (not axes_of(p[0]), p[1]))
        (_, first), *others = pairs
        for arg, other in others:
            number = isinstance(arg, Expr) and not axes_of(arg)
            first = (
                f"torch.clamp({first}, {bound}={other})"
                if number
                else f"torch.{word}({first}, {other})"
            )
        return first, TIGHT

    def _print_Heaviside(self, node: Basic, *texts: str) -> Text:
        return f"(torch.sign({texts[0]}) + 1)/2", PRODUCT

    def _print_Softplus(self, node: Basic, text: str) -> Text:
        return f"-torch.nn.functional.logsigmoid(-({text}))", SIGN

    def reduction(self, word: str, text: str, places: str | None, drops: bool) -> Text:
        """Return a reduction over dimensions; None is over all."""
        return super().reduction("amax" if word == "max" else word, text, places, drops)

    def transposed(self, text: Text, order: list[int]) -> Text:
        """Return a tensor with its dimensions in another order."""
        turned = super().transposed(text, order)
        return turned[0].replace(".transpose(", ".permute("), TIGHT

    def positions(self, ends: str) -> str:
        """Return the places along an axis, where the arguments are."""
        return f"torch.arange({ends}, device={self.like()}.device)"

    def typed(self, text: str) -> str:
        """Return a tensor in the type of the arguments."""
        return f"{text}.to({self.like()}.dtype)"
