"""PyTorch's and JAX's float32 backward from 1e-30 to 1e20; records docs/data/numerics.json."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests.peers.pages import record

SCALES = [float(f"1e{power}") for power in range(-30, 21, 2)]

# The page draws its own errors for the same input.
rng = np.random.default_rng(0)
U = rng.normal(size=16)
GAMMA = rng.uniform(0.5, 1.5, size=16).astype("f")
DY = np.sign(U).astype("f")


def torch_rms_norm(dy: Any, x: Any, gamma: Any) -> tuple[Any, Any]:
    x = torch.tensor(x, requires_grad=True)
    y = torch.nn.functional.rms_norm(x, (16,), torch.tensor(gamma), 0.0)
    y.backward(torch.tensor(dy))
    return y.detach().numpy(), x.grad.numpy()


def jax_autodiff(dy: Any, x: Any, gamma: Any) -> tuple[Any, Any]:
    y, pull = jax.vjp(lambda x: gamma * x / jnp.sqrt(jnp.mean(x**2)), jnp.asarray(x))
    return np.asarray(y), np.asarray(pull(jnp.asarray(dy))[0])


def exact(dy: Any, x: Any, gamma: Any) -> tuple[Any, Any]:
    dy, x, gamma = (np.asarray(a, np.float64) for a in (dy, x, gamma))
    r = np.sqrt(np.mean(x**2))
    jacobian = np.diag(gamma / r) - np.outer(gamma * x, x) / (16 * r**3)
    return gamma * x / r, dy @ jacobian


def errors(layer: Callable[..., tuple[Any, Any]], scale: float) -> dict[str, float | None]:
    x = (U * scale).astype("f")
    found = {}
    for name, got, right in zip(("y", "dx"), layer(DY, x, GAMMA), exact(DY, x, GAMMA), strict=True):
        error = float(np.abs(got - right).max() / np.abs(right).max())
        found[name] = float(f"{error:.1e}") if np.isfinite(error) else None
    return found


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[float, dict[str, float | None]]]:
    layers = {"torch.nn.functional.rms_norm": torch_rms_norm, "jax.vjp": jax_autodiff}
    return {name: {s: errors(layer, s) for s in SCALES} for name, layer in layers.items()}


def test_both_are_right_at_usual_sizes(measured: Any) -> None:
    for scales in measured.values():
        assert max(scales[1.0].values()) < 1e-6


def test_pytorch_s_backward_is_silently_wrong_where_its_forward_is_right(measured: Any) -> None:
    at = measured["torch.nn.functional.rms_norm"][1e18]
    assert at["y"] < 1e-6
    assert at["dx"] > 0.5


def test_it_is_recorded(measured: Any) -> None:
    about = "float32, epsilon 0: largest error over largest element; null: inf or nan"
    record("numerics", "jax", "torch", about=about, errors=measured)
