"""The derivative of RMSNorm, derived once for every n, and the tools to check your own."""

from rmsnorm_math.abbreviation import abbreviate, substitute
from rmsnorm_math.calculus import contract, differentiate
from rmsnorm_math.codegen import function, source
from rmsnorm_math.codegen.whole import layer_source
from rmsnorm_math.errors import Refused
from rmsnorm_math.explicit import instantiate
from rmsnorm_math.gradients import jacobian, jvp, vjp
from rmsnorm_math.layers import l2_norm, layer_norm, mean_square, rms, rmsnorm, softmax
from rmsnorm_math.matrices import matrix_form
from rmsnorm_math.numeric import evaluate, finite_difference

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
