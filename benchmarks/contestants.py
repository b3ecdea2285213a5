"""The layers that benchmarks/gpu.py times, and who computes them."""

import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812  as everyone calls it

from rmsnorm_math import function
from tests.layers_in_rows import layers
from tests.snippets.cases import ROOT, load

EPS = 1e-6
JAX = "JAX file"
THEIRS = ("PyTorch", "torch.compile", "Liger")
Function = Callable[..., Any]


@dataclass(frozen=True)
class Layer:
    """A layer, its definition in PyTorch, and what its passes have to move.

    `moved` is how many arrays like x the forward and the backward pass read and write at least.
    """

    name: str
    reference: Function
    inputs: tuple[str, ...]
    results: int
    moved: tuple[int, int]

    def shapes(self, rows: int, n: int) -> list[tuple[int, ...]]:
        return [(rows, n) if kind == "array" else (n,) for kind in self.inputs]


def cast(a: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return a.detach().to(dtype).requires_grad_()


@functools.cache
def snippet(name: str) -> Any:
    return load(ROOT / f"docs/snippets/rmsnorm_{name}.py")


def rms_norm(x: Any, weight: Any) -> Any:
    return F.rms_norm(x, x.shape[-1:], weight, EPS)


def add_rms_norm(x: Any, residual: Any, weight: Any) -> Any:
    total = x + residual
    return rms_norm(total, weight), total


def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    return F.layer_norm(x, x.shape[-1:], weight, bias, EPS)


def softmax(x: Any) -> Any:
    return torch.softmax(x, -1)


LAYERS = [
    Layer("rmsnorm", rms_norm, ("array", "row"), 1, (2, 3)),
    Layer("add and rmsnorm", add_rms_norm, ("array", "array", "row"), 2, (4, 4)),
    Layer("layer norm", layer_norm, ("array", "row", "row"), 1, (2, 3)),
    Layer("softmax", softmax, ("array",), 1, (2, 3)),
]


class Printed(torch.autograd.Function):
    """A layer whose passes are printed from the derivation; it keeps its inputs, and no more."""

    @staticmethod
    def forward(ctx: Any, layer: str, *inputs: Any) -> Any:
        ctx.save_for_backward(*inputs)
        ctx.layer = layer
        return printed(layer, "forward")(*inputs)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        gradients = printed(ctx.layer, "backward")(dy, *ctx.saved_tensors)
        return None, *(gradients if isinstance(gradients, tuple) else (gradients,))


@functools.cache
def printed(layer: str, what: str) -> Function:
    f = function(*layers()[layer][what], framework="triton")
    return (lambda *inputs: f(*inputs, EPS)) if layer == "LayerNorm" else f


class Jax(torch.autograd.Function):
    """The JAX file, on PyTorch's tensors."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any) -> Any:
        ctx.save_for_backward(x, weight)
        return jax_passes()[0](x, weight)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return jax_passes()[1](dy, *ctx.saved_tensors)


@functools.cache
def jax_passes() -> tuple[Function, Function]:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory, too
    import jax

    def layer(x: Any, weight: Any) -> Any:
        return snippet("jax").rms_norm(x, weight, EPS)

    def on_tensors(f: Function) -> Function:
        compiled = jax.jit(f)

        def call(*tensors: Any) -> Any:
            arrays = [jax.dlpack.from_dlpack(a.detach().contiguous()) for a in tensors]
            return jax.tree.map(torch.from_dlpack, compiled(*arrays))

        return call

    def backward(dy: Any, x: Any, weight: Any) -> Any:
        return jax.vjp(layer, x, weight)[1](dy)

    return on_tensors(layer), on_tensors(backward)


def ours(layer: str) -> dict[str, Function]:
    if layer == "rmsnorm":
        found: dict[str, Function] = {
            "Triton file": lambda x, w: snippet("triton").rms_norm(x, x.shape[-1:], w, EPS),
            "PyTorch file": lambda x, w: snippet("torch").rms_norm(x, x.shape[-1:], w, EPS),
        }
        return found | ({JAX: Jax.apply} if importlib.util.find_spec("jax") else {})
    if layer == "add and rmsnorm":
        f = snippet("triton").add_rms_norm
        return {"Triton file": lambda x, r, w: f(x, r, x.shape[-1:], w, EPS)}
    name = {"layer norm": "LayerNorm", "softmax": "softmax"}[layer]
    return {"Triton printed": lambda *inputs: Printed.apply(name, *inputs)}


def liger(layer: str) -> dict[str, Function]:
    if importlib.util.find_spec("liger_kernel") is None:
        return {}
    from liger_kernel.ops.fused_add_rms_norm import LigerFusedAddRMSNormFunction
    from liger_kernel.ops.layer_norm import LigerLayerNormFunction
    from liger_kernel.ops.rms_norm import LigerRMSNormFunction
    from liger_kernel.ops.softmax import LigerSoftmaxFunction

    apply = LigerFusedAddRMSNormFunction.apply
    functions: dict[str, Function] = {
        "rmsnorm": lambda x, w: LigerRMSNormFunction.apply(x, w, EPS, 0.0, "llama", False),
        "add and rmsnorm": lambda x, r, w: apply(x, r, w, EPS, 0.0, "llama", False),
        "layer norm": lambda x, w, b: LigerLayerNormFunction.apply(x, w, b, EPS),
        "softmax": LigerSoftmaxFunction.apply,
    }
    return {"Liger": functions[layer]}


def contestants(layer: Layer, *, compiled: bool) -> dict[str, Function]:
    """Return who computes the layer; the last are others', as they ship."""
    theirs = {"PyTorch": layer.reference}
    if compiled:
        theirs["torch.compile"] = torch.compile(layer.reference, dynamic=False)
    return ours(layer.name) | theirs | (liger(layer.name) if torch.cuda.is_available() else {})
