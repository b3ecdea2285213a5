# SPDX-License-Identifier: MIT-0
"""RMSNorm for PyTorch with a closed-form backward pass; RMSNorm drops in for torch.nn.RMSNorm.

Saves x, gamma and one reciprocal rms a row, and nothing else. Statistics are float32, or float64
for float64 input. Can be differentiated twice. A row of zeros has no gradient at eps = 0: it gives
NaN.
"""

import math

import torch

BLOCK = 2**18  # elements worked on at a time on a CPU: a few such tensors fit into its cache


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
    eps = torch.finfo(torch.promote_types(x.dtype, torch.float32)).eps if eps is None else eps
    return _RMSNorm.apply(x, weight, eps, math.prod(shape))


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, eps, n):
        kind = torch.promote_types(x.dtype, torch.float32)
        weight = 1 if gamma is None else gamma.to(kind).reshape(n)
        y, rstd = x.new_empty(x.shape), x.new_empty(x.numel() // n, 1, dtype=kind)
        for x_rows, y_rows, rstd_rows in _blocks(x.reshape(-1, n), y.view(-1, n), rstd):
            x_rows = x_rows.to(kind)
            rstd_rows.copy_(reciprocal_rms(x_rows, eps))
            torch.mul(x_rows * rstd_rows, weight, out=y_rows)
        ctx.save_for_backward(x, gamma, rstd)
        ctx.eps, ctx.n = eps, n
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, rstd = ctx.saved_tensors
        kind, n = rstd.dtype, ctx.n
        weight = x.new_ones(n, dtype=kind) if gamma is None else gamma.to(kind).reshape(n)
        x_all, dy_all = x.reshape(-1, n), dy.reshape(-1, n)
        if (
            torch.is_grad_enabled()
        ):  # a second derivative is asked for, which needs rstd as a function of x
            x_all = x_all.to(kind)
            dx, dgamma = gradients(dy_all.to(kind), x_all, weight, reciprocal_rms(x_all, ctx.eps))
        else:
            dx, dgamma = x.new_empty(x_all.shape), torch.zeros_like(weight)
            for dy_rows, x_rows, rstd_rows, dx_rows in _blocks(dy_all, x_all, rstd, dx):
                dgamma += gradients(
                    dy_rows.to(kind), x_rows.to(kind), weight, rstd_rows, out=dx_rows
                )[1]
        dgamma = None if gamma is None else dgamma.view(gamma.shape).to(gamma.dtype)
        return dx.view(x.shape).to(x.dtype), dgamma, None, None


def gradients(dy, x, gamma, rstd, out=None):
    xhat = rstd * x
    product = dy * xhat
    dot = (product @ gamma).unsqueeze(-1) / x.shape[-1]
    dx = torch.mul(torch.addcmul(dy * gamma, dot, xhat, value=-1), rstd, out=out)
    dgamma = product.sum(0)
    return dx, dgamma


def reciprocal_rms(x, eps):
    mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True) ** 2 / x.shape[-1]
    if x.is_cpu:  # elsewhere, to look would mean to wait for the device
        low, high = mean_square.aminmax()
        if low.item() > 1e-24 and high.item() < 1e24:
            return torch.rsqrt(mean_square + eps)
    safe = (mean_square > 1e-24) & (mean_square < 1e24)
    # Squares of these rows leave the range of float32: divide them by their largest element first.
    scale = x.detach().abs().amax(dim=-1, keepdim=True).clamp(min=math.sqrt(eps))
    scale = torch.where(safe, 1, scale)
    return (
        torch.rsqrt(torch.mean((x / scale) ** 2, dim=-1, keepdim=True) + eps / scale / scale)
        / scale
    )


def _blocks(*tensors):
    rows, n = tensors[0].shape
    step = max(1, BLOCK // max(1, n))
    if rows <= step or not tensors[0].is_cpu:
        return [tensors] if rows else []
    return zip(*(t.split(step) for t in tensors), strict=True)
