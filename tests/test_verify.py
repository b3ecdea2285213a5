"""The check accepts what is right however it is written, and names what is wrong."""

# Backwards share one signature, whether they use every argument or not.
# ruff: noqa: ARG001, ARG005

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest

from rmsnorm_math import function, notation, rmsnorm, verify
from rmsnorm_math.notation import epsilon
from rmsnorm_math.verify import assert_backward, assert_forward, check_backward, check_forward
from rmsnorm_math.verify.cases import TRAITS, UNIT, grid, rounded
from rmsnorm_math.verify.wrong_forwards import EPS, FORWARD
from rmsnorm_math.verify.wrong_gradients import BACKWARD, Mistake


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


def by_jacobian(dy, x, gamma, eps):
    n = x.shape[-1]
    dx, dgamma = np.empty_like(x), np.zeros_like(gamma)
    for b in np.ndindex(x.shape[:-1]):
        r = np.sqrt(x[b] @ x[b] / n + eps)
        jacobian = np.diag(gamma / r) - np.outer(gamma * x[b], x[b]) / (n * r**3)
        dx[b] = jacobian.T @ dy[b]
        dgamma += np.diag(x[b] / r) @ dy[b]
    return dx, dgamma


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


def in_plain_lists(dy, x, gamma, eps):
    gamma, n = gamma.tolist(), len(gamma)
    dgamma = [0.0] * n

    def of_row(dy, x):
        if isinstance(x[0], list):
            return [of_row(*row) for row in zip(dy, x, strict=True)]
        r = (sum(v * v for v in x) / n + eps) ** 0.5
        dot = sum(g * d * v for g, d, v in zip(gamma, dy, x, strict=True))
        for i in range(n):
            dgamma[i] += dy[i] * x[i] / r
        return [g * d / r - v * dot / (n * r**3) for g, d, v in zip(gamma, dy, x, strict=True)]

    return of_row(dy.tolist(), x.tolist()), dgamma


RIGHT = [by_xhat, by_r_cubed, by_rstd, by_jacobian, by_complex_step, in_plain_lists]


@pytest.mark.parametrize("backward", RIGHT)
def test_a_right_backward_passes_however_it_is_written(backward):
    report = check_backward(backward)
    assert report.ok, str(report)
    assert not report.diagnosis
    assert "right in all" in str(report)


@pytest.mark.parametrize("backward", [by_xhat, by_r_cubed, by_rstd])
def test_a_right_backward_in_float32_passes_when_float32_is_asked_for(backward):
    assert_backward(backward, dtype="float32")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("backward", [by_xhat, by_r_cubed, by_rstd])
def test_half_precision_with_float32_statistics_passes(backward, dtype):
    def with_casts(dy, x, gamma, eps):
        results = backward(*(v.astype(np.float32) for v in (dy, x, gamma)), eps)
        return tuple(rounded(v, dtype) for v in results)

    assert_backward(with_casts, dtype=dtype)


class Gradients(NamedTuple):
    dx: Any
    dgamma: Any


def odd_sides(dy, x, gamma, eps):
    """Fortran order, a column of results, a subclass of tuple, float128 inside."""
    dy, x, gamma = (v.astype(np.longdouble) for v in (dy, x, gamma))
    dx, dgamma = by_xhat(dy, x, gamma, eps)
    return Gradients(np.asfortranarray(dx), dgamma[::-1][::-1])


class WithBuffers:
    """Give out the same memory at every call, as kernels do."""

    def __init__(self):
        self.memory = np.empty(10_000)

    def __call__(self, dy, x, gamma, eps):
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        self.memory[: x.size] = dx.ravel()
        self.memory[-gamma.size :] = dgamma
        return self.memory[: x.size].reshape(x.shape), self.memory[-gamma.size :]


def scaled_by_the_largest(dy, x, gamma, eps):
    m = np.maximum(abs(x).max(-1, keepdims=True), eps**0.5)
    m[m == 0] = 1
    u = x / m
    s = np.sqrt(np.mean(u * u, axis=-1, keepdims=True) + eps / m**2)
    xhat, v = u / s, gamma * dy
    return (v - xhat * np.mean(v * xhat, axis=-1, keepdims=True)) / s / m, rows(dy * xhat)


