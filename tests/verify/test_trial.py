"""How far off a result may be, and what a trial says of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from rmsnorm_math.verify.cases import makers
from rmsnorm_math.verify.rmsnorm import backward_of
from rmsnorm_math.verify.trial import Trial, attempt, prepared

LAYER = backward_of("inside", 0, weight=True, residual=False, outputs=None).layer


def asked_of(case, dtype="float64") -> Trial:
    """Return what is asked in a case that has a derivative."""
    asked = prepared(case, dtype, 1)
    assert asked
    return asked


ASKED = asked_of(next(makers(LAYER, "float64", [(2, 3)]))())
VALUE = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.5]])


def trial_of(got, right=0.0, size=1.0, factor=1.0):
    right = np.broadcast_to(right, got.shape)
    return Trial(ASKED.case, "float64", factor, (right,), (np.full((2, 1), size),), [got], {})


def test_the_error_is_relative_to_the_terms_and_infinite_where_the_result_is():
    got = np.array([[1.0, -2.0, np.nan], [np.inf, -np.inf, 0.0]])
    assert trial_of(got, size=4).error(0).tolist() == [[0.25, 0.5, np.inf], [np.inf, np.inf, 0]]
    assert trial_of(got, 1.0, 4).error(0).tolist() == [[0, 0.75, np.inf], [np.inf, np.inf, 0.25]]


def test_where_the_right_one_is_unknown_nothing_is_compared():
    right = np.array([[1.0, np.nan, 1.0], [np.inf, 1, 1]])
    trial = trial_of(np.ones((2, 3)), right)
    assert not trial.wrong(0)
    assert not trial.lost(0)
    assert not trial.error(0).any()


def test_a_finite_result_is_not_called_lost_though_its_terms_are_zero():
    trial = trial_of(VALUE, 0.0, 0.0)
    assert trial.wrong(0)
    assert not trial.lost(0)
    assert np.isfinite(trial.error(0)).all()
    assert trial_of(np.where(VALUE == 4, np.nan, VALUE)).lost(0)


@pytest.mark.parametrize("factor", [1.0, 8.0])
def test_a_result_is_right_up_to_what_rounding_explains(factor):
    allowed = trial_of(VALUE, factor=factor).allowed(0)[0, 0]
    got = np.array([[allowed, -allowed, 0], [0, 0, 0]])
    assert not trial_of(got, factor=factor).wrong(0)
    assert trial_of(1.001 * got, factor=factor).wrong(0)
    assert trial_of(got, factor=factor / 2).wrong(0)


@pytest.mark.parametrize(
    ("dtype", "given", "said"),
    [
        ("float32", np.float64, "dx has dtype float64 where float32 is asked for"),
        ("float16", np.float32, "dx has dtype float32 where float16 is asked for"),
        ("bfloat16", np.float64, "dx has dtype float64 where float32 is asked for"),
        ("float64", np.longdouble, ""),
        ("float32", np.float32, ""),
        ("float32", list, ""),
    ],
)
def test_a_wider_type_than_that_asked_for_is_said(dtype, given, said):
    asked = asked_of(next(makers(LAYER, dtype, [(2, 3)]))(), dtype)

    def call(_case, _given):
        dx, dgamma = (right.astype("float32" if given is list else given) for right in asked.right)
        narrow = np.float16 if dtype == "float16" else np.float32
        return dx.tolist() if given is list else dx, dgamma.astype(narrow)

    faults = attempt(call, asked).faults
    assert [*faults.values()] == ([said] if said else [])


def test_the_function_gets_copies_in_the_same_layout():
    seen = []
    transposed = next(
        case
        for case in (make() for make in makers(LAYER, "float64"))
        if case.arguments[1].ndim > 1 and not case.arguments[1].flags.c_contiguous
    )
    asked = asked_of(transposed)
    attempt(lambda _case, given: seen.extend(given), asked)
    for given, own in zip(seen[:3], asked.case.arguments, strict=False):
        assert np.array_equal(given, own)
        assert not np.shares_memory(given, own)
        assert given.strides == own.strides or given.size < 2


def test_the_trial_of_a_case_needs_nothing_but_its_layer():
    case = SimpleNamespace(**{name: getattr(ASKED.case, name) for name in ("layer", "extents")})
    assert case.layer is LAYER
    assert case.extents[LAYER.column] == 3
    assert case.extents[LAYER.rows] == 2
