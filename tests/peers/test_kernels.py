"""Printed kernels in Numba and, by its interpreter, in Triton, against the derivation in NumPy."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from rmsnorm_math import source
from tests.layers_in_rows import CASES, arguments, distances, expected, layers
from tests.peers.implementations import DTYPES
from tests.snippets.cases import ROOT, ROUNDING

FOLDER: list[Path] = []
LARGEST = 99 * 1024  # bytes of shared memory of a program, on the smallest of today's cards


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    FOLDER.append(tmp_path_factory.mktemp("printed"))


@pytest.fixture(autouse=True)
def _what_is_not_written_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@cache
def module(text: str) -> Any:
    """Import source text from a file: Triton reads it there."""
    path = FOLDER[0] / f"printed_{len(list(FOLDER[0].iterdir()))}.py"
    path.write_text(text, "utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@cache
def printed(framework: Any, layer: str, what: str) -> str:
    return source(*layers()[layer][what], framework=framework)


def tensor(a: Any) -> Any:
    if isinstance(a, float):
        return a
    return torch.from_numpy(a if a.dtype.kind == "i" else a.astype(np.float64)).to(
        getattr(torch, a.dtype.name)
    )


def run(framework: str, text: str, given: dict[str, Any]) -> Any:
    values = [*given.values()] if framework == "numba" else [*map(tensor, given.values())]
    results = module(text).backward(*values)
    results = results if isinstance(results, tuple) else (results,)
    return results if framework == "numba" else [r.double().numpy() for r in results]


def worst(framework: str, text: str, layer: str, what: str, shape: Any, dtype: str) -> float:
    given = arguments(layer, what, shape, DTYPES[dtype])
    got = run(framework, text, given)
    return max(distances(got, expected(layer, what, given)))


# Some gradients nearly cancel, and a sum in parts may round a few times.
LIMITS = {t: 4 * e if t in ("float32", "float64") else 1.5 * e for t, e in ROUNDING.items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])  # half precision is computed in float32
@pytest.mark.parametrize(("layer", "what"), CASES)
def test_numba_is_what_is_derived(layer: str, what: str, dtype: str) -> None:
    text = printed("numba", layer, what)
    for shape in ((1, 3), (2, 3, 700), (300, 300)):
        assert worst("numba", text, layer, what, shape, dtype) <= LIMITS[dtype], shape


@pytest.mark.parametrize(("layer", "what"), CASES)
def test_triton_is_what_is_derived(layer: str, what: str) -> None:
    text = printed("triton", layer, what)
    for shape, dtype in (((37, 130), "float32"), ((2, 3, 5), "bfloat16")):
        assert worst("triton", text, layer, what, shape, dtype) <= LIMITS[dtype], shape


@pytest.mark.parametrize("n", [1, 3, 128, 700, 4096])
@pytest.mark.parametrize("layer", ["RMSNorm", "LayerNorm"])
def test_triton_at_other_shapes(layer: str, n: int) -> None:
    text, rows = printed("triton", layer, "both"), 300 if n < 700 else 37
    assert worst("triton", text, layer, "both", (rows, n), "float32") <= LIMITS["float32"]


def wide(text: str) -> str:
    """Return a kernel whose tiles are so small that a row needs several."""
    lines = [
        f"WIDEST = 64{x[x.index('  #') :]}" if x.startswith("WIDEST") else x
        for x in text.split("\n")
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(("layer", "what"), CASES)
def test_triton_where_a_row_is_longer_than_a_tile(layer: str, what: str) -> None:
    text = wide(printed("triton", layer, what))
    assert worst("triton", text, layer, what, (5, 130), "float64") <= LIMITS["float64"]


@pytest.mark.parametrize(
    ("framework", "scale"), [("numba", 1e-30), ("numba", 1e20), ("triton", 1e-18), ("triton", 1e18)]
)
def test_float32_is_right_as_far_as_is_said(framework: str, scale: float) -> None:
    given = arguments("RMSNorm", "both", (3, 130), np.float32)
    given |= {"x": (given["x"] * scale).astype("f"), "eps": 0.0}
    got = run(framework, printed(framework, "RMSNorm", "both"), given)
    assert max(distances(got, expected("RMSNorm", "both", given))) < 1e-6


@pytest.mark.parametrize("narrow", [True, False])
def test_triton_takes_any_strides_and_no_rows(narrow: bool) -> None:
    text = printed("triton", "RMSNorm", "both")
    text = text if narrow else wide(text)
    given = arguments("RMSNorm", "both", (37, 130), np.float64)
    dy, x, gamma, eps = given.values()
    want = run("triton", text, given)
    turned = torch.from_numpy(x.T.copy()).t()
    spread = torch.zeros(37, 260, dtype=torch.float64)
    spread[:, ::2] = torch.from_numpy(dy)
    got = module(text).backward(spread[:, ::2], turned, *map(tensor, (gamma, np.array(eps))))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-13)
    none = module(text).backward(spread[:0, ::2], turned[:0], torch.from_numpy(gamma), eps)
    assert [tuple(a.shape) for a in none] == [(0, 130), (0, 130), (130,)]


@pytest.mark.parametrize("framework", ["numba", "triton"])
def test_wrong_shapes_are_named(framework: str) -> None:
    given = arguments("RMSNorm", "both", (4, 5), np.float32)
    for name, wrong in (("x", np.ones((4, 6), "f")), ("gamma", np.ones(1, "f"))):
        with pytest.raises(ValueError, match=f"{name} has the shape"):
            run(framework, printed(framework, "RMSNorm", "both"), {**given, name: wrong})


def test_numba_refuses_integers() -> None:
    with pytest.raises(TypeError, match="pass floating-point numbers"):
        module(printed("numba", "softmax", "forward")).backward(np.arange(6).reshape(2, 3))


def test_bfloat16_comes_back_as_bfloat16() -> None:
    given = arguments("softmax", "forward", (3, 5), ml_dtypes.bfloat16)
    assert (
        module(printed("numba", "softmax", "forward")).backward(*given.values()).dtype
        == ml_dtypes.bfloat16
    )


# Faults

FAULTS = {
    "the padded block for n": (" / n\n", " / COLUMNS\n"),
    "no mask in a sum": ("tl.sum(tl.where(inside, e, 0.0), 1)", "tl.sum(e, 1)"),
    "no mask in the largest": ('tl.max(tl.where(inside, x, float("-inf")), 1)', "tl.max(x, 1)"),
    "the last tile dropped": ("tl.cdiv(rows, BLOCK), programs", "rows // BLOCK, programs"),
    "the last columns dropped": ("range(0, n, COLUMNS)", "range(0, n - COLUMNS, COLUMNS)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_planted_in_a_printed_kernel_is_seen(name: str) -> None:
    old, new = FAULTS[name]
    wrong = []
    for layer in ("RMSNorm", "softmax"):
        for text in (printed("triton", layer, "both"), wide(printed("triton", layer, "both"))):
            planted = text.replace(old, new)
            if planted != text:
                given = arguments(layer, "both", (37, 130), np.float32)
                given["x"] -= 200  # so that a 0 beyond the end of a row counts
                got = run("triton", planted, given)
                wrong.append(max(distances(got, expected(layer, "both", given))) > 1e-3)
    assert any(wrong)


def test_every_printed_kernel_compiles_for_a_gpu_and_fits() -> None:
    for layer in layers():
        text = printed("triton", layer, "both")
        (FOLDER[0] / f"{layer.replace(' ', '_')}.triton.py").write_text(text, "utf-8")
    command = [
        sys.executable,
        "-c",
        "import tests.peers.gpu_less as g; g.printed()",
        str(FOLDER[0]),
    ]
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    found = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    shared = json.loads(found.stdout.splitlines()[-1])
    assert len(shared) == len(layers()) * 2
    assert max(shared.values()) <= LARGEST, shared
