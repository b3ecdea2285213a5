"""The Numba file: out, range, long sums, threads, forks and the cache."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.peers.implementations import numba_snippet, through_numpy
from tests.snippets.cases import ROOT, distance, of_length

PASSES = {"both": through_numpy(numba_snippet), "fused": numba_snippet.forward_backward}


def test_a_row_of_zeros_is_finite_above_eps_0() -> None:
    x = np.zeros((2, 3), np.float32)
    y, dx, dgamma = numba_snippet.forward_backward(x + 1, x)
    assert dgamma is None
    assert (y == 0).all()
    np.testing.assert_allclose(dx, 2.0**11.5, rtol=1e-6)
    assert np.isnan(numba_snippet.forward_backward(x + 1, x, None, 0.0)[1]).all()


def test_the_result_does_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((2, 300, 500))
    one = numba_snippet.forward_backward(dy, x, x[0], 0.1)
    monkeypatch.setattr(numba_snippet, "SMALL", x.size + 1)
    two = numba_snippet.forward_backward(dy, x, x[0], 0.1)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_wrong_shapes_never_reach_the_kernel() -> None:
    x = np.ones((2, 3))
    for name, arguments in {
        "gamma": (x, x, np.ones(2), x[:, :1]),
        "dy": (x[:1], x, None, x[:, :1]),
        "rstd": (x, x, None, x[:1, :1]),
    }.items():
        with pytest.raises(ValueError, match=rf"{name} has the shape"):
            numba_snippet.backward(*arguments)


def test_numba_s_results_go_where_they_are_wanted_and_nowhere_else() -> None:
    rng = np.random.default_rng(6)
    x, dy, *out = rng.standard_normal((4, 300, 500)).astype(np.float32)
    want = numba_snippet.forward_backward(dy, x, x[0])
    got = numba_snippet.forward_backward(dy, x, x[0], out=out)
    for a, b in zip((*out, got[2]), want, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.shares_memory(a, b) for a, b in zip(got, out, strict=False))
    for wrong in (out[0][:2], out[0].astype(np.float64), out[0].T, out[0][:, ::-1]):
        with pytest.raises(ValueError, match="out must be a contiguous array of float32"):
            numba_snippet.forward(x, out=wrong)
    half = x.astype(np.float16)
    with pytest.raises(ValueError, match="as x must be"):
        numba_snippet.forward(half, out=half.copy())


def test_results_over_arguments_are_refused() -> None:
    x, dy, gamma = np.ones((2, 3)), np.ones((2, 3)), np.ones(3)
    _, rstd = numba_snippet.forward(x, gamma)
    twice, shifted = np.empty_like(x), np.ones(8)
    for f in (
        lambda: numba_snippet.forward(x, gamma, out=x),
        lambda: numba_snippet.forward(shifted[:6].reshape(2, 3), out=shifted[1:7].reshape(2, 3)),
        lambda: numba_snippet.backward(dy, x, gamma, rstd, out=dy),
        lambda: numba_snippet.forward_backward(dy, x, gamma, out=(x, None)),
        lambda: numba_snippet.forward_backward(dy, x, gamma, out=(None, dy)),
        lambda: numba_snippet.forward_backward(dy, x, gamma, out=(twice, twice)),
    ):
        with pytest.raises(ValueError, match="out shares memory"):
            f()


def test_an_epsilon_below_0_and_what_is_no_number() -> None:
    x = np.random.default_rng(1).uniform(1, 2, (3, 5))
    want = of_length(x, x, np.ones(5), -0.5)
    for a, b in zip(numba_snippet.forward_backward(x, x, np.ones(5), -0.5), want, strict=True):
        assert distance(a, b) < 1e-14
    with pytest.raises(ValueError, match=r"eps must be one number, not of shape \(1,\)"):
        numba_snippet.forward(x, None, [0.1])
    with pytest.raises(TypeError, match="x has dtype datetime64"):
        numba_snippet.forward(x.astype("M8[s]"))


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize(
    ("x_size", "dy_size", "gamma_size"),
    [(1e15, 1, 1e25), (1e-30, 1e20, 1), (1e20, 1e-25, 1), (3e38, 1e30, 1), (1e10, 1e30, 1e-20)],
)
def test_products_keep_their_order(
    name: str, x_size: float, dy_size: float, gamma_size: float
) -> None:
    rng = np.random.default_rng(0)
    x, dy, gamma = (
        (rng.uniform(0.5, 1, shape) * size).astype("f")
        for shape, size in (((3, 300), x_size), ((3, 300), dy_size), (300, gamma_size))
    )
    want = of_length(dy, x, gamma, 0.0)
    for a, b in zip(PASSES[name](dy, x, gamma, 0.0), want, strict=True):
        if 1e-36 < np.abs(b).max() < 3e38:  # else float32 cannot hold it
            assert distance(a, b) < 1e-6


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_float64_keeps_its_range_too(scale: float) -> None:
    x, dy, gamma = np.array([[0.5, -1, 0.1, 0.9]]) * scale, np.ones((1, 4)), np.ones(4)
    want = of_length(dy, x, gamma, 0.0)
    for a, b in zip(numba_snippet.forward_backward(dy, x, gamma, 0.0), want, strict=True):
        assert distance(a, b) < 1e-14


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0,), (2, 0, 3)])
def test_nothing_gives_nothing(name: str, shape: tuple[int, ...]) -> None:
    x = np.ones(shape, "f")
    y, dx, dgamma = PASSES[name](x, x, np.ones(shape[-1], "f"), 0.1)
    assert y.shape == dx.shape == shape
    np.testing.assert_array_equal(dgamma, np.zeros(shape[-1]))


def test_an_infinite_element_is_nan_and_the_rest_of_its_row_0() -> None:
    x = np.array([[1, np.inf, 2], [1, 2, 3]], "f")
    y, dx, _ = numba_snippet.forward_backward(np.ones_like(x), x)
    np.testing.assert_array_equal(y[0], [0, np.nan, 0])
    assert np.isnan(dx[0]).all()
    assert np.isfinite(dx[1]).all()


@pytest.mark.parametrize("gamma", [np.ones(3, int), np.ones(3, bool), np.ma.ones(3), 1 + 0j])
def test_gammas_without_a_gradient_are_refused(gamma: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="gamma"):
        numba_snippet.forward(np.ones((2, 3)), gamma)


def test_what_numba_cannot_work_on_is_named() -> None:
    x = np.ones((2, 3))
    with pytest.raises(TypeError, match=r"rstd has dtype complex128"):
        numba_snippet.backward(x, x, None, x[:, :1] + 0j)
    with pytest.raises(TypeError, match=r"which Numba lacks: pass x\.astype\(np\.float64\)"):
        numba_snippet.forward(x.astype(np.longdouble))
    with pytest.raises(ValueError, match=r"eps must be one number, not of shape \(2, 1\)"):
        numba_snippet.forward(x, None, x[:, :1])


def test_many_threads_may_call_it() -> None:
    x = np.random.default_rng(0).standard_normal((300, 500))
    want = numba_snippet.forward_backward(x, x)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: numba_snippet.forward_backward(x, x), range(40)):
            np.testing.assert_array_equal(got[1], want[1])


PROGRAM = """
import multiprocessing, warnings
import numba
import numpy as np
import rmsnorm_numba
warnings.simplefilter("error", numba.NumbaPerformanceWarning)  # where nothing runs in parallel
x = np.random.default_rng(0).standard_normal((300, 500))
want = rmsnorm_numba.forward(x)[0]
numba.threading_layer()  # raises where no thread was started
def child(queue):
    queue.put(abs(rmsnorm_numba.forward(x)[0] - want).max())
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
assert queue.get(timeout=60) < 1e-13
process.join()
assert process.exitcode == 0
kernels = rmsnorm_numba._serial, rmsnorm_numba._parallel
print("hits", sum(sum(f.stats.cache_hits.values()) for f in kernels))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_may_call_it_and_a_second_one_finds_it_compiled(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs/snippets/rmsnorm_numba.py", tmp_path)
    env = os.environ | {"PYTHONWARNINGS": "ignore", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    said = []
    for _ in range(2):
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
        said.append(done.stdout.decode().strip())
    assert said == ["hits 0", "hits 1"]


def test_without_a_place_for_the_cache_it_compiles_anew(tmp_path: Path) -> None:
    text = (ROOT / "docs/snippets/rmsnorm_numba.py").read_text("utf-8")
    program = (
        f"exec(compile({text!r}, 'nowhere.py', 'exec')); print(forward([[3.0, 4.0]], None, 0.0)[1])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[[0.28284271]]"
