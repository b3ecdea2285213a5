"""benchmarks/gpu.py without a GPU: it compares in the interpreter, and times nothing."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.contestants import LAYERS, THEIRS
from tests.snippets.cases import ROOT


def test_every_layer_is_compared_with_float64(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.check("cpu") == 0
    printed = capsys.readouterr().out
    assert all(f"{layer.name}, Triton" in printed for layer in LAYERS)


def test_a_wrong_kernel_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LAYERS[0]
    wrong = {"Triton file": lambda x, w: layer.reference(x, w) * 1.001}
    monkeypatch.setattr(gpu, "LAYERS", [layer])
    monkeypatch.setattr(gpu, "contestants", lambda *_, **__: wrong)
    assert gpu.check("cpu") == 2  # float32; in bfloat16 it is within a rounding
    assert "Triton file" not in THEIRS


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run it")
def test_without_a_gpu_it_says_what_is_missing() -> None:
    command: list[Any] = [sys.executable, "-m", "benchmarks.gpu"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "finds no CUDA device here" in run.stderr
