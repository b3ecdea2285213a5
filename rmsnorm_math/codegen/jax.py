"""How JAX spells a program: mostly as NumPy does."""

from typing import ClassVar

from rmsnorm_math.codegen.numpy import ALIKE, NUMPY, NumPy
from rmsnorm_math.codegen.spell import Spelling


class Jax(NumPy):
    """Code for JAX's arrays."""

    word = "jax"
    module = "jnp"
    imports = ("import jax.numpy as jnp",)
    functions: ClassVar[dict[str, str]] = {
        name: f"jnp.{NUMPY.get(name, name)}" for name in ALIKE
    } | {
        "erf": "jax.scipy.special.erf",
        "erfc": "jax.scipy.special.erfc",
        "loggamma": "jax.scipy.special.gammaln",
        "Logistic": "jax.nn.sigmoid",
        "Softplus": "jax.nn.softplus",
    }
    special = "jax.scipy.special"
    reciprocals = True  # XLA computes a quotient once and holds it, a product where it is used
    einsum, over_rows = Spelling.einsum, Spelling.over_rows

    def prelude(self) -> list[str]:
        """Return nothing: a number of Python's takes the type of what it meets."""
        return []
