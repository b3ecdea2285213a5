"""What is wrong in a known way is named, however it is written."""

# Backwards share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

from pathlib import Path

import numpy as np
import pytest

from rmsnorm_math.verify import check_backward
from rmsnorm_math.verify.sampling import rounded
from rmsnorm_math.verify.wild import WILD
from tests.verify.backwards import by_r_cubed, by_rstd, rows

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[2] / "docs")
    from habits import backward as with_mistake
    from seen import SEEN


FEW = [(5, 7), (5, 5), (1,), (8,), (2, 3, 5), (37, 7), (4, 64), (0, 8)]


def test_names_and_sentences_of_mistakes_are_unique():
    assert len({m.name for m in WILD}) == len({m.says for m in WILD}) == len(WILD)


def test_what_was_seen_in_public_has_a_link_to_where():
    linked = {name for name, seen in SEEN.items() if "](https://github.com/" in seen}
    assert {m.name for m in WILD} == linked, "link to the file at a commit, or to the thread"
    at = [part for seen in SEEN.values() for part in seen.split("](")[1:] if "/blob/" not in part]
    assert all("/pull/" in part or "/issues/" in part for part in at), "a link to a commit rots"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seen", WILD, ids=lambda seen: seen.name)
def test_each_known_mistake_is_named(seen, dtype):
    wrong = with_mistake(seen)

    def backward(*arguments):
        return tuple(np.asarray(v, dtype=dtype) for v in wrong(*arguments))

    report = check_backward(backward, dtype=dtype, shapes=FEW if dtype == "float32" else None)
    assert not report.ok, "this is no mistake: the check finds nothing wrong"
    assert report.diagnosis.partition(": ")[2] == seen.says, str(report)


# The rows of the catalogue again, written as people write them, apart from its own formulas.
def _loop(second, first=lambda g, d, r: g * d / r, r_of=None):
    """Compute dx element by element: `first` minus `second`."""

    def backward(dy, x, gamma, eps):
        dx = np.empty_like(x)
        n = x.shape[-1]
        dgamma = np.zeros(n)
        for b in np.ndindex(x.shape[:-1]):
            r = np.sqrt(np.mean(x[b] ** 2) + eps) if r_of is None else r_of(x[b], eps)
            dgamma += dy[b] * x[b] / r
            for i in range(n):
                dx[(*b, i)] = first(gamma[i], dy[b][i], r) - second(gamma, dy[b], x[b], n, r, i)
        return dx, dgamma

    return backward


def _dot(g, d, x):
    return float(np.dot(g * d, x))


WRITTEN_OUT = {
    "gamma outside the sum": _loop(
        lambda g, d, x, n, r, i: g[i] * x[i] * float(np.dot(d, x)) / (n * r**3)
    ),
    "gamma twice in the second term": _loop(
        lambda g, d, x, n, r, i: g[i] * x[i] * _dot(g, d, x) / (n * r**3)
    ),
    "r² for r³": _loop(lambda g, d, x, n, r, i: x[i] * _dot(g, d, x) / (n * r**2)),
    "r⁴ for r³": _loop(lambda g, d, x, n, r, i: x[i] * _dot(g, d, x) / (n * r**4)),
    "1/n twice": _loop(lambda g, d, x, n, r, i: x[i] * _dot(g, d, x) / (n * n * r**3)),
    "rms as a constant": _loop(lambda g, d, x, n, r, i: 0.0),
    "diagonal only": _loop(lambda g, d, x, n, r, i: x[i] ** 2 * g[i] * d[i] / (n * r**3)),
    "1 + gamma in the backward only": _loop(
        lambda g, d, x, n, r, i: x[i] * _dot(1 + g, d, x) / (n * r**3),
        lambda g, d, r: (1 + g) * d / r,
    ),
    "eps missing": _loop(
        lambda g, d, x, n, r, i: x[i] * _dot(g, d, x) / (n * r**3),
        r_of=lambda x, eps: np.sqrt(np.mean(x**2)),
    ),
    "a parenthesis": _loop(lambda g, d, x, n, r, i: d[i] * x[i] * _dot(g, d, x) / (n * r**3)),
    "gamma not in the sum": _loop(lambda g, d, x, n, r, i: x[i] * float(np.dot(d, x)) / (n * r**3)),
    "residual before the Jacobian": lambda dy, x, gamma, eps: (
        by_rstd(dy + dy, x, gamma, eps)[0],
        by_rstd(dy, x, gamma, eps)[1],
    ),
    "dgamma not summed": lambda dy, x, gamma, eps: (
        by_rstd(dy, x, gamma, eps)[0],
        dy * x * (np.mean(x * x, -1, keepdims=True) + eps) ** -0.5,
    ),
}


