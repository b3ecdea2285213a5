"""The derivative of RMSNorm, derived once for every n."""
from rmsnorm_math.calculus import abbreviate, contract, differentiate, instantiate
from rmsnorm_math.forward import mean_square, rms, rmsnorm
from rmsnorm_math.gradients import jacobian, vjp, jvp, matrix_form
from rmsnorm_math.numeric import evaluate, finite_difference
