# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis in NumPy, with its gradients.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. Statistics are float32, or float64
for float64 input. eps=None means the machine epsilon of that type, as in PyTorch. gamma may be
None, then so is dgamma. A row of zeros has no gradient at eps = 0: it gives NaN.
"""

import numpy as np

BLOCK = 2**17  # elements worked on at a time: a few such arrays fit into a processor's cache


def forward(x, gamma=None, eps=None):
    """Return y, shaped and typed like x, and rstd = 1 / rms of shape (..., 1), for backward."""
    x, kind = np.asarray(x), _statistics_type(x, gamma)
    eps = np.finfo(kind).eps if eps is None else eps
    y, rstd = np.empty_like(x, order="C"), np.empty((*x.shape[:-1], 1), kind)
    for x_rows, y_rows, rstd_rows in _blocks(x, y, rstd):
        x_rows = x_rows.astype(kind, copy=False)
        rstd_rows[:] = reciprocal_rms(x_rows, kind.type(eps))
        xhat = x_rows * rstd_rows
        y_rows[:] = xhat if gamma is None else np.asarray(gamma, kind) * xhat
    return y, rstd


def backward(dy, x, gamma, rstd):
    """Return dx, shaped and typed like x, and dgamma, summed over the leading axes, or None."""
    x, dy, kind = np.asarray(x), np.asarray(dy), _statistics_type(x, gamma, dy)
    weight = kind.type(1) if gamma is None else np.asarray(gamma, kind)
    dx, dgamma = np.empty_like(x, order="C"), np.zeros(x.shape[-1])
    for dy_rows, x_rows, rstd_rows, dx_rows in _blocks(dy, x, rstd, dx):
        dy_rows, x_rows = dy_rows.astype(kind, copy=False), x_rows.astype(kind, copy=False)
        dx_rows[:], dgamma_rows = gradients(dy_rows, x_rows, weight, rstd_rows)
        dgamma += dgamma_rows
    return dx, None if gamma is None else dgamma.astype(np.asarray(gamma).dtype, copy=False)


def gradients(dy, x, gamma, rstd):
    xhat = rstd * x
    dot = np.mean(dy * gamma * xhat, axis=-1, keepdims=True)
    dx = rstd * (dy * gamma - dot * xhat)
    dgamma = (dy * xhat).reshape(-1, dy.shape[-1]).sum(0)
    return dx, dgamma


def reciprocal_rms(x, eps):
    with np.errstate(over="ignore", under="ignore"):
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        safe = (mean_square > 1e-24) & (mean_square < 1e24)
        if safe.all():
            return 1 / np.sqrt(mean_square + eps)
    # Squares of these rows leave the range of float32: divide them by their largest element first.
    scale = np.maximum(np.max(np.abs(x), axis=-1, keepdims=True), np.sqrt(eps))
    scale = np.where(safe, x.dtype.type(1), scale)
    x = x / scale
    return 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps / scale / scale) / scale


def _statistics_type(x, gamma, dy=None):
    shape, kind = np.shape(x), np.asarray(x).dtype
    for name, a, wanted in (("gamma", gamma, shape[-1:]), ("dy", dy, shape)):
        if a is not None and np.shape(a) != wanted:
            raise ValueError(f"{name} has the shape {np.shape(a)}, but must have {wanted}")
    if kind.kind in "biucO":
        raise TypeError(f"x has dtype {kind}, no floating-point type: pass x.astype(np.float32)")
    return np.result_type(kind, np.float32)


def _blocks(*arrays):
    arrays = [a.reshape(-1, a.shape[-1]) for a in arrays]
    rows, n = arrays[0].shape
    step = min(512, max(1, BLOCK // max(1, n)))  # few enough for float32 to add up dgamma
    for start in range(0, rows, step):
        yield [a[start : start + step] for a in arrays]
