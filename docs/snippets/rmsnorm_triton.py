# SPDX-License-Identifier: MIT-0
"""RMSNorm for PyTorch on a GPU, fused with Triton; RMSNorm drops in for torch.nn.RMSNorm.

Saves x, gamma and one reciprocal rms a row. Statistics are float32, or float64 for float64 input.
What multiplies is gamma + offset. Any strides, no rows, more than 2**31 elements, and rows of any
length: one longer than WIDEST is read twice. dgamma is added up in the same order at every run.
Goes through torch.compile and CUDA graphs, and can be differentiated twice. A row of zeros has no
gradient at eps = 0: it gives NaN. For Python 3.11 and PyTorch 2.6, or later ones.
"""

import functools
import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import triton_op, wrap_triton

WIDEST = 16384  # columns that one program holds in its registers


class RMSNorm(torch.nn.RMSNorm):
    """With a residual, forward returns rms_norm(x + residual), and x + residual."""

    def __init__(self, *args, offset=0.0, **options):
        super().__init__(*args, **options)
        self.offset = offset
        if self.weight is not None and offset:
            torch.nn.init.constant_(self.weight, 1 - offset)

    def forward(self, x, residual=None):
        if residual is None:
            return rms_norm(x, self.normalized_shape, self.weight, self.eps, self.offset)
        return add_rms_norm(x, residual, self.normalized_shape, self.weight, self.eps, self.offset)


def rms_norm(x, normalized_shape, weight=None, eps=None, offset=0.0):
    """Return what torch.nn.functional.rms_norm returns for weight + offset."""
    n, eps = _checked(x, x, tuple(normalized_shape), weight, eps)
    run = _Direct.apply if _plain(x, weight) else _norm
    return run(x, weight, n, eps, offset)[0]


def add_rms_norm(x, residual, normalized_shape, weight=None, eps=None, offset=0.0):
    """Return rms_norm(x + residual, ...) in the type of x, and the sum, which has its gradient."""
    n, eps = _checked(x, residual, tuple(normalized_shape), weight, eps)
    run = _Direct.apply if _plain(x, residual, weight) else _add_norm
    return run(x, residual, weight, n, eps, offset)[:2]


def _checked(x, residual, shape, weight, eps):
    if not shape or x.shape[-len(shape) :] != shape or not x.is_floating_point():
        wanted = ", ".join(map(str, ("...", *shape)))
        raise ValueError(
            f"x must be floating-point of shape ({wanted}), not {x.dtype} {tuple(x.shape)}"
        )
    if residual.shape != x.shape:
        raise ValueError(
            f"residual must have the shape {tuple(x.shape)}, not {tuple(residual.shape)}"
        )
    if weight is not None and weight.shape != shape:
        raise ValueError(f"weight must have the shape {shape}, not {tuple(weight.shape)}")
    if x.is_cpu and isinstance(_forward, triton.JITFunction):
        raise ValueError("x is on a CPU, and these kernels are for a GPU: take rmsnorm_torch.py")
    kind = _kind(torch.promote_types(x.dtype, residual.dtype))
    return math.prod(shape), torch.finfo(kind).eps if eps is None else float(eps)


def _plain(*tensors):
    """Return whether nothing traces or transforms: then PyTorch's dispatcher can be left out."""
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or any(type(t) not in (Tensor, torch.nn.Parameter, type(None)) for t in tensors)
        or any(torch._C._functorch.is_legacy_batchedtensor(t) for t in tensors if t is not None)
    )


@triton.jit
def offsets(row, col, row_stride, col_stride):
    """Return where a tile's elements are, in 64 bits: a tensor may have more than 2**31."""
    return row.to(tl.int64)[:, None] * row_stride + col.to(tl.int64)[None, :] * col_stride


@triton.jit
def load(pointer, row, col, row_stride, col_stride, inside, kind: tl.constexpr):
    return tl.load(pointer + offsets(row, col, row_stride, col_stride), inside, 0.0).to(kind)


@triton.jit
def store(pointer, value, row, col, n, inside):
    place = pointer + offsets(row, col, n, 1)
    tl.store(place, value.to(pointer.dtype.element_ty), inside)


