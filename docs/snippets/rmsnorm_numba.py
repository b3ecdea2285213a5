# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis on a CPU with Numba: forward, backward, and both.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. All is float32,
or float64 for a float64 x; sums over a row are float64. eps=None means the
machine epsilon of that type, as in PyTorch. gamma may be None, then so is
dgamma. Results go into out, if given: arrays like a float32 or float64 x that
share no memory with the arguments. Large arrays use all of Numba's threads, one
caller at a time, and a single one in a process that was forked. What is
compiled is kept on disk. A row of zeros has no gradient at eps = 0: it gives
NaN. For Python 3.11, NumPy 1.26 and Numba 0.60, or later ones.
"""

import math
import os
import sys
import threading

import numba
import numpy as np

CHUNK = 256  # elements whose sum is in the type of x, before it is float64
ROWS = 16  # rows a task, whatever the threads; dgamma has a partial sum a task
SMALL = 2**16  # elements below which a second thread costs more than it brings
PROCESS = os.getpid()
ONE_AT_A_TIME = threading.Lock()  # not every pool of threads can do more


def forward(x, gamma=None, eps=None, out=None):
    """Return y, like x, and rstd = 1 / rms of shape (..., 1), for backward."""
    return _run(x, gamma, eps, None, None, y=out)[::3]


def backward(dy, x, gamma, rstd, out=None):
    """Return dx, like x, and dgamma, summed over the leading axes, or None."""
    return _run(x, gamma, 0.0, dy, rstd, dx=out)[1:3]


def forward_backward(dy, x, gamma=None, eps=None, out=(None, None)):
    """Return y, dx and dgamma in one pass; dy must not depend on y."""
    return _run(x, gamma, eps, dy, None, *out)[:3]


def compiled(*reorder, parallel=False):
    """Return a decorator; reordered sums are fine, products leave the range."""
    options = {"fastmath": {"contract", *reorder}, "parallel": parallel}
    options |= {"error_model": "numpy", "nogil": True}

    def decorate(function):
        # What is kept on disk goes by the name of module and function, and how.
        how = "many" if parallel else "one"
        function.__qualname__ = f"{__name__}.{function.__name__}.{how}"
        try:
            cache = __name__ in sys.modules
            return numba.njit(cache=cache, **options)(function)
        except RuntimeError:  # there is no place to keep what is compiled
            return numba.njit(**options)(function)

    return decorate


@compiled("reassoc")
def reciprocal_rms(x, eps):
    total = 0.0
    for j in range(len(x)):
        total += np.float64(x[j]) * np.float64(x[j])
    if 1e-200 < total < 1e200:
        return 1 / np.sqrt(total / len(x) + eps)
    # Squares leave the range of float64: divide by the largest element first.
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
        a, b, weight, sums = dy[part], x[part], gamma[part], dgamma[part]
        dot = x.dtype.type(0)
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
                r, sums = rstd[row, 0], dgamma[task]
                gradients(dy[row], x[row], gamma, r, dx[row], sums)


_serial, _parallel = compiled()(_rows), compiled(parallel=True)(_rows)


def _run(x, gamma, eps, dy, rstd, y=None, dx=None):
    x = x if type(x) is np.ndarray else _array("x", x)
    shape, given = x.shape, x.dtype
    if not shape:
        raise ValueError("x has no axis: a row is the last one")
    n, batch, taken = shape[-1], shape[:-1], []
    arrays = [("x", x, shape), ("gamma", gamma, (n,))]
    if dy is not None:
        arrays.append(("dy", dy, shape))
    if rstd is not None:
        arrays.append(("rstd", rstd, (*batch, 1)))
    for name, a, wanted in arrays:
        if a is None:
            continue
        a = a if type(a) is np.ndarray else _array(name, a)
        if a.shape != wanted:
            about = f"{name} has the shape {a.shape}"
            raise ValueError(f"{about}, but must have {wanted}")
        # V is what bfloat16 says that it is
        if a.dtype.kind not in ("fV" if name in ("x", "gamma") else "fVbiu"):
            about = f"{name} has dtype {a.dtype}, no floating-point type"
            raise TypeError(f"{about}: pass {name}.astype(np.float32)")
        taken.append(a)
    kind = np.promote_types(given, np.float32)
    if kind.itemsize > 8:
        about = f"x has dtype {given}, which Numba lacks"
        raise TypeError(f"{about}: pass x.astype(np.float64)")
    if type(eps) is not float and np.ndim(eps):
        about = f"not of shape {np.shape(eps)}"
        raise ValueError(f"eps must be one number, {about}")
    for out in (y, dx):
        if out is not None:
            _check(out, shape, kind, given, taken)
            taken.append(out)
    count = x.size // n if x.size else math.prod(batch)

    def rows(a, n=n):
        a = np.ascontiguousarray(a, kind)
        return a if a.ndim == 2 else a.reshape(count, n)

    weight = np.ones(n, kind) if gamma is None else gamma
    weight, x = np.ascontiguousarray(weight, kind), rows(x)
    sums = dgamma = None
    if rstd is None:
        y = np.empty_like(x) if y is None else rows(y)
        rstd = np.full((count, 1), np.nan, kind)
    else:
        rstd = rows(rstd, 1)
    if dy is not None:
        dy, dx = rows(dy), np.empty_like(x) if dx is None else rows(dx)
        sums = np.zeros((-(-count // ROWS), n), kind)
    eps = float(np.finfo(kind).eps if eps is None else eps)
    if x.size >= SMALL and os.getpid() == PROCESS:
        with ONE_AT_A_TIME:
            _parallel(x, weight, eps, dy, y, rstd, dx, sums)
    elif x.size:
        _serial(x, weight, eps, dy, y, rstd, dx, sums)
    if y is not None:
        y = y.reshape(shape).astype(given, copy=False)
    if dx is not None:
        dx = dx.reshape(shape).astype(given, copy=False)
        # float32 may add up 256 numbers
        several = np.float64 if len(sums) > 256 else kind
        sums = sums[0] if len(sums) == 1 else sums.sum(0, dtype=several)
        if gamma is not None:
            dgamma = sums.astype(taken[1].dtype, copy=False)
    return y, dx, dgamma, rstd.reshape(*batch, 1)


def _check(out, shape, kind, given, taken):
    """Say why results do not fit into out, or what else is in its memory."""
    fits = type(out) is np.ndarray and out.flags.carray and given == kind
    if not fits or out.shape != shape or out.dtype != kind:
        raise ValueError(
            f"out must be a contiguous array of {kind} and {shape}, as x must "
            f"be, not {type(out).__name__} of {np.asarray(out).dtype} and "
            f"{np.shape(out)}"
        )
    for a in taken:  # two that own their memory share none
        if out.base is None and a.base is None and a is not out:
            continue
        if np.may_share_memory(out, a):
            about = "out shares memory with an argument or the other"
            raise ValueError(f"{about}: pass a new array")


def _array(name, a):
    if np.ma.isMaskedArray(a):
        about = f"{name} is masked, which has no meaning here"
        raise TypeError(f"{about}: pass {name}.filled(0)")
    return np.asarray(a)
