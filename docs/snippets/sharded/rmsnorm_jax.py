# SPDX-License-Identifier: MIT-0
"""RMSNorm on a mesh of devices: rows over one axis, elements over the other.

Sums are float32, or float64 for float64 input, and a row is scaled before it is
squared, so that float32 is right from 1e-30 to its end. For Python 3.11 and JAX
0.7, or later ones.
"""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P


def forward(x, gamma, eps):
    """Return y and r, from one device's part of x (rows, n) and of gamma (n,).

    r is two numbers a row: a scale, and the reciprocal rms of x * scale.
    """
    kind = jnp.promote_types(x.dtype, jnp.float32)
    wide, eps = x.astype(kind), jnp.asarray(eps, kind)
    n = x.shape[-1] * jax.lax.axis_size("hidden")
    size = jnp.max(jnp.abs(wide), axis=-1, keepdims=True, initial=0)
    size = jax.lax.pmax(jax.lax.stop_gradient(size), "hidden")
    scale = 1 / jnp.clip(size, jnp.sqrt(eps), jnp.finfo(kind).max / 256)
    squares = jnp.sum((wide * scale) ** 2, axis=-1, keepdims=True)
    squares = jax.lax.psum(squares, "hidden")
    rstd = jax.lax.rsqrt(squares / n + eps * scale * scale)
    y = gamma[None].astype(kind) * (wide * scale * rstd)
    return y.astype(x.dtype), jnp.concatenate([scale, rstd], axis=-1)


def backward(dy, x, gamma, r):
    """Return dx and dgamma, from one device's parts."""
    kind, (scale, rstd) = r.dtype, jnp.split(r, 2, -1)
    n = x.shape[-1] * jax.lax.axis_size("hidden")
    dy, xhat = dy.astype(kind), x.astype(kind) * scale * rstd
    v = gamma[None].astype(kind) * dy
    dot = jax.lax.psum(jnp.sum(v * xhat, axis=-1, keepdims=True), "hidden")
    dx = (v - xhat * (dot / n)) * rstd * scale
    dgamma = jax.lax.psum(jnp.sum(dy * xhat, axis=0), "rows")
    return dx.astype(x.dtype), dgamma.astype(gamma.dtype)


def on_mesh(mesh: Mesh):
    """Return both for whole arrays, on a mesh with the axes rows and hidden."""
    parts, columns, per_row = P("rows", "hidden"), P("hidden"), P("rows", None)
    return (
        jax.shard_map(
            forward,
            mesh=mesh,
            in_specs=(parts, columns, P()),
            out_specs=(parts, per_row),
        ),
        jax.shard_map(
            backward,
            mesh=mesh,
            in_specs=(parts, parts, columns, per_row),
            out_specs=(parts, columns),
        ),
    )