@triton.jit
def add(x, X2, SUM, row, col, row_stride, col_stride, inside):
    """Return x, or its sum with the residual as it is rounded and kept."""
    if X2 is None:
        return x
    else:
        total = x + load(X2, row, col, row_stride, col_stride, inside, x.dtype)
        return total.to(SUM.dtype.element_ty).to(x.dtype)


@triton.jit
def weight(GAMMA, col, n, offset: tl.constexpr, kind: tl.constexpr):
    if GAMMA is None:
        return tl.full([1, 1], 1.0 + offset, kind)
    else:
        return tl.load(GAMMA + col, col < n, 0.0).to(kind)[None, :] + offset


@triton.jit
def power_of_2(x):
    """Return the power of 2 at or below x > 0, kept from the ends, and its reciprocal: exactly."""
    if x.dtype == tl.float32:
        bits = x.to(tl.int32, bitcast=True) & 0x7F800000
        bits = tl.minimum(tl.maximum(bits, 0x00800000), 0x7E800000)
        over = 0x7F000000 - bits
    else:
        bits = x.to(tl.int64, bitcast=True) & 0x7FF0000000000000
        bits = tl.minimum(tl.maximum(bits, 0x0010000000000000), 0x7FD0000000000000)
        over = 0x7FE0000000000000 - bits
    return bits.to(x.dtype, bitcast=True), over.to(x.dtype, bitcast=True)


@triton.jit
def add_squares(x, total, scale):
    """Add to a sum of squares, kept divided by a scale near the largest: it never overflows."""
    new, over = power_of_2(tl.maximum(scale, tl.max(tl.abs(x), 1)))
    z, less = x * over[:, None], scale * over
    return total * less * less + tl.sum(z * z, 1), new


