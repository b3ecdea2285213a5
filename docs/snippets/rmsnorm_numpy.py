# SPDX-License-Identifier: MIT-0
"""RMSNorm over the last axis in NumPy, with its gradients.

y = gamma * x / sqrt(mean(x**2) + eps), for any leading shape. Statistics are
float32, or float64 for float64 input. eps=None means the machine epsilon of
that type, as in PyTorch. gamma may be None, then so is dgamma. Results go into
out, if given: an array like x that shares no memory with the arguments. A row
of zeros has no gradient at eps = 0: it gives NaN. For Python 3.11 and NumPy
1.26, or later ones.
"""

import math

import numpy as np

BLOCK = 2**18  # elements worked on at a time: a few such arrays fit in a cache
PIECE = 256  # elements that BLAS may add up, and be it one after another


def forward(x, gamma=None, eps=None, out=None):
    """Return y, like x, and rstd = 1 / rms of shape (..., 1), for backward."""
    x, gamma, kind = _arrays(x, gamma)
    eps = np.finfo(kind).eps if eps is None else eps
    if not isinstance(eps, float) and np.ndim(eps):
        about = f"not of shape {np.shape(eps)}"
        raise ValueError(f"eps must be one number, {about}")
    weight = kind.type(1) if gamma is None else np.asarray(gamma, kind)
    y, rstd = _result(out, x, gamma), np.empty((*x.shape[:-1], 1), kind)
    with np.errstate(under="ignore"):
        for x_rows, y_rows, rstd_rows, (xhat, _) in _blocks(kind, x, y, rstd):
            x_rows = np.ascontiguousarray(x_rows, kind)
            rstd_rows[:] = reciprocal_rms(x_rows, kind.type(eps))
            np.multiply(x_rows, rstd_rows, out=xhat)
            y_rows[:] = np.multiply(xhat, weight, out=xhat)
    return y, rstd


def backward(dy, x, gamma, rstd, out=None):
    """Return dx, like x, and dgamma, summed over the leading axes, or None."""
    x, gamma, dy, rstd, kind = _arrays(x, gamma, dy=dy, rstd=rstd)
    weight = np.ones(x.shape[-1:]) if gamma is None else gamma
    weight, dx = np.asarray(weight, kind), _result(out, x, gamma, dy, rstd)
    dgamma = np.zeros(x.shape[-1], np.promote_types(kind, np.float64))
    with np.errstate(under="ignore"):
        for *rows, dx_rows, scratch in _blocks(kind, dy, x, rstd, dx):
            dy_rows, x_rows, rstd_rows = rows
            dy_rows = np.ascontiguousarray(dy_rows, kind)
            x_rows = np.ascontiguousarray(x_rows, kind)
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
    # To copy is faster than to multiply into dx.
    dx[:] = np.multiply(rstd, product, out=product)
    return dgamma


def reciprocal_rms(x, eps):
    with np.errstate(over="ignore"):
        mean_square = mean_product(x, x)
    safe = (mean_square > 1e-24) & (mean_square < 1e24)
    if np.count_nonzero(safe) == safe.size:
        return 1 / np.sqrt(mean_square + eps)
    # Squares leave the range of float32: divide by the largest element first.
    scale = np.max(np.abs(x), axis=-1, keepdims=True)
    scale = np.maximum(scale, np.sqrt(np.abs(eps)))
    scale = np.where(safe | ~(scale < np.inf), x.dtype.type(1), scale)
    x = x / scale
    return 1 / np.sqrt(mean_product(x, x) + eps / scale / scale) / scale


def mean_product(a, b):
    """Return the mean of a * b along each row, from sums over pieces of it."""
    n, whole = a.shape[-1], a.shape[-1] // PIECE * PIECE
    total = (a[..., None, whole:] @ b[..., whole:, None])[..., 0]
    if whole:
        pieces = *a.shape[:-1], -1, PIECE
        b = b[..., :whole].reshape(*b.shape[:-1], -1, PIECE, 1)
        sums = a[..., :whole].reshape(pieces)[..., None, :] @ b
        total += sums[..., 0, 0].sum(-1, keepdims=True)
    return total / a.dtype.type(n)


def _arrays(x, gamma, **others):
    """Return the arrays and the type of statistics, or say what is wrong."""
    x = x if type(x) is np.ndarray else _array("x", x)
    if not x.shape:
        raise ValueError("x has no axis: a row is the last one")
    row, ones = x.shape[-1:], (*x.shape[:-1], 1)
    wanted = {"x": x.shape, "gamma": row, "dy": x.shape, "rstd": ones}
    arrays = []
    for name, a in {"x": x, "gamma": gamma, **others}.items():
        if type(a) is not np.ndarray and a is not None:
            a = _array(name, a)
        arrays.append(a)
        if a is None:
            continue
        if a.shape != wanted[name]:
            about = f"{name} has the shape {a.shape}"
            raise ValueError(f"{about}, but must have {wanted[name]}")
        # V is what bfloat16 says that it is
        if a.dtype.kind not in ("fV" if name in ("x", "gamma") else "fVbiu"):
            about = f"{name} has dtype {a.dtype}, no floating-point type"
            raise TypeError(f"{about}: pass {name}.astype(np.float32)")
    return *arrays, np.promote_types(x.dtype, np.float32)


def _array(name, a):
    if np.ma.isMaskedArray(a):
        about = f"{name} is masked, which has no meaning here"
        raise TypeError(f"{about}: pass {name}.filled(0)")
    return np.asarray(a)


def _result(out, x, *others):
    if out is None:
        return np.empty(x.shape, x.dtype)
    if not isinstance(out, np.ndarray) or np.ma.isMaskedArray(out):
        about = f"not a {type(out).__name__}"
        raise TypeError(f"out must be a numpy.ndarray, {about}")
    fits = out.shape == x.shape and out.dtype == x.dtype
    if not (fits and out.flags.carray):
        layout = "contiguous" if out.flags.c_contiguous else "strided"
        layout = layout if out.flags.writeable else f"read-only, {layout}"
        raise ValueError(
            f"out must be a contiguous array of {x.dtype} and {x.shape}, "
            f"as x is, not a {layout} one of {out.dtype} and {out.shape}"
        )
    for a in (x, *others):  # two that own their memory share none
        if a is None or (out.base is None and a.base is None and a is not out):
            continue
        if np.may_share_memory(out, a):
            about = "shares memory with an argument"
            raise ValueError(f"out {about}: pass another array")
    return out


def _blocks(kind, *arrays):
    *batch, n = arrays[0].shape
    rows = math.prod(batch)
    if len(batch) != 1:
        arrays = [a.reshape(rows, a.shape[-1]) for a in arrays]
    # few enough rows for float32 to add up dgamma
    step = min(512, max(1, BLOCK // max(1, n)))
    scratch = np.empty((2, min(rows, step), n), kind)
    if 0 < rows <= step and n:
        yield *arrays, scratch
        return
    for start in range(0, rows if n else 0, step):
        part = slice(start, start + step)
        yield *(a[part] for a in arrays), scratch[:, : rows - start]
