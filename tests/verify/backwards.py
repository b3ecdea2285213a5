"""Backwards to check: right ones, in three ways and by the complex step, and wrong ones."""

import numpy as np


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


def patched(dx=None, dgamma=None):
    """Make a right backward, its results then passed through `dx` and `dgamma`."""

    def backward(*arguments):
        right = by_xhat(*arguments)
        return (
            dx(right[0], *arguments) if dx else right[0],
            dgamma(right[1], *arguments) if dgamma else right[1],
        )

    return backward


def second_term(factor):
    """Make a backward whose second term has a factor too many, a function of (x, gamma, r)."""

    def backward(dy, x, gamma, eps):
        r = np.sqrt(np.mean(x * x, -1, keepdims=True) + eps)
        second = x * np.mean(gamma * dy * x, -1, keepdims=True) / r**3
        return gamma * dy / r - second * factor(x, gamma, r), rows(dy * x / r)

    return backward


def with_r(r):
    """Make a backward that uses another r, a function of (x, eps)."""

    def backward(dy, x, gamma, eps):
        root = r(x, eps)
        second = x * np.mean(gamma * dy * x, -1, keepdims=True) / root**3
        return gamma * dy / root - second, rows(dy * x / root)

    return backward
