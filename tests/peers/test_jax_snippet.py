"""The JAX file: a traced epsilon, every order and mode, shards, shapes, and the whole range."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from tests.peers.implementations import jax_snippet
from tests.snippets.cases import ROOT, distance, of_length

rms_norm = jax_snippet.rms_norm
rng = np.random.default_rng(0)


def array(*shape: int) -> Any:
    return jnp.asarray(rng.standard_normal(shape))


def plain(x: Any, gamma: Any = None, eps: Any = 1e-5) -> Any:
    y = x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + eps)
    return y if gamma is None else gamma * y


def close(got: Any, want: Any, tolerance: float = 1e-11) -> None:
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_epsilon_is_any_number() -> None:
    x, gamma = array(4, 5), array(5)
    for eps in (1e-5, np.float64(1e-5), jnp.float32(1e-5), jnp.asarray(1e-5), 0, 1):
        for f in (rms_norm, jax.jit(rms_norm)):
            close(f(x, gamma, eps), plain(x, gamma, float(eps)), 1e-9)


def test_epsilon_is_traced_mapped_scanned_and_differentiated() -> None:
    x, gamma, several = array(4, 5), array(5), jnp.array([0.1, 0.3])
    close(
        jax.vmap(lambda e: rms_norm(x, gamma, e))(several),
        [plain(x, gamma, several[:, None, None])],
    )
    scanned, _ = jax.lax.scan(lambda c, e: (rms_norm(c, gamma, e), None), x, several)
    close(scanned, plain(plain(x, gamma, 0.1), gamma, 0.3))
    parameters = {"gamma": gamma, "eps": 0.1}
    loss = lambda f: lambda p: jnp.sin(f(x, p["gamma"], p["eps"])).sum()  # noqa: E731
    close(jax.jit(jax.grad(loss(rms_norm)))(parameters), jax.grad(loss(plain))(parameters))


@pytest.mark.parametrize("numbers", [(0,), (1,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize(
    "transform",
    [
        jax.grad,
        jax.jacfwd,
        jax.hessian,
        lambda f, a: jax.jacrev(jax.jacrev(f, a), a),
        lambda f, a: jax.jacfwd(jax.jacfwd(jax.jacrev(f, a), a), a),
    ],
    ids=["grad", "jacfwd", "hessian", "reverse twice", "three"],
)
def test_every_order_and_mode(transform: Any, numbers: Any) -> None:
    arguments = array(3, 5), array(5), 0.1
    loss = lambda f: lambda *a: jnp.sin(f(*a)).sum()  # noqa: E731
    want = transform(loss(plain), numbers)(*arguments)
    close(jax.jit(transform(loss(rms_norm), numbers))(*arguments), want, 1e-9)


def test_derivatives_against_differences() -> None:
    check_grads(rms_norm, (array(3, 5), array(5), 0.1), order=3, modes=["fwd", "rev"])


def test_a_linearized_pass_transposes() -> None:
    x, gamma, t = array(3, 5), array(5), array(3, 5)
    _, linear = jax.linearize(lambda x: rms_norm(x, gamma), x)
    close(linear(t), jax.jvp(lambda x: plain(x, gamma, 2.0**-52), (x,), (t,))[1])
    close(jax.linear_transpose(linear, x)(t), jax.vjp(lambda x: plain(x, gamma, 2.0**-52), x)[1](t))


def test_grad_of_vmap_and_vmap_of_grad() -> None:
    x, gamma = array(4, 3, 5), array(4, 5)
    loss = lambda f: lambda a, b: jnp.sin(f(a, b, 0.1)).sum()  # noqa: E731
    one_by_one = jax.vmap(jax.grad(loss(plain), (0, 1)))(x, gamma)
    close(jax.jit(jax.vmap(jax.grad(loss(rms_norm), (0, 1))))(x, gamma), one_by_one)
    mapped = lambda a, b: jax.vmap(loss(rms_norm))(a, b).sum()  # noqa: E731
    close(jax.jit(jax.grad(mapped, (0, 1)))(x, gamma), one_by_one)


def test_only_x_gamma_and_two_numbers_a_row_are_kept() -> None:
    x, gamma = array(8, 5).astype(jnp.bfloat16), array(5).astype(jnp.bfloat16)
    _, pull = jax.jit(lambda x, gamma: jax.vjp(rms_norm, x, gamma))(x, gamma)
    kept = sorted((a.shape, a.dtype.name) for a in jax.tree.leaves(pull) if a.ndim)
    per_row = ((8, 1), "float32")
    assert kept == [((1, 5), "bfloat16"), per_row, per_row, ((8, 5), "bfloat16")]


def test_no_rank_and_no_type_is_promoted_silently() -> None:
    x, gamma = array(2, 3, 5).astype("f"), array(5).astype(jnp.bfloat16)
    loss = lambda *a: rms_norm(*a).sum()  # noqa: E731
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        for number in range(3):
            for transform in (jax.grad, jax.jacfwd):
                transform(loss, number)(x, gamma, jnp.float32(0.1))


def test_rows_on_several_devices() -> None:
    program = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from rmsnorm_jax import rms_norm
mesh = Mesh(np.array(jax.devices()), ("r",))
assert mesh.size == 4
x, gamma = jnp.sin(jnp.arange(40.0)).reshape(8, 5), jnp.arange(1.0, 6)
for f in (lambda a, b: rms_norm(a, b, 0.1), lambda a, b: rms_norm(a, None, 0.1) * b):
    loss = lambda a, b: jnp.sin(f(a, b)).sum()
    shards = jax.shard_map(f, mesh=mesh, in_specs=(P("r"), P()), out_specs=P("r"))
    total = jax.shard_map(
        lambda a, b: jax.lax.psum(loss(a, b), "r"), mesh=mesh, in_specs=(P("r"), P()), out_specs=P()
    )
    for transform in (jax.grad, jax.jacfwd):
        want = transform(loss, (0, 1))(x, gamma)
        for g in (lambda a, b: jnp.sin(shards(a, b)).sum(), total):
            for a, b in zip(jax.jit(transform(g, (0, 1)))(x, gamma), want):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
"""
    env = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    env["PYTHONPATH"] = str(ROOT / "docs/snippets")
    subprocess.run([sys.executable, "-c", program], env=env, check=True)


