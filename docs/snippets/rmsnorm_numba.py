# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis on a CPU with Numba: forward, backward, and both in one pass.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. All is float32, or float64 for a
float64 x; sums over a row are float64. eps=None means the machine epsilon of that type, as in
PyTorch. gamma may be None, then so is dgamma. Results go into out, if given: arrays like a float32
or float64 x. A row of zeros has no gradient at eps = 0: it gives NaN.
"""

import numba
import numpy as np

CHUNK = 256  # elements whose sum is in the type of x, before it is float64
ROWS = 16  # rows a task; dgamma has one partial sum a task, so it does not depend on the threads
SMALL = 2**16  # elements below which a second thread costs more than it brings
OPTIONS = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy", "nogil": True}


def forward(x, gamma=None, eps=None, out=None):
    """Return y, shaped and typed like x, and rstd = 1 / rms of shape (..., 1), for backward."""
    return _run(x, gamma, eps, None, None, y=out)[::3]


def backward(dy, x, gamma, rstd, out=None):
    """Return dx, shaped and typed like x, and dgamma, summed over the leading axes, or None."""
    return _run(x, gamma, 0.0, dy, rstd, dx=out)[1:3]


def forward_backward(dy, x, gamma=None, eps=None, out=(None, None)):
    """Return y, dx and dgamma in one pass, for a dy that does not depend on y."""
    return _run(x, gamma, eps, dy, None, *out)[:3]


@numba.njit(**OPTIONS)
def reciprocal_rms(x, eps):
    total, scale = 0.0, 1.0
    for j in range(len(x)):
        total += np.float64(x[j]) * np.float64(x[j])
    if not 1e-200 < total < 1e200:  # squares leave the range of float64
        scale, total = np.float64(np.max(np.abs(x))) or 1.0, 0.0
        for j in range(len(x)):
            total += (x[j] / scale) ** 2
    return 1 / np.hypot(scale * np.sqrt(total / len(x)), np.sqrt(eps))


@numba.njit(**OPTIONS)
def gradients(dy, x, gamma, rstd, dx, dgamma):
    total = 0.0
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        a, b, weight, sums, dot = dy[part], x[part], gamma[part], dgamma[part], x.dtype.type(0)
        for j in range(len(a)):
            product = a[j] * (rstd * b[j])
            dot += product * weight[j]
            sums[j] += product
        total += dot
    dot = x.dtype.type(total / len(x))
    for j in range(len(x)):
        dx[j] = rstd * (dy[j] * gamma[j] - dot * (rstd * x[j]))


def _rows(x, gamma, eps, dy, y, rstd, dx, dgamma):
    for task in numba.prange((len(x) + ROWS - 1) // ROWS):
        for row in range(task * ROWS, min(len(x), (task + 1) * ROWS)):
            if y is not None:
                rstd[row, 0] = reciprocal_rms(x[row], eps)
                for j in range(x.shape[1]):
                    y[row, j] = gamma[j] * (x[row, j] * rstd[row, 0])
            if dy is not None:
                gradients(dy[row], x[row], gamma, rstd[row, 0], dx[row], dgamma[task])


_serial, _parallel = numba.njit(**OPTIONS)(_rows), numba.njit(parallel=True, **OPTIONS)(_rows)


def _run(x, gamma, eps, dy, rstd, y=None, dx=None):
    x = np.asarray(x)
    shape, given, kind = x.shape, x.dtype, np.result_type(x.dtype, np.float32)
    if given.kind in "biucO":
        raise TypeError(f"x has dtype {given}, no floating-point type: pass x.astype(np.float32)")
    required = {"gamma": (gamma, shape[-1:]), "dy": (dy, shape), "rstd": (rstd, (*shape[:-1], 1))}
    for name, (a, wanted) in required.items():
        if a is not None and np.shape(a) != wanted:
            raise ValueError(f"{name} has the shape {np.shape(a)}, but must have {wanted}")
    for a in (y, dx):
        if a is not None and (a.shape, a.dtype, given, a.flags.carray) != (shape, kind, kind, True):
            raise ValueError(f"out must be a contiguous array of {kind} and {shape}, as x must be")
    rows = lambda a: np.ascontiguousarray(a, kind).reshape(-1, shape[-1])  # noqa: E731
    weight = np.ones(shape[-1], kind) if gamma is None else np.ascontiguousarray(gamma, kind)
    x, dgamma = rows(x), None
    y = None if rstd is not None else np.empty_like(x) if y is None else rows(y)
    rstd = np.empty((len(x), 1), kind) if rstd is None else rstd.reshape(-1, 1)
    if dy is not None:
        dy, dx = rows(dy), np.empty_like(x) if dx is None else rows(dx)
        dgamma = np.zeros((-(-len(x) // ROWS), shape[-1]), kind)
    eps = float(np.finfo(kind).eps if eps is None else eps)
    (_serial if x.size < SMALL else _parallel)(x, weight, eps, dy, y, rstd, dx, dgamma)
    y, dx = (None if a is None else a.reshape(shape).astype(given, copy=False) for a in (y, dx))
    dgamma = None if gamma is None or dy is None else dgamma.sum(0).astype(np.asarray(gamma).dtype)
    return y, dx, dgamma, rstd.reshape(*shape[:-1], 1)
