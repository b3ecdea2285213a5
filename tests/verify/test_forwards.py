"""A right forward passes, and a wrong one is named."""

# Backwards share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

import numpy as np
import pytest

from rmsnorm_math.verify import assert_forward, check_forward

FEW = [(5, 7), (3, 6), (1,), (8,), (2, 3, 5), (37, 7), (4, 64), (0, 8)]


def mean(v):
    return v.mean(-1, keepdims=True)


def rms(x, eps=0.0):
    return (mean(x * x) + eps) ** 0.5


RMS = {
    "inside": rms,
    "outside": lambda x, eps: rms(x) + eps,
    "max": lambda x, eps: mean(x * x).clip(min=eps) ** 0.5,
}
#: Known wrong forwards, written by hand, with what a report says of each.
WRONG = {
    "eps is missing": lambda x, g, e: g * x / rms(x),
    "eps enters squared": lambda x, g, e: g * x / rms(x, e**2),
    "eps is 1e-05 whatever eps is asked for": lambda x, g, e: g * x / rms(x, 1e-5),
    "eps is 1e-06 whatever eps is asked for": lambda x, g, e: g * x / rms(x, 1e-6),
    "eps is 1e-08 whatever eps is asked for": lambda x, g, e: g * x / rms(x, 1e-8),
    "eps is 1e-05 where less is asked for": lambda x, g, e: g * x / rms(x, max(e, 1e-5)),
    "r is taken with the sum, not the mean": lambda x, g, e: (
        g * x / (x.shape[-1] * mean(x * x) + e) ** 0.5
    ),
    "r is taken over the rows as well, not over the last axis alone": lambda x, g, e: (
        g * x / ((x * x).mean() + e) ** 0.5
    ),
    "gamma is left out": lambda x, g, e: x / rms(x, e),
    "the root of r is missing": lambda x, g, e: g * x / rms(x, e) ** 2,
    "1/r stands for r": lambda x, g, e: g * x * rms(x, e),
    "this is LayerNorm: the mean of x is subtracted": lambda x, g, e: (
        g * (x - mean(x)) / rms(x - mean(x), e)
    ),
    "x is divided by its standard deviation, not by its root mean square": lambda x, g, e: (
        g * x / rms(x - mean(x), e)
    ),
}


def forward(x, gamma, eps):
    return gamma * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("offset", [0, 1])
def test_a_right_forward_passes(dtype, offset):
    assert_forward(
        lambda x, gamma, eps: forward(x, offset + gamma, eps), dtype=dtype, offset=offset
    )


@pytest.mark.parametrize("asked", RMS)
@pytest.mark.parametrize("written", RMS)
def test_the_placement_of_eps_is_recognised(written, asked):
    report = check_forward(
        lambda x, gamma, eps: gamma * x / RMS[written](x, eps), eps=asked, shapes=FEW
    )
    assert report.ok == (written == asked)
    assert (f"say eps={written!r}" in report.diagnosis) == (written != asked)


@pytest.mark.parametrize("says", WRONG)
def test_each_known_wrong_forward_is_named(says):
    assert check_forward(WRONG[says], shapes=FEW).diagnosis == f"y: {says}"


def test_a_forward_without_a_weight_and_one_with_a_residual():
    assert_forward(lambda x, e: x / rms(x, e), gamma=False)
    assert_forward(lambda x, g, e, residual: forward(x + residual, g, e), residual=True)
    assert not check_forward(lambda x, g, e, residual: forward(x, g, e), residual=True).ok


def test_the_offset_of_gamma_is_recognised():
    assert "say offset=1" in check_forward(lambda x, g, e: forward(x, 1 + g, e)).diagnosis
    assert "1 + gamma was asked for" in check_forward(forward, offset=1).diagnosis


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda x, gamma, eps: None, "y is None in every case"),
        (
            lambda x, gamma, eps: forward(x, gamma, eps).sum(-1),
            "y has shape (5,) where (5, 7) is right",
        ),
        (lambda x, gamma, eps: forward(x, gamma, eps) + 1e-9, "no single known mistake fits, nor"),
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
    report = check_forward(lambda x, g, e: forward(x, g, e) + (x.shape[-1] == 1), dtype="float32")
    x, gamma, eps = report.inputs
    place = report.worst.split("[")[1].split("]")[0]
    scale = report.worst.split(" of about ")[1].split(",")[0]
    right = 0 + forward(*report.inputs)[tuple(map(int, place.split(", ")))]
    assert (report.cases, report.failed) == (177, 12)
    assert "\n".join(report.problems) == (
        "y is wrong in 12 of 177 cases: exactly those where n = 1"
    )
    assert report.worst == (
        f"y[{place}] is {1 + right:.6g} where {right:.6g} is right, with x of shape "
        f"{x.shape}, values of about {scale}, eps = {eps:g}"
    )
    assert " ".join(str(report).split()) == (
        f"forward(x, gamma, eps) in float32: wrong in 12 of 177 cases - {report.problems[0]} "
        f"worst: {report.worst} diagnosis: no single known mistake fits, nor two at once"
    )
    assert gamma.shape == (1,)


@pytest.mark.parametrize(("factor", "digits"), [(1 + 1e-12, 17), (1 + 1e-4, 6)])
def test_the_worst_element_is_shown_with_as_many_digits_as_it_needs(factor, digits):
    report = check_forward(lambda *arguments: factor * forward(*arguments))
    shown = [
        float(text) for text in report.worst.split("] is ")[1].split(" is ")[0].split(" where ")
    ]
    texts = [f"{value:.{digits}g}" for value in shown]
    assert f"] is {texts[0]} where {texts[1]} is right" in report.worst
    assert shown[0] / shown[1] == pytest.approx(factor, rel=1e-14 if digits == 17 else 1e-5)


def test_a_zero_is_shown_without_a_sign():
    report = check_forward(lambda x, g, e: forward(x, g, e) + 1e-9 * ((g == 0) & (x < 0)))
    assert "] is 1e-09 where 0 is right" in report.worst


def test_one_value_that_is_none_is_not_called_missing():
    report = check_forward(lambda x, g, e: forward(x, g, e) if x.ndim > 1 else None)
    assert report.diagnosis == ""
    report = check_forward(lambda x, g, e: "y")
    assert report.diagnosis == ""
