"""A right function passes, however it is written."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from rmsnorm_math.verify import assert_backward, check_backward
from rmsnorm_math.verify.sampling import rounded
from tests.verify.backwards import by_complex_step, by_r_cubed, by_rstd, by_xhat, rows


def by_jacobian(dy, x, gamma, eps):
    n = x.shape[-1]
    dx, dgamma = np.empty_like(x), np.zeros_like(gamma)
    for b in np.ndindex(x.shape[:-1]):
        r = np.sqrt(x[b] @ x[b] / n + eps)
        jacobian = np.diag(gamma / r) - np.outer(gamma * x[b], x[b]) / (n * r**3)
        dx[b] = jacobian.T @ dy[b]
        dgamma += np.diag(x[b] / r) @ dy[b]
    return dx, dgamma


def in_plain_lists(dy, x, gamma, eps):
    gamma, n = gamma.tolist(), len(gamma)
    dgamma = [0.0] * n

    def of_row(dy, x):
        if not x or isinstance(x[0], list):
            return [of_row(*row) for row in zip(dy, x, strict=True)]
        r = (sum(v * v for v in x) / n + eps) ** 0.5
        dot = sum(g * d * v for g, d, v in zip(gamma, dy, x, strict=True))
        for i in range(n):
            dgamma[i] += dy[i] * x[i] / r
        return [g * d / r - v * dot / (n * r**3) for g, d, v in zip(gamma, dy, x, strict=True)]

    return of_row(dy.tolist(), x.tolist()), dgamma


RIGHT = [by_xhat, by_r_cubed, by_rstd, by_jacobian, by_complex_step, in_plain_lists]


SLOW = {by_jacobian, by_complex_step}
FEW = [(3,), (2, 3), (5, 7), (2, 2, 4), (0, 8), (37, 7)]


@pytest.mark.parametrize("backward", RIGHT)
def test_a_right_backward_passes_however_it_is_written(backward):
    report = check_backward(backward, shapes=FEW if backward in SLOW else None)
    assert report.ok, str(report)
    assert not report.diagnosis
    assert "right in all" in str(report)


@pytest.mark.parametrize("backward", [by_xhat, by_r_cubed, by_rstd])
def test_a_right_backward_in_float32_passes_when_float32_is_asked_for(backward):
    assert_backward(backward, dtype="float32")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("backward", [by_xhat, by_r_cubed, by_rstd])
def test_half_precision_with_float32_statistics_passes(backward, dtype):
    def with_casts(dy, x, gamma, eps):
        results = backward(*(v.astype(np.float32) for v in (dy, x, gamma)), eps)
        return tuple(rounded(v, dtype) for v in results)

    assert_backward(with_casts, dtype=dtype)


class Gradients(NamedTuple):
    dx: Any
    dgamma: Any


def odd_sides(dy, x, gamma, eps):
    """Fortran order, a column of results, a subclass of tuple, float128 inside."""
    dy, x, gamma = (v.astype(np.longdouble) for v in (dy, x, gamma))
    dx, dgamma = by_xhat(dy, x, gamma, eps)
    return Gradients(np.asfortranarray(dx), dgamma[::-1][::-1])


class WithBuffers:
    """Give out the same memory at every call, as kernels do."""

    def __init__(self):
        self.memory = np.empty(20_000)

    def __call__(self, dy, x, gamma, eps):
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        self.memory[: x.size] = dx.ravel()
        self.memory[-gamma.size :] = dgamma
        return self.memory[: x.size].reshape(x.shape), self.memory[-gamma.size :]


def scaled_by_the_largest(dy, x, gamma, eps):
    m = np.maximum(abs(x).max(-1, keepdims=True), eps**0.5)
    m[m == 0] = 1
    u = x / m
    s = np.sqrt(np.mean(u * u, axis=-1, keepdims=True) + eps / m**2)
    xhat, v = u / s, gamma * dy
    return (v - xhat * np.mean(v * xhat, axis=-1, keepdims=True)) / s / m, rows(dy * xhat)


def by_projection(dy, x, gamma, eps):
    """Split dy along x and across it: eigenvalues eps/r**3 and 1/r."""
    v, square = gamma * dy, np.sum(x * x, axis=-1, keepdims=True)
    r = np.sqrt(square / x.shape[-1] + eps)
    along = (
        np.where(square > 0, np.sum(v * x, -1, keepdims=True) / np.where(square, square, 1), 0) * x
    )
    return (v - along) / r + along * eps / r**3, rows(dy * x / r)


def in_a_list_with_a_dict_of_state(dy, x, gamma, eps):
    state = {}
    state["dx"], state["dgamma"] = by_rstd(dy, x, gamma, eps)
    return list(state.values())


@pytest.mark.parametrize(
    "backward",
    [
        odd_sides,
        WithBuffers(),
        scaled_by_the_largest,
        by_projection,
        in_a_list_with_a_dict_of_state,
    ],
)
def test_an_odd_but_right_backward_passes(backward):
    assert_backward(backward)


def rms_of(x, eps):
    return np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)


def finished(dy, x, gamma, rstd):
    xhat, v = x * rstd, gamma * dy
    return (v - xhat * np.mean(v * xhat, axis=-1, keepdims=True)) * rstd, rows(dy * xhat)


def shuffled_sums(dy, x, gamma, eps):
    order = np.random.default_rng(x.size).permutation(x.shape[-1])
    square = np.cumsum((x * x)[..., order], axis=-1)[..., -1:] / x.dtype.type(x.shape[-1])
    rstd = 1 / np.sqrt(square + x.dtype.type(eps))
    dot = np.cumsum((gamma * dy * x)[..., order], axis=-1)[..., -1:] / x.dtype.type(x.shape[-1])
    return rstd * (gamma * dy - x * rstd * rstd * dot), rows(dy * x * rstd)


def by_power(exponent):
    def backward(dy, x, gamma, eps):
        square = np.mean(x * x, axis=-1, keepdims=True) + x.dtype.type(eps)
        return finished(dy, x, gamma, square ** x.dtype.type(exponent))

    return backward


def off_by(ulps):
    def backward(dy, x, gamma, eps):
        rstd = 1 / rms_of(x, x.dtype.type(eps))
        return finished(dy, x, gamma, rstd * (1 + ulps * np.finfo(x.dtype).eps))

    return backward


def by_newton(dy, x, gamma, eps):
    square = np.mean(x * x, axis=-1, keepdims=True) + x.dtype.type(eps)
    rstd = (1 / np.sqrt(square.astype("f8"))).astype("f4").astype(x.dtype)
    half = x.dtype.type(0.5)
    for _ in range(2):
        rstd = rstd * (x.dtype.type(1.5) - half * square * rstd * rstd)
    return finished(dy, x, gamma, rstd)


def in_blocks(dy, x, gamma, eps):
    n, block = x.shape[-1], 256
    parts = [np.sum(x[..., at : at + block] ** 2, -1, keepdims=True) for at in range(0, n, block)]
    rstd = 1 / np.sqrt(sum(parts[1:], parts[0]) / x.dtype.type(n) + x.dtype.type(eps))
    dx, _ = finished(dy, x, gamma, rstd)
    flat = (dy * x * rstd).reshape(-1, n)
    programs = [flat[at::132].sum(0, dtype=x.dtype) for at in range(132)]
    return dx, np.sum(programs, axis=0, dtype=x.dtype)


def row_after_row(dy, x, gamma, eps):
    _, dgamma = finished(dy, x, gamma, 1 / rms_of(x, x.dtype.type(eps)))
    total = np.zeros_like(gamma)
    for row in (dy * x / rms_of(x, x.dtype.type(eps))).reshape(-1, gamma.size):
        total = total + row
    assert total.shape == dgamma.shape
    return by_r_cubed(dy, x, gamma, eps)[0], total


def mean_by_dot(dy, x, gamma, eps):
    ones = np.full(x.shape[-1], 1 / x.shape[-1], dtype=x.dtype)
    square = ((x * x) @ ones)[..., None]
    rstd = 1 / np.sqrt(square + x.dtype.type(eps))
    xhat, v = x * rstd, gamma * dy
    return (v - xhat * ((v * xhat) @ ones)[..., None]) * rstd, rows(dy * xhat)


def divided_late(dy, x, gamma, eps):
    n, r = x.dtype.type(x.shape[-1]), rms_of(x, x.dtype.type(eps))
    return (gamma * dy * r * r * n - x * np.sum(gamma * dy * x, -1, keepdims=True)) / (
        n * r * r * r
    ), rows(dy * x / r)


VARIANTS = {
    "xhat": by_xhat,
    "r cubed": by_r_cubed,
    "rstd": by_rstd,
    "power -1/2": by_power(-0.5),
    "sums in a random order": shuffled_sums,
    "a root off by 2 ulp": off_by(2),
    "a root off by 4 ulp": off_by(4),
    "a root off by -4 ulp": off_by(-4),
    "Newton": by_newton,
    "blocks of 256, 132 programs": in_blocks,
    "row after row": row_after_row,
    "rows scaled": scaled_by_the_largest,
    "means by products": mean_by_dot,
    "divided late": divided_late,
    "projection": by_projection,
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_right_variant_is_never_flagged(name, dtype):
    report = check_backward(VARIANTS[name], dtype=dtype)
    assert report.ok, str(report)


def test_a_kernel_with_approximate_instructions_asks_for_a_tolerance():
    rough = off_by(200)
    assert not check_backward(rough, dtype="float32").ok
    assert_backward(rough, dtype="float32", tolerance=100)


def in_tf32(values):
    """Round to the 11 digits that tensor cores keep of a float32."""
    bits = values.view(np.uint32).astype(np.uint64) + 0xFFF + ((values.view(np.uint32) >> 13) & 1)
    return (bits & 0xFFFFE000).astype(np.uint32).view(np.float32)


def test_a_kernel_with_products_in_tf32_asks_for_a_tolerance():
    def backward(dy, x, gamma, eps):
        rstd = 1 / rms_of(x, np.float32(eps))
        xhat, v = x * rstd, gamma * dy
        dot = np.mean(in_tf32(v) * in_tf32(xhat), axis=-1, keepdims=True)
        return (v - xhat * dot) * rstd, rows(in_tf32(dy) * in_tf32(xhat))

    assert not check_backward(backward, dtype="float32", shapes=FEW).ok
    assert_backward(backward, dtype="float32", shapes=FEW, tolerance=1000)
