"""What goes wrong in the call, and what the report says beside the diagnosis."""

# Backwards share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

import numpy as np
import pytest
from sympy import IndexedBase

from rmsnorm_math.notation import b, j, x, ybar
from rmsnorm_math.verify import assert_backward, check, check_backward, check_forward
from rmsnorm_math.verify.sampling import rounded
from tests.verify.backwards import by_xhat, rows, second_term


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
        (lambda *a: (by_xhat(*a)[0].ravel(), by_xhat(*a)[1]), "dx has shape (35,) where (5, 7) is"),
        (complex_results, "dx has dtype complex128: return real numbers in every case"),
        (overwriting, "changes its argument dy (work on a copy) in"),
        (squaring_in_place, "changes its argument x (work on a copy) in"),
        (lambda dy, x, gamma, eps: (dy, gamma), "dx is wrong in"),
        (lambda dy, x, gamma, eps: (x, x[:0]), "dgamma has shape (0, 7) where (7,) is right"),
        (
            lambda *a: tuple(v.astype("f4") for v in by_xhat(*a)),
            "formula is right; it is computed or kept in float32, not in float64",
        ),
        (
            lambda *a: tuple(rounded(v, "bfloat16").astype("f8") for v in by_xhat(*a)),
            "formula is right; it is computed or kept in bfloat16, not in float64",
        ),
    ],
)
def test_what_goes_wrong_in_the_call_is_said(backward, text):
    assert text in " ".join(str(check_backward(backward)).split())


def test_errors_of_float32s_size_are_called_that():
    def backward(dy, x, gamma, eps):
        square = np.mean((x * x).astype(np.float32), axis=-1, keepdims=True)
        r = np.sqrt(square + np.float32(eps)).astype(np.float64)
        xhat, v = x / r, gamma * dy
        return (v - xhat * np.mean(v * xhat, axis=-1, keepdims=True)) / r, rows(dy * xhat)

    report = check_backward(backward)
    assert any("by no more than rounding to float32 explains" in p for p in report.problems)
    got, right = report.worst.split(" is ")[1].split(" where ")
    assert got != right


def where_allowed(wrong, allowed):
    """Return the wrong backward, which raises where x is not as `allowed` says."""

    def backward(dy, x, gamma, eps):
        if not allowed(x):
            message = "not like this"
            raise ValueError(message)
        return wrong(dy, x, gamma, eps)

    return backward


WRONG = {
    "a factor": second_term(lambda x, gamma, r: gamma),
    "not summed": lambda dy, x, g, e: (by_xhat(dy, x, g, e)[0], dy * by_xhat(dy, x, g, e)[0] * 0),
    "swapped": lambda *a: by_xhat(*a)[::-1],
}


@pytest.mark.parametrize("name", ["a factor", "swapped"])
def test_a_mistake_is_named_though_some_cases_raise(name):
    wrong = WRONG[name]
    report = check_backward(where_allowed(wrong, lambda x: x.ndim == 2))
    assert "raises ValueError" in str(report)
    assert report.diagnosis == check_backward(wrong).diagnosis != ""


def test_no_mistake_is_named_where_the_cases_that_are_left_fit_several():
    # at n = 1 every sum over a row is its only term
    wrong = second_term(lambda x, gamma, r: x.shape[-1] * gamma)
    report = check_backward(where_allowed(wrong, lambda x: x.shape[-1] == 1))
    assert "dx is wrong" in str(report)
    assert "diagnosis: no single known mistake fits" in str(report)


def test_there_is_no_talk_of_formulas_where_none_is_wrong():
    assert "diagnosis" not in str(check_backward(squaring_in_place))


def test_nan_is_located():
    def backward(dy, x, gamma, eps):
        dx, dgamma = by_xhat(dy, x, gamma, eps)
        return (dx if eps else dx * np.nan), dgamma

    (problem,) = check_backward(backward).problems
    assert problem.startswith("dx is not finite in ")
    assert problem.endswith(" of 177 cases: exactly those where eps = 0")


