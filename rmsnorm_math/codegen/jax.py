"""How JAX spells a program: mostly as NumPy does."""

from sympy import Basic

from rmsnorm_math.codegen.numpy import ALIKE, NUMPY, NumPy
from rmsnorm_math.codegen.spell import TIGHT, Spelling, Text


class Jax(NumPy):
    """Code for JAX's arrays."""

    module = "jnp"
    imports = ("import jax.numpy as jnp",)
    functions = {name: f"jnp.{NUMPY.get(name, name)}" for name in ALIKE} | {
        "erf": "jax.scipy.special.erf",
        "erfc": "jax.scipy.special.erfc",
        "Logistic": "jax.nn.sigmoid",
        "Softplus": "jax.nn.softplus",
    }
    einsum = Spelling.einsum

    def function(self, node: Basic, want: tuple) -> Text:  # type: ignore[type-arg]
        """Return a function's value: those of `functions` come first."""
        if (word := self.functions.get(node.func.__name__)) is not None:
            if word.startswith("jax."):
                self.needs.append("import jax")
            texts = [self.text(arg, want)[0] for arg in node.args]
            return f"{word}({', '.join(texts)})", TIGHT
        return super().function(node, want)