@pytest.mark.parametrize(
    ("x", "gamma", "eps", "message"),
    [
        (jnp.ones((3, 1)), jnp.ones(5), 0.1, r"gamma must have the shape \(1,\).*not \(5,\)"),
        (jnp.ones((3, 3)), jnp.ones((2, 1, 3)), 0.1, "gamma must have the shape"),
        (jnp.ones((3, 3)), jnp.ones(()), 0.1, "gamma must have the shape"),
        (jnp.ones(()), None, 0.1, "gamma must have the shape"),
        (jnp.ones((3, 3)), jnp.ones(3, int), 0.1, "gamma has dtype int64"),
        (jnp.ones((3, 3), complex), None, 0.1, "x has dtype complex128"),
        (jnp.ones((3, 3)), None, jnp.ones((3, 1)), "eps must be one number"),
    ],
    ids=range(7),
)
def test_what_does_not_fit_is_named(x: Any, gamma: Any, eps: Any, message: str) -> None:
    for f in (rms_norm, jax.jit(rms_norm)):
        with pytest.raises((TypeError, ValueError), match=message):
            f(x, gamma, eps)


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e20, 3e37, 3.4e38])
def test_float32_is_right_to_its_end(scale: float) -> None:
    x = (np.array([[0.5, -1, 0.1, 0.9], [1, 0.2, 0.3, -0.4]]) * scale).astype("f")
    dy = (np.array([[1, 2, -1, 0.5], [0.1, 0.2, 0.3, 1]]) * (1e10 if scale > 1 else 1)).astype("f")
    gamma = np.array([1, 0.5, 2, 1.5], "f")
    want = of_length(dy, x, gamma, 0.0)

    def passes(dy: Any, x: Any, gamma: Any) -> Any:
        y, pull = jax.vjp(lambda x, gamma: rms_norm(x, gamma, 0.0), x, gamma)
        return y, *pull(dy)

    for f in (passes, jax.jit(passes)):
        for a, b in zip(f(*map(jnp.asarray, (dy, x, gamma))), want, strict=True):
            assert distance(a, b) < 1e-6


def test_types_are_kept_weak_ones_too() -> None:
    for x_type in ("float16", "bfloat16", "float32", "float64"):
        for gamma_type in ("float16", "bfloat16", "float32", "float64"):
            x, gamma = array(3, 5).astype(x_type), array(5).astype(gamma_type)
            y, pull = jax.vjp(rms_norm, x, gamma)
            dx, dgamma = pull(y)
            assert (y.dtype, dx.dtype, dgamma.dtype) == (x.dtype, x.dtype, gamma.dtype)
            jax.lax.scan(lambda c, _, g=gamma: (rms_norm(c, g), None), x, length=3)
    weak = jnp.full(5, 2.0)
    assert weak.weak_type
    assert jax.grad(lambda x: rms_norm(x, weak).sum())(weak).dtype == weak.dtype


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0,)])
def test_nothing_gives_nothing(shape: tuple[int, ...]) -> None:
    x = jnp.ones(shape)
    y, pull = jax.vjp(rms_norm, x, jnp.ones(shape[-1]), 0.1)
    dx, dgamma, deps = pull(y)
    assert y.shape == dx.shape == shape
    assert not dgamma.any()
    assert deps == 0


def test_odd_rows() -> None:
    x = jnp.array([[1, jnp.inf, 2], [1, 2, 3]])
    y, pull = jax.vjp(rms_norm, x)
    np.testing.assert_array_equal(y[0], [0, np.nan, 0])
    assert jnp.isnan(pull(y)[0][0]).all()
    zeros = jnp.zeros((1, 4))
    close(jax.hessian(lambda x: (rms_norm(x, None, 0.25) ** 2).sum())(zeros).max(), 8.0)
    assert jnp.isnan(jax.grad(lambda x: rms_norm(x, None, 0.0).sum())(zeros)).all()
