"""The snippets, and what others ship, against the Jacobian written out in a longer type."""

from typing import Any

import jax
import numpy as np
import pytest
import torch
from jax.test_util import check_grads

from tests.peers.implementations import (
    DTYPES,
    LENGTHY,
    OFFSET,
    OTHERS,
    SNIPPETS,
    jax_autodiff,
    jax_snippet,
    numba_snippet,
    torch_rms_norm,
    torch_snippet,
)
from tests.snippets.cases import (
    LONG,
    ROUNDING,
    SCALES,
    distance,
    errors,
    long_case,
    of_length,
)

SHAPE = (3, 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_rounds_once(name: str, dtype: str) -> None:
    worst = errors(SNIPPETS[name], DTYPES[dtype])
    assert max(worst.values()) <= ROUNDING[dtype], worst


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SNIPPETS)
def test_float32_is_right_to_1e_6_at_every_scale(name: str, scale: float) -> None:
    worst = errors(SNIPPETS[name], np.float32, scale=scale)
    assert max(worst.values()) <= 1e-6, worst


@pytest.mark.parametrize("shape", LONG)
@pytest.mark.parametrize("name", LENGTHY)
def test_long_rows_and_many_rows_lose_nothing(name: str, shape: tuple[int, int]) -> None:
    dy, x, gamma = long_case(shape)
    want = of_length(dy, x, gamma, 1e-6)
    for got, exact in zip(SNIPPETS[name](dy, x, gamma, 1e-6), want, strict=True):
        assert distance(got, exact) < (3e-7 if exact.ndim == 1 else 1e-6)


@pytest.mark.parametrize("name", ["PyTorch rms_norm", "JAX autodiff"])
@pytest.mark.parametrize("scale", [1e-30, 1e20])
def test_without_rescaling_float32_is_lost_there(name: str, scale: float) -> None:
    assert max(errors(OTHERS[name], np.float32, scale=scale).values()) > 0.1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OTHERS)
def test_others_agree_with_the_derivation(name: str, dtype: str) -> None:
    worst = errors(OTHERS[name], DTYPES[dtype], offset=OFFSET.get(name, 0.0))
    # T5 uses x twice in its own type, so autograd rounds two gradients before it adds them.
    roundings = 8 if name == "T5" else 2
    assert max(worst.values()) <= roundings * ROUNDING[dtype], worst


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_no_worse_than_pytorch_s(dtype: str) -> None:
    ours, theirs = (
        errors(f, DTYPES[dtype]) for f in (SNIPPETS["PyTorch snippet"], OTHERS["PyTorch rms_norm"])
    )
    assert all(ours[name] <= theirs[name] * (1 + 1e-3) for name in ours), (ours, theirs)


# PyTorch


def double(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


@pytest.mark.parametrize("eps", [0.0, 0.1, None])
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_pytorch_s_first_and_second_derivatives(eps: float | None, scale: float) -> None:
    def f(x: torch.Tensor, gamma: torch.Tensor) -> Any:
        return torch_snippet.rms_norm(x * scale, SHAPE[1:], gamma, eps)

    assert torch.autograd.gradcheck(f, (double(*SHAPE), double(4)))
    assert torch.autograd.gradgradcheck(f, (double(*SHAPE), double(4)))


def test_the_second_derivative_is_right_at_a_row_of_zeros() -> None:
    def second(f: Any) -> Any:
        x = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
        dy = double(2, 4)
        (dx,) = torch.autograd.grad(f(x), x, dy, create_graph=True)
        return torch.autograd.grad(dx, (x, dy), double(2, 4) + 1)

    ours = second(lambda x: torch_snippet.rms_norm(x, (4,), None, 0.1))
    theirs = second(lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 0.1))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("x_size", [1e-30, 1e-2, 1.0, 300.0, 1e20])
