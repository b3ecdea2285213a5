"""Whole printed layers, through every transformation of PyTorch and JAX."""

import functools
from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from sympy import Idx, IndexedBase, Sum, exp
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.overrides import TorchFunctionMode

from rmsnorm_math import layer_source
from rmsnorm_math.notation import b, i, k, n, x
from tests.layers.everything import TABLE
from tests.layers.record import file_of

jax.config.update("jax_enable_x64", True)
pytestmark = [  # PyTorch warns of itself
    pytest.mark.filterwarnings("ignore:.torch.jit.script.* is deprecated"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]
NAMES = ["rmsnorm", "layer norm", "softmax", "swiglu", "cross-entropy of each row", "linear"]
NAMES += ["cross-entropy with shares"]  # an array that it is not differentiated by
BLOCKS = ["softmax", "batch norm", "causal attention"]


@functools.cache
def printed(name: str, framework: Any, blocks: bool = False) -> Any:
    namespace: dict[str, Any] = {}
    exec(file_of(name, framework, blocks, "f"), namespace)
    namespace["BLOCK"] = 1  # a row at a time
    return namespace["f"]


def given(name: str, array: Callable[..., Any]) -> tuple[list[Any], list[Any]]:
    """Return the inputs and the constants."""
    layer = TABLE[name]
    values = [array(v) if np.ndim(v) else v for v in layer.values()]
    return values[: len(layer.inputs)], values[len(layer.inputs) :]


def both(name: str, blocks: bool = False) -> tuple[Any, Any, tuple[Any, ...]]:
    """Return the printed layer and the one by hand, of the inputs alone, and the inputs."""
    inputs, constants = given(name, torch.tensor)
    ours, layer = printed(name, "torch", blocks), TABLE[name]
    return (
        lambda *inputs: ours(*inputs, *constants),
        lambda *inputs: layer.forward(torch, *inputs, *constants),
        tuple(inputs),
    )


def same(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def number(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *inputs: f(*inputs).sin().sum()


@pytest.mark.parametrize(("name", "blocks"), [*product(NAMES, [False]), *product(BLOCKS, [True])])
def test_torch_differentiates_it_twice_and_forward(name: str, blocks: bool) -> None:
    ours, theirs, inputs = both(name, blocks)
    same(ours(*inputs), theirs(*inputs))
    inputs = tuple(v.clone().requires_grad_() for v in inputs)
    assert gradcheck(ours, inputs, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(ours, inputs, check_fwd_over_rev=True)


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: grad(number(f), argnums=0),
    "jvp": lambda f: lambda *v: jvp(f, v, tuple(a.cos() for a in v)),
    "vmap": lambda f: lambda *v: vmap(f, randomness="error")(*(torch.stack([a, -a]) for a in v)),
    "vmap of grad": lambda f: lambda *v: vmap(grad(number(f)))(*(torch.stack([a, -a]) for a in v)),
    "grad of vmap": lambda f: grad(
        lambda *v: vmap(number(f))(*(torch.stack([a, -a]) for a in v)).sum()
    ),
    "hessian": lambda f: hessian(number(f)),
    "forward twice": lambda f: jacfwd(jacfwd(number(f))),
    "forward, then reverse": lambda f: jacrev(jacfwd(number(f))),
    "reverse twice": lambda f: jacrev(jacrev(number(f))),
    "jvp of vmap": lambda f: (
        lambda *v: jvp(
            vmap(f), tuple(torch.stack([a, -a]) for a in v), tuple(torch.stack([a, a]) for a in v)
        )
    ),
    "three times": lambda f: jacfwd(jacfwd(jacrev(number(f)))),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", ["rmsnorm", "layer norm", "softmax"])
def test_torch_func(name: str, transform: str) -> None:
    ours, theirs, inputs = both(name)
    same(TRANSFORMS[transform](ours)(*inputs), TRANSFORMS[transform](theirs)(*inputs))


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("name", ["rmsnorm", "softmax", "cross-entropy of each row"])
def test_torch_compiles(name: str, blocks: bool) -> None:
    ours, theirs, inputs = both(name, blocks)
    inputs = tuple(v.clone().requires_grad_() for v in inputs)
    torch.compiler.reset()
    compiled = torch.compile(ours, fullgraph=True)
    results = [torch.autograd.grad(f(*inputs).sin().sum(), inputs) for f in (compiled, theirs)]
    same(*results)


class Conversions(TorchFunctionMode):
    """Note each tensor that `.to` returns as it is."""

    def __init__(self) -> None:
        self.same: list[Any] = []
        super().__init__()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and look at what it gives back."""
        result = function(*args, **(kwargs or {}))
        if function is torch.Tensor.to and result is args[0]:
            self.same.append(result)
        return result


@pytest.mark.parametrize("name", NAMES)
def test_torch_results_are_no_aliases(name: str) -> None:
    """torch.compile in PyTorch 2.11 loses their gradients (pytorch/pytorch, issue 180642)."""
    inputs, constants = given(name, torch.tensor)
    forward = printed(name, "torch").__globals__["_F"].forward
    with Conversions() as noted:
        results = forward(*inputs, *constants)
    assert noted.same, "the arguments are converted"
    assert not any(result is alias for result in results for alias in noted.same)


def test_torch_in_half_precision_and_blocks() -> None:
    ours, theirs = printed("rmsnorm", "torch", True), printed("rmsnorm", "torch")
    x, gamma = torch.randn(3, 100, 1000), torch.rand(1000)
    for kind in (torch.float64, torch.float16):
        inputs = [v.to(kind).requires_grad_() for v in (x, gamma)]
        results = []
        for f in (ours, theirs):
            y = f(*inputs, 0.1)
            results.append((y, *torch.autograd.grad(y, inputs, y.cos())))
        assert {v.dtype for r in results for v in r} == {kind}
        torch.testing.assert_close(*results)


def test_torch_says_by_what_it_is_not_differentiated() -> None:
    x, gamma, eps = torch.ones(2, 3), torch.ones(3), torch.tensor(0.1, requires_grad=True)
    y = printed("rmsnorm", "torch")(x, gamma, eps)
    with pytest.raises(ValueError, match="not differentiated by epsilon"):
        torch.autograd.grad(y.sum(), eps)


MODES: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: jax.grad(f, argnums=0),
    "jit": lambda f: jax.jit(jax.value_and_grad(f)),
    "jvp": lambda f: lambda *v: jax.jvp(f, v, v),
    "vmap": lambda f: lambda *v: jax.vmap(f)(*(jnp.stack([a, -a]) for a in v)),
    "vmap of grad": lambda f: lambda *v: jax.vmap(jax.grad(f))(*(jnp.stack([a, -a]) for a in v)),
    "hessian": jax.hessian,
    "reverse twice": lambda f: jax.jacrev(jax.jacrev(f)),
    "forward twice": lambda f: jax.jacfwd(jax.jacfwd(f)),
    "three times": lambda f: jax.jacfwd(jax.jacfwd(jax.jacrev(f))),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(f)),
    "linearize": lambda f: lambda *v: jax.linearize(f, *v)[1](*v),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "blocks"), [*product(NAMES[:5], [False]), *product(BLOCKS[1:], [True])]
)
def test_jax(name: str, blocks: bool, mode: str) -> None:
    inputs, constants = given(name, jnp.asarray)
    ours, layer = printed(name, "jax", blocks), TABLE[name]
    results = [
        MODES[mode](lambda *v, f=f: jnp.sin(f(*v, *constants)).sum())(*inputs)
        for f in (ours, lambda *v: layer.forward(jnp, *v))
    ]
    for a, e in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-9)


def test_jax_says_by_what_it_is_not_differentiated() -> None:
    f = printed("rmsnorm", "jax")
    with pytest.raises(ValueError, match="not differentiated by epsilon"):
        jax.grad(lambda e: f(jnp.ones((2, 3)), jnp.ones(3), e).sum())(0.1)


def frozen(dtype: torch.dtype) -> tuple[Any, Any]:
    """Return a linear layer whose weight is held, and its result, in a type."""
    W, o = IndexedBase("W"), Idx("o")
    linear = {IndexedBase("y")[b, o]: Sum(W[o, i] * x[b, i], (i, 1, n))}
    file: dict[str, Any] = {}
    exec(layer_source(linear, {x: "x", W: "W"}, framework="torch", wrt=[x]), file)
    v, w = torch.randn(3, 5).to(dtype).requires_grad_(), torch.randn(4, 5).to(dtype)
    return file["layer"](v, w), (v, w)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_held_weight_in_a_matrix_product_has_the_type_of_the_rest(dtype: torch.dtype) -> None:
    y, (v, w) = frozen(dtype)
    y.sum().backward()
    assert y.dtype == v.grad.dtype == dtype
    torch.testing.assert_close(y, (v.float() @ w.float().T).to(dtype))
    torch.testing.assert_close(v.grad, w.float().sum(0).expand(3, 5).to(dtype))


def test_the_output_may_be_called_otherwise_in_the_definitions() -> None:
    p = IndexedBase("p")
    share = exp(x[b, i]) / Sum(exp(x[b, k]), (k, 1, n))
    file: dict[str, Any] = {}
    exec(layer_source({"y": share}, {x: "x"}, {p[b, i]: share}, "torch"), file)
    v = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(file["layer"](v), v.softmax(-1))
    assert gradcheck(file["layer"], v)
    assert gradgradcheck(file["layer"], v)
