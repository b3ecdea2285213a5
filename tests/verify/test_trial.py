"""How far off a result may be, to be right or to be what a mistake gives."""

import numpy as np
import pytest

from rmsnorm_math.verify.cases import grid, tolerance
from rmsnorm_math.verify.trial import Trial


def trial_of(got, scales=(1.0,), shape=None):
    """Return a trial in which `got` came back, all zeros are right and terms are `scales` large."""
    shape = shape or got.shape
    (case, *_) = (case for case in grid("float64") if case.x.shape == shape)
    right, scale = np.zeros(shape), [np.full((*shape[:-1], 1), size) for size in scales]
    return Trial(case, (), [right] * len(scale), scale, [got] * len(scale), {})


VALUE = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.5]])


@pytest.mark.parametrize(("dtype", "units"), [("float64", 8), ("float32", 8), ("float16", 1)])
@pytest.mark.parametrize(("row", "size"), [(0, 4 + 1), (1, 0.5 + 1)])
def test_what_a_mistake_gives_is_judged_by_the_largest_of_its_row(dtype, units, row, size):
    unit = tolerance(np.array(1.0), trial_of(VALUE).case, dtype)
    for factor in (0.98, 1.02):
        got = VALUE.copy()
        got[row, 0] += factor * units * size * unit
        assert trial_of(got).matches(0, VALUE, dtype) == (factor < 1)


@pytest.mark.parametrize(("shape", "units"), [((4, 1), 1e6), ((2, 3), 8)])
def test_where_a_row_has_one_element_much_may_have_cancelled(shape, units):
    value = np.zeros(shape)
    allowed = tolerance(np.array(units), trial_of(value).case, "float64")
    assert trial_of(value + allowed).matches(0, value, "float64")
    assert not trial_of(value + allowed * (1 + 1e-7)).matches(0, value, "float64")


def test_it_is_judged_by_the_largest_terms_of_any_output_where_its_shape_is_another():
    (case, *_) = (case for case in grid("float64") if case.x.shape == (2, 3))
    for factor in (0.98, 1.02):
        value = np.array([1.0, 2.0, 4.0])
        got = value.copy()
        got[0] += factor * 8 * (4 + 7) * tolerance(np.array(1.0), case, "float64")
        assert trial_of(got, (1.0, 7.0), (2, 3)).matches(0, value, "float64") == (factor < 1)


def test_what_is_not_finite_matches_what_is_not_finite_either():
    value = np.array([[np.inf, np.nan, 1e-30], [0, 0, 0]])
    other = np.array([[np.nan, np.inf, 1e-30], [0, 0, 0]])
    assert not trial_of(np.nan_to_num(value)).matches(0, value, "float64")
    size = 8 * tolerance(np.array(1.0), trial_of(value).case, "float64")
    for factor in (0, 0.98, 1.02):
        got = other + factor * size * np.array([[1], [0]])
        assert trial_of(got).matches(0, value, "float64") == (factor < 1)


def test_nothing_matches_nothing_alone():
    trial = trial_of(VALUE)
    assert not trial.matches(0, None, "float64")
    trial.got[0] = None
    assert not trial.matches(0, VALUE, "float64")
    assert trial.matches(0, None, "float64")


def test_the_error_is_relative_to_the_terms_and_infinite_where_the_result_is():
    got = np.array([[1.0, -2.0, np.nan], [np.inf, -np.inf, 0.0]])
    trial = trial_of(got, (4.0,))
    assert trial.error(0).tolist() == [[0.25, 0.5, np.inf], [np.inf, np.inf, 0.0]]
    trial.right[0][...] = 1
    assert trial.error(0).tolist() == [[0.0, 0.75, np.inf], [np.inf, np.inf, 0.25]]


def test_a_result_is_right_up_to_what_rounding_explains():
    allowed = tolerance(np.array(1.0), trial_of(VALUE).case, "float64")
    got = np.array([[allowed, -allowed, 0], [0, 0, 0]])
    assert not trial_of(got).wrong(0, "float64")
    assert trial_of(1.001 * got).wrong(0, "float64")
