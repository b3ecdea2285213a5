"""What is wrong in the ways that kernels have, on some inputs or at some calls alone, is found."""

# Backwards share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

from typing import Any

import numpy as np
import pytest
from sympy import IndexedBase

from rmsnorm_math import rms, rmsnorm, softmax, vjp
from rmsnorm_math.notation import b, gamma, i, j, m, x, ybar
from rmsnorm_math.verify import assert_backward, assert_right, check, check_backward
from tests.verify.backwards import by_xhat, rows


def wrong_where(condition):
    def backward(dy, x, gamma, eps):
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        return (2 * dx, 2 * dgamma) if condition(dy, x, gamma, eps) else (dx, dgamma)

    return backward


CONDITIONS = {
    "n a multiple of 8": lambda dy, x, g, e: g.size % 8 == 0,
    "n a multiple of 128": lambda dy, x, g, e: g.size % 128 == 0,
    "n over 4096": lambda dy, x, g, e: g.size > 4096,
    "more than 256 rows": lambda dy, x, g, e: x.size > 256 * g.size,
    "one row": lambda dy, x, g, e: x.size == g.size,
    "four axes": lambda dy, x, g, e: x.ndim == 4,
    "dy is a broadcast": lambda dy, x, g, e: 0 in dy.strides,
    "dy is all ones": lambda dy, x, g, e: dy.size > 1 and (dy == 1).all(),
    "dy is transposed": lambda dy, x, g, e: not dy.flags.c_contiguous and 0 not in dy.strides,
    "x is one row, broadcast": lambda dy, x, g, e: x.size > 1 and 0 in x.strides,
    "x is transposed": lambda dy, x, g, e: not x.flags.c_contiguous and 0 not in x.strides,
    "gamma is strided": lambda dy, x, g, e: not g.flags.c_contiguous,
    "gamma is all ones": lambda dy, x, g, e: g.size > 1 and (g == 1).all(),
    "gamma is all zeros": lambda dy, x, g, e: (g == 0).all(),
    "gamma has a zero": lambda dy, x, g, e: (g == 0).any() and (g != 0).any(),
    "gamma above 10": lambda dy, x, g, e: g.max() > 10,
    "several gamma negative": lambda dy, x, g, e: (g < 0).sum() > 1,
    "large dy": lambda dy, x, g, e: abs(dy).max(initial=0) > 5000,
    "small dy": lambda dy, x, g, e: 0 < abs(dy).max(initial=0) < 1e-3,
    "eps = 1": lambda dy, x, g, e: e == 1,
    "eps = 1e-5": lambda dy, x, g, e: e == 1e-5,
    "a row of zeros": lambda dy, x, g, e: x.size and not x.any(-1).all(),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_wrong_on_some_inputs_is_found(name):
    assert not check_backward(wrong_where(CONDITIONS[name])).ok


def test_a_kernel_that_fails_without_rows_is_found():
    def backward(dy, x, gamma, eps):
        1 / x.size
        return by_xhat(dy, x, gamma, eps)

    (problem,) = check_backward(backward).problems
    assert problem.endswith("exactly those where there is no row")


def each_program_keeps_its_last_row(dy, x, gamma, eps):
    dx, _ = by_xhat(dy, x, gamma, eps)
    r = np.sqrt(np.mean(x * x, -1, keepdims=True) + eps)
    parts = (dy * x / r).reshape(-1, gamma.size)
    kept = [parts[p::132][-1] for p in range(min(132, len(parts)))]
    return dx, sum(kept, np.zeros(gamma.size))


def without_the_rest_of_a_vector(dy, x, gamma, eps):
    dx, dgamma = by_xhat(dy, x, gamma, eps)
    if gamma.size > 256:
        dx = dx.copy()
        dx[..., gamma.size // 4 * 4 :] = 0
    return dx, dgamma


def test_parts_that_are_left_out_are_found():
    assert not check_backward(each_program_keeps_its_last_row).ok
    assert not check_backward(without_the_rest_of_a_vector).ok


def remembering():
    """Keep the root of the first input of each shape."""
    roots: dict[Any, Any] = {}

    def backward(dy, x, gamma, eps):
        r = roots.setdefault(x.shape, np.sqrt(np.mean(x * x, -1, keepdims=True) + eps))
        xhat, v = x / r, gamma * dy
        return (v - xhat * np.mean(v * xhat, -1, keepdims=True)) / r, rows(dy * xhat)

    return backward


def accumulating():
    """Add to dgamma what the calls before gave."""
    sums: dict[Any, Any] = {}

    def backward(dy, x, gamma, eps):
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        sums[gamma.size] = sums.get(gamma.size, 0) + dgamma
        return dx, sums[gamma.size]

    return backward


def wrong_the_second_time():
    seen = set()

    def backward(dy, x, gamma, eps):
        key = dy.tobytes(), x.tobytes(), gamma.tobytes(), eps
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        again = key in seen
        seen.add(key)
        return dx, dgamma * (1 + again)

    return backward


@pytest.mark.parametrize("make", [remembering, accumulating, wrong_the_second_time])
def test_what_is_kept_between_calls_is_found(make):
    assert not check_backward(make()).ok


def test_a_second_call_with_the_same_arguments_has_to_give_the_same():
    problems = check_backward(wrong_the_second_time()).problems
    assert any("dgamma is wrong when called again with the same arguments" in p for p in problems)


# Signatures.
RSTD, DRES, XHAT = IndexedBase("rstd"), IndexedBase("dres"), IndexedBase("xhat")
DX = vjp(rmsnorm(b), x[b, j], ybar[b, i], {b: (1, m)})


def test_a_kernel_that_takes_rstd_and_adds_a_residual():
    names = {ybar: "dy", x: "x", gamma: "gamma", RSTD[b]: "rstd", DRES: "dres"}
    where = {RSTD[b]: 1 / rms(b)}

    def kernel(dy, x, gamma, rstd, dres):
        xhat, v = x * rstd, gamma * dy
        return (v - xhat * np.mean(v * xhat, -1, keepdims=True)) * rstd + dres

    for dtype in ("float64", "float32"):
        assert_right(kernel, {"dx": DX + DRES[b, j]}, names, where, dtype=dtype)
    report = check(
        lambda dy, x, gamma, rstd, dres: kernel(dy, x, gamma, rstd**2, dres),
        {"dx": DX + DRES[b, j]},
        names,
        where,
    )
    assert "rstd" in report.diagnosis


def test_a_kernel_that_takes_xhat_and_rstd_in_place_of_x():
    names = {ybar: "dy", XHAT: "xhat", gamma: "gamma", RSTD[b]: "rstd"}
    where = {RSTD[b]: 1 / rms(b), XHAT[b, i]: x[b, i] * RSTD[b]}

    def kernel(dy, xhat, gamma, rstd):
        v = gamma * dy
        return (v - xhat * np.mean(v * xhat, -1, keepdims=True)) * rstd

    assert_right(kernel, {"dx": DX}, names, where)
    late = lambda dy, xhat, gamma, rstd: kernel(dy, xhat, gamma, rstd) / rstd  # noqa: E731
    assert not check(late, {"dx": DX}, names, where).ok


def test_conventions_of_rmsnorm():
    assert_backward(lambda dy, x, w, eps: by_xhat(dy, x, 1 + w, eps), offset=1)
    assert_backward(lambda dy, x, g, eps: by_xhat(dy, x, g, 1e-5), epsilons=(1e-5,))
    assert_backward(lambda *a: by_xhat(*a)[0], outputs=("dx",))
    assert_backward(lambda *a: by_xhat(*a)[1], outputs=("dgamma",))
    assert_backward(lambda *a: by_xhat(*a)[::-1], outputs=("dgamma", "dx"))
    ones = lambda x: np.ones(x.shape[-1], dtype=x.dtype)  # noqa: E731
    assert_backward(lambda dy, x, eps: by_xhat(dy, x, ones(x), eps)[0], gamma=False)
    for dtype in ("float64", "float32"):
        assert_backward(
            lambda dy, x, g, e, dres: (by_xhat(dy, x, g, e)[0] + dres, by_xhat(dy, x, g, e)[1]),
            residual=True,
            dtype=dtype,
        )


def test_a_layer_of_one_row_is_tried_with_many():
    outputs, names = {"dx": vjp(softmax(), x[j], ybar[i])}, {ybar: "dy", x: "x"}

    def backward(dy, x):
        e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
        s = e / e.sum(-1, keepdims=True)
        return s * (dy - (dy * s).sum(-1, keepdims=True))

    def over_all(dy, x):
        e = np.exp(x - x.max(initial=-np.inf))
        s = e / e.sum()
        return s * (dy - (dy * s).sum())

    assert_right(backward, outputs, names)
    assert not check(over_all, outputs, names).ok
    named = check(lambda dy, x: backward(dy, x) / x.shape[-1], outputs, names).diagnosis
    assert named == "dx: the whole is divided by n"
