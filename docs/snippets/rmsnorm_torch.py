# SPDX-License-Identifier: MIT-0
"""RMSNorm for PyTorch with a closed-form backward pass.

RMSNorm drops in for torch.nn.RMSNorm. For a CPU: there it saves x, gamma and
one reciprocal rms a row, takes statistics in float32, or float64 for float64
input, and is right from 1e-30 to 1e20 in float32. Other devices, complex
numbers and what PyTorch refuses go to torch.nn.functional.rms_norm. A row of
zeros has no gradient at eps = 0: it gives NaN. For Python 3.11 and PyTorch 2.4,
or later ones.
"""

import math

import torch
from torch.autograd.forward_ad import unpack_dual

BLOCK = 2**19  # elements worked on at a time: a few such tensors fit in a cache
LAYOUT = torch.contiguous_format
PIECE = 2**12  # elements of a row whose sum may be in float32, in any order


torch.fx.wrap("rms_norm")  # one call, as PyTorch's own is


class RMSNorm(torch.nn.RMSNorm):
    def forward(self, x):
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)


def rms_norm(input, normalized_shape, weight=None, eps=None):  # noqa: A002
    """Return what torch.nn.functional.rms_norm returns for these arguments."""
    shape = torch.Size(normalized_shape)
    given = (input,) if weight is None else (input, weight)
    ours = len(shape) > 0 and 0 not in shape
    for t in given:
        ours = ours and t.is_cpu and t.is_floating_point() and not t.is_nested
        ours = ours and t.shape[-len(shape) :] == shape
    if not ours or (weight is not None and weight.ndim > len(shape)):
        theirs = torch.nn.functional.rms_norm
        return theirs(input, normalized_shape, weight, eps)
    kind = torch.promote_types(input.dtype, torch.float32)
    eps = torch.finfo(kind).eps if eps is None else float(eps)
    if plain(*given) and input.numel():
        return _RMSNorm.apply(input, weight, (shape, eps, kind))
    return composed(input, weight, shape, eps, kind)


def plain(*tensors):
    """Return whether nothing traces, transforms or differentiates these."""
    mere = torch.Tensor, torch.nn.Parameter
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or any(type(t) not in mere for t in tensors)
        or any(torch._C._functorch.is_legacy_batchedtensor(t) for t in tensors)
        or (torch.is_grad_enabled() and any(t.is_inference() for t in tensors))
        or any(unpack_dual(t).tangent is not None for t in tensors)
    )


def composed(x, gamma, shape, eps, kind):
    """Return y by what PyTorch can trace, transform and differentiate."""
    axes, xhat = tuple(range(-len(shape), 0)), x.to(kind)
    scale = largest(xhat, axes, eps)
    xhat = xhat / scale  # y does not depend on the scale
    mean_square = (xhat * xhat).mean(axes, keepdim=True)
    y = xhat * torch.rsqrt(mean_square + eps / scale / scale)
    return (y if gamma is None else y * gamma.to(kind)).to(x.dtype).contiguous()


def largest(x, axes, eps):
    """Return what to divide a row by, so that its squares are in the range."""
    scale = x.detach().abs().amax(axes, keepdim=True)
    scale = scale.clamp(min=math.sqrt(abs(eps)))
    return torch.where(scale < math.inf, scale, 1)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, rest):
        (shape, eps, kind), y = rest, torch.empty_like(x, memory_format=LAYOUT)
        n = math.prod(shape)
        weight = None if gamma is None else wide(gamma.flatten(), kind)
        rows, result = matrix(x, n), matrix(y, n)
        rstd = x.new_empty((len(rows), 1), dtype=kind)
        for *parts, (xhat, _) in blocks(kind, rows, rstd, result):
            x_rows, rstd_rows, y_rows = parts
            rstd_rows.copy_(reciprocal_rms(wide(x_rows, kind), eps))
            if weight is None:
                torch.mul(x_rows, rstd_rows, out=y_rows)
            else:
                xhat = y_rows if y_rows.dtype == kind else xhat
                xhat = torch.mul(x_rows, rstd_rows, out=xhat)
                torch.mul(xhat, weight, out=y_rows)
        ctx.save_for_backward(x, gamma, rstd)
        ctx.rest = rest
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, rstd = ctx.saved_tensors
        shape, _, kind = ctx.rest
        # A second derivative, or many at once?
        if torch.is_grad_enabled() or not plain(dy):

            def f(x, gamma=None):
                return composed(x, gamma, *ctx.rest)

            given = (x,) if gamma is None else (x, gamma)
            found = torch.func.vjp(f, *given)[1](dy)
            return *found, *(None,) * (3 - len(found))
        n, (wants_x, wants_gamma) = math.prod(shape), ctx.needs_input_grad[:2]
        weight = None if gamma is None else wide(gamma.flatten(), kind)
        dx = torch.empty_like(x, memory_format=LAYOUT) if wants_x else None
        out, dgamma = rstd if dx is None else matrix(dx, n), None
        rows = matrix(dy, n), matrix(x, n), rstd, out
        for *row, out, scratch in blocks(kind, *rows):
            out = None if dx is None else out
            part = gradients(*row, weight, out, wants_gamma, scratch)
            dgamma = part if dgamma is None else dgamma.double().add_(part)
        if wants_gamma:
            dgamma = wide(dgamma.view(shape), gamma.dtype)
        return dx, dgamma, None


