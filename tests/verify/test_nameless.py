"""What is wrong in a way that is on no list is found, and given no name."""

# Backwards share one signature, whether they use every argument or not.
# ruff: noqa: ARG001, ARG005

from functools import cache

import numpy as np
import pytest

from rmsnorm_math.verify import check_backward
from rmsnorm_math.verify.sampling import rounded
from tests.verify.backwards import by_r_cubed, by_xhat, patched, rows


def _first_row_only(right, dy, x, gamma, eps):
    out = right.reshape(-1, x.shape[-1]).copy()
    out[1:] += 1e-3
    return out.reshape(x.shape)


def _cutoff_block(right, dy, x, gamma, eps):
    right[..., 128:] = 0
    return right


def _fit(v, x):
    return np.asarray(v).reshape(x.shape)


def _one_rms_per_batch(right, dy, x, gamma, eps):
    """Two batch axes: the rms of row 0 of the last batch axis for all of them."""
    if x.ndim < 3:
        return right
    r = np.sqrt(np.mean(x * x, -1, keepdims=True) + eps)
    return right * r / r[..., :1, :]


NAMELESS = {
    "later rows slightly off": patched(dx=_first_row_only),
    "even n": patched(dx=lambda v, dy, x, g, e: v if x.shape[-1] % 2 else 1.5 * v),
    "n no power of two": patched(
        dx=lambda v, dy, x, g, e: v if x.shape[-1].bit_count() == 1 else v + 1e-6
    ),
    "n = 1": patched(dx=lambda v, dy, x, g, e: v if x.shape[-1] > 1 else v + dy),
    "beyond a block of 128": patched(dx=_cutoff_block),
    "more than 32 rows": patched(
        dgamma=lambda v, dy, x, g, e: v if x.size < 32 * g.size else 0 * v
    ),
    "two batch axes": patched(dx=_one_rms_per_batch),
    "eps ignored below 1e-3": lambda dy, x, g, e: by_xhat(dy, x, g, e if e > 1e-3 else 0.0),
    "eps capped": lambda dy, x, g, e: by_xhat(dy, x, g, min(e, 1e-3)),
    "zero gamma replaced": lambda dy, x, g, e: by_xhat(dy, x, np.where(g == 0, 1e-3, g), e),
    "gradient clipped": patched(dx=lambda v, dy, x, g, e: np.clip(v, -10, 10)),
    "rounded through float32 in the mean square": lambda dy, x, g, e: by_xhat(
        dy, x * (1 + 1e-9), g, e
    ),
    "noise": patched(dx=lambda v, dy, x, g, e: v * (1 + 1e-12)),
    "first terms averaged": patched(
        dx=lambda v, dy, x, g, e: v + 0 * v.mean() + v.mean(-1, keepdims=True)
    ),
    "rows mixed up": patched(dx=lambda v, dy, x, g, e: _fit(v.reshape(-1, g.size)[::-1], x)),
    "elements mixed up": patched(dx=lambda v, dy, x, g, e: v[..., ::-1]),
    "dgamma's last element": patched(dgamma=lambda v, dy, x, g, e: np.append(v[:-1], 0.0)),
    "integers": patched(dx=lambda v, dy, x, g, e: v.astype(int)),
    "nan in one element": patched(dx=lambda v, dy, x, g, e: np.where(v == v.max(), np.nan, v)),
    "right only at eps = 0": lambda dy, x, g, e: by_xhat(dy, x, g, 1.1 * e),
}


@cache
def report_of(name):
    return check_backward(NAMELESS[name])


@pytest.mark.parametrize("name", NAMELESS)
def test_a_mistake_on_no_list_is_found_and_given_no_name(name):
    report = report_of(name)
    assert not report.ok
    assert report.diagnosis == "", str(report)
    assert "no single known mistake fits, nor two at once" in str(report)
    assert report.worst


@pytest.mark.parametrize(
    ("name", "trait"),
    [
        ("even n", "n is even"),
        ("n no power of two", "n is no power of two"),
        ("n = 1", "n = 1"),
        ("beyond a block of 128", "n > 128"),
        ("more than 32 rows", "there are more than 32 rows"),
        ("two batch axes", "x has more than one batch axis"),
        ("later rows slightly off", "there is more than one row"),
        ("zero gamma replaced", "gamma has a zero"),
        ("right only at eps = 0", "eps > 0"),
    ],
)
def test_the_report_says_what_the_failing_cases_share(name, trait):
    report = report_of(name)
    said = (f": exactly those where {trait}", f", only where {trait}, the first")
    assert any(text in problem for problem in report.problems for text in said), str(report)


def test_a_row_is_compared_with_a_mistake_by_its_own_terms():
    def backward(dy, x, gamma, eps):
        r = np.sqrt(np.mean(x * x, -1, keepdims=True) + eps)
        dx = gamma * dy / r
        if x.ndim == 2 and len(x) > 1 and not x[1].any():  # then row 1 of dx is large
            dx[0] *= 1 + 1e-12
        return dx, rows(dy * x / r)

    assert check_backward(backward).diagnosis == ""


def in_single(dy, x, gamma, eps):
    dy, x, gamma = (v.astype(np.float32) for v in (dy, x, gamma))
    return by_xhat(dy, x, gamma, eps)


@pytest.mark.parametrize(
    ("backward", "factor"),
    [
        (in_single, lambda x: 1 + 0.5 * (x > 0)),
        (by_r_cubed, lambda x: 1 + 0.5 * (x > 0)),
        (in_single, lambda x: 1.5 if abs(x).max(initial=0) > 256 else 1.0),
    ],
    ids=["everywhere", "and its squares overflow", "where squares would overflow"],
)
def test_a_mistake_on_no_list_is_given_no_name_in_float16_either(backward, factor):
    def wrong(dy, x, gamma, eps):
        dx, dgamma = backward(dy, x, gamma, eps)
        return rounded(dx * factor(x), "float16"), rounded(dgamma, "float16")

    shapes = [(5, 7), (3, 6), (8,), (2, 3, 4), (4, 64)]
    assert check_backward(wrong, dtype="float16", shapes=shapes).diagnosis == ""
