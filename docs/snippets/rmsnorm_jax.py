# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis in JAX, with a closed-form backward pass (jax.custom_vjp).

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. Keeps x, gamma and one reciprocal
rms a row. Statistics are float32, or float64 for float64 input. Works under jit, vmap and repeated
reverse mode; custom_vjp refuses forward mode (jax.jvp). eps=None means the epsilon of the
statistics' type, as in PyTorch. A row of zeros has no gradient at eps = 0: it gives NaN.
"""

from functools import partial

import jax
import jax.numpy as jnp


def rms_norm(x, gamma=None, eps=None):
    """Return y, shaped and typed like x; gamma may be None."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"x has dtype {x.dtype}, no floating-point type: pass x.astype(jnp.float32)"
        )
    gamma = jnp.ones(x.shape[-1:], x.dtype) if gamma is None else jnp.asarray(gamma)
    eps = float(jnp.finfo(jnp.promote_types(x.dtype, jnp.float32)).eps) if eps is None else eps
    return _rms_norm(x, gamma, eps)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _rms_norm(x, gamma, eps):
    return forward(x, gamma, eps)[0]


def forward(x, gamma, eps):
    kind = jnp.promote_types(x.dtype, jnp.float32)
    rstd = reciprocal_rms(x.astype(kind), eps)
    y = gamma.astype(kind) * (x.astype(kind) * rstd)
    return y.astype(x.dtype), (x, gamma, rstd)


def backward(eps, kept, dy):
    x, gamma, rstd = kept
    kind = rstd.dtype
    dx, dgamma = gradients(dy.astype(kind), x.astype(kind), gamma.astype(kind), rstd)
    return dx.astype(x.dtype), dgamma.astype(gamma.dtype)


_rms_norm.defvjp(forward, backward)


def gradients(dy, x, gamma, rstd):
    xhat = rstd * x
    t = dy * xhat
    dot = jnp.mean(gamma * t, axis=-1, keepdims=True)
    dx = rstd * (dy * gamma - dot * xhat)
    dgamma = t.reshape(-1, dy.shape[-1]).sum(0)
    return dx, dgamma


def reciprocal_rms(x, eps):
    # Squares may leave the range of float32: divide each row by its largest element first. Under
    # jit that costs no more than to ask whether it is needed.
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
    scale = jnp.maximum(largest, eps**0.5)
    mean_square = jnp.mean((x / scale) ** 2, axis=-1, keepdims=True)
    return jax.lax.rsqrt(mean_square + (eps**0.5 / scale) ** 2) / scale
