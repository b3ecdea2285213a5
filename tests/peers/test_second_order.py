"""The printed double backward against PyTorch's and JAX's; records docs/data/second-order.json."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from sympy import IndexedBase

from rmsnorm_math import function, rms, rmsnorm, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, x, xhat, ybar
from tests.peers.pages import digits, record

v, w, R = IndexedBase("v"), IndexedBase("w"), IndexedBase("r")
ROWS = {b: (1, m)}
EPS = 0.1
RESULTS = ("gx", "ggamma", "gdy")

rng = np.random.default_rng(5)
V, DY, X = rng.normal(size=(3, 4, 6))
W, GAMMA = rng.normal(size=(2, 6))


@pytest.fixture(scope="module")
def printed() -> dict[str, tuple[Any, Any]]:
    """Return backward and double backward for each framework."""
    dx = vjp(rmsnorm(b), x[b, j], ybar[b, i], ROWS)
    dgamma = vjp(rmsnorm(b), gamma[j], ybar[b, i], ROWS)
    gx = vjp(dx, x[b, k], v[b, j], ROWS) + vjp(dgamma, x[b, k], w[j], ROWS)
    gdy = vjp(dx, ybar[b, k], v[b, j], ROWS) + vjp(dgamma, ybar[b, k], w[j], ROWS)
    second = {"gx": gx, "ggamma": vjp(dx, gamma[k], v[b, j], ROWS), "gdy": gdy}
    inputs = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}
    names = {R[b]: rms(b), xhat[b, i]: x[b, i] / R[b]}
    return {
        framework: (
            function({"dx": dx, "dgamma": dgamma}, inputs, names, framework),
            function(second, {v: "v", w: "w"} | inputs, names, framework),
        )
        for framework in ("torch", "jax")
    }


def test_it_agrees_with_the_frameworks_own(printed: Any) -> None:
    a = [torch.tensor(array, requires_grad=True) for array in (X, GAMMA, DY)]
    y = torch.nn.functional.rms_norm(a[0], (6,), a[1], EPS)
    dx, dgamma = torch.autograd.grad(y, a[:2], a[2], create_graph=True)
    along = (torch.tensor(V) * dx).sum() + (torch.tensor(W) * dgamma).sum()
    theirs = {"torch.nn.functional.rms_norm": torch.autograd.grad(along, a)}
    tensors = [torch.tensor(array) for array in (V, W, DY, X, GAMMA)]
    ours = {"torch.nn.functional.rms_norm": printed["torch"][1](*tensors, EPS)}

    with jax.enable_x64(True):

        def forward(x: Any, gamma: Any) -> Any:
            return gamma * x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + EPS)

        def backward(x: Any, gamma: Any, dy: Any) -> Any:
            return jax.vjp(forward, x, gamma)[1](dy)

        arrays = [jnp.asarray(array) for array in (X, GAMMA, DY)]
        theirs["jax.vjp of jax.vjp"] = jax.vjp(backward, *arrays)[1](
            tuple(map(jnp.asarray, (V, W)))
        )
        ours["jax.vjp of jax.vjp"] = printed["jax"][1](*map(jnp.asarray, (V, W, DY, X, GAMMA)), EPS)

    differences = {
        peer: {
            result: float(abs(np.asarray(a) - np.asarray(e)).max() / abs(np.asarray(e)).max())
            for result, a, e in zip(RESULTS, ours[peer], theirs[peer], strict=True)
        }
        for peer in theirs
    }
    assert max(max(errors.values()) for errors in differences.values()) < 1e-13, differences
    rounded = {p: {k: digits(d) for k, d in errors.items()} for p, errors in differences.items()}
    record("second-order", "jax", "torch", differences=rounded)


def test_a_torch_function_with_both_passes_gradgradchecks(printed: Any) -> None:
    backward, double_backward = printed["torch"]

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, dy: Any, x: Any, gamma: Any) -> Any:
            ctx.save_for_backward(dy, x, gamma)
            return backward(dy, x, gamma, EPS)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, v: Any, w: Any) -> Any:
            gx, ggamma, gdy = double_backward(v, w, *ctx.saved_tensors, EPS)
            return gdy, gx, ggamma

    class RMSNorm(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, gamma: Any) -> Any:
            ctx.save_for_backward(x, gamma)
            return torch.nn.functional.rms_norm(x, x.shape[-1:], gamma, EPS)

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return Backward.apply(dy, *ctx.saved_tensors)

    inputs = [torch.tensor(array, requires_grad=True) for array in (X, GAMMA)]
    assert torch.autograd.gradcheck(RMSNorm.apply, inputs)
    assert torch.autograd.gradgradcheck(RMSNorm.apply, inputs)