SAID = {
    "1/n twice": "dx: in the second term, 1/n is applied twice",
    "diagonal only": "dx: in the second term, only the diagonal is used: the sum over the axis is "
    "missing",
    "residual before the Jacobian": "dx: the whole is twice the right one",
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_mistake_written_in_another_way_is_named_as_well(name):
    said = [f": {seen.says}" for seen in WILD if seen.name == name] or [SAID[name]]
    assert check_backward(WRITTEN_OUT[name], shapes=FEW).diagnosis.endswith(said[0])


def test_eps_outside_the_root_forward_and_inside_backward_is_named():
    def backward(dy, x, gamma, eps):
        rms = np.sqrt((x**2).mean(-1, keepdims=True))
        dxhat = dy * gamma
        drms = (-dxhat * x / (rms * rms + eps)).sum(-1, keepdims=True)
        dx = dxhat / (rms + eps) + drms / (2 * rms) * 2 * x / x.shape[-1]
        return dx, rows(dy * x / (rms + eps))

    assert "outside the root in the first term and inside in the second" in (
        check_backward(backward).diagnosis
    )


def along_the_wrong_axis(dy, x, gamma, eps):
    rstd = (np.mean(x * x, -1) + eps) ** -0.5
    c = np.mean(dy * gamma * x, -1) * rstd**3
    return dy * gamma * rstd[..., None] - x * c, rows(dy * x * rstd[..., None])


def test_a_reduction_laid_along_the_wrong_axis_is_named_though_it_cannot_run_everywhere():
    report = check_backward(along_the_wrong_axis)
    assert "raises ValueError" in str(report)
    assert "broadcast along the wrong axis" in report.diagnosis


def test_nothing_may_come_back_where_a_mistake_cannot_run():
    def backward(*arguments):
        try:
            return along_the_wrong_axis(*arguments)
        except ValueError:
            return None, by_r_cubed(*arguments)[1]

    assert "broadcast along the wrong axis" in check_backward(backward).diagnosis


def test_float16_squares_that_overflow_are_named():
    assert check_backward(by_r_cubed, dtype="float16").diagnosis == (
        "dx: it is lost where x * x exceeds float16's largest number, 65504: "
        "take the mean square in float32"
    )


def test_dividing_by_gamma_is_found_where_gamma_is_zero():
    def backward(dy, x, gamma, eps):
        r = np.sqrt(np.mean(x * x, -1, keepdims=True) + eps)
        xhat = gamma * x / r / gamma
        v = dy * gamma
        return (v - xhat * np.mean(v * xhat, -1, keepdims=True)) / r, rows(dy * xhat)

    report = check_backward(backward)
    assert "exactly those where gamma has a zero" in str(report)
    assert "dividing by gamma" in report.diagnosis


def test_two_mistakes_are_both_named():
    def backward(dy, x, gamma, eps):
        r = np.sqrt(np.mean(x * x, -1, keepdims=True) + eps)
        return gamma * dy / r, dy * x / r

    assert check_backward(backward).diagnosis.splitlines() == [
        "dx: the second term is missing: the rms was taken for a constant, but it depends on x",
        "dgamma: not summed over the batch",
    ]


def test_a_mistake_in_float32_code_is_named_in_a_float64_check():
    def backward(dy, x, gamma, eps):
        dy, x, gamma = (v.astype(np.float32) for v in (dy, x, gamma))
        dx, dgamma = by_r_cubed(dy, x, gamma, eps)
        return gamma * dx, dgamma

    diagnosis = check_backward(backward).diagnosis
    assert "computed or kept in float32, not in float64" in diagnosis


def test_a_mistake_in_float32_is_named_where_it_gives_no_number():
    (mistake,) = (m for m in WILD if m.name == "eps missing")

    def backward(*arguments):
        return tuple(rounded(v, "float32") for v in with_mistake(mistake)(*arguments))

    assert check_backward(backward).diagnosis == (
        f"dx and dgamma: {mistake.says}; it is computed or kept in float32, not in float64"
    )


def test_bfloat16_is_named_in_a_float32_check():
    def backward(*arguments):
        return tuple(rounded(v, "bfloat16") for v in by_r_cubed(*arguments))

    assert check_backward(backward, dtype="float32").diagnosis == (
        "dx and dgamma: the formula is right; it is computed or kept in bfloat16, not in float32; "
        "if that is meant, say dtype='bfloat16'"
    )


def test_a_mistake_that_overflows_float16_is_named():
    (mistake,) = (m for m in WILD if m.name == "r⁴ for r³")

    def backward(dy, x, gamma, eps):
        single = [v.astype(np.float32) for v in (dy, x, gamma)]
        return tuple(rounded(v, "float16") for v in with_mistake(mistake)(*single, eps))

    report = check_backward(backward, dtype="float16")
    assert "dx is not finite" in str(report)
    assert report.diagnosis == f"dx: {mistake.says}"
