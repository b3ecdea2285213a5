"""A kernel in Triton that takes rstd, checked, as docs/check-your-own.md shows it."""

import os

os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported: it runs on a CPU

import torch
import triton
import triton.language as tl
from sympy import IndexedBase

from rmsnorm_math import rms, rmsnorm, vjp
from rmsnorm_math.notation import b, gamma, i, j, m, x, ybar
from rmsnorm_math.verify import assert_right


@triton.jit
def kernel(dy, x, weight, rstd, dx, n, SIZE: tl.constexpr):  # your own kernel here
    row = tl.program_id(0)
    at = tl.arange(0, SIZE)
    inside = at < n
    dy_row = tl.load(dy + row * n + at, mask=inside, other=0.0)
    x_row = tl.load(x + row * n + at, mask=inside, other=0.0)
    scale = tl.load(rstd + row)
    v = dy_row * tl.load(weight + at, mask=inside, other=0.0)
    xhat = x_row * scale
    mean = tl.sum(v * xhat, axis=0) / n
    tl.store(dx + row * n + at, (v - xhat * mean) * scale, mask=inside)


def backward(dy, x, weight, rstd):
    dy, x, weight, rstd = (torch.from_numpy(v).contiguous() for v in (dy, x, weight, rstd))
    dx = torch.empty_like(x)
    n = x.shape[-1]
    if rstd.numel():
        size = triton.next_power_of_2(n)
        kernel[(rstd.numel(),)](dy, x, weight, rstd, dx, n, SIZE=size)
    return dx


def test_kernel():
    rstd = IndexedBase("rstd")
    outputs = {"dx": vjp(rmsnorm(b), x[b, j], ybar[b, i], {b: (1, m)})}
    arguments = {ybar: "dy", x: "x", gamma: "weight", rstd[b]: "rstd"}
    assert_right(
        backward,
        outputs,
        arguments,
        {rstd[b]: 1 / rms(b)},
        dtype="float32",
        shapes=[(0, 8), (1, 1), (3, 5), (4, 64), (2, 3, 8), (2, 1030), (40, 16)],
    )
