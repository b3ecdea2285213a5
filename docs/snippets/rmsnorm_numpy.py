# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis in NumPy, with its gradients.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. Statistics are float32, or float64
for float64 input. eps=None means the machine epsilon of that type, as in PyTorch. gamma may be
None, then so is dgamma. Results go into out, if given: an array like x that shares no memory with
the arguments. A row of zeros has no gradient at eps = 0: it gives NaN. For Python 3.11 and NumPy
1.26, or later ones.
"""

import math

import numpy as np

BLOCK = 2**18  # elements worked on at a time: a few such arrays fit into a processor's cache
PIECE = 256  # elements that BLAS may add up, and be it one after another


def forward(x, gamma=None, eps=None, out=None):
    """Return y, shaped and typed like x, and rstd = 1 / rms of shape (..., 1), for backward."""
    x, gamma, kind = _arrays(x, gamma)
    eps = np.finfo(kind).eps if eps is None else eps
    if not isinstance(eps, float) and np.ndim(eps):
        raise ValueError(f"eps must be one number, not of shape {np.shape(eps)}")
    weight = kind.type(1) if gamma is None else np.asarray(gamma, kind)
    y, rstd = _result(out, x, gamma), np.empty((*x.shape[:-1], 1), kind)
    with np.errstate(under="ignore"):
        for x_rows, y_rows, rstd_rows, (xhat, _) in _blocks(kind, x, y, rstd):
            x_rows = np.ascontiguousarray(x_rows, kind)
            rstd_rows[:] = reciprocal_rms(x_rows, kind.type(eps))
            y_rows[:] = np.multiply(np.multiply(x_rows, rstd_rows, out=xhat), weight, out=xhat)
    return y, rstd


def backward(dy, x, gamma, rstd, out=None):
    """Return dx, shaped and typed like x, and dgamma, summed over the leading axes, or None."""
    x, gamma, dy, rstd, kind = _arrays(x, gamma, dy=dy, rstd=rstd)
    weight = np.ones(x.shape[-1], kind) if gamma is None else np.asarray(gamma, kind)
    dx = _result(out, x, gamma, dy, rstd)
    dgamma = np.zeros(x.shape[-1], np.promote_types(kind, np.float64))
    with np.errstate(under="ignore"):
        for dy_rows, x_rows, rstd_rows, dx_rows, scratch in _blocks(kind, dy, x, rstd, dx):
            dy_rows, x_rows = (np.ascontiguousarray(a, kind) for a in (dy_rows, x_rows))
            rows = dy_rows, x_rows, weight, rstd_rows
            if x.size < BLOCK:
                dx_rows[:], dgamma_rows = gradients(*rows)
            else:
                dgamma_rows = gradients_into(dx_rows, *rows, *scratch)
            dgamma += dgamma_rows
    return dx, None if gamma is None else dgamma.astype(gamma.dtype, copy=False)


def gradients(dy, x, gamma, rstd):
    xhat = rstd * x
    t = dy * xhat
    dot = np.mean(gamma * t, axis=-1, keepdims=True)
    dx = rstd * (dy * gamma - dot * xhat)
    dgamma = t.reshape(-1, dy.shape[-1]).sum(0)
    return dx, dgamma


def gradients_into(dx, dy, x, gamma, rstd, xhat, product):
    """Do as gradients, in two arrays that are there."""
    np.multiply(rstd, x, out=xhat)
    np.multiply(dy, xhat, out=product)
    dot, dgamma = mean_product(product, gamma), product.sum(0)
    np.multiply(dy, gamma, out=product)
    np.multiply(dot, xhat, out=xhat)
    np.subtract(product, xhat, out=product)
    dx[:] = np.multiply(rstd, product, out=product)  # to copy is faster than to multiply into dx
    return dgamma


def reciprocal_rms(x, eps):
    with np.errstate(over="ignore"):
        mean_square = mean_product(x, x)
    safe = (mean_square > 1e-24) & (mean_square < 1e24)
    if safe.all():
        return 1 / np.sqrt(mean_square + eps)
    # Squares of these rows leave the range of float32: divide them by their largest element first.
    scale = np.maximum(np.max(np.abs(x), axis=-1, keepdims=True), np.sqrt(np.abs(eps)))
    scale = np.where(safe | ~(scale < np.inf), x.dtype.type(1), scale)
    x = x / scale
    return 1 / np.sqrt(mean_product(x, x) + eps / scale / scale) / scale


def mean_product(a, b):
    """Return the mean of a * b along each row, from BLAS's sums over pieces of it."""
    n, whole = a.shape[-1], a.shape[-1] // PIECE * PIECE
    total = (a[..., None, whole:] @ b[..., whole:, None])[..., 0]
    if whole:
        a, b = (c[..., :whole].reshape(*c.shape[:-1], -1, PIECE) for c in (a, b))
        total += (a[..., None, :] @ b[..., None])[..., 0, 0].sum(-1, keepdims=True)
    return total / a.dtype.type(n)


