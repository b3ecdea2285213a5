# SPDX-License-Identifier: MIT-0
"""RMSNorm on a mesh of devices: rows split over one axis, elements over the other."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P


def forward(x, gamma, eps):
    """Return y and r, from one device's part of x (rows, n) and of gamma (n,)."""
    n = x.shape[-1] * jax.lax.axis_size("hidden")
    squares = jax.lax.psum(jnp.sum(x * x, axis=-1, keepdims=True), "hidden")
    r = jnp.sqrt(squares / n + eps)
    return gamma * (x / r), r


def backward(dy, x, gamma, r):
    """Return dx and dgamma, from one device's parts."""
    n = x.shape[-1] * jax.lax.axis_size("hidden")
    xhat, v = x / r, gamma * dy
    dot = jax.lax.psum(jnp.sum(v * xhat, axis=-1, keepdims=True), "hidden")
    dx = (v - xhat * (dot / n)) / r
    return dx, jax.lax.psum(jnp.sum(dy * xhat, axis=0), "rows")


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