def test_the_assertion_has_the_reports_text():
    wrong = second_term(lambda x, gamma, r: gamma)
    with pytest.raises(AssertionError) as raised:
        assert_backward(wrong)
    assert str(raised.value) == str(check_backward(wrong))


def test_the_worst_case_can_be_run_again():
    report = check_backward(second_term(lambda x, gamma, r: r))
    dx, _ = by_xhat(*report.inputs)
    wrong, _ = second_term(lambda x, gamma, r: r)(*report.inputs)
    element = report.worst.split("[")[1].split("]")[0]
    index = tuple(int(i) for i in element.split(","))
    assert f"is {wrong[index]:.6g} where " in report.worst
    assert abs(dx[index]) < 1e-3 * abs(wrong[index]), "it is the worst that is shown"


def test_the_only_case_that_raises_can_be_run_again():
    def backward(dy, x, gamma, eps):
        if x.shape == (2, 2, 4) and eps == 0.1:
            message = "not this one"
            raise ValueError(message)
        return by_xhat(dy, x, gamma, eps)

    report = check_backward(backward)
    (problem,) = report.problems
    assert problem.startswith("raises ValueError (not this one) in ")
    assert ", the first with x of shape (2, 2, 4), values of about " in problem
    with pytest.raises(ValueError, match="not this one"):
        backward(*report.inputs)


def test_where_all_is_right_the_inputs_are_those_of_the_first_case():
    dy, x, gamma, eps = check_backward(by_xhat).inputs
    assert (dy.shape, x.shape, gamma.shape, eps) == ((5, 7), (5, 7), (7,), 0.1)


def test_long_lines_fit_a_terminal():
    report = check_backward(second_term(lambda x, gamma, r: gamma))
    assert max(map(len, str(report).splitlines())) < 80
    assert max(map(len, report.problems)) < 200, "problems are whole, in one line"


REFUSED = {
    "eps is 'under'; write one of 'inside', 'outside', 'max'": lambda: check_forward(
        lambda x, gamma, eps: x, eps="under"
    ),
    "outputs is 'dx'; write a tuple of 'dx' and 'dgamma'": lambda: check_backward(
        by_xhat, outputs="dx"
    ),
    "outputs is .'dgamma',.; write a tuple of 'dx'": lambda: check_backward(
        by_xhat, outputs=("dgamma",), gamma=False
    ),
    "epsilons is .-1,.; write numbers that are not negative": lambda: check_backward(
        by_xhat, epsilons=(-1,)
    ),
    "the tolerance is 0; write a factor above 0": lambda: check_backward(by_xhat, tolerance=0),
    "a shape is .4, 0.; write the lengths": lambda: check_backward(by_xhat, shapes=[(4, 0)]),
    "shapes is .4, 8.; write a list of shapes": lambda: check_backward(
        by_xhat,
        shapes=(4, 8),  # type: ignore[arg-type]
    ),
    "rstd.b. in the arguments is neither a base nor a symbol": lambda: check(
        by_xhat, {"dx": ybar[b, j]}, {ybar: "dy", IndexedBase("rstd")[b]: "rstd"}
    ),
    "x has no value: add it to the arguments": lambda: check(
        by_xhat, {"dx": ybar[b, j] * x[b, j]}, {ybar: "dy"}
    ),
}


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(
        TypeError, match=r"expected a function backward\(dy, x, gamma, eps\), got int"
    ):
        check_backward(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype is 'int8'; write one of 'float64', 'float32'"):
        check_backward(by_xhat, dtype="int8")
    for match, call in REFUSED.items():
        with pytest.raises(ValueError, match=match):
            call()


def test_a_function_that_overwrites_its_arguments_changes_nothing_for_the_next_check():
    for spoils in (overwriting, squaring_in_place):
        before = check_backward(spoils)
        before.inputs[1][...] = np.nan
        assert not before.ok
        assert check_backward(by_xhat).ok
        assert str(check_backward(spoils)) == str(before)