def _arrays(x, gamma, **given):
    """Return the arrays and the type of the statistics, or say which one does not fit."""
    arrays = []
    for name, a in (("x", x), ("gamma", gamma), *given.items()):
        if np.ma.isMaskedArray(a):
            raise TypeError(f"{name} is masked, which has no meaning here: pass {name}.filled(0)")
        arrays.append(a if a is None or type(a) is np.ndarray else np.asarray(a))
    shape = arrays[0].shape
    if not shape:
        raise ValueError("x has no axis: a row is the last one")
    wanted = {"x": shape, "gamma": shape[-1:], "dy": shape, "rstd": (*shape[:-1], 1)}
    for name, a in zip(("x", "gamma", *given), arrays, strict=True):
        if a is not None and a.shape != wanted[name]:
            raise ValueError(f"{name} has the shape {a.shape}, but must have {wanted[name]}")
        real = "fV" if name in ("x", "gamma") else "fVbiu"  # V is what bfloat16 says that it is
        if a is not None and a.dtype.kind not in real:
            raise TypeError(
                f"{name} has dtype {a.dtype}, no floating-point type: "
                f"pass {name}.astype(np.float32)"
            )
    return *arrays, np.promote_types(arrays[0].dtype, np.float32)


def _result(out, x, *others):
    if out is None:
        return np.empty(x.shape, x.dtype)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a numpy.ndarray, not a {type(out).__name__}")
    if (out.shape, out.dtype) != (x.shape, x.dtype) or not out.flags.carray:
        layout = "contiguous" if out.flags.c_contiguous else "strided"
        layout = layout if out.flags.writeable else f"read-only, {layout}"
        raise ValueError(
            f"out must be a contiguous array of {x.dtype} and {x.shape}, as x is, "
            f"not a {layout} one of {out.dtype} and {out.shape}"
        )
    if any(a is not None and overlap(out, a) for a in (x, *others)):
        raise ValueError("out shares memory with an argument: pass another array")
    return out


def overlap(a, b):
    """Return whether two arrays may share memory; two that own theirs do not."""
    return a is b or ((a.base is not None or b.base is not None) and np.may_share_memory(a, b))


def _blocks(kind, *arrays):
    *batch, n = arrays[0].shape
    rows = math.prod(batch)
    arrays = [a if a.ndim == 2 else a.reshape(rows, a.shape[-1]) for a in arrays]
    step = min(512, max(1, BLOCK // max(1, n)))  # few enough for float32 to add up dgamma
    scratch = np.empty((2, min(rows, step), n), kind)
    if 0 < rows <= step and n:
        yield *arrays, scratch
        return
    for start in range(0, rows if n else 0, step):
        yield *(a[start : start + step] for a in arrays), scratch[:, : rows - start]
