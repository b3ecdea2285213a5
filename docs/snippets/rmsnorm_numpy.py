# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis in NumPy, with its gradients.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. Statistics are float32, or float64
for float64 input. eps=None means the machine epsilon of that type, as in PyTorch. gamma may be
None, then so is dgamma. Results go into out, if given: an array like x. A row of zeros has no
gradient at eps = 0: it gives NaN.
"""

import numpy as np

BLOCK = 2**18  # elements worked on at a time: a few such arrays fit into a processor's cache


def forward(x, gamma=None, eps=None, out=None):
    """Return y, shaped and typed like x, and rstd = 1 / rms of shape (..., 1), for backward."""
    x, kind = np.asarray(x), _statistics_type(x, gamma)
    eps = np.finfo(kind).eps if eps is None else eps
    weight = kind.type(1) if gamma is None else np.asarray(gamma, kind)
    y, rstd = _result(out, x), np.empty((*x.shape[:-1], 1), kind)
    for x_rows, y_rows, rstd_rows, (xhat, _) in _blocks(kind, x, y, rstd):
        x_rows = x_rows.astype(kind, copy=False)
        rstd_rows[:] = reciprocal_rms(x_rows, kind.type(eps))
        y_rows[:] = np.multiply(np.multiply(x_rows, rstd_rows, out=xhat), weight, out=xhat)
    return y, rstd


def backward(dy, x, gamma, rstd, out=None):
    """Return dx, shaped and typed like x, and dgamma, summed over the leading axes, or None."""
    x, dy, kind = np.asarray(x), np.asarray(dy), _statistics_type(x, gamma, dy)
    weight = np.ones(x.shape[-1], kind) if gamma is None else np.asarray(gamma, kind)
    dx, dgamma = _result(out, x), np.zeros(x.shape[-1])
    for dy_rows, x_rows, rstd_rows, dx_rows, scratch in _blocks(kind, dy, x, rstd, dx):
        dy_rows, x_rows = dy_rows.astype(kind, copy=False), x_rows.astype(kind, copy=False)
        rows = dy_rows, x_rows, weight, rstd_rows
        if x.size < BLOCK:
            dx_rows[:], dgamma_rows = gradients(*rows)
        else:
            dgamma_rows = gradients_into(dx_rows, *rows, *scratch)
        dgamma += dgamma_rows
    return dx, None if gamma is None else dgamma.astype(np.asarray(gamma).dtype, copy=False)


def gradients(dy, x, gamma, rstd):
    xhat = rstd * x
    t = dy * xhat
    dot = np.mean(gamma * t, axis=-1, keepdims=True)
    dx = rstd * (dy * gamma - dot * xhat)
    dgamma = t.reshape(-1, dy.shape[-1]).sum(0)
    return dx, dgamma


def gradients_into(dx, dy, x, gamma, rstd, xhat, product):
    """Do as gradients, in two arrays that are there, with the sums over a row left to BLAS."""
    np.multiply(rstd, x, out=xhat)
    np.multiply(dy, xhat, out=product)
    dot, dgamma = (product @ gamma)[:, None] / x.dtype.type(x.shape[-1]), product.sum(0)
    np.multiply(dy, gamma, out=product)
    np.multiply(dot, xhat, out=xhat)
    np.subtract(product, xhat, out=product)
    dx[:] = np.multiply(rstd, product, out=product)  # to copy is faster than to multiply into dx
    return dgamma


def reciprocal_rms(x, eps):
    with np.errstate(over="ignore", under="ignore"):
        mean_square = (x[:, None] @ x[:, :, None])[:, 0] / x.dtype.type(x.shape[-1])
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


def _result(out, x):
    out = np.empty_like(x, order="C") if out is None else out
    if (out.shape, out.dtype) != (x.shape, x.dtype) or not out.flags.carray:
        raise ValueError(f"out must be a contiguous array of {x.dtype} and {x.shape}, as x is")
    return out


def _blocks(kind, *arrays):
    arrays = [a.reshape(-1, a.shape[-1]) for a in arrays]
    rows, n = arrays[0].shape
    step = min(512, max(1, BLOCK // max(1, n)))  # few enough for float32 to add up dgamma
    scratch = np.empty((2, min(rows, step), n), kind)
    for start in range(0, rows, step):
        yield *(a[start : start + step] for a in arrays), scratch[:, : rows - start]
