"""Backwards to check: right ones, in three ways and by the complex step, and wrong ones."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rmsnorm_math.verify.mistakes import Mistake


def rows(v):
    return v.reshape(-1, v.shape[-1]).sum(0)


def by_xhat(dy, x, gamma, eps):
    r = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    xhat, v = x / r, gamma * dy
    return (v - xhat * np.mean(v * xhat, axis=-1, keepdims=True)) / r, rows(dy * xhat)


def by_r_cubed(dy, x, gamma, eps):
    n = x.shape[-1]
    r = np.sqrt(np.sum(x * x, axis=-1, keepdims=True) / n + eps)
    dot = np.sum(gamma * dy * x, axis=-1, keepdims=True)
    return gamma * dy / r - x * dot / (n * r**3), rows(dy * x / r)


def by_rstd(dy, x, gamma, eps):
    rstd = 1 / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps)
    c = np.mean(dy * gamma * x * rstd, axis=-1, keepdims=True)
    return rstd * (dy * gamma - x * rstd * c), rows(dy * (x * rstd))


def by_complex_step(dy, x, gamma, eps):
    def loss(x, gamma):
        r = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
        return np.sum(dy * gamma * x / r)

    def gradient(f, at):
        out, h = np.empty(at.shape), 1e-30
        for i in np.ndindex(at.shape):
            moved = at.astype(complex)
            moved[i] += 1j * h
            out[i] = f(moved).imag / h
        return out

    return gradient(lambda v: loss(v, gamma), x), gradient(lambda v: loss(x, v), gamma)


def with_mistake(mistake: Mistake) -> Callable[..., Any]:
    """Make a backward with that mistake and no other."""

    def backward(dy, x, gamma, eps):
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        if mistake.dx:
            dx = mistake.dx(dy, x, gamma, eps)
        if mistake.dgamma:
            dgamma = mistake.dgamma(dy, x, gamma, eps)
        return dx, dgamma

    return backward
