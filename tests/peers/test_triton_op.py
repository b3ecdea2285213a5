"""The Triton file as an operator of PyTorch, its offsets, and faults planted in its kernels."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.export._trace
from torch._subclasses import FakeTensor
from torch.library import opcheck

from tests.peers.implementations import triton_snippet
from tests.peers.test_triton import derived as derived  # noqa: PLC0414  a fixture
from tests.peers.test_triton import error, tensor
from tests.snippets.cases import ROOT, load

FILE = ROOT / "docs/snippets/rmsnorm_triton.py"
LARGEST = 99 * 1024  # bytes of shared memory of a program, on the smallest of today's cards


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return tensor(*shape, dtype=torch.float64, seed=seed).requires_grad_()


@pytest.mark.parametrize("eps", [0.0, 0.1, None])
def test_first_and_second_derivatives(eps: float | None) -> None:
    x, weight = double(2, 3), double(3, seed=1)

    def norm(*tensors: torch.Tensor) -> Any:
        return triton_snippet.rms_norm(tensors[0], (3,), *tensors[1:], eps=eps, offset=0.5)

    def both(x: torch.Tensor, weight: torch.Tensor) -> Any:
        return triton_snippet.add_rms_norm(x, x.sin(), (3,), weight, eps)

    for f, inputs in ((norm, (x, weight)), (norm, (x,)), (both, (x, weight))):
        assert torch.autograd.gradcheck(f, inputs)
        assert torch.autograd.gradgradcheck(f, inputs)


@pytest.mark.parametrize("affine", [True, False])
def test_a_plain_call_leaves_the_dispatcher_out(
    monkeypatch: pytest.MonkeyPatch, affine: bool
) -> None:
    x, residual = double(5, 7), double(5, 7, seed=1)
    given = double(7, seed=2)
    inputs = (x, residual, given) if affine else (x, residual)
    weight, operator = given if affine else None, triton_snippet._add_norm
    y, total, _ = operator(x, residual, weight, 7, 0.1, 0.5)
    want = torch.autograd.grad((y.sin() * total).sum(), inputs)

    def refuse(*_: Any) -> None:
        raise AssertionError

    for name in ("_norm", "_add_norm", "_gradients"):
        monkeypatch.setattr(triton_snippet, name, refuse)
    y, total = triton_snippet.add_rms_norm(x, residual, (7,), weight, 0.1, 0.5)
    torch.testing.assert_close(torch.autograd.grad((y.sin() * total).sum(), inputs), want)
    y = triton_snippet.rms_norm(x, (7,), weight, 0.1)
    torch.autograd.grad(y.sum(), x)
    with pytest.raises(AssertionError):
        torch.func.grad(lambda x: triton_snippet.rms_norm(x, (7,), weight, 0.1).sum())(x)


def test_third_derivatives() -> None:
    def second(x: torch.Tensor, weight: torch.Tensor) -> Any:
        y = triton_snippet.rms_norm(x, (3,), weight, 0.1).sin().sum()
        (dx,) = torch.autograd.grad(y, x, create_graph=True)
        return torch.autograd.grad(dx.sin().sum(), (x, weight), create_graph=True)

    assert torch.autograd.gradcheck(second, (double(2, 3), double(3, seed=1)))


@pytest.fixture
def _opaque(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tracers take the operators as they are: the interpreter's kernels cannot be traced."""

    class Launcher:
        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __getitem__(self, grid: Any) -> Callable[..., None]:
            def run(*args: Any, **options: Any) -> None:
                if not any(isinstance(a, FakeTensor) for a in args):
                    self.kernel[grid](*args, **options)

            return run

    monkeypatch.setattr(triton_snippet, "wrap_triton", Launcher)
    monkeypatch.setitem(sys.modules, "rmsnorm_triton", triton_snippet)
    trace = torch.export._trace
    monkeypatch.setattr(trace, "custom_triton_ops_decomposition_disabled", lambda: True)


@pytest.mark.usefixtures("_opaque")
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_opcheck_passes() -> None:
    x, residual, weight = double(3, 2, 4), double(3, 2, 4, seed=1), double(2, 4, seed=2)
    rstd = triton_snippet._norm(x, None, 8, 0.1, 0.5)[1].detach()
    for given in (weight, None):
        opcheck(triton_snippet._norm, (x, given, 8, 0.1, 0.5))
        opcheck(triton_snippet._add_norm, (x, residual, given, 8, 0.1, 0.5))
        for total in (None, residual):
            wanted = given is not None
            opcheck(triton_snippet._gradients, (x, total, x, given, rstd, 8, 0.5, wanted))
    opcheck(triton_snippet._gradients, (x, None, x, weight, rstd, 8, 0.5, False))
    opcheck(triton_snippet._norm, (x[:0], weight, 8, 0.1, 0.5))


@pytest.mark.usefixtures("_opaque")
@pytest.mark.parametrize("dynamic", [False, True])
def test_it_compiles_without_a_graph_break(dynamic: bool) -> None:
    module = triton_snippet.RMSNorm(8, dtype=torch.float64, offset=1.0)
    torch.nn.init.normal_(module.weight)

    def layer(x: torch.Tensor) -> Any:
        y, total = module(x.cos(), x)
        return module(y.sin()) + total

    compiled = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for rows in (3, 5):
        x = double(rows, 8)
        both = []
        for f in (compiled, layer):
            y = f(x)
            both.append((y, *torch.autograd.grad(y.sin().sum(), (x, module.weight))))
        torch.testing.assert_close(*both)


