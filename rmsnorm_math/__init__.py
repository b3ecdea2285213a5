"""The derivative of RMSNorm, derived once for every n, and the tools to check your own."""

from importlib import import_module
from typing import TYPE_CHECKING

from rmsnorm_math.abbreviation import abbreviate, substitute
from rmsnorm_math.calculus import contract, differentiate
from rmsnorm_math.errors import Refused
from rmsnorm_math.explicit import instantiate
from rmsnorm_math.gradients import jacobian, jvp, vjp
from rmsnorm_math.layers import l2_norm, layer_norm, mean_square, rms, rmsnorm, softmax
from rmsnorm_math.matrices import matrix_form
from rmsnorm_math.numeric import evaluate, finite_difference

if TYPE_CHECKING:
    from rmsnorm_math.codegen import function, source
    from rmsnorm_math.codegen.whole import layer_source
else:
    _PRINTING = dict.fromkeys(("function", "source"), "rmsnorm_math.codegen")
    _PRINTING["layer_source"] = "rmsnorm_math.codegen.whole"

    def __getattr__(name):
        """Import what prints code, half of the package, when it is first asked for."""
        if name not in _PRINTING:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(_PRINTING[name]), name)
        return found

    def __dir__():
        return [*globals(), *_PRINTING]


__all__ = [
    "Refused",
    "abbreviate",
    "contract",
    "differentiate",
    "evaluate",
    "finite_difference",
    "function",
    "instantiate",
    "jacobian",
    "jvp",
    "l2_norm",
    "layer_norm",
    "layer_source",
    "matrix_form",
    "mean_square",
    "rms",
    "rmsnorm",
    "softmax",
    "source",
    "substitute",
    "vjp",
]
