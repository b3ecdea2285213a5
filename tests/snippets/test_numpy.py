"""The NumPy snippet is right in every type, from 1e-30 to 1e20, on its own."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.snippets.cases import ROOT, ROUNDING, SCALES, Arrays, errors, load

snippet = load(ROOT / "docs/snippets/rmsnorm_numpy.py")


def both(dy: Any, x: Any, gamma: Any, eps: float | None) -> Arrays:
    y, rstd = snippet.forward(x, gamma, eps)
    return (y, *snippet.backward(dy, x, gamma, rstd))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_it_rounds_once(dtype: str) -> None:
    worst = errors(both, dtype)
    assert max(worst.values()) <= ROUNDING[dtype], worst


@pytest.mark.parametrize("scale", SCALES)
def test_float32_is_right_to_1e_6_at_every_scale(scale: float) -> None:
    worst = errors(both, "float32", scale=scale)
    assert max(worst.values()) <= 1e-6, worst


def test_one_huge_row_does_not_disturb_the_others() -> None:
    x = np.array([[1, 2, 3], [1e20, 2e20, -1e20], [1e-30, 0, 0], [0, 0, 0]], np.float32)
    y, rstd = snippet.forward(x, None, 1e-6)
    np.testing.assert_allclose(rstd[:2, 0], [(14 / 3) ** -0.5, 2e40**-0.5], rtol=1e-6)
    np.testing.assert_allclose(y[2:], x[2:] * 1e3, rtol=1e-6)
    np.testing.assert_allclose(snippet.backward(x * 0 + 1, x, None, rstd)[0][3], 1e3, rtol=1e-6)


def test_a_row_of_zeros_is_nan_at_eps_0_and_finite_above() -> None:
    x = np.zeros((2, 3), np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.isnan(both(x + 1, x, None, 0.0)[1]).all()
    assert np.isfinite(both(x + 1, x, None, None)[1]).all()


def test_the_default_epsilon_is_that_of_the_statistics_type() -> None:
    for dtype, eps in (("float16", 2.0**-23), ("float32", 2.0**-23), ("float64", 2.0**-52)):
        rstd = snippet.forward(np.zeros((1, 4), dtype))[1]
        np.testing.assert_allclose(rstd, eps**-0.5, rtol=1e-6)


def test_gamma_is_optional() -> None:
    x = np.array([[1.0, 2.0, 4.0]])
    y, dx, dgamma = both(x[:, ::-1], x, None, 0.1)
    again = both(x[:, ::-1], x, np.ones(3), 0.1)
    assert dgamma is None
    assert (y == again[0]).all()
    assert (dx == again[1]).all()


def test_integers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"x has dtype int64.*pass x\.astype"):
        snippet.forward(np.arange(6).reshape(2, 3))


def test_wrong_shapes_are_named() -> None:
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"gamma has the shape \(1,\), but must have \(3,\)"):
        snippet.forward(x, np.ones(1))
    with pytest.raises(ValueError, match=r"dy has the shape \(1, 3\), but must have \(2, 3\)"):
        snippet.backward(x[:1], x, None, x[:, :1])


def test_inputs_stay_as_they_are_and_need_no_layout() -> None:
    x = np.asfortranarray(np.random.default_rng(0).standard_normal((4, 6)))[:, ::2]
    kept = x.copy()
    _, dx, _ = both(x, x, None, 0.1)
    assert (x == kept).all()
    np.testing.assert_array_equal(dx, both(kept, kept, None, 0.1)[1])


@pytest.mark.parametrize("shape", [(2, 3), (40, 3000)])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_results_go_where_they_are_wanted(shape: tuple[int, int], dtype: str) -> None:
    rng = np.random.default_rng(4)
    x, dy, out = rng.standard_normal((3, *shape)).astype(dtype)
    want = snippet.forward(x, x[0])
    y, rstd = snippet.forward(x, x[0], out=out)
    assert y is out
    np.testing.assert_array_equal(y, want[0])
    want = snippet.backward(dy, x, x[0], rstd)
    dx, dgamma = snippet.backward(dy, x, x[0], rstd, out=out)
    assert dx is out
    np.testing.assert_array_equal(dx, want[0])
    np.testing.assert_array_equal(dgamma, want[1])


@pytest.mark.parametrize(
    "out",
    [np.ones((3, 2)), np.ones((2, 3), np.float32), np.ones((3, 2)).T, np.ones((2, 6))[:, ::2]],
)
def test_results_go_nowhere_else(out: Any) -> None:
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"out must be a contiguous array of float64 and \(2, 3\)"):
        snippet.forward(x, out=out)
    with pytest.raises(ValueError, match="out must be a contiguous array"):
        snippet.backward(x, x, None, x[:, :1], out=out)


def test_without_temporaries_the_gradients_are_the_same() -> None:
    rng = np.random.default_rng(5)
    dy, x, gamma = rng.standard_normal((3, 8, 5))
    rstd = snippet.reciprocal_rms(x, 0.1)
    dx, scratch = np.empty_like(x), np.empty((2, *x.shape))
    dgamma = snippet.gradients_into(dx, dy, x, gamma[0], rstd, *scratch)
    for a, b in zip((dx, dgamma), snippet.gradients(dy, x, gamma[0], rstd), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_it_works_in_an_empty_folder_without_this_package(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs/snippets/rmsnorm_numpy.py", tmp_path)
    program = """
import sys
sys.modules["rmsnorm_math"] = None
import numpy as np
from rmsnorm_numpy import forward, backward
rng = np.random.default_rng(0)
dy, x = rng.standard_normal((2, 3, 2, 5))
gamma = rng.standard_normal(5)
loss = lambda x, gamma: (dy * forward(x, gamma, 0.1)[0]).sum()
dx, dgamma = backward(dy, x, gamma, forward(x, gamma, 0.1)[1])
for a, d, f in ((x, dx, lambda a: loss(a, gamma)), (gamma, dgamma, lambda a: loss(x, a))):
    t = rng.standard_normal(a.shape)
    assert abs((f(a + 1e-5 * t) - f(a - 1e-5 * t)) / 2e-5 - (d * t).sum()) < 1e-7
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
