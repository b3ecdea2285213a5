# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis in JAX, with a closed-form derivative.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. jax.custom_jvp
keeps x, gamma and two numbers a row. Statistics are float32, or float64 for
float64 input. Works under jit, vmap, scan and shard_map, in reverse and in
forward mode, to any order; eps may be traced, and has a derivative as well.
eps=None means the epsilon of the statistics' type, as in PyTorch. A row of
zeros has no gradient at eps = 0: it gives NaN. For Python 3.11 and JAX 0.4.35,
or later ones.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero


def rms_norm(x, gamma=None, eps=None):
    """Return y, shaped and typed like x; gamma is as a row of x, or None."""
    x, row = jnp.asarray(x), jnp.shape(x)[-1:]
    gamma = jnp.ones(row, x.dtype) if gamma is None else jnp.asarray(gamma)
    for name, a in (("x", x), ("gamma", gamma)):
        if not jnp.issubdtype(a.dtype, jnp.floating):
            raise TypeError(
                f"{name} has dtype {a.dtype}, no floating-point type: "
                f"pass {name}.astype(jnp.float32)"
            )
    if not x.ndim or gamma.shape != row:
        raise ValueError(
            f"gamma must have the shape {row} of a row of x, not {gamma.shape}"
        )
    kind = x.dtype if jnp.finfo(x.dtype).bits > 32 else jnp.dtype("float32")
    eps = jnp.asarray(jnp.finfo(kind).eps if eps is None else eps, kind)
    if eps.ndim:
        raise ValueError(f"eps must be one number, not of shape {eps.shape}")
    if 0 in x.shape:
        return x
    return _rms_norm(x, gamma.reshape((1,) * (x.ndim - 1) + row), eps)


@jax.custom_jvp
def _rms_norm(x, gamma, eps):
    return forward(x, gamma, *statistics(x, eps))


@partial(_rms_norm.defjvp, symbolic_zeros=True)
def _derivative(primals, tangents):
    x, gamma, eps = primals
    kept = x, gamma, *statistics(x, eps)
    given = (None if isinstance(t, SymbolicZero) else t for t in tangents)
    # A checkpoint keeps these for the backward pass, not what follows.
    return forward(*kept), jax.checkpoint(tangent)(*kept, *given)


def statistics(x, eps):
    """Return a scale and the reciprocal rms of x * scale, two numbers a row.

    Squares may leave the range of float32, so that each row is multiplied by a
    number that brings its largest element near 1. Under jit that costs no more
    than to ask whether it is needed.
    """
    x = x.astype(eps.dtype)
    sizes = jnp.abs(jax.lax.stop_gradient(x))
    size = jnp.max(sizes, axis=-1, keepdims=True)
    lowest = jnp.sqrt(jnp.abs(jax.lax.stop_gradient(eps)))
    scale = 1 / jnp.clip(size, lowest, jnp.finfo(eps.dtype).max / 256)
    mean_square = jnp.mean((x * scale) ** 2, axis=-1, keepdims=True)
    return scale, jax.lax.rsqrt(mean_square + eps * scale * scale)


def forward(x, gamma, scale, rstd):
    kind = rstd.dtype
    y = gamma.astype(kind) * (x.astype(kind) * scale * rstd)
    return y.astype(x.dtype)


def tangent(x, gamma, scale, rstd, dx, dgamma, deps):
    """Return the tangent of y for those of x, gamma and eps; None is 0."""
    kind, dy = rstd.dtype, jnp.zeros((), rstd.dtype)
    xhat, gamma = x.astype(kind) * scale * rstd, gamma.astype(kind)
    if dx is not None:
        dx = dx.astype(kind) * scale
        dot = jnp.mean(xhat * dx, axis=-1, keepdims=True)
        dy += gamma * (rstd * (dx - xhat * dot))
    if dgamma is not None:
        dy += dgamma.astype(kind) * xhat
    if deps is not None:
        dy -= gamma * xhat * (deps / 2 * (rstd * scale) ** 2)
    return jnp.broadcast_to(dy, x.shape).astype(x.dtype)
