"""A habit's arguments have it and are thorough in all else; an error is what a test would see."""

import numpy as np
import pytest

from rmsnorm_math.verify import _truth
from rmsnorm_math.verify.habits import HABITS, error, hidden, thorough
from rmsnorm_math.verify.mistakes import Mistake, mean, rms

DY, X, GAMMA, EPS = thorough()
EXPECTED = {
    "gamma = 1": (DY, X, np.ones(5), EPS),
    "gamma = 2": (DY, X, 2 * np.ones(5), EPS),
    "one row": (DY[:1], X[:1], GAMMA, EPS),
    "n = 1": (DY[:, 4:], X[:, 4:], GAMMA[4:], EPS),
    "eps = 1e-6": (DY, X, GAMMA, 1e-6),
    "eps = 0": (DY, X, GAMMA, 0),
    "dy = 1": (np.ones((5, 5)), X, GAMMA, EPS),
}


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("habit", EXPECTED)
def test_a_habit_is_thorough_in_all_else(habit):
    assert same(HABITS[habit](), EXPECTED[habit])


def test_thorough_arguments_hide_nothing():
    assert same(thorough(), thorough())
    assert DY.shape == X.shape == (5, 5)
    assert GAMMA.tolist() == [0.0, 0.6, -0.8, 1.3, 1.7]
    assert EPS == 0.1
    assert (2 < rms(X).mean() < 4, 0.5 < rms(DY).mean() < 2) == (True, True)
    assert not np.allclose(X, 3 * DY)


def test_an_rms_of_one_is_that_of_scaled_rows():
    dy, x, gamma, eps = HABITS["rms = 1"]()
    assert same((dy, gamma, eps), (DY, GAMMA, EPS))
    assert np.allclose(rms(x, eps), 1)
    assert np.allclose(x / rms(x), X / rms(X))


def test_a_cotangent_across_x_differs_along_x_alone():
    dy, x, gamma, eps = HABITS["dy across x"]()
    assert same((x, gamma, eps), (X, GAMMA, EPS))
    assert np.allclose(mean(dy * gamma * x), 0)
    along = (DY - dy) / np.where(gamma, gamma * x, 1)
    assert np.allclose(along[:, 1:], along[:, 1:2])
    assert np.allclose(along[:, 0], 0)


def mistaken(dx=None, dgamma=None):
    return Mistake("name", "says", dx=dx, dgamma=dgamma)


ERRORS = {
    "no wrong output": (mistaken(), 0),
    "dx": (mistaken(dx=lambda *a: 1.5 * _truth(*a)[0]), 0.5),
    "dgamma": (mistaken(dgamma=lambda *a: 0.75 * _truth(*a)[1]), 0.25),
    "dgamma most": (mistaken(lambda *a: 1.25 * _truth(*a)[0], lambda *a: 3 * _truth(*a)[1]), 2),
    "dx most": (mistaken(lambda *a: 3 * _truth(*a)[0], lambda *a: 1.25 * _truth(*a)[1]), 2),
    "a shape that does not fit": (mistaken(dx=lambda *_: np.zeros(3)), np.inf),
    "no number": (mistaken(dx=lambda *_: np.full((5, 5), np.nan)), np.inf),
    "infinite": (mistaken(dx=lambda dy, *_: dy / 0), np.inf),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_relative_to_the_largest_element(case):
    mistake, expected = ERRORS[case]
    assert error(mistake, thorough()) == pytest.approx(expected)


def test_a_mistake_is_hidden_by_a_tolerance_as_large_as_it():
    for size in (0.9e-5, 1.1e-5):
        mistake = mistaken(dx=lambda *a, size=size: (1 + size) * _truth(*a)[0])
        assert hidden(mistake, thorough()) == (size < 1e-5)
        assert hidden(mistake, thorough(), error(mistake, thorough()))
