"""What a report says of a mistake is true of the formula, which is written here by hand."""

# The formulas share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

from functools import partial
from typing import Any

import numpy as np
import pytest

from rmsnorm_math.verify import check, check_backward
from tests.verify.backwards import by_xhat, rows, second_term, with_r
from tests.verify.test_right_layers import layer

FEW = [(5, 7), (3, 6), (1,), (8,), (2, 3, 5), (37, 7), (4, 64), (0, 8)]


def mean(v):
    return v.mean(-1, keepdims=True)


def of_dgamma(change):
    return lambda dy, x, g, e: (
        by_xhat(dy, x, g, e)[0],
        change(dy * x / np.sqrt(mean(x * x) + e), np.sqrt(mean(x * x) + e), g),
    )


def by_rstd_of(rms_of, dy, x, g, e):
    rstd = 1 / np.sqrt(mean(rms_of * rms_of) + e)
    xhat, v = x * rstd, g * dy
    return (v - xhat * mean(v * xhat)) * rstd, rows(dy * xhat)


#: What a report says, and the formula that it is true of, written by hand.
SAYS = {
    "dx: the second term has the wrong sign": second_term(lambda x, g, r: -1),
    "dx: the second term is half the right one": second_term(lambda x, g, r: 0.5),
    "dx: the second term is twice the right one": second_term(lambda x, g, r: 2),
    "dx: in the second term, it is divided by r**5 where r**3 is right": second_term(
        lambda x, g, r: r**-2
    ),
    "dx: in the second term, it is divided by r where r**3 is right": second_term(
        lambda x, g, r: r**2
    ),
    "dx: in the second term, 1/r**3 is missing": second_term(lambda x, g, r: r**3),
    "dx: in the second term, 1/n is missing (a sum where the mean is right)": second_term(
        lambda x, g, r: g.size
    ),
    "dx: in the second term, 1/n is applied twice": second_term(lambda x, g, r: 1 / g.size),
    "dx: in the second term, n - 1 stands for n": second_term(
        lambda x, g, r: g.size / np.float64(g.size - 1)
    ),
    "dx: in the second term, the padded length, the next power of two, stands for n": second_term(
        lambda x, g, r: g.size / 2 ** np.ceil(np.log2(g.size))
    ),
    "dx: in the second term, x is applied twice": second_term(lambda x, g, r: x),
    "dx: the whole is divided by r once too often": lambda dy, x, g, e: (
        by_xhat(dy, x, g, e)[0] / np.sqrt(mean(x * x) + e),
        by_xhat(dy, x, g, e)[1],
    ),
    "dx: it contains dy on top of the right one": lambda dy, x, g, e: (
        by_xhat(dy, x, g, e)[0] + dy,
        by_xhat(dy, x, g, e)[1],
    ),
    "dx and dgamma: eps is added twice": lambda dy, x, g, e: by_xhat(dy, x, g, 2 * e),
    "dx and dgamma: eps enters squared": lambda dy, x, g, e: by_xhat(dy, x, g, e * e),
    "dx and dgamma: eps enters n times": lambda dy, x, g, e: by_xhat(dy, x, g, g.size * e),
    "dx and dgamma: eps is 1e-06 where less is asked for": lambda dy, x, g, e: by_xhat(
        dy, x, g, max(e, 1e-6)
    ),
    "dx and dgamma: eps is 1e-05 whatever eps is asked for": lambda dy, x, g, e: by_xhat(
        dy, x, g, 1e-5
    ),
    "dx and dgamma: r is taken with the sum, not the mean": with_r(
        lambda x, e: np.sqrt(x.shape[-1] * mean(x * x) + e)
    ),
    "dx and dgamma: the root of r is missing": with_r(lambda x, e: mean(x * x) + e),
    "dx and dgamma: it is evaluated at the normalised input, x divided by r": lambda dy, x, g, e: (
        by_xhat(dy, x / np.sqrt(mean(x * x) + e), g, e)
    ),
    "dx and dgamma: r is that of dy, not of x": lambda dy, x, g, e: by_rstd_of(dy, dy, x, g, e),
    "dgamma: averaged over the rows; it is a sum": lambda dy, x, g, e: (
        by_xhat(dy, x, g, e)[0],
        by_xhat(dy, x, g, e)[1] / max(x.size // g.size, 1),
    ),
    "dgamma: x counts as 0 where gamma is 0, as if it were recomputed from the output by dividing "
    "by gamma, clamped": lambda dy, x, g, e: (
        by_xhat(dy, x, g, e)[0],
        np.where(g == 0, 0, by_xhat(dy, x, g, e)[1]),
    ),
    "dx: gamma is left out": lambda dy, x, g, e: (
        by_xhat(dy, x, np.ones_like(g), e)[0],
        by_xhat(dy, x, g, e)[1],
    ),
    "dx: gamma is taken in absolute value": lambda dy, x, g, e: (
        by_xhat(dy, x, abs(g), e)[0],
        by_xhat(dy, x, g, e)[1],
    ),
    "dgamma: 1/r is missing inside the sum": of_dgamma(lambda v, r, g: rows(v * r)),
    "dgamma: the root of r is missing": of_dgamma(lambda v, r, g: rows(v / r)),
    "dgamma: gamma is a factor, where it has no place": of_dgamma(lambda v, r, g: rows(v * g)),
    "dgamma: it has the wrong sign": of_dgamma(lambda v, r, g: -rows(v)),
    "dgamma: summed over the last batch axis only; sum over all but the last": of_dgamma(
        lambda v, r, g: v.sum(-2) if v.ndim > 1 else v
    ),
    "dgamma: averaged over the first axis; sum over all but the last": of_dgamma(
        lambda v, r, g: v.mean(0)
    ),
    "dgamma: that of the last row alone; add to it, do not overwrite it": of_dgamma(
        lambda v, r, g: v.reshape(-1, g.size)[-1:].sum(0)
    ),
}


@pytest.mark.parametrize("says", SAYS)
def test_a_sentence_is_true_of_the_formula(says):
    with np.errstate(all="ignore"):
        assert check_backward(SAYS[says], shapes=FEW).diagnosis == says


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(-1, keepdims=True)


def q_norm(dy, q, gamma, eps):
    rstd = 1 / np.sqrt(mean(q * q) + eps)
    xhat, v = q * rstd, gamma * dy
    return (v - xhat * mean(v * xhat)) * rstd


def layer_norm(dy, x, gamma, eps, without=""):
    centred = x - mean(x)
    rstd = 1 / np.sqrt(mean(centred**2) + eps)
    xhat, v = centred * rstd, gamma * dy
    of_mean, of_variance = ("mean" not in without) * mean(v), xhat * mean(v * xhat)
    dx = (v - of_mean - ("variance" not in without) * of_variance) * rstd
    return dx * (rstd if "squared" in without else 1), rows(dy * xhat)


#: What a report says of another layer, which layer, and the formula that it is true of.
SAYS_OF: dict[str, tuple[str, Any]] = {
    "dx: the second term is missing; and the third term is missing": (
        "LayerNorm",
        partial(layer_norm, without=("mean", "variance")),
    ),
    "dx: the second term is missing; and the whole is divided by r once too often "
    "(r is sqrt(eps + sum((x - sum(x)/n)**2)/n))": (
        "LayerNorm",
        partial(layer_norm, without=("mean", "squared")),
    ),
    "dx: exp(x)/r is missing from the whole (r is sum(exp(x)))": (
        "softmax",
        lambda dy, x: dy - (softmax(x) * dy).sum(-1, keepdims=True),
    ),
    "dx: in the second term, 1/n is a factor, where it has no place "
    "(a mean where the sum is right)": (
        "softmax",
        lambda dy, x: softmax(x) * (dy - mean(softmax(x) * dy)),
    ),
    "dq: 1/sqrt(n) is missing from the whole": ("q norm, scaled", q_norm),
    "dq: gamma is left out; and 1/sqrt(n) is missing from the whole": (
        "q norm, scaled",
        lambda dy, q, gamma, eps: q_norm(dy, q, np.ones_like(gamma), eps),
    ),
    "dx: r is taken with the mean, not the sum (r is sqrt(eps + sum(x**2)))": (
        "L2",
        lambda dy, x, eps: (
            (dy - x * (dy * x).sum(-1, keepdims=True) / (mean(x * x) + eps))
            / np.sqrt(mean(x * x) + eps)
        ),
    ),
}


@pytest.mark.parametrize("says", SAYS_OF)
def test_a_sentence_of_another_layer_is_true_of_the_formula(says):
    which, wrong = SAYS_OF[says]
    assert check(wrong, *layer(which), shapes=FEW).diagnosis == says
