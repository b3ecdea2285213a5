"""What is derived and printed, against PyTorch's and JAX's own autodiff of a forward by hand."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 (as everybody calls it)

from tests.layers.everything import TABLE
from tests.layers.record import Layer, file_of, printed

jax.config.update("jax_enable_x64", True)
KINDS = {"float64": np.float64, "float32": np.float32}
ROUNDING = {"float64": 1e-12, "float32": 3e-6}


def arrays(layer: Layer, kind: str) -> list[Any]:
    """Return the cotangent, the inputs and the constants; numbers are Python's."""
    given = [layer.dy(), *layer.values()]
    reals = [v.astype(KINDS[kind]) if getattr(v, "dtype", None) == np.float64 else v for v in given]
    return [v if np.ndim(v) else float(v) for v in reals]


def by_torch(layer: Layer, forward: Callable[..., Any] | None = None) -> list[Any]:
    """Return the output and the gradients, of a forward by hand if there is no other."""
    forward = forward or partial(layer.forward, torch)
    dy, *given = (torch.tensor(v) if np.ndim(v) else v for v in arrays(layer, "float64"))
    inputs = [torch.as_tensor(v, dtype=torch.float64) for v in given[: len(layer.inputs)]]
    for v in inputs:
        v.requires_grad_()
    y = forward(*inputs, *given[len(inputs) :])
    return [y.detach(), *torch.autograd.grad(y, inputs, torch.as_tensor(dy, dtype=y.dtype))]


def by_jax(layer: Layer, forward: Callable[..., Any] | None = None) -> list[Any]:
    """Return the output and the gradients, of a forward by hand if there is no other."""
    forward = forward or partial(layer.forward, jnp)
    dy, *given = (jnp.asarray(v) if np.ndim(v) else v for v in arrays(layer, "float64"))
    inputs, constants = given[: len(layer.inputs)], given[len(layer.inputs) :]

    @jax.jit
    def run(dy: Any, *inputs: Any) -> Any:
        y, back = jax.vjp(lambda *inputs: forward(*inputs, *constants), *inputs)
        return y, *back(dy)

    return list(run(jnp.asarray(dy), *map(jnp.asarray, inputs)))


def compare(got: Any, want: list[Any], kind: str) -> None:
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        a, e = np.asarray(ours), np.asarray(theirs)
        assert a.shape == e.shape
        assert not a.ndim or a.dtype == KINDS[kind], f"{kind} became {a.dtype}"
        assert np.max(np.abs(a - e)) <= ROUNDING[kind] * max(1, np.max(np.abs(e)))


BY: dict[str, Callable[..., list[Any]]] = {"torch": by_torch, "jax": by_jax}


@cache
def wanted(name: str, framework: str) -> list[Any]:
    return BY[framework](TABLE[name])


def arrays_of(framework: str, layer: Layer, kind: str) -> list[Any]:
    array = {"torch": torch.tensor, "jax": jnp.asarray}[framework]
    return [array(v) if np.ndim(v) else v for v in arrays(layer, kind)]


# One layer after the other: what is derived and read for one framework serves the other.
@pytest.mark.parametrize("framework", BY)
@pytest.mark.parametrize("name", TABLE)
def test_printed(name: str, framework: str) -> None:
    function = printed(name, framework)
    function = jax.jit(function) if framework == "jax" else function
    for kind in KINDS:
        compare(function(*arrays_of(framework, TABLE[name], kind)), wanted(name, framework), kind)


UNCLEAR = "layer norm without a batch index"  # which of its arrays the rows share


@pytest.mark.parametrize("framework", BY)
@pytest.mark.parametrize("name", [name for name in TABLE if name != UNCLEAR])
def test_the_printed_file(name: str, framework: str) -> None:
    file: dict[str, Any] = {}
    exec(file_of(name, framework), file)
    compare(BY[framework](TABLE[name], file["layer"]), wanted(name, framework), "float64")


# What PyTorch calls by these names, of the arguments in the table's order.
TORCH = {
    "sigmoid": torch.sigmoid,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu by tanh": lambda v: F.gelu(v, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "log-sigmoid": F.logsigmoid,
    "mish": F.mish,
    "softsign": F.softsign,
    "leaky relu": F.leaky_relu,
    "hard sigmoid": F.hardsigmoid,
    "hard swish": F.hardswish,
    "relu6": F.relu6,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "tanhshrink": F.tanhshrink,
    "prelu, a slope for each channel": F.prelu,
    "glu": lambda u, v: F.glu(torch.cat([u, v], -1)),
    "rmsnorm": lambda v, w, e: F.rms_norm(v, v.shape[-1:], w, e),
    "layer norm": lambda v, w, a, e: F.layer_norm(v, v.shape[-1:], w, a, e),
    "batch norm": lambda v, w, a, e: F.batch_norm(v, None, None, w, a, True, eps=e),
    "batch norm of channels": lambda v, w, a, e: F.batch_norm(v, None, None, w, a, True, eps=e),
    "instance norm": lambda v, w, a, e: F.instance_norm(v, weight=w, bias=a, eps=e),
    "group norm": lambda v, w, a, e: F.group_norm(
        v.flatten(1, 2), v.shape[1], w.flatten(), a.flatten(), e
    ).view(v.shape),
    "l2 normalisation with a bound": lambda v, e: F.normalize(v, dim=-1, eps=e),
    "softmax": lambda v: F.softmax(v, -1),
    "log-softmax": lambda v: F.log_softmax(v, -1),
    "log-sum-exp": lambda v: torch.logsumexp(v, -1),
    "linear": F.linear,
    "bilinear": F.bilinear,
    "embedding": lambda w, at: F.embedding(at - 1, w),
    "attention": F.scaled_dot_product_attention,
    "causal attention": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "recurrent cell": lambda v, t, w, a, e: torch.rnn_tanh_cell(v, t, w, a, e, torch.zeros_like(e)),
    "mean squared error": F.mse_loss,
    "mean absolute error": F.l1_loss,
    "huber": lambda v, t: F.huber_loss(v, t, reduction="none").sum(-1),
    "smooth l1, elementwise": lambda v, t, a: F.smooth_l1_loss(v, t, reduction="none", beta=a),
    "binary cross-entropy": F.binary_cross_entropy,
    "binary cross-entropy of logits": F.binary_cross_entropy_with_logits,
    "cross-entropy with labels": lambda v, at: F.cross_entropy(v, at - 1),
    "cross-entropy with shares": F.cross_entropy,
    "cross-entropy with smoothed labels": lambda v, at, a: F.cross_entropy(
        v, at - 1, reduction="none", label_smoothing=a
    ),
    "negative log-likelihood": lambda v, at: F.nll_loss(v, at - 1),
    "kullback-leibler divergence": lambda v, t: F.kl_div(v, t, reduction="batchmean"),
    "cosine": lambda v, w: 1 - F.cosine_similarity(v, w),
    "poisson": F.poisson_nll_loss,
    "gaussian likelihood": lambda v, w, t: F.gaussian_nll_loss(v, t, w),
}


@pytest.mark.parametrize("name", TORCH)
def test_the_forward_by_hand_is_pytorch_s(name: str) -> None:
    layer = TABLE[name]
    given = [torch.tensor(v) if np.ndim(v) else v for v in arrays(layer, "float64")[1:]]
    theirs = TORCH[name](*given)
    torch.testing.assert_close(layer.forward(torch, *given), theirs, rtol=1e-12, atol=1e-12)