def by_projection(dy, x, gamma, eps):
    """Split dy along x and across it: eigenvalues eps/r**3 and 1/r."""
    v, square = gamma * dy, np.sum(x * x, axis=-1, keepdims=True)
    r = np.sqrt(square / x.shape[-1] + eps)
    along = (
        np.where(square > 0, np.sum(v * x, -1, keepdims=True) / np.where(square, square, 1), 0) * x
    )
    return (v - along) / r + along * eps / r**3, rows(dy * x / r)


def in_a_list_with_a_dict_of_state(dy, x, gamma, eps):
    state = {}
    state["dx"], state["dgamma"] = by_rstd(dy, x, gamma, eps)
    return list(state.values())


@pytest.mark.parametrize(
    "backward",
    [
        odd_sides,
        WithBuffers(),
        scaled_by_the_largest,
        by_projection,
        in_a_list_with_a_dict_of_state,
    ],
)
def test_an_odd_but_right_backward_passes(backward):
    assert_backward(backward)


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


def outputs_of(mistake: Mistake) -> str:
    return " and ".join(name for name in ("dx", "dgamma") if getattr(mistake, name))


def named(mistakes):
    return {"argvalues": mistakes, "ids": lambda mistake: mistake.name}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mistake", **named(BACKWARD))
def test_each_known_mistake_is_named(mistake, dtype):
    report = check_backward(with_mistake(mistake), dtype=dtype)
    assert not report.ok
    assert report.diagnosis == f"{outputs_of(mistake)}: {mistake.says}"


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


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_mistake_written_in_another_way_is_named_as_well(name):
    (mistake,) = (m for m in BACKWARD if m.name == name)
    report = check_backward(WRITTEN_OUT[name])
    assert report.diagnosis == f"{outputs_of(mistake)}: {mistake.says}"


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


def test_a_reduction_laid_along_the_wrong_axis_is_named_though_it_cannot_run_everywhere():
    def backward(dy, x, gamma, eps):
        rstd = (np.mean(x * x, -1) + eps) ** -0.5
        c = np.mean(dy * gamma * x, -1) * rstd**3
        return dy * gamma * rstd[..., None] - x * c, rows(dy * x * rstd[..., None])

    report = check_backward(backward)
    assert "raises ValueError" in str(report)
    assert "broadcast along the wrong axis" in report.diagnosis


def test_float16_squares_that_overflow_are_named():
    report = check_backward(by_r_cubed, dtype="float16")
    assert "65504: take the mean square in float32" in report.diagnosis


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
        "dgamma: dgamma is not summed over the batch",
    ]


def test_a_mistake_in_float32_code_is_named_in_a_float64_check():
    def backward(dy, x, gamma, eps):
        dy, x, gamma = (v.astype(np.float32) for v in (dy, x, gamma))
        dx, dgamma = by_r_cubed(dy, x, gamma, eps)
        return gamma * dx, dgamma

    diagnosis = check_backward(backward).diagnosis
    assert "computed or kept in float32, not in float64" in diagnosis


# ---------------------------------------------------------------- wrong in ways that have no name


def patched(dx=None, dgamma=None):
    """Make a right backward, its results then passed through `dx` and `dgamma`."""

    def backward(*arguments):
        right = by_xhat(*arguments)
        return (
            dx(right[0], *arguments) if dx else right[0],
            dgamma(right[1], *arguments) if dgamma else right[1],
        )

    return backward


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
    "eps only in dgamma's rms doubled": patched(
        dgamma=lambda v, dy, x, g, e: by_xhat(dy, x, g, 2 * e)[1]
    ),
    "eps ignored below 1e-3": lambda dy, x, g, e: by_xhat(dy, x, g, e if e > 1e-3 else 0.0),
    "eps capped": lambda dy, x, g, e: by_xhat(dy, x, g, min(e, 1e-3)),
    "gamma in absolute value": lambda dy, x, g, e: (
        by_xhat(dy, x, abs(g), e)[0],
        by_xhat(dy, x, g, e)[1],
    ),
    "zero gamma replaced": lambda dy, x, g, e: by_xhat(dy, x, np.where(g == 0, 1e-3, g), e),
    "n - 1 for n": patched(
        dx=lambda v, dy, x, g, e: by_xhat(dy, x * (g.size / max(g.size - 1, 1)) ** 0.5, g, e)[0]
    ),
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
    "dgamma from y": patched(dgamma=lambda v, dy, x, g, e: v * g**2),
    "noughts": patched(dx=lambda v, dy, x, g, e: 0 * v),
    "integers": patched(dx=lambda v, dy, x, g, e: v.astype(int)),
    "nan in one element": patched(dx=lambda v, dy, x, g, e: np.where(v == v.max(), np.nan, v)),
    "right only at eps = 0": lambda dy, x, g, e: by_xhat(dy, x, g, 1.1 * e),
}