@pytest.fixture(scope="module")
def without_gpu() -> Any:
    """Return what tests/peers/gpu_less.py finds, which takes a process without the interpreter."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", "import tests.peers.gpu_less as g; g.main()"]
    environment["TRITON_INTERPRET"] = "0"
    run = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def test_every_kernel_compiles_for_a_gpu_and_fits(without_gpu: Any) -> None:
    assert len(without_gpu["shared"]) == 6 * 3 * 2 + 1
    assert max(without_gpu["shared"].values()) <= LARGEST, without_gpu["shared"]


def test_torch_compile_sees_the_kernels(without_gpu: Any) -> None:
    calls = without_gpu["graph"].count("= torch.ops.higher_order.triton_kernel_wrapper_functional(")
    assert calls == 3  # forward, backward, and the sum of its parts
    assert "rmsnorm_triton" not in without_gpu["graph"]


def test_a_tensor_on_a_cpu_is_sent_to_the_other_file(without_gpu: Any) -> None:
    assert "take rmsnorm_torch.py" in without_gpu["refused"]


# Offsets


PROBE = """

@triton.jit
def probe(ROW, OUT, row_stride, col_stride):
    row, col = tl.load(ROW + tl.arange(0, 2)), tl.arange(0, 2)
    at = tl.arange(0, 2)[:, None] * 2 + col[None, :]
    tl.store(OUT + at, offsets(row, 3 * col, row_stride, col_stride))
"""


def planted(path: Path, old: str = "", new: str = "") -> Any:
    """Return the file with `old` replaced, and a kernel that writes the offsets it computes."""
    text = FILE.read_text("utf-8").replace("rmsnorm_triton::", "planted::")
    assert old in text, f"{old} is no longer in the file: plant the fault anew"
    path /= "rmsnorm_triton.py"
    path.write_text(text.replace(old, new) + PROBE, "utf-8")
    return load(path)


def far(snippet: Any) -> bool:
    """Return whether offsets beyond 2**31 are right, of rows and of columns."""
    n, rows = 131072, [2**15, 2**20]
    right = []
    for row_stride, col_stride in ((n, 1), (1, 2**31 - 1)):
        out = torch.zeros(2, 2, dtype=torch.int64)
        row = torch.tensor(rows, dtype=torch.int32)
        snippet.probe[(1,)](row, out, row_stride, col_stride)
        right.append([[r * row_stride + c * col_stride for c in (0, 3)] for r in rows])
        right[-1] = right[-1] == out.tolist()
    return all(right)


def test_offsets_have_64_bits(tmp_path: Path) -> None:
    assert far(planted(tmp_path))


# Faults

OLD_LOOP, NEW_LOOP = "in range(COLUMNS, n, COLUMNS)", "in range(COLUMNS, n - COLUMNS, COLUMNS)"
FAULTS = {
    "the padded block for n, forward": ("rsqrt(total / n +", "rsqrt(total / COLUMNS +"),
    "the padded block for n, backward": ("gamma, 1)[:, None] / n", "gamma, 1)[:, None] / COLUMNS"),
    "the padded block for n, wide": ("(dot, 1)[:, None] / n", "(dot, 1)[:, None] / COLUMNS"),
    "no mask": ("col_stride), inside, 0.0)", "col_stride))"),
    "offsets of 32 bits": ("row.to(tl.int64)[:, None]", "row[:, None]"),
    "column offsets of 32 bits": ("col.to(tl.int64)[None, :]", "col[None, :]"),
    "the last tile dropped, forward": ("[(_pieces(rows, block),)]", "[(rows // block,)]"),
    "the last tile dropped, backward": ("tl.cdiv(rows, BLOCK), pro", "rows // BLOCK, pro"),
    "the last columns dropped, forward": (OLD_LOOP, NEW_LOOP),
    "the last columns dropped, wide": ("(0, n, COLUMNS", "(0, n - COLUMNS, COLUMNS"),
    "a part of dgamma dropped": ("(row < parts)", "(row < parts - 1)"),
}


def right(snippet: Any, derived: Any) -> bool:
    """Return whether all is right: rows inside a larger array, tiles and columns that are left."""
    dy, x = tensor(64, 512), tensor(64, 512, seed=1)
    found = [far(snippet)]
    for widest in (16384, 64):
        snippet.WIDEST = widest
        found.append(error(snippet, derived, dy[:37, :130], x[:37, :130], tensor(130)) <= 1e-6)
    return all(found)


@pytest.fixture
def _nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("_nan")
@pytest.mark.parametrize("name", ["none", *FAULTS])
def test_a_planted_fault_is_seen(name: str, derived: Any, tmp_path: Path) -> None:
    snippet = planted(tmp_path, *FAULTS.get(name, ()))
    assert right(snippet, derived) == (name == "none")


def test_the_sum_over_rows_has_one_order() -> None:
    assert "atomic" not in FILE.read_text("utf-8")