def gradients(dy, x, rstd, gamma, dx, wants_gamma, scratch):
    """Write dx, unless it is None, and return what dgamma has of these rows."""
    n, folded = x.shape[-1], not wants_gamma and moderate(dy, x, rstd)
    # folded: rstd is multiplied into dot
    xhat = x if folded else torch.mul(rstd, x, out=scratch[0])
    room = scratch[1] if dx is None or dx.dtype != rstd.dtype else dx
    product = torch.mul(dy, xhat, out=room)
    dgamma = product.sum(0) if wants_gamma else None
    if dx is not None:
        if gamma is None:
            dot = product.sum(-1, keepdim=True)
        else:
            dot = pieces(row_dots, product, gamma).unsqueeze(-1)
        dot = dot * (rstd * rstd) if folded else dot
        v = dy if gamma is None else torch.mul(dy, gamma, out=room)
        v = torch.addcmul(v, dot, xhat, value=-1 / n, out=room)
        torch.mul(v, rstd, out=dx)
    return dgamma


def moderate(dy, x, rstd):
    """Return whether dy * x stays within the range, as dy * xhat does."""
    if x.dtype != rstd.dtype or dy.dtype != rstd.dtype or x.numel() < PIECE:
        return False
    (low, high), (least, most) = rstd.aminmax(), dy.aminmax()
    inside = low.item() > 1e-3 and high.item() < 1e3
    return inside and max(-least.item(), most.item()) < 1e30


def pieces(f, *rows):
    """Return the sum of what f gives for pieces of the rows."""
    if rows[0].shape[-1] <= PIECE:
        return f(*rows)
    parts = zip(*(t.split(PIECE, -1) for t in rows), strict=True)
    return torch.stack([f(*part) for part in parts]).sum(0)


def row_dots(a, b):  # with out=, autocast keeps away from it
    return torch.mv(a, b, out=a.new_empty(len(a)))


def row_squares(x):
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()


def wide(t, kind):
    return t if t.dtype == kind else t.to(kind)


def matrix(t, n):
    return t if t.shape[1:] == (n,) else t.reshape(-1, n)


def reciprocal_rms(x, eps):
    n, total = x.shape[-1], pieces(row_squares, x)
    low, high = total.aminmax()
    if low.item() > 1e-24 * n and high.item() < 1e24 * n:
        return total.div_(n).add_(eps).rsqrt_()
    scale = largest(x, -1, eps)
    mean_square = torch.mean((x / scale) ** 2, dim=-1, keepdim=True)
    return torch.rsqrt(mean_square + eps / scale / scale) / scale


def blocks(kind, *tensors):
    """Yield some rows of each at a time, and room for two results of theirs."""
    rows, n = tensors[0].shape
    if rows * n <= BLOCK:
        yield *tensors, (None, None)
        return
    step = max(1, BLOCK // n)
    scratch = tensors[0].new_empty((2, min(rows, step), n), dtype=kind)
    for parts in zip(*(t.split(step) for t in tensors), strict=True):
        yield *parts, scratch[:, : len(parts[0])]
