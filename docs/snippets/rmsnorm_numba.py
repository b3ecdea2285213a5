# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis on a CPU with Numba: forward, backward, and both in one pass.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. All is float32, or float64 for a
float64 x; sums over a row are float64. eps=None means the machine epsilon of that type, as in
PyTorch. gamma may be None, then so is dgamma. Results go into out, if given: arrays like a float32
or float64 x that share no memory with the arguments. Large arrays use all of Numba's threads, one
caller at a time, and a single one in a process that was forked. What is compiled is kept on disk. A
row of zeros has no gradient at eps = 0: it gives NaN. For Python 3.11, NumPy 1.26 and Numba 0.60,
or later ones.
"""

import math
import os
import sys
import threading

import numba
import numpy as np

CHUNK = 256  # elements whose sum is in the type of x, before it is float64
ROWS = 16  # rows a task; dgamma has one partial sum a task, so it does not depend on the threads
SMALL = 2**16  # elements below which a second thread costs more than it brings
PROCESS, ONE_AT_A_TIME = os.getpid(), threading.Lock()  # not every pool of threads can do more


def forward(x, gamma=None, eps=None, out=None):
    """Return y, shaped and typed like x, and rstd = 1 / rms of shape (..., 1), for backward."""
    return _run(x, gamma, eps, None, None, y=out)[::3]


def backward(dy, x, gamma, rstd, out=None):
    """Return dx, shaped and typed like x, and dgamma, summed over the leading axes, or None."""
    return _run(x, gamma, 0.0, dy, rstd, dx=out)[1:3]


def forward_backward(dy, x, gamma=None, eps=None, out=(None, None)):
    """Return y, dx and dgamma in one pass, for a dy that does not depend on y."""
    return _run(x, gamma, eps, dy, None, *out)[:3]


def compiled(*reorder, parallel=False):
    """Return a decorator; sums may be reordered, but products would then leave the range."""
    options = {"fastmath": {"contract", *reorder}, "error_model": "numpy", "nogil": True}
    options["parallel"] = parallel

    def decorate(function):
        # What is kept on disk goes by this name: that of the module, of the function, and how.
        function.__qualname__ = f"{__name__}.{function.__name__}.{'many' if parallel else 'one'}"
        try:
            return numba.njit(cache=__name__ in sys.modules, **options)(function)
        except RuntimeError:  # there is no place to keep what is compiled
            return numba.njit(**options)(function)

    return decorate


@compiled("reassoc")
def reciprocal_rms(x, eps):
    total, scale = 0.0, 1.0
    for j in range(len(x)):
        total += np.float64(x[j]) * np.float64(x[j])
    if not 1e-200 < total < 1e200:  # squares leave the range of float64
        scale, total = np.float64(np.max(np.abs(x))) or 1.0, 0.0
        if scale == np.inf:
            return 0.0
        for j in range(len(x)):
            total += (x[j] / scale) ** 2
    return 1 / np.hypot(scale * np.sqrt(total / len(x)), np.sqrt(eps))


@compiled()
def normalised(x, rstd):
    return rstd * x


@compiled("reassoc")
def gradients(dy, x, gamma, rstd, dx, dgamma):
    total = 0.0
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        a, b, weight, sums, dot = dy[part], x[part], gamma[part], dgamma[part], x.dtype.type(0)
        for j in range(len(a)):
            xhat = normalised(b[j], rstd)
            dot += a[j] * (weight[j] * xhat)
            sums[j] += a[j] * xhat
        total += dot
    dot = x.dtype.type(total / len(x))
    for j in range(len(x)):
        dx[j] = rstd * (dy[j] * gamma[j] - dot * normalised(x[j], rstd))


def _rows(x, gamma, eps, dy, y, rstd, dx, dgamma):
    for task in numba.prange((len(x) + ROWS - 1) // ROWS):
        for row in range(task * ROWS, min(len(x), (task + 1) * ROWS)):
            if y is not None:
                rstd[row, 0] = reciprocal_rms(x[row], eps)
                for j in range(x.shape[1]):
                    y[row, j] = gamma[j] * (rstd[row, 0] * x[row, j])
            if dy is not None:
                gradients(dy[row], x[row], gamma, rstd[row, 0], dx[row], dgamma[task])


_serial, _parallel = compiled()(_rows), compiled(parallel=True)(_rows)


def _run(x, gamma, eps, dy, rstd, y=None, dx=None):
    x = x if type(x) is np.ndarray else _array("x", x)
    shape, given, kind = x.shape, x.dtype, np.promote_types(x.dtype, np.float32)
    if not shape:
        raise ValueError("x has no axis: a row is the last one")
    n, count, taken = shape[-1], x.size // shape[-1] if x.size else math.prod(shape[:-1]), []
    arrays = [("x", x, shape, "fV"), ("gamma", gamma, (n,), "fV")]  # V is bfloat16's
    if dy is not None:
        arrays.append(("dy", dy, shape, "fVbiu"))
    if rstd is not None:
        arrays.append(("rstd", rstd, (*shape[:-1], 1), "fVbiu"))
    for name, a, wanted, real in arrays:
        if a is not None:
            array = a if type(a) is np.ndarray else _array(name, a)
            if array.shape != wanted:
                raise ValueError(f"{name} has the shape {array.shape}, but must have {wanted}")
            if array.dtype.kind not in real:
                about = f"{name} has dtype {array.dtype}, no floating-point type"
                raise TypeError(f"{about}: pass {name}.astype(np.float32)")
            taken.append(array)
    if kind.itemsize > 8:
        raise TypeError(f"x has dtype {given}, which Numba lacks: pass x.astype(np.float64)")
    if getattr(eps, "ndim", 0):
        raise ValueError(f"eps must be one number, not of shape {eps.shape}")
    for out in (y, dx):
        if out is None:
            continue
        fits = type(out) is np.ndarray and out.flags.carray and given == kind
        if not fits or (out.shape, out.dtype) != (shape, kind):
            raise ValueError(
                f"out must be a contiguous array of {kind} and {shape}, as x must be, "
                f"not {type(out).__name__} of {np.asarray(out).dtype} and {np.shape(out)}"
            )
        if any(overlap(out, a) for a in taken):
            raise ValueError("out shares memory with an argument or the other: pass a new array")
        taken.append(out)
    rows = lambda a, n=n: np.ascontiguousarray(a, kind).reshape(count, n)  # noqa: E731
    weight = np.ones(n, kind) if gamma is None else np.ascontiguousarray(gamma, kind)
    x, sums = rows(x), None
    y = None if rstd is not None else np.empty_like(x) if y is None else rows(y)
    rstd = np.full((count, 1), np.nan, kind) if rstd is None else rows(rstd, 1)
    if dy is not None:
        dy, dx = rows(dy), np.empty_like(x) if dx is None else rows(dx)
        sums = np.zeros((-(-count // ROWS), n), kind)
    arguments = x, weight, float(np.finfo(kind).eps if eps is None else eps), dy, y, rstd, dx, sums
    if x.size >= SMALL and os.getpid() == PROCESS:
        with ONE_AT_A_TIME:
            _parallel(*arguments)
    elif x.size:
        _serial(*arguments)
    y, dx = (None if a is None else a.reshape(shape).astype(given, copy=False) for a in (y, dx))
    if gamma is not None and dy is not None:
        several = np.float64 if len(sums) > 256 else kind  # float32 may add up so many
        sums = sums.sum(0, dtype=several).astype(np.asarray(gamma).dtype)
    return y, dx, None if gamma is None else sums, rstd.reshape(*shape[:-1], 1)


def overlap(a, b):
    """Return whether two arrays may share memory; two that own theirs do not."""
    return a is b or ((a.base is not None or b.base is not None) and np.may_share_memory(a, b))


def _array(name, a):
    if np.ma.isMaskedArray(a):
        raise TypeError(f"{name} is masked, which has no meaning here: pass {name}.filled(0)")
    return np.asarray(a)
