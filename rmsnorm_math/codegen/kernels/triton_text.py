"""What stands in every file printed in Triton, or in those that have numbers or sums over rows."""

HEAD = """\
import functools

import torch
import triton
import triton.language as tl

WIDEST = {widest}  # columns that one program holds in its registers


@triton.jit
def load(pointer, row, col, row_stride, col_stride, inside, kind: tl.constexpr):
    # 64 bits: a tensor may have more than 2**31 elements
    at = row.to(tl.int64)[:, None] * row_stride + col.to(tl.int64)[None, :] * col_stride
    return tl.load(pointer + at, inside, 0.0).to(kind)


@triton.jit
def store(pointer, value, row, col, n, inside):
    at = row.to(tl.int64)[:, None] * n + col[None, :]
    tl.store(pointer + at, value.to(pointer.dtype.element_ty), inside)
"""
NUMBERS = """\
@triton.jit
def number(a, in_memory: tl.constexpr, kind: tl.constexpr):
    if in_memory:
        return tl.load(a).to(kind)
    else:
        return tl.full([], a, kind)
"""
SUMS = """\
@triton.jit
def _add_parts(parts_ptr, sums_out, parts, n, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    col, which = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS), tl.program_id(1)
    total = tl.zeros([ROWS, COLUMNS], parts_ptr.dtype.element_ty)
    for start in range(0, parts, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < parts)[:, None] & (col < n)[None, :]
        row = which * parts + row
        total += load(parts_ptr, row, col, n, 1, inside, total.dtype)
    store(sums_out, tl.sum(total, 0)[None, :], which + tl.arange(0, 1), col, n, (col < n)[None, :])
"""
NUMBER_OF = """\
def _number(a, kind, device):
    if isinstance(a, torch.Tensor):
        return a.to(kind)
    if kind == torch.float64:  # a plain number would reach the kernel as float32
        return torch.full((), a, dtype=kind, device=device)
    return float(a)
"""
TILE_OF = '''\
@functools.cache
def _multiprocessors(device):
    if device.type == "cpu":  # Triton's interpreter
        return 2
    return torch.get_device_module(device).get_device_properties(device).multi_processor_count


def _tile(rows, n, a):
    """Return rows and columns of a tile, the warps for it, and how many tiles are read ahead."""
    columns = triton.next_power_of_2(n) if n <= WIDEST else min(WIDEST, 8192)
    row_size = columns * a.element_size()
    block = max(1, min(1024, 2**13 // row_size)) if n <= WIDEST else 1
    while block > 1 and rows < 2 * block * _multiprocessors(a.device):
        block //= 2
    size = block * row_size
    warps = max({least}, min({most} if size <= 2**16 else 16, size // 2**11))
    return block, columns, warps, min(3, 1 + 2**16 // (size * {arrays}))
'''
