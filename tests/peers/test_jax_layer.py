"""A layer in JAX, checked, as docs/check-your-own.md shows it."""

import jax
import jax.numpy as jnp

from rmsnorm_math.verify import assert_backward


def layer(x, gamma, eps):  # your own layer here
    return gamma * x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)


@jax.jit
def backward(dy, x, gamma, eps):
    _, pullback = jax.vjp(lambda x, gamma: layer(x, gamma, eps), x, gamma)
    return pullback(jnp.asarray(dy))


def test_backward():
    assert_backward(backward, dtype="float32")


def test_backward_in_float64():
    with jax.enable_x64(True):
        assert_backward(backward, shapes=[(7,), (5, 7), (2, 3, 8), (0, 8), (2, 1030)])
