"""The PyTorch file goes wherever torch.nn.functional.rms_norm goes."""

import copy
import math
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from tests.peers.implementations import torch_snippet
from tests.snippets.cases import distance

OURS, THEIRS = torch_snippet.rms_norm, torch.nn.functional.rms_norm
func, close = torch.func, torch.testing.assert_close
pytestmark = [  # PyTorch's own transforms and compiler warn of what they do
    pytest.mark.filterwarnings("ignore:.torch.jit."),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


def double(*shape: int) -> Any:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def both(f: Any) -> None:
    """Assert that f gives the same with our function as with PyTorch's."""
    close(f(OURS), f(THEIRS), equal_nan=True)


TRANSFORMS = {
    "grad": func.grad,
    "jacrev": func.jacrev,
    "jacfwd": func.jacfwd,
    "hessian": func.hessian,
    "reverse twice": lambda f, a: func.jacrev(func.jacrev(f, a), a),
    "reverse of forward": lambda f, a: func.jacrev(func.jacfwd(f, a), a),
    "jvp": lambda f, _: lambda *args: func.jvp(f, args, args),
    "linearize": lambda f, _: lambda *args: func.linearize(f, *args)[1](*args),
}


@pytest.mark.parametrize(
    ("shape", "row", "weighted"),
    [((4, 5), (5,), True), ((4, 5), (5,), False), ((2, 3, 2), (3, 2), True), ((5,), (5,), True)],
)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms(transform: str, shape: Any, row: Any, weighted: bool) -> None:
    args = (double(*shape), double(*row) + 1)[: 1 + weighted]
    numbers = tuple(range(len(args)))

    def result(rms_norm: Any) -> Any:
        def f(x: Any, weight: Any = None) -> Any:
            return rms_norm(x, row, weight, 0.1).pow(3).sum()

        return TRANSFORMS[transform](f, numbers)(*args)

    both(result)


@pytest.mark.parametrize("dims", [(0, 0), (None, 0), (0, None), (1, 0)])
def test_vmap_over_x_and_gamma(dims: Any) -> None:
    x, weight = double(*(3,) * (dims[0] is not None), 3, 5), double(*(3,) * (dims[1] == 0), 5)
    gradient = lambda f: func.grad(lambda a, b: f(a, (5,), b, 0.1).sin().sum(), (0, 1))  # noqa: E731
    both(lambda f: func.vmap(lambda a, b: f(a, (5,), b, 0.1), dims)(x, weight))
    both(lambda f: func.vmap(gradient(f), dims)(x, weight))


def test_gradients_for_each_sample() -> None:
    results = []
    for cls in (torch_snippet.RMSNorm, torch.nn.RMSNorm):
        module = cls(5, dtype=torch.float64)

        def loss(parameters: Any, x: Any, module: Any = module) -> Any:
            return func.functional_call(module, parameters, x).sin().sum()

        of_each = func.vmap(func.grad(loss), (None, 0))
        results.append(of_each(dict(module.named_parameters()), double(7, 3, 5)))
    close(*results)


def test_an_ensemble_of_modules() -> None:
    modules = [torch_snippet.RMSNorm(5) for _ in range(3)]
    parameters, buffers = func.stack_module_state(modules)
    base = copy.deepcopy(modules[0]).to("meta")
    f = func.vmap(lambda *state: func.functional_call(base, state, torch.ones(4, 5)))
    assert f(parameters, buffers).shape == (3, 4, 5)


def test_forward_mode_alone_and_over_reverse() -> None:
    x, weight, t = double(4, 5), double(5), double(4, 5).sin()

    def tangents(rms_norm: Any) -> Any:
        found = []
        for a, b in ((True, False), (False, True)):
            with forward_ad.dual_level():
                one = forward_ad.make_dual(x, t) if a else x
                other = forward_ad.make_dual(weight, t[0]) if b else weight
                found.append(forward_ad.unpack_dual(rms_norm(one, (5,), other, 0.1)).tangent)
        leaf = x.clone().requires_grad_()
        with forward_ad.dual_level():
            y = rms_norm(forward_ad.make_dual(leaf, t), (5,), weight, 0.1).sin().sum()
            found.append(forward_ad.unpack_dual(torch.autograd.grad(y, leaf)[0]).tangent)
        y = rms_norm(leaf, (5,), weight, 0.1)  # before the level: the pass back alone is dual
        with forward_ad.dual_level():
            dy = forward_ad.make_dual(t, t + 1)
            found.append(forward_ad.unpack_dual(torch.autograd.grad(y, leaf, dy)[0]).tangent)
        return found

    both(tangents)


def test_three_derivatives_by_create_graph() -> None:
    def third(rms_norm: Any) -> Any:
        inputs = double(3, 4).requires_grad_(), (double(4) + 1).requires_grad_()
        value = rms_norm(inputs[0], (4,), inputs[1], 0.1).sin().sum()
        for _ in range(3):
            gradients = torch.autograd.grad(value, inputs, create_graph=True)
            value = gradients[0].pow(2).sum() + gradients[1].pow(3).sum()
        return gradients

    both(third)


def test_hooks_are_called_once_a_pass() -> None:
    calls: list[int] = []
    x = double(3, 4).requires_grad_()
    h = x * 1
    h.register_hook(lambda _: calls.append(1))
    (g,) = torch.autograd.grad(OURS(h, (4,)).sin().sum(), x, create_graph=True)
    assert len(calls) == 1
    torch.autograd.grad(g.pow(2).sum(), x)
    assert len(calls) == 2


def test_many_passes_back_at_once() -> None:
    inputs = double(3, 4).requires_grad_(), double(4).requires_grad_()
    y, dy = OURS(inputs[0], (4,), inputs[1]), double(6, 3, 4)
    batched = torch.autograd.grad(y, inputs, dy, is_grads_batched=True, retain_graph=True)
    one_by_one = [torch.autograd.grad(y, inputs, d, retain_graph=True) for d in dy]
    close(batched, tuple(map(torch.stack, zip(*one_by_one, strict=True))))


def test_results_can_be_changed_in_place() -> None:
    def f(rms_norm: Any) -> Any:
        x = double(4, 6).requires_grad_()
        y = torch.relu_(rms_norm(x, (6,)))
        z = rms_norm(x, (6,)).add_(1)
        z += x
        z.view(-1).mul_(2)
        product = rms_norm(x, (4, 6)).mul_(y.detach())
        return torch.autograd.grad((y + z * product).sum(), x)

    both(f)


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_it_compiles_whole_and_once_for_all_sizes(backend: str) -> None:
    torch.compiler.reset()
    module = torch_snippet.RMSNorm(5)
    compiled = torch.compile(module, fullgraph=True, backend=backend, dynamic=True)
    for rows in (2, 3, 7):
        x = torch.randn(rows, 5, requires_grad=True)
        results = [(y, *torch.autograd.grad(y.sin().sum(), x)) for y in (compiled(x), module(x))]
        close(*results)


def test_a_compiled_transform_and_a_compiled_double_backward() -> None:
    torch.compiler.reset()
    x, weight = double(4, 5), double(5)
    gradient = func.grad(lambda a, b: OURS(a, (5,), b, 0.1).sin().sum(), (0, 1))
    mapped = func.vmap(gradient, (0, None))
    close(torch.compile(mapped, fullgraph=True, backend="aot_eager")(x, weight), mapped(x, weight))
    x.requires_grad_()
    compiled = torch.compile(OURS, fullgraph=True, backend="eager")

    def second(rms_norm: Any) -> Any:
        (dx,) = torch.autograd.grad(rms_norm(x, (5,), weight).sin().sum(), x, create_graph=True)
        return torch.autograd.grad(dx.sin().sum(), x)

    close(second(compiled), second(THEIRS))


@pytest.mark.parametrize("strict", [True, False])
def test_it_is_exported_for_any_number_of_rows(strict: bool) -> None:
    module, rows = torch_snippet.RMSNorm(5), torch.export.Dim("rows")
    shapes = ({0: rows},)
    program = torch.export.export(module, (torch.ones(4, 5),), dynamic_shapes=shapes, strict=strict)
    x = torch.randn(9, 5)
    close(program.module()(x), module(x))


def test_it_is_traced_by_fake_meta_and_proxy_tensors() -> None:
    with FakeTensorMode():
        x = torch.randn(4, 5, requires_grad=True)
        assert torch.autograd.grad(torch_snippet.RMSNorm(5)(x).sum(), x)[0].shape == (4, 5)
    module = torch_snippet.RMSNorm(5, device="meta")
    assert module(torch.ones(2, 5, device="meta")).shape == (2, 5)
    assert "rms_norm(" in torch.fx.symbolic_trace(module).code
    with torch.device("meta"):
        assert OURS(torch.ones(2, 5, device="cpu"), (5,)).device.type == "cpu"
    inputs = torch.randn(4, 5, requires_grad=True), torch.randn(5, requires_grad=True)
    gradients = lambda x, w: torch.autograd.grad(OURS(x, (5,), w).sum(), (x, w))  # noqa: E731
    for mode in ("real", "fake", "symbolic"):
        close(make_fx(gradients, tracing_mode=mode)(*inputs)(*inputs), gradients(*inputs))
    traced = torch.jit.trace(torch_snippet.RMSNorm(5), torch.ones(4, 5))
    close(traced(inputs[0]), OURS(inputs[0], (5,)))


def test_autocast_changes_nothing() -> None:
    x, weight = torch.randn(8, 256, requires_grad=True), torch.rand(256).requires_grad_()
    dy = torch.randn(8, 256)
    want = torch.autograd.grad(OURS(x, (256,), weight), (x, weight), dy)
    with torch.autocast("cpu", torch.bfloat16):
        y = OURS(x, (256,), weight)
        close(torch.autograd.grad(y, (x, weight), dy), want, rtol=0, atol=0)
        assert OURS(x.bfloat16(), (256,), weight).dtype == torch.bfloat16


def test_results_are_contiguous_whatever_the_strides() -> None:
    layouts = {
        "transposed": double(4, 6).t(),
        "inner axes": double(2, 3, 4).transpose(0, 1),
        "every other": double(4, 6)[:, ::2],
        "expanded": double(1, 5).expand(4, 5),
        "permuted": double(2, 3, 4, 5).permute(3, 0, 1, 2),
    }
    for name, a in layouts.items():
        x = a.detach().requires_grad_()
        y = OURS(x, x.shape[-1:])
        assert y.is_contiguous(), name
        both(lambda f, x=x: torch.autograd.grad(f(x, x.shape[-1:]).sin().sum(), x))
        assert torch.compile(OURS, backend="eager")(x, x.shape[-1:]).is_contiguous(), name


def test_what_is_frozen_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(30, 50), torch.randn(50)
    calls: list[tuple[bool, bool]] = []
    inner = torch_snippet.gradients

    def spy(dy: Any, x: Any, rstd: Any, gamma: Any, dx: Any, wanted: bool, scratch: Any) -> Any:
        calls.append((dx is not None, wanted))
        return inner(dy, x, rstd, gamma, dx, wanted, scratch)

    monkeypatch.setattr(torch_snippet, "gradients", spy)
    for block in (2**19, 500):
        monkeypatch.setattr(torch_snippet, "BLOCK", block)
        for needs in ((True, False), (False, True)):
            inputs = x.clone().requires_grad_(needs[0]), weight.clone().requires_grad_(needs[1])
            wanted = inputs[0] if needs[0] else inputs[1]
            calls.clear()
            both(lambda f, i=inputs, w=wanted: torch.autograd.grad(f(i[0], (50,), i[1]).sum(), w))
            assert set(calls) == {needs}
            close(inputs[0].detach(), x, rtol=0, atol=0)


@pytest.mark.parametrize("row", [math.inf, -math.inf, math.nan, 0.0])
@pytest.mark.parametrize("eps", [0.0, 1e-6, None])
def test_odd_rows_are_pytorch_s(row: float, eps: float | None) -> None:
    def f(rms_norm: Any) -> Any:
        x = torch.tensor([[1.0, row, 2.0], [row] * 3, [1, 2, 3]], requires_grad=True)
        weight = torch.ones(3, requires_grad=True)
        y = rms_norm(x, (3,), weight, eps)
        return y, *torch.autograd.grad(y.sum(), (x, weight))

    both(f)
    close(f(torch.compile(OURS, backend="eager")), f(THEIRS), equal_nan=True)


@pytest.mark.parametrize(
    ("shape", "row"), [((0, 4), (4,)), ((3, 0), (0,)), ((0,), (0,)), ((2, 0, 3), (3,))]
)
def test_nothing_gives_nothing(shape: Any, row: Any) -> None:
    def f(rms_norm: Any) -> Any:
        x, weight = torch.ones(shape, requires_grad=True), torch.ones(row, requires_grad=True)
        y = rms_norm(x, row, weight)
        return y, *torch.autograd.grad(y.sum(), (x, weight))

    both(f)


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-14, 1e18, 1e20, 3e37])
def test_the_range_is_kept_in_every_way_there(scale: float) -> None:
    torch.manual_seed(0)
    x, weight = (torch.rand(3, 7) + 1) * scale, torch.rand(7) + 0.5
    dy = torch.randn(3, 7) * (1 if scale < 1 else scale / 1e10)
    wide = tuple(t.double() for t in (x, weight, dy))
    plain = lambda x, w: w * x / x.pow(2).mean(-1, keepdim=True).sqrt()  # noqa: E731
    y, pull = func.vjp(plain, *wide[:2])
    want = y, *pull(wide[2])
    x, weight = x.requires_grad_(), weight.requires_grad_()
    compiled = torch.compile(OURS, backend="eager")
    for f, again in ((OURS, False), (OURS, True), (compiled, False)):
        y = f(x, (7,), weight, 0.0)
        got = y, *torch.autograd.grad(y, (x, weight), dy, create_graph=again)
        for a, b in zip(got, want, strict=True):
            assert distance(a.detach().numpy(), b.detach().numpy()) < 1e-6