@pytest.mark.parametrize("name", NAMELESS)
def test_a_mistake_on_no_list_is_found_and_given_no_name(name):
    report = check_backward(NAMELESS[name])
    assert not report.ok
    assert report.diagnosis == "", str(report)
    assert "none of the known mistakes fits" in str(report)
    assert report.worst


@pytest.mark.parametrize(
    ("name", "trait"),
    [
        ("even n", "n is even"),
        ("n no power of two", "n is no power of two"),
        ("n = 1", "n = 1"),
        ("beyond a block of 128", "n > 128"),
        ("more than 32 rows", "there are more than 32 rows"),
        ("two batch axes", "x has two batch axes"),
        ("later rows slightly off", "there is more than one row"),
        ("eps capped", "eps = 0.1"),
        ("zero gamma replaced", "gamma has a zero"),
        ("right only at eps = 0", "eps > 0"),
    ],
)
def test_the_report_says_what_the_failing_cases_share(name, trait):
    assert f"exactly those where {trait}\n" in str(check_backward(NAMELESS[name]))


# ------------------------------------------------------------------------- what is no gradient


def raising(dy, x, gamma, eps):
    message = "no batches, please"
    if x.ndim > 1:
        raise NotImplementedError(message)
    return by_xhat(dy, x, gamma, eps)


def overwriting(dy, x, gamma, eps):
    dy[...], dgamma = by_xhat(dy, x, gamma, eps)
    return dy, dgamma


def squaring_in_place(dy, x, gamma, eps):
    results = by_xhat(dy, x, gamma, eps)
    x *= x
    return results


def complex_results(dy, x, gamma, eps):
    dx, dgamma = by_xhat(dy, x, gamma, eps)
    return dx + 0j, dgamma


class NoArray:
    def __array__(self, *_, **__):  # noqa: D105
        message = "move it to the CPU first"
        raise RuntimeError(message)


@pytest.mark.parametrize(
    ("backward", "text"),
    [
        (raising, "raises NotImplementedError (no batches, please) in"),
        (raising, "exactly those where x has a batch axis"),
        (lambda dy, x, gamma: None, "raises TypeError ("),
        (lambda *a: None, "returns None where (dx, dgamma) is asked for in every case"),
        (lambda *a: by_xhat(*a)[0], "returns one ndarray where (dx, dgamma) is asked for"),
        (lambda *a: (*by_xhat(*a), 0), "returns 3 values where (dx, dgamma) is asked for"),
        (lambda *a: (by_xhat(*a)[0], None), "dgamma is None in every case"),
        (lambda *a: (by_xhat(*a)[0], None), "diagnosis: dgamma: it is missing"),
        (lambda *a: (by_xhat(*a)[0], "dgamma"), "dgamma has dtype <U6: return real numbers"),
        (lambda *a: (by_xhat(*a)[0], [[1], [2, 3]]), "dgamma does not convert to an array (Val"),
        (lambda *a: (NoArray(), by_xhat(*a)[1]), "(RuntimeError: move it to the CPU first)"),
        (lambda *a: (by_xhat(*a)[0].ravel(), by_xhat(*a)[1]), "dx has shape (4,) where (1, 4) is"),
        (complex_results, "dx has dtype complex128: return real numbers in every case"),
        (overwriting, "changes its argument dy (work on a copy) in"),
        (squaring_in_place, "changes its argument x (work on a copy) in every case"),
        (lambda dy, x, gamma, eps: (dy, gamma), "dx is wrong in"),
        (lambda dy, x, gamma, eps: (x, x[:0]), "dgamma has shape (0,)"),
        (
            lambda *a: tuple(v.astype("f4") for v in by_xhat(*a)),
            "formula is right; it is computed or kept in float32, not in float64",
        ),
    ],
)
def test_what_goes_wrong_in_the_call_is_said(backward, text):
    assert text in str(check_backward(backward))


