"""The passes of others and of the snippets: functions of (dy, x, gamma, eps) to y, dx, dgamma."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch

from tests.snippets.cases import ROOT, Arrays, Implementation, load

jax.config.update("jax_enable_x64", True)

DTYPES = {
    "float64": np.float64,
    "float32": np.float32,
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
}
numpy_snippet, torch_snippet, jax_snippet, numba_snippet = (
    load(ROOT / f"docs/snippets/rmsnorm_{name}.py") for name in ("numpy", "torch", "jax", "numba")
)
triton_snippet: Any = None  # needs PyTorch 2.6
if hasattr(torch.library, "triton_op"):
    import tests.peers.interpreter  # noqa: F401  rounds to bfloat16

    triton_snippet = load(ROOT / "docs/snippets/rmsnorm_triton.py")
    triton_snippet.wrap_triton = lambda kernel: kernel  # PyTorch 2.6 refuses interpreted ones


def tensor(a: Any) -> torch.Tensor:
    """Return a tensor of the same type, bfloat16 included."""
    return torch.from_numpy(a.astype(np.float64)).to(getattr(torch, a.dtype.name))


def through_torch(forward: Callable[..., torch.Tensor]) -> Implementation:
    """Return the passes of forward(x, gamma, eps) and PyTorch's autograd."""

    def implementation(dy: Any, x: Any, gamma: Any, eps: float | None) -> Arrays:
        inputs = tensor(x).requires_grad_(), tensor(gamma).requires_grad_()
        y = forward(*inputs, eps)
        gradients = torch.autograd.grad(y, inputs, tensor(dy))
        return tuple(a.detach().double().numpy() for a in (y, *gradients))

    return implementation


def through_jax(forward: Callable[..., jax.Array]) -> Implementation:
    """Return the passes of forward(x, gamma, eps) and JAX's reverse mode, compiled."""

    @jax.jit
    def run(dy: Any, x: Any, gamma: Any, eps: Any) -> Arrays:
        y, vjp = jax.vjp(lambda x, gamma: forward(x, gamma, eps), x, gamma)
        return y, *vjp(dy)

    return lambda dy, x, gamma, eps: tuple(map(np.asarray, run(dy, x, gamma, eps)))


def through_numpy(snippet: Any) -> Implementation:
    def implementation(dy: Any, x: Any, gamma: Any, eps: float | None) -> Arrays:
        y, rstd = snippet.forward(x, gamma, eps)
        return (y, *snippet.backward(dy, x, gamma, rstd))

    return implementation


def torch_rms_norm(x: torch.Tensor, gamma: torch.Tensor, eps: float | None) -> torch.Tensor:
    return torch.nn.functional.rms_norm(x, x.shape[-1:], gamma, eps)


# The next four follow what each library defines: where it converts, and what it multiplies when.
def llama(x: torch.Tensor, gamma: torch.Tensor, eps: float) -> torch.Tensor:
    """Normalise in float32, round to the type of x, then multiply by gamma."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    inverse = torch.rsqrt(torch.mean(wide**2, -1, keepdim=True) + eps)
    return gamma * (inverse * wide).to(x.dtype)


def t5(x: torch.Tensor, gamma: torch.Tensor, eps: float) -> torch.Tensor:
    """Take the variance in float32, scale x itself, round to the type of gamma, then multiply."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return gamma * (x * torch.rsqrt(torch.mean(wide**2, -1, keepdim=True) + eps)).to(gamma.dtype)


def gemma(x: torch.Tensor, gamma: torch.Tensor, eps: float) -> torch.Tensor:
    """Do all in float32, multiply by 1 + gamma there, and round last."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    xhat = wide / torch.sqrt(torch.mean(wide**2, -1, keepdim=True) + eps)
    return (xhat * (1 + gamma.to(wide.dtype))).to(x.dtype)


def jax_autodiff(x: jax.Array, gamma: jax.Array, eps: float) -> jax.Array:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    inverse = jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + eps)
    return (gamma.astype(wide.dtype) * (wide * inverse)).astype(x.dtype)


SNIPPETS: dict[str, Implementation] = {
    "NumPy snippet": through_numpy(numpy_snippet),
    "PyTorch snippet": through_torch(
        lambda x, gamma, eps: torch_snippet.rms_norm(x, x.shape[-1:], gamma, eps)
    ),
    "JAX snippet": through_jax(jax_snippet.rms_norm),
    "Numba snippet": through_numpy(numba_snippet),
    "Numba snippet, fused": numba_snippet.forward_backward,
}
LENGTHY = [*SNIPPETS]  # those that run long rows: Triton's interpreter is slow
if triton_snippet:
    SNIPPETS["Triton snippet"] = through_torch(
        lambda x, gamma, eps: triton_snippet.rms_norm(x, x.shape[-1:], gamma, eps)
    )
OTHERS: dict[str, Implementation] = {
    "PyTorch rms_norm": through_torch(torch_rms_norm),
    "JAX autodiff": through_jax(jax_autodiff),
    "Llama": through_torch(llama),
    "T5": through_torch(t5),
    "Gemma": through_torch(gemma),
}
OFFSET = {"Gemma": 1.0}
