"""A right forward passes, and a wrong one is named."""

# Backwards share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

import numpy as np
import pytest

from rmsnorm_math import function, notation, rmsnorm
from rmsnorm_math.notation import epsilon
from rmsnorm_math.verify import assert_forward, check_forward
from rmsnorm_math.verify.cases import grid
from rmsnorm_math.verify.mistakes import RMS
from rmsnorm_math.verify.wrong_forwards import FORWARD


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
        y = case.gamma * case.x / RMS["inside"](case.x, case.eps)
        assert np.allclose(y, derived(case.x, case.gamma, case.eps), rtol=1e-14, atol=0)


@pytest.mark.parametrize("asked", RMS)
@pytest.mark.parametrize("written", RMS)
def test_the_placement_of_eps_is_recognised(written, asked):
    report = check_forward(lambda x, gamma, eps: gamma * x / RMS[written](x, eps), eps=asked)
    assert report.ok == (written == asked)
    assert (f"say eps={written!r}" in report.diagnosis) == (written != asked)


@pytest.mark.parametrize("mistake", FORWARD[1:], ids=lambda mistake: mistake.name)
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
        (lambda x, gamma, eps: forward(x, gamma, eps) + 1e-9, "no single known mistake fits"),
        (lambda x, gamma: x, "raises TypeError"),
    ],
)
def test_what_goes_wrong_in_the_forward_is_said(wrong, text):
    with pytest.raises(
        AssertionError, match=r"(?s)^forward\(x, gamma, eps\) in float64: wrong"
    ) as e:
        assert_forward(wrong)
    assert text in str(e.value)


def test_what_is_right_gets_no_diagnosis_when_something_else_is_amiss():
    def squaring(x, gamma, eps):
        y = forward(x, gamma, eps)
        x *= x
        return y

    assert "changes its argument x" in str(check_forward(squaring))
    assert not check_forward(squaring).diagnosis


def test_what_is_asked_for_is_what_is_checked():
    assert_forward(forward)
    assert_forward(lambda x, g, e: g * x / RMS["outside"](x, e), eps="outside")
    single = lambda *arguments: forward(*arguments).astype("float32")  # noqa: E731
    assert_forward(single, dtype="float32")
    with pytest.raises(AssertionError, match="the formula is right; it is computed or kept in"):
        assert_forward(single)


def test_the_report_reads_as_a_whole():
    report = check_forward(lambda x, g, e: forward(x, g, e) + (x.shape[-1] == 1))
    assert (report.cases, report.failed) == (101, 18)
    index = int(report.worst.split("[")[1].split(",")[0])
    x, gamma, eps = report.inputs
    right = forward(*report.inputs)[index, 0]
    assert str(report) == (
        "forward(x, gamma, eps) in float64: wrong in 18 of 101 cases\n"
        "- y is wrong in 18 of 101 cases: exactly those where n = 1\n"
        f"worst: y[{index}, 0] is {1 + right:.6g} where {right:.6g} is right, with x of shape "
        f"{x.shape}, rms about 0.001, eps = {eps:g}\n"
        "diagnosis: no single known mistake fits"
    )
    assert gamma.shape == (1,)


@pytest.mark.parametrize(("factor", "digits"), [(1 + 1e-12, 17), (1 + 1e-4, 6)])
def test_the_worst_element_is_shown_with_as_many_digits_as_it_needs(factor, digits):
    report = check_forward(lambda *arguments: factor * forward(*arguments))
    place = tuple(map(int, report.worst.split("[")[1].split("]")[0].split(",")))
    right = forward(*report.inputs)[place]
    texts = [f"{value:.{digits}g}" for value in (factor * right, right)]
    assert f"] is {texts[0]} where {texts[1]} is right" in report.worst


def test_a_zero_is_shown_without_a_sign():
    report = check_forward(lambda x, g, e: forward(x, g, e) + 1e-9 * ((g == 0) & (x < 0)))
    assert "] is 1e-09 where 0 is right" in report.worst


def test_one_value_that_is_none_is_not_called_missing():
    report = check_forward(lambda x, g, e: forward(x, g, e) if x.ndim > 1 else None)
    assert report.diagnosis == ""
    report = check_forward(lambda x, g, e: "y")
    assert report.diagnosis == ""