def test_errors_of_float32s_size_are_called_that():
    def backward(dy, x, gamma, eps):
        square = np.mean((x * x).astype(np.float32), axis=-1, keepdims=True)
        r = np.sqrt(square + np.float32(eps)).astype(np.float64)
        xhat, v = x / r, gamma * dy
        return (v - xhat * np.mean(v * xhat, axis=-1, keepdims=True)) / r, rows(dy * xhat)

    report = check_backward(backward)
    assert "dx is wrong, by no more than rounding to float32 explains, in every" in str(report)
    got, right = report.worst.split(" is ")[1].split(" where ")
    assert got != right


def test_there_is_no_talk_of_formulas_where_none_is_wrong():
    assert "diagnosis" not in str(check_backward(squaring_in_place))


def test_what_is_right_gets_no_diagnosis_when_something_else_is_amiss():
    def squaring(x, gamma, eps):
        y = forward(x, gamma, eps)
        x *= x
        return y

    assert "changes its argument x" in str(check_forward(squaring))
    assert not check_forward(squaring).diagnosis


def test_nan_is_located():
    def backward(dy, x, gamma, eps):
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        return (dx if eps else dx * np.nan), dgamma

    assert "dx is not finite in 33 of 101 cases: exactly those where eps = 0" in str(
        check_backward(backward)
    )


def test_the_assertion_has_the_reports_text():
    wrong = with_mistake(BACKWARD[0])
    with pytest.raises(AssertionError) as raised:
        assert_backward(wrong)
    assert str(raised.value) == str(check_backward(wrong))


def test_the_worst_case_can_be_run_again():
    report = check_backward(with_mistake(BACKWARD[2]))
    dx, _ = by_xhat(*report.inputs)
    wrong, _ = with_mistake(BACKWARD[2])(*report.inputs)
    element = report.worst.split("[")[1].split("]")[0]
    index = tuple(int(i) for i in element.split(","))
    assert f"is {wrong[index]:.6g} where {dx[index]:.6g} is right" in report.worst


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(
        TypeError, match=r"expected a function backward\(dy, x, gamma, eps\), got int"
    ):
        check_backward(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype is 'int8'; write one of 'float64', 'float32'"):
        check_backward(by_xhat, dtype="int8")
    with pytest.raises(ValueError, match="eps is 'under'; write one of 'inside', 'outside', 'max'"):
        check_forward(lambda x, gamma, eps: x, eps="under")


# ------------------------------------------------------------------------------- the truth itself


def test_the_truth_is_the_complex_step_derivative():
    for case in grid("float64"):
        arguments = case.dy, case.x, case.gamma, case.eps
        for right, stepped in zip(
            verify._truth(*arguments), by_complex_step(*arguments), strict=True
        ):
            scale = abs(stepped).max()
            # At n = 1 and eps = 0 the derivative is 0, what is left is rounding of terms of 1/rms.
            assert np.allclose(right, stepped, rtol=1e-12, atol=1e-13 * scale + 1e-14 / case.scale)


def test_the_truth_is_the_derivative_in_50_digits():
    dy, x, gamma, eps = [0.3, -1.1, 0.7], [0.2, 1.9, -0.4], [0.5, -2.0, 1.25], 0.1
    with mpmath.workdps(50):

        def loss(*x):
            r = mpmath.sqrt(sum(v * v for v in x) / 3 + mpmath.mpf(eps))
            return sum(d * g * v / r for d, g, v in zip(dy, gamma, x, strict=True))

        wanted = [mpmath.diff(loss, x, tuple(int(j == i) for j in range(3))) for i in range(3)]
    right, _ = verify._truth(np.array(dy), np.array(x), np.array(gamma), eps)
    assert right == pytest.approx([float(v) for v in wanted], rel=1e-14)


# ---------------------------------------------------------------------------------- the catalogue


def test_names_and_sentences_of_mistakes_are_unique():
    for mistakes in (BACKWARD, FORWARD):
        assert len({m.name for m in mistakes}) == len({m.says for m in mistakes}) == len(mistakes)


def test_traits_set_different_cases_apart():
    cases = list(grid("float64"))
    sets = {tuple(holds(case) for case in cases) for holds in TRAITS.values()}
    assert len(sets) == len(TRAITS)
    assert (False,) * len(cases) not in sets
    assert (True,) * len(cases) not in sets


def test_the_grid_is_the_same_at_every_call_and_covers_what_hides_mistakes():
    first, second = list(grid("float64")), list(grid("float64"))
    assert all(np.array_equal(a.x, b.x) for a, b in zip(first, second, strict=True))
    assert {c.eps for c in first} == {0, 1e-6, 0.1}
    assert {1, 3, 130} <= {c.x.shape[-1] for c in first}
    assert {1, 2, 3} == {c.x.ndim for c in first}
    assert all(len(set(c.gamma)) == c.gamma.size for c in first)
    assert all((c.gamma < 0).any() for c in first)


@pytest.mark.parametrize("dtype", UNIT)
def test_inputs_are_exact_in_the_dtype_asked_for(dtype):
    for case in grid(dtype):
        for values in (case.dy, case.x, case.gamma):
            assert np.array_equal(rounded(values, dtype), values)
            assert values.dtype == ("float32" if dtype == "bfloat16" else dtype)


def test_bfloat16_rounds_to_nearest_and_ties_to_even():
    values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-12, -3.14159, np.inf, 0])
    wanted = [1, 1, 1 + 2**-6, 1 + 2**-7, -3.140625, np.inf, 0]
    assert rounded(values, "bfloat16").tolist() == wanted
    assert np.isnan(rounded(np.array([np.nan]), "bfloat16")).all()


