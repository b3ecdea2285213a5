"""The Triton file in Triton's interpreter, on a CPU; what needs a GPU is in benchmarks/gpu.py."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sympy import IndexedBase

from rmsnorm_math import function, rms, rmsnorm, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, m, x, ybar
from tests.peers.implementations import triton_snippet
from tests.snippets.cases import ROUNDING

ROWS = {b: (1, m)}
Tensors = tuple[torch.Tensor, ...]


@pytest.fixture(autouse=True)
def _what_is_not_written_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def derived() -> Callable[..., Any]:
    """Return y, dx and dgamma of dy, x, gamma and eps, printed from the derivation."""
    dx = vjp(rmsnorm(b), x[b, j], ybar[b, i], ROWS)
    dgamma = vjp(rmsnorm(b), gamma[j], ybar[b, i], ROWS)
    inputs = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}
    outputs = {"y": rmsnorm(b), "dx": dx, "dgamma": dgamma}
    printed: Callable[..., Any] = function(outputs, inputs, {IndexedBase("r")[b]: rms(b)})
    return printed


def tensor(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(seed)).to(dtype)


def passes(
    snippet: Any, dy: torch.Tensor, x: torch.Tensor, gamma: torch.Tensor, eps: float
) -> Tensors:
    x, gamma = x.detach().requires_grad_(), gamma.detach().requires_grad_()
    y = snippet.rms_norm(x, x.shape[-1:], gamma, eps)
    return (y, *torch.autograd.grad(y, (x, gamma), dy))


def worst(got: Tensors, want: Any) -> float:
    """Return the largest error over the largest element, infinity for NaN."""
    found = 0.0
    for g, w in zip(got, map(np.asarray, want), strict=True):
        largest = np.abs(w).max(initial=0) or 1
        error = np.abs(g.detach().double().numpy() - w).max(initial=0) / largest
        found = max(found, float(error) if np.isfinite(error) else np.inf)
    return found


def error(snippet: Any, derived: Any, dy: Any, x: Any, gamma: Any, eps: float = 0.1) -> float:
    want = derived(*(a.double().numpy() for a in (dy, x, gamma)), eps)
    return worst(passes(snippet, dy, x, gamma, eps), want)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("n", [1, 3, 128, 130, 700, 4096])
@pytest.mark.parametrize("rows", [0, 1, 37, 300])
def test_it_is_what_is_derived(derived: Any, rows: int, n: int, dtype: str) -> None:
    if n == 4096 and rows == 300 and dtype != "bfloat16":
        pytest.skip("slow in the interpreter")
    kind = getattr(torch, dtype)
    arrays = [tensor(*s, dtype=kind, seed=k) for k, s in enumerate([(rows, n), (rows, n), (n,)])]
    assert error(triton_snippet, derived, *arrays) <= ROUNDING[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("n", [130, 192, 700])
def test_rows_longer_than_a_tile(
    derived: Any, monkeypatch: pytest.MonkeyPatch, n: int, dtype: str
) -> None:
    monkeypatch.setattr(triton_snippet, "WIDEST", 64)
    kind = getattr(torch, dtype)
    arrays = [tensor(*s, dtype=kind, seed=k) for k, s in enumerate([(37, n), (37, n), (n,)])]
    assert error(triton_snippet, derived, *arrays) <= ROUNDING[dtype]


def test_a_row_longer_than_the_widest_tile(derived: Any) -> None:
    n = triton_snippet.WIDEST + 1
    assert error(triton_snippet, derived, tensor(2, n), tensor(2, n, seed=1), tensor(n)) <= 1e-6


STRIDED = {
    "transposed": lambda: (tensor(37, 130), tensor(130, 37, seed=1).t()),
    "every second column": lambda: (tensor(37, 260)[:, ::2], tensor(37, 260, seed=1)[:, 1::2]),
    "part of a wider array": lambda: (tensor(64, 256)[:37, :130], tensor(64, 256)[9:46, 9:139]),
    "dy as after sum().backward()": lambda: (torch.ones(()).expand(37, 130), tensor(37, 130)),
    "one row for all": lambda: (tensor(37, 130), tensor(130).expand(37, 130)),
    "axes in another order": lambda: (tensor(5, 7, 130), tensor(7, 5, 130).transpose(0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", STRIDED)
def test_strides(derived: Any, monkeypatch: pytest.MonkeyPatch, name: str, wide: bool) -> None:
    if wide:
        monkeypatch.setattr(triton_snippet, "WIDEST", 64)
    dy, x = STRIDED[name]()
    weight = tensor(260, seed=2)[::2]
    assert error(triton_snippet, derived, dy, x, weight) <= 1e-6


def by_pytorch(
    x: torch.Tensor, shape: tuple[int, ...], weight: torch.Tensor | None, eps: float, offset: float
) -> torch.Tensor:
    return torch.nn.functional.rms_norm(x, shape, None if weight is None else weight + offset, eps)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 4, 5)])
@pytest.mark.parametrize("affine", [True, False])
def test_the_module_drops_in(shape: tuple[int, ...], affine: bool) -> None:
    options: Any = {"dtype": torch.float64, "elementwise_affine": affine}
    theirs, ours = torch.nn.RMSNorm(shape, **options), triton_snippet.RMSNorm(shape, **options)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = tensor(2, 3, 4, 5, dtype=torch.float64).requires_grad_()
    both = []
    for module in (ours, theirs):
        y = module(x)
        both.append((y, *torch.autograd.grad(y.sin().sum(), (x, *module.parameters()))))
    torch.testing.assert_close(*both)


def test_a_weight_that_is_no_block_of_memory() -> None:
    x, weight = tensor(6, 3, 4, dtype=torch.float64), tensor(4, 3, dtype=torch.float64).t()
    weight.requires_grad_()
    both = [f(x, (3, 4), weight, 0.1, 0.5) for f in (triton_snippet.rms_norm, by_pytorch)]
    torch.testing.assert_close(*both)
    torch.testing.assert_close(*(torch.autograd.grad(y.sin().sum(), weight) for y in both))


def test_a_weight_that_is_a_distance_from_1() -> None:
    module = triton_snippet.RMSNorm(8, offset=1.0)
    x = tensor(5, 8)
    torch.testing.assert_close(module(x), torch.nn.functional.rms_norm(x, (8,)))
    assert module.weight.eq(0).all()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "types", [("float64", "float64"), ("bfloat16", "float32"), ("float32",) * 2]
)
def test_a_residual(monkeypatch: pytest.MonkeyPatch, types: tuple[str, str], wide: bool) -> None:
    if wide:
        monkeypatch.setattr(triton_snippet, "WIDEST", 64)
    kinds = [getattr(torch, t) for t in types]
    x, residual = (tensor(37, 130, dtype=k, seed=n).requires_grad_() for n, k in enumerate(kinds))
    weight = tensor(130, dtype=kinds[0], seed=2).requires_grad_()

    def plain(x: Any, residual: Any, *rest: Any) -> Tensors:
        total = x + residual
        shape, weight, *constants = rest
        return by_pytorch(total, shape, weight.to(total.dtype), *constants).to(x.dtype), total

    both = []
    for f in (triton_snippet.add_rms_norm, plain):
        y, total = f(x, residual, (130,), weight, 0.1, 0.5)
        along = (y.double() * tensor(37, 130, seed=3)).sum() + total.double().sin().sum()
        both.append((y, total, *torch.autograd.grad(along, (x, residual, weight))))
    assert [a.dtype for a in both[0]] == [kinds[0], kinds[1], *kinds, kinds[0]]
    for ours, theirs in zip(*both, strict=True):
        size = theirs.abs().max()
        torch.testing.assert_close(ours / size, theirs / size, rtol=0, atol=2 * ROUNDING[types[0]])


def test_the_sum_alone_and_the_norm_alone_have_their_gradients() -> None:
    x, residual = (tensor(5, 8, dtype=torch.float64, seed=k).requires_grad_() for k in range(2))
    y, total = triton_snippet.add_rms_norm(x, residual, (8,))
    assert all(
        g.eq(1).all() for g in torch.autograd.grad(total.sum(), (x, residual), retain_graph=True)
    )
    want = torch.autograd.grad(torch.nn.functional.rms_norm(x + residual, (8,)).sin().sum(), x)
    torch.testing.assert_close(torch.autograd.grad(y.sin().sum(), residual), want)


def test_a_module_with_a_residual_returns_the_sum_as_well() -> None:
    x, residual = tensor(5, 8), tensor(5, 8, seed=1)
    y, total = triton_snippet.RMSNorm(8)(x, residual)
    torch.testing.assert_close(total, x + residual)
    torch.testing.assert_close(y, torch.nn.functional.rms_norm(total, (8,)))


def test_a_frozen_weight_costs_no_sum_over_rows() -> None:
    x, weight = tensor(5, 8).requires_grad_(), tensor(8)
    y = triton_snippet.rms_norm(x, (8,), weight, 0.1)
    want = torch.autograd.grad(by_pytorch(x, (8,), weight, 0.1, 0).sum(), x)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x), want)
    assert triton_snippet._gradients(y, None, x, weight, x[:, 0].detach(), 8, 0.0, False)[
        1
    ].shape == (0,)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_nothing_at_all(shape: tuple[int, int]) -> None:
    x, weight = torch.ones(shape, requires_grad=True), torch.ones(shape[1], requires_grad=True)
    y, total = triton_snippet.add_rms_norm(x, x, shape[1:], weight)
    dx, dgamma = torch.autograd.grad(y.sum() + total.sum(), (x, weight))
    assert y.shape == dx.shape == shape
    assert dgamma.eq(0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((tensor(3, 4), tensor(3, 4), (5,)), r"x must be floating-point of shape \(\.\.\., 5\)"),
        ((tensor(3, 4).int(), tensor(3, 4), (4,)), r"not torch.int32 \(3, 4\)"),
        (
            (tensor(3, 4), tensor(1, 4), (4,)),
            r"residual must have the shape \(3, 4\), not \(1, 4\)",
        ),
        ((tensor(3, 4), tensor(3, 4), (4,), tensor(3)), r"weight must have the shape \(4,\)"),
    ],
)
def test_wrong_shapes_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        triton_snippet.add_rms_norm(*arguments)


@pytest.mark.parametrize("widest", [16384, 64])
def test_an_infinite_element_and_a_nan_as_in_pytorch(
    monkeypatch: pytest.MonkeyPatch, widest: int
) -> None:
    monkeypatch.setattr(triton_snippet, "WIDEST", widest)
    x = torch.ones(3, 130)
    x[0, 7], x[1, 8], x[2, 7:9] = torch.inf, torch.nan, torch.tensor([torch.inf, torch.nan])
    want = torch.nn.functional.rms_norm(x, (130,), None, 0.1)
    torch.testing.assert_close(triton_snippet.rms_norm(x, (130,), None, 0.1), want, equal_nan=True)


def test_a_row_of_zeros() -> None:
    x = torch.zeros(2, 5, requires_grad=True)
    y = triton_snippet.rms_norm(x, (5,), None, 0.0)
    assert y.isnan().all()
    assert torch.autograd.grad(y.sum(), x)[0].isnan().all()
    y = triton_snippet.rms_norm(x, (5,), None, 0.01)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], torch.full_like(x, 10))