@triton.jit
def _forward(
    X, X2, GAMMA, Y, SUM, RSTD, rows, n, x_row, x_col, x2_row, x2_col,
    EPS: tl.constexpr, FLOOR: tl.constexpr, OFFSET: tl.constexpr,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    kind: tl.constexpr = RSTD.dtype.element_ty
    row, col = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (col < n)[None, :]
    x = load(X, row, col, x_row, x_col, inside, kind)
    x = add(x, X2, SUM, row, col, x2_row, x2_col, inside)
    floor = power_of_2(tl.full([BLOCK], FLOOR, kind))[0]
    total, scale = add_squares(x, tl.zeros([BLOCK], kind), floor)
    if WIDE:
        for start in range(COLUMNS, n, COLUMNS):
            at = start + col
            within = (row < rows)[:, None] & (at < n)[None, :]
            part = load(X, row, at, x_row, x_col, within, kind)
            part = add(part, X2, SUM, row, at, x2_row, x2_col, within)
            total, scale = add_squares(part, total, scale)
    over = power_of_2(scale)[1]
    rstd = tl.rsqrt(total / n + EPS * over * over) * over
    tl.store(RSTD + row, rstd, row < rows)
    if X2 is not None:
        store(SUM, x, row, col, n, inside)
    store(Y, weight(GAMMA, col, n, OFFSET, kind) * (x * rstd[:, None]), row, col, n, inside)
    if WIDE:
        for start in range(COLUMNS, n, COLUMNS):
            at = start + col
            within = (row < rows)[:, None] & (at < n)[None, :]
            part = load(X, row, at, x_row, x_col, within, kind)
            part = add(part, X2, SUM, row, at, x2_row, x2_col, within)
            if X2 is not None:
                store(SUM, part, row, at, n, within)
            y = weight(GAMMA, at, n, OFFSET, kind) * (part * rstd[:, None])
            store(Y, y, row, at, n, within)


@triton.jit
def _backward(
    DY, DSUM, X, GAMMA, RSTD, DX, PARTS, rows, n,
    dy_row, dy_col, dsum_row, dsum_col, x_row, x_col,
    OFFSET: tl.constexpr, BLOCK: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    kind: tl.constexpr = RSTD.dtype.element_ty
    col, first = tl.arange(0, COLUMNS), tl.program_id(0).to(tl.int64)
    programs = tl.num_programs(0)
    gamma = weight(GAMMA, col, n, OFFSET, kind)
    dgamma = tl.zeros([BLOCK, COLUMNS], kind)
    for tile in tl.range(first, tl.cdiv(rows, BLOCK), programs, num_stages=STAGES):
        row = tile * BLOCK + tl.arange(0, BLOCK)
        inside = (row < rows)[:, None] & (col < n)[None, :]
        dy = load(DY, row, col, dy_row, dy_col, inside, kind)
        x = load(X, row, col, x_row, x_col, inside, kind)
        rstd = tl.load(RSTD + row, row < rows, 0.0)[:, None]
        xhat = x * rstd
        product = dy * xhat
        dot = tl.sum(product * gamma, 1)[:, None] / n
        dx = rstd * (dy * gamma - dot * xhat)
        if DSUM is not None:
            dx += load(DSUM, row, col, dsum_row, dsum_col, inside, kind)
        store(DX, dx, row, col, n, inside)
        dgamma += product
    if PARTS is not None:
        tl.store(PARTS + first * n + col, tl.sum(dgamma, 0), col < n)


@triton.jit
def _backward_wide(
    DY, DSUM, X, GAMMA, RSTD, DX, PARTS, rows, n,
    dy_row, dy_col, dsum_row, dsum_col, x_row, x_col,
    OFFSET: tl.constexpr, BLOCK: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    kind: tl.constexpr = RSTD.dtype.element_ty
    first, programs = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    for tile in range(first, rows, programs):
        row = tile + tl.arange(0, 1)
        rstd = tl.load(RSTD + row)[:, None]
        dot = tl.zeros([1, COLUMNS], kind)
        for start in tl.range(0, n, COLUMNS, num_stages=STAGES):
            col = start + tl.arange(0, COLUMNS)
            inside = (col < n)[None, :]
            xhat = load(X, row, col, x_row, x_col, inside, kind) * rstd
            dy = load(DY, row, col, dy_row, dy_col, inside, kind)
            dot += dy * xhat * weight(GAMMA, col, n, OFFSET, kind)
        mean = tl.sum(dot, 1)[:, None] / n
        tl.debug_barrier()  # what the row before added to PARTS is read below
        for start in tl.range(0, n, COLUMNS, num_stages=STAGES):
            col = start + tl.arange(0, COLUMNS)
            inside = (col < n)[None, :]
            xhat = load(X, row, col, x_row, x_col, inside, kind) * rstd
            dy = load(DY, row, col, dy_row, dy_col, inside, kind)
            dx = rstd * (dy * weight(GAMMA, col, n, OFFSET, kind) - mean * xhat)
            if DSUM is not None:
                dx += load(DSUM, row, col, dsum_row, dsum_col, inside, kind)
            store(DX, dx, row, col, n, inside)
            if PARTS is not None:  # this program's own row, which the second-level cache holds
                place = PARTS + first * n + col[None, :]
                tl.store(place, tl.load(place, inside, 0.0) + dy * xhat, inside)


@triton.jit
def _add_parts(PARTS, DGAMMA, parts, n, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    col = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros([ROWS, COLUMNS], PARTS.dtype.element_ty)
    for start in range(0, parts, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < parts)[:, None] & (col < n)[None, :]
        total += tl.load(PARTS + offsets(row, col, n, 1), inside, 0.0)
    tl.store(DGAMMA + col, tl.sum(total, 0).to(DGAMMA.dtype.element_ty), col < n)


@triton_op("rmsnorm_triton::norm", mutates_args=())
def _norm(
    x: Tensor, gamma: Tensor | None, n: int, eps: float, offset: float
) -> tuple[Tensor, Tensor]:
    y, _, rstd = _run_forward(x, None, gamma, n, eps, offset, wrap_triton)
    return y, rstd


@triton_op("rmsnorm_triton::add_norm", mutates_args=())
def _add_norm(
    x: Tensor, residual: Tensor, gamma: Tensor | None, n: int, eps: float, offset: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _run_forward(x, residual, gamma, n, eps, offset, wrap_triton)


def _itself(kernel):
    return kernel


def _run_forward(x, residual, gamma, n, eps, offset, wrap=_itself):
    shape, given = x.shape, x.dtype
    if residual is not None:
        given = torch.promote_types(given, residual.dtype)
    y = x.new_empty(shape)
    total = None if residual is None else x.new_empty(shape, dtype=given)
    rstd = x.new_empty(x.numel() // max(n, 1), dtype=_kind(given))
    if x.numel():
        rows, (block, columns, warps, _) = len(rstd), _tile(len(rstd), n, x)
        x, residual = _rows(x, n), _rows(residual, n)
        floor = max(eps**0.5, torch.finfo(rstd.dtype).tiny)
        with torch.cuda.device_of(x):
            wrap(_forward)[(_pieces(rows, block),)](
                x, residual, _flat(gamma), y, total, rstd, rows, n,
                *_strides(x), *_strides(residual), eps, floor, offset,
                block, columns, n > columns, num_warps=warps,
            )  # fmt: skip
    return y, total, rstd


@triton_op("rmsnorm_triton::backward", mutates_args=())
def _gradients(
    dy: Tensor, dtotal: Tensor | None, x: Tensor, gamma: Tensor | None, rstd: Tensor,
    n: int, offset: float, wanted: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return _run_backward(dy, dtotal, x, gamma, rstd, n, offset, wanted, wrap_triton)


def _run_backward(dy, dtotal, x, gamma, rstd, n, offset, wanted, wrap=_itself):
    dx, rows = x.new_empty(x.shape), len(rstd)
    dgamma = gamma.new_empty(gamma.shape) if wanted else x.new_empty(0)
    if x.numel() == 0:
        dgamma.zero_()
    else:
        block, columns, warps, stages = _tile(rows, n, x)
        programs = min(_pieces(rows, block), _multiprocessors(x.device))
        make = rstd.new_zeros if n > columns else rstd.new_empty
        parts = make((programs, n)) if wanted else None
        dy, dtotal, x = _rows(dy, n), _rows(dtotal, n), _rows(x, n)
        kernel = _backward_wide if n > columns else _backward
        with torch.cuda.device_of(x):
            wrap(kernel)[(programs,)](
                dy, dtotal, x, _flat(gamma), rstd, dx, parts, rows, n,
                *_strides(dy), *_strides(dtotal), *_strides(x), offset,
                block, columns, stages, num_warps=warps,
            )  # fmt: skip
            if wanted:
                wrap(_add_parts)[(_pieces(n, 16),)](parts, dgamma, programs, n, 64, 16)
    return dx, dgamma


def _kind(dtype):
    return torch.promote_types(dtype, torch.float32)


def _rows(a, n):
    return a if a is None or (a.ndim == 2 and a.shape[1] == n) else a.reshape(-1, n)


def _pieces(length, size):
    return -(-length // size)


def _flat(gamma):
    return gamma if gamma is None else gamma.reshape(-1).contiguous()


def _strides(a):
    return (0, 0) if a is None else a.stride()


@functools.cache
def _multiprocessors(device):
    if device.type == "cpu":  # Triton's interpreter
        return 2
    return torch.get_device_module(device).get_device_properties(device).multi_processor_count


def _tile(rows, n, x):
    """Return rows and columns of a tile, the warps for it, and how many tiles are read ahead.

    Measured on an H100: tiles of 16 KiB, a warp for each 2 KiB, 64 KiB on the way.
    """
    columns = triton.next_power_of_2(n) if n <= WIDEST else min(WIDEST, 8192)
    row_size = columns * x.element_size()
    block = max(1, min(1024, 2**14 // row_size)) if n <= WIDEST else 1
    while block > 1 and rows < 2 * block * _multiprocessors(x.device):
        block //= 2
    size, loops = block * row_size, 1 if n <= WIDEST else 2
    warps = max(4, min(8 if size <= 2**16 else 16, size // 2**11))
    return block, columns, warps, min(3, 1 + 2**15 // (size * loops))


def _save(ctx, inputs, output):
    x, *residual, gamma, n, _, offset = inputs
    *_, kept, rstd = output if residual else (x, output[1])
    ctx.save_for_backward(kept, gamma, rstd)
    ctx.n, ctx.offset, ctx.types = n, offset, [a.dtype for a in (x, *residual)]
    ctx.mark_non_differentiable(rstd)
    ctx.set_materialize_grads(False)


def _norm_backward(ctx, dy, *dtotal, gradients=_gradients):
    x, gamma, rstd = ctx.saved_tensors
    wanted = gamma is not None and ctx.needs_input_grad[len(ctx.types)]
    dtotal = dtotal[0] if len(ctx.types) > 1 else None
    if dy is None:
        dx, dgamma = dtotal, None
    else:
        dx, dgamma = gradients(dy, dtotal, x, gamma, rstd, ctx.n, ctx.offset, wanted)
    dx = [None if dx is None else dx.to(kind) for kind in ctx.types]
    return *dx, dgamma if wanted else None, None, None, None


_norm.register_autograd(_norm_backward, setup_context=_save)
_add_norm.register_autograd(_norm_backward, setup_context=_save)


class _Direct(torch.autograd.Function):
    """_norm, or _add_norm, launched at once: the dispatcher takes longer than a small kernel."""

    @staticmethod
    def forward(ctx, *inputs):
        x, *residual, gamma, n, eps, offset = inputs
        y, *total, rstd = _run_forward(x, *(residual or [None]), gamma, n, eps, offset)
        output = (y, *total, rstd) if residual else (y, rstd)
        _save(ctx, inputs, output)
        return output

    @staticmethod
    def backward(ctx, *dys):
        if torch.is_grad_enabled() or not _plain(*dys):  # a second derivative, or many at once
            return _norm_backward(ctx, *dys)
        return _norm_backward(ctx, *dys, gradients=_run_backward)


def _save_second(ctx, inputs, output):
    dy, dtotal, x, gamma, rstd, ctx.n, ctx.offset, ctx.wanted = inputs
    ctx.save_for_backward(dy, x, gamma, rstd)
    ctx.added = dtotal is not None
    ctx.set_materialize_grads(False)


def _second(ctx, v, w):
    """Return the gradients of (v * dx).sum() + (w * dgamma).sum(), by PyTorch's own operations."""
    dy, x, gamma, rstd = given = ctx.saved_tensors
    kind = rstd.dtype
    dy, x, rstd = (a.reshape(len(rstd), -1).to(kind) for a in (dy, x, rstd))
    weight = ctx.offset + (1 if gamma is None else gamma.reshape(-1).to(kind))
    if torch.is_grad_enabled():  # a third derivative is asked for: rstd as a function of x
        square = x.square().mean(-1, keepdim=True)
        rstd = (rstd**-2 + square - square.detach()).rsqrt()
    g, xhat = dy * weight, x * rstd

    def mean(a, b):
        return (a * b).mean(-1, keepdim=True)

    def through(u):  # the Jacobian of xhat, which is symmetric
        return rstd * (u - xhat * mean(u, xhat))

    v_rows = torch.zeros_like(x) if v is None else v.reshape(-1, ctx.n).to(kind)
    w_row = torch.zeros_like(x[0]) if w is None or not ctx.wanted else w.reshape(-1).to(kind)
    along, a, b = through(v_rows), mean(g, xhat), mean(v_rows, xhat)
    of_dy = along * weight + w_row * xhat
    of_x = xhat * (rstd * (mean(v_rows, g) - a * b)) + a * along + b * through(g)
    of_x = through(w_row * dy) - rstd * of_x
    of_gamma = None if gamma is None else (dy * along).sum(0).view(gamma.shape).to(gamma.dtype)
    results = [r.view(t.shape).to(t.dtype) for r, t in ((of_dy, given[0]), (of_x, given[1]))]
    return results[0], v if ctx.added else None, results[1], of_gamma, None, None, None, None


_gradients.register_autograd(_second, setup_context=_save_second)
