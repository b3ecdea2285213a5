"""The NumPy snippet in long arrays, odd arrays, and where NumPy is told to raise its errors."""

from typing import Any

import numpy as np
import pytest

from tests.snippets.cases import LONG, distance, long_case, of_length
from tests.snippets.test_numpy import both, snippet


@pytest.mark.parametrize("shape", LONG)
def test_long_rows_and_many_rows_lose_nothing(shape: tuple[int, int]) -> None:
    dy, x, gamma = long_case(shape)
    got, want = both(dy, x, gamma, 1e-6), of_length(dy, x, gamma, 1e-6)
    assert max(distance(a, b) for a, b in zip(got, want, strict=True)) < 5e-7


@pytest.mark.parametrize("n", [1000, 32_768, 100_000, 10**6])
def test_columns_in_memory_lose_nothing(n: int) -> None:
    dy, x, gamma = long_case((3, n))
    want = of_length(dy, x, gamma, 1e-6)
    got = both(np.asfortranarray(dy), np.asfortranarray(x), np.repeat(gamma, 2)[::2], 1e-6)
    assert max(distance(a, b) for a, b in zip(got, want, strict=True)) < 5e-7


@pytest.mark.parametrize("eps", [0.0, 1e-6])
@pytest.mark.parametrize("shape", [(2, 4), (3, 70_000), (600, 1000)])
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e18, 1e30, 3e38])
def test_what_is_right_raises_nothing(scale: float, shape: tuple[int, int], eps: float) -> None:
    rng = np.random.default_rng(0)
    x = (rng.uniform(0.3, 1, shape) * scale).astype("f")
    dy, gamma = np.ones(shape, "f"), np.ones(shape[-1], "f")
    with np.errstate(all="raise"):
        both(dy, x, gamma, eps)
        both(np.ones((2, 3), "f"), np.array([[1, 1e-30, 2e-38]] * 2, "f"), gamma[:3], eps)


def test_a_result_that_overflows_still_raises() -> None:
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        snippet.forward(np.ones((1, 2), "f"), np.full(2, 3e38, "f"), -0.75)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0,), (2, 0, 3)])
def test_nothing_gives_nothing(shape: tuple[int, ...]) -> None:
    x = np.ones(shape, "f")
    y, dx, dgamma = both(x, x, np.ones(shape[-1], "f"), 0.1)
    assert y.shape == dx.shape == shape
    np.testing.assert_array_equal(dgamma, np.zeros(shape[-1]))


def test_an_infinite_element_is_nan_and_the_rest_of_its_row_0() -> None:
    x = np.array([[1, np.inf, 2], [1, 2, 3]], "f")
    with np.errstate(invalid="ignore"):
        y, dx, _ = both(np.ones_like(x), x, np.ones(3, "f"), None)
    np.testing.assert_array_equal(y[0], [0, np.nan, 0])
    assert np.isnan(dx[0]).all()
    assert np.isfinite(dx[1]).all()


X, RSTD = np.ones((2, 3)), np.ones((2, 1))


@pytest.mark.parametrize(
    ("name", "a", "message"),
    [
        ("gamma", np.ones(3, int), "gamma has dtype int64, no floating-point"),
        ("gamma", np.ones(3, bool), "gamma has dtype bool, no floating-point"),
        ("gamma", np.ma.ones(3), "gamma is masked"),
        ("gamma", 2.0, r"gamma has the shape \(\), but must have \(3,\)"),
        ("x", np.ma.ones((2, 3)), "x is masked"),
        ("x", 1.0, "x has no axis"),
        ("x", X + 0j, "x has dtype complex128"),
        ("dy", np.ma.ones((2, 3)), "dy is masked"),
        ("rstd", RSTD[:1], r"rstd has the shape \(1, 1\), but must have \(2, 1\)"),
        ("rstd", RSTD[:, 0], r"rstd has the shape \(2,\), but must have \(2, 1\)"),
    ],
)
def test_what_does_not_fit_is_named(name: str, a: Any, message: str) -> None:
    arguments = {"dy": X, "x": X, "gamma": np.ones(3), "rstd": RSTD} | {name: a}
    if name in ("x", "gamma"):
        with pytest.raises((TypeError, ValueError), match=message):
            snippet.forward(arguments["x"], arguments["gamma"])
    with pytest.raises((TypeError, ValueError), match=message):
        snippet.backward(**arguments)


@pytest.mark.parametrize("eps", [RSTD, [1e-6, 1e-6]])
def test_epsilon_is_one_number(eps: Any) -> None:
    with pytest.raises(ValueError, match=r"eps must be one number, not of shape \(2,"):
        snippet.forward(X, None, eps)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([[0.0] * 3] * 2, "not a list"),
        (np.ma.ones((2, 3)), "not a MaskedArray"),
        (np.ones((2, 3), "f"), r"not a contiguous one of float32 and \(2, 3\)"),
        (np.ones((3, 2)).T, r"not a strided one of float64 and \(2, 3\)"),
        (np.broadcast_to(1.0, (2, 3)), "not a read-only, strided one"),
    ],
)
def test_what_is_wrong_with_out_is_said(out: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        snippet.forward(X, out=out)


def test_out_may_not_overlap_an_argument() -> None:
    x, dy, room = X.copy(), X.copy(), np.ones(8)
    for f in (
        lambda: snippet.forward(x, out=x),
        lambda: snippet.forward(room[:6].reshape(2, 3), out=room[1:7].reshape(2, 3)),
        lambda: snippet.backward(dy, x, None, RSTD, out=dy),
        lambda: snippet.backward(dy, x, None, RSTD, out=x),
    ):
        with pytest.raises(ValueError, match="out shares memory"):
            f()