# ------------------------------------------------------------------------------------ the forward


def forward(x, gamma, eps):
    return gamma * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("offset", [0, 1])
def test_a_right_forward_passes(dtype, offset):
    assert_forward(
        lambda x, gamma, eps: forward(x, offset + gamma, eps), dtype=dtype, offset=offset
    )


def test_the_forward_with_eps_inside_is_the_one_that_is_differentiated():
    derived = function({"y": rmsnorm()}, {notation.x: "x", notation.gamma: "g", epsilon: "eps"})
    for case in grid("float64"):
        y = case.gamma * case.x / EPS["inside"](case.x, case.eps)
        assert np.allclose(y, derived(case.x, case.gamma, case.eps), rtol=1e-14, atol=0)


@pytest.mark.parametrize("asked", EPS)
@pytest.mark.parametrize("written", EPS)
def test_the_placement_of_eps_is_recognised(written, asked):
    report = check_forward(lambda x, gamma, eps: gamma * x / EPS[written](x, eps), eps=asked)
    assert report.ok == (written == asked)
    assert (f"say eps={written!r}" in report.diagnosis) == (written != asked)


@pytest.mark.parametrize("mistake", **named(FORWARD[1:]))
def test_each_known_wrong_forward_is_named(mistake):
    assert check_forward(mistake.y).diagnosis == f"y: {mistake.says}"


def test_the_offset_of_gamma_is_recognised():
    assert "say offset=1" in check_forward(lambda x, g, e: forward(x, 1 + g, e)).diagnosis
    assert "1 + gamma was asked for" in check_forward(forward, offset=1).diagnosis


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda x, gamma, eps: None, "y is None in every case"),
        (
            lambda x, gamma, eps: forward(x, gamma, eps).sum(-1),
            "y has shape () where (3,) is right",
        ),
        (lambda x, gamma, eps: forward(x, gamma, eps) + 1e-9, "none of the known mistakes fits"),
        (lambda x, gamma: x, "raises TypeError"),
    ],
)
def test_what_goes_wrong_in_the_forward_is_said(wrong, text):
    with pytest.raises(
        AssertionError, match=r"(?s)^forward\(x, gamma, eps\) in float64: wrong"
    ) as e:
        assert_forward(wrong)
    assert text in str(e.value)
