"""A sum in half precision is seen, one in float32 is not flagged."""

import numpy as np
import pytest

from rmsnorm_math.verify import check_backward
from rmsnorm_math.verify.sampling import rounded

SHAPES = [(5, 7), (2, 1024), (2, 2048), (300, 3), (1500, 4)]


def summed(dtype):
    """Return a sum over the last axis, one number after another, rounded each time."""

    def total(values):
        found = np.zeros(values.shape[:-1], np.float32)
        for at in range(values.shape[-1]):
            found = rounded(found + values[..., at], dtype)
        return found[..., None]

    return total


def in_float32(values):
    return values.sum(-1, keepdims=True, dtype=np.float32)


def backward(dtype, square=in_float32, dot=in_float32, rows=in_float32):
    """Make a backward pass with the sums of squares, of products and over the rows as given."""

    def of(dy, x, gamma, eps):
        dy, x, gamma = (v.astype(np.float32) for v in (dy, x, gamma))
        n = np.float32(x.shape[-1])
        rstd = 1 / np.sqrt(square(x * x) / n + np.float32(eps))
        xhat, v = x * rstd, gamma * dy
        dx = (v - xhat * dot(v * xhat) / n) * rstd
        dgamma = rows((dy * xhat).reshape(-1, gamma.size).T)[:, 0]
        return rounded(dx, dtype), rounded(dgamma, dtype)

    return of


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_in_float32_pass(dtype):
    report = check_backward(backward(dtype), dtype=dtype, shapes=SHAPES)
    assert report.ok, str(report)


@pytest.mark.parametrize("which", ["square", "dot", "rows"])
def test_a_sum_in_bfloat16_is_found(which):
    half = backward("bfloat16", **{which: summed("bfloat16")})
    problems = check_backward(half, dtype="bfloat16", shapes=SHAPES).problems
    output = "dgamma" if which == "rows" else "dx"
    assert any(problem.startswith(f"{output} is wrong") for problem in problems), problems


def test_a_sum_over_many_rows_in_float16_is_found():
    half = backward("float16", rows=summed("float16"))
    assert not check_backward(half, dtype="float16", shapes=SHAPES).ok
