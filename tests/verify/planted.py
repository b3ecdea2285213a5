"""Layers to check, and functions that compute wrong formulas of them."""

from functools import cache

import numpy as np
from sympy import IndexedBase

from rmsnorm_math import layer_norm, rms, rmsnorm, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, m, x, ybar
from rmsnorm_math.verify.arrays import Arrays
from rmsnorm_math.verify.conventions import Conventions
from rmsnorm_math.verify.layer import layer_of
from rmsnorm_math.verify.search import Suspects

NAMES = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}


def gradients(y):
    return {
        "dx": vjp(y, x[b, j], ybar[b, i], {b: (1, m)}),
        "dgamma": vjp(y, gamma[j], ybar[b, i], {b: (1, m)}),
    }


@cache
def layer(name):
    """Return RMSNorm's or LayerNorm's backward pass."""
    if name == "RMSNorm":
        return layer_of(gradients(rmsnorm(b)), NAMES, {IndexedBase("r")[b]: rms(b)})
    return layer_of(gradients(layer_norm(b)), NAMES, None)


@cache
def conventions(name):
    return list(Conventions(layer(name)).all())


def arrays_of(name, values):
    plain = layer(name).arrays(values)
    definitions = dict(layer(name).definitions)
    for convention in conventions(name):
        definitions |= convention.definitions
    return Arrays(plain.slot, plain.values, definitions)


def values_of(seed, shape=(3, 7)):
    random = np.random.default_rng(seed)
    dy, x_ = random.standard_normal((2, *shape))
    weights = random.uniform(0.5, 1.5, shape[-1]) * np.where(np.arange(shape[-1]) % 3, 1, -1)
    return {ybar: dy, x: x_, gamma: weights, epsilon: 0.1}


@cache
def suspects(name, key, seed=0, shape=(3, 7)):
    """Return the wrong formulas of one output, with their values at a point of their own."""
    of = layer(name)
    right = of.truth(*values_of(seed, shape).values())[list(of.outputs).index(key)]
    return Suspects(
        of, key, conventions(name), arrays_of(name, values_of(seed, shape)), right.shape
    )


def values_of_terms(name, key, terms, seed=1):
    """Return what `terms` add up to at a point of their own, and what is right there."""
    of, given = layer(name), values_of(seed)
    arrays, indices = arrays_of(name, given), of.indices(key)
    total = sum(np.asarray(arrays.value(term), dtype=float) for term in terms)
    right = of.truth(*given.values())[list(of.outputs).index(key)]
    return np.broadcast_to(arrays.laid(total, indices), right.shape), right


def planted(name, key, terms):
    """Return a function that computes the sum of `terms` for one output, and the others right."""
    of = layer(name)
    at, indices = list(of.outputs).index(key), of.indices(key)

    def backward(dy, x_, weights, eps):
        results = list(of.truth(dy, x_, weights, eps))
        arrays = arrays_of(name, {ybar: dy, x: x_, gamma: weights, epsilon: eps})
        total = sum(np.asarray(arrays.value(term), dtype=float) for term in terms)
        flat = arrays.laid(total, indices)
        shape = results[at].shape
        rows = (-1, shape[-1]) if len(indices) == 2 else shape
        results[at] = np.broadcast_to(flat, results[at].reshape(rows).shape).reshape(shape)
        return tuple(results)

    return backward