@pytest.mark.parametrize("dy_size", [1e-25, 1.0, 1e29, 1e34])
@pytest.mark.parametrize("n", [300, 9000])
def test_a_frozen_gamma_changes_no_digit_of_dx(x_size: float, dy_size: float, n: int) -> None:
    rng = np.random.default_rng(0)
    x, dy = ((rng.uniform(0.5, 1, (20, n)) * size).astype("f") for size in (x_size, dy_size))
    gamma = torch.rand(n) + 0.5
    x_ = torch.from_numpy(x).requires_grad_()
    y = torch_snippet.rms_norm(x_, (n,), gamma, 0.0)
    want = of_length(dy, x, gamma.numpy(), 0.0)[1]
    if 1e-36 < np.abs(want).max() < 3e38:  # else float32 cannot hold it
        assert distance(torch.autograd.grad(y, x_, torch.from_numpy(dy))[0], want) < 1e-6


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 4), (4,)])
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"elementwise_affine": False}])
def test_the_module_drops_in(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    ours = torch_snippet.RMSNorm(shape, dtype=torch.float64, **options)
    theirs = torch.nn.RMSNorm(shape, dtype=torch.float64, **options)
    for weight in theirs.parameters():
        torch.nn.init.normal_(weight)
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    results = []
    for module in (ours, theirs):
        y = module(x)
        results.append((y, *torch.autograd.grad(y.sin().sum(), (x, *module.parameters()))))
    torch.testing.assert_close(*results)


def test_types_may_differ_between_x_and_gamma() -> None:
    x = double(2, 4).detach().bfloat16().requires_grad_()
    gamma = double(4).detach().float().requires_grad_()
    y = torch_snippet.rms_norm(x, (4,), gamma)
    dx, dgamma = torch.autograd.grad(y.sum(), (x, gamma))
    assert (y.dtype, dx.dtype, dgamma.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)


def test_rows_need_no_layout_and_may_be_none() -> None:
    x = double(6, 4).t()
    torch.testing.assert_close(
        torch_snippet.rms_norm(x, (6,)), torch_rms_norm(x, torch.ones(6, dtype=x.dtype), None)
    )
    assert torch_snippet.rms_norm(double(0, 4), (4,)).shape == (0, 4)


def kept(f: Any) -> list[tuple[int, ...]]:
    """Return the shapes of what the backward pass of f(x, gamma) keeps."""
    saved: dict[int, tuple[int, ...]] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        saved[t.data_ptr()] = tuple(t.shape)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        f(double(8, 5), double(5))
    return sorted(saved.values())


def test_only_x_gamma_and_the_reciprocal_rms_are_kept() -> None:
    ours = kept(lambda x, gamma: torch_snippet.rms_norm(x, (5,), gamma))
    assert ours == [(5,), (8, 1), (8, 5)]


def test_nan_where_pytorch_has_nan() -> None:
    zeros = torch.zeros(2, 4, requires_grad=True)
    for f in (torch_snippet.rms_norm, torch.nn.functional.rms_norm):
        y = f(zeros, (4,), None, 0.0)
        assert y.isnan().all()
        assert torch.autograd.grad(y.sum(), zeros)[0].isnan().all()


# JAX


def arrays() -> tuple[Any, Any]:
    rng = np.random.default_rng(2)
    return rng.standard_normal(SHAPE), rng.standard_normal(4)


@pytest.mark.parametrize("eps", [0.0, 0.1, None])
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_jax_s_first_and_second_derivatives(eps: float | None, scale: float) -> None:
    def f(x: Any, gamma: Any) -> Any:
        return jax_snippet.rms_norm(x * scale, gamma, eps)

    check_grads(f, arrays(), order=2, modes=["rev"])


def test_it_maps_and_compiles() -> None:
    x, gamma = arrays()
    dx = jax.grad(lambda x, gamma: jax.numpy.sin(jax_snippet.rms_norm(x, gamma, 0.1)).sum())
    want = jax.grad(lambda x, gamma: jax.numpy.sin(jax_autodiff(x, gamma, 0.1)).sum())(x, gamma)
    np.testing.assert_allclose(jax.jit(dx)(x, gamma), want, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(dx, (0, None))(x, gamma), want, rtol=1e-12)


# Both


@pytest.mark.parametrize("f", [numba_snippet.forward, jax_snippet.rms_norm])
def test_integers_are_refused(f: Any) -> None:
    with pytest.raises(TypeError, match=r"x has dtype int64.*pass x\.astype"):
        f(np.arange(6).reshape(2, 3))
