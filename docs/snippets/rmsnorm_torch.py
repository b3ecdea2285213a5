# SPDX-License-Identifier: MIT-0
"""RMSNorm for PyTorch with a closed-form backward pass; RMSNorm drops in for torch.nn.RMSNorm.

Saves x, gamma and one reciprocal rms a row, and nothing else. Statistics are float32, or float64
for float64 input. Can be differentiated twice. A row of zeros has no gradient at eps = 0: it gives
NaN.
"""

import math

import torch

BLOCK = 2**19  # elements worked on at a time on a CPU: a few such tensors fit into its cache


class RMSNorm(torch.nn.RMSNorm):
    def forward(self, x):
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)


def rms_norm(x, normalized_shape, weight=None, eps=None):
    """Return what torch.nn.functional.rms_norm returns, with the same arguments."""
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape or not x.is_floating_point():
        wanted = ", ".join(map(str, ("...", *shape)))
        raise ValueError(
            f"x must be floating-point of shape ({wanted}), not {x.dtype} {tuple(x.shape)}"
        )
    if weight is not None and weight.shape != shape:
        raise ValueError(f"weight must have the shape {shape}, not {tuple(weight.shape)}")
    return _RMSNorm.apply(x, weight, eps, math.prod(shape))


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, eps, n):
        rows, kind = x.reshape(-1, n), torch.promote_types(x.dtype, torch.float32)
        weight = 1 if gamma is None else gamma.reshape(n).to(kind)
        eps = torch.finfo(kind).eps if eps is None else eps
        if rows.is_cpu and rows.numel() > BLOCK:
            y, rstd = torch.empty_like(rows), rows.new_empty((len(rows), 1), dtype=kind)
            for x_rows, rstd_rows, y_rows, (_, xhat) in _blocks(kind, rows, rstd, y):
                rstd_rows.copy_(reciprocal_rms(x_rows.to(kind), eps))
                torch.mul(torch.mul(x_rows, rstd_rows, out=xhat), weight, out=y_rows)
        else:
            rstd = reciprocal_rms(rows.to(kind), eps)
            y = (rows * rstd * weight).to(x.dtype)
        ctx.save_for_backward(x, gamma, rstd)
        ctx.eps, ctx.n = eps, n
        return y.view(x.shape)

    @staticmethod
    def backward(ctx, dy):
        x, gamma, rstd = ctx.saved_tensors
        n, kind, again = ctx.n, rstd.dtype, torch.is_grad_enabled()
        dy, rows = dy.reshape(-1, n), x.reshape(-1, n)
        weight = rows.new_ones(n, dtype=kind) if gamma is None else gamma.reshape(n).to(kind)
        if again:  # a second derivative is asked for, which needs rstd as a function of x
            rstd = reciprocal_rms(rows.to(kind), ctx.eps)
        if rows.is_cpu and rows.numel() > BLOCK and not again:
            dx, dgamma = torch.empty_like(rows), torch.zeros_like(weight)
            for dy_rows, x_rows, rstd_rows, out, scratch in _blocks(kind, dy, rows, rstd, dx):
                dgamma += gradients(dy_rows, x_rows, weight, rstd_rows, out, scratch)[1]
        else:
            dx, dgamma = gradients(dy, rows, weight, rstd)
        dgamma = None if gamma is None else dgamma.view(gamma.shape).to(gamma.dtype)
        return dx.view(x.shape).to(x.dtype), dgamma, None, None


def gradients(dy, x, gamma, rstd, out=None, scratch=(None, None)):
    xhat = torch.mul(rstd, x, out=scratch[0])
    product = torch.mul(dy, xhat, out=scratch[1])
    dot, dgamma = (product @ gamma).unsqueeze(-1) / x.shape[-1], product.sum(0)
    dx = torch.mul(dy, gamma, out=scratch[1])
    dx = torch.addcmul(dx, dot, xhat, value=-1, out=scratch[1])
    return torch.mul(dx, rstd, out=out), dgamma


def reciprocal_rms(x, eps):
    n, norm = x.shape[-1], torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    safe = (1e-12 * n**0.5, 1e12 * n**0.5)
    if x.is_cpu and len(x):  # elsewhere, to look would mean to wait for the device
        low, high = norm.aminmax()
        if low.item() > safe[0] and high.item() < safe[1]:
            return torch.rsqrt(norm * norm / n + eps)
    # Squares of these rows leave the range of float32: divide them by their largest element first.
    scale = x.detach().abs().amax(dim=-1, keepdim=True).clamp(min=math.sqrt(eps))
    scale = torch.where((norm > safe[0]) & (norm < safe[1]), 1, scale)
    mean_square = torch.mean((x / scale) ** 2, dim=-1, keepdim=True)
    return torch.rsqrt(mean_square + eps / scale / scale) / scale


def _blocks(kind, *tensors):
    rows, n = tensors[0].shape
    step = max(1, BLOCK // n)
    scratch = torch.empty(2, min(rows, step), n, dtype=kind)
    for parts in zip(*(t.split(step) for t in tensors), strict=True):
        first, second = scratch[:, : len(parts[0])]
        result = parts[-1]  # can hold what leads to it, unless it is of half precision
        yield *parts, (first, result if result.dtype == kind else second)
