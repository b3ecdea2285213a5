"""A habit's arguments have it and are thorough in all else; an error is what a test would see."""

from pathlib import Path

import numpy as np
import pytest
from sympy import nan

from rmsnorm_math.verify.wild import WILD, Seen

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[2] / "docs")
    from habits import HABITS, LAYER, error, hidden, mean, thorough


def rms(v, eps=0.0):
    return (mean(v * v) + eps) ** 0.5


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


def scaled(**factors):
    """Return a mistake by which the outputs are multiplied."""
    return Seen("name", "says", lambda right: {k: f * right[k] for k, f in factors.items()})


ERRORS = {
    "no wrong output": (scaled(), 0),
    "dx": (scaled(dx=1.5), 0.5),
    "dgamma": (scaled(dgamma=0.75), 0.25),
    "dgamma most": (scaled(dx=1.25, dgamma=3), 2),
    "dx most": (scaled(dx=3, dgamma=1.25), 2),
    "no number": (scaled(dx=nan), np.inf),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_relative_to_the_largest_element(case):
    mistake, expected = ERRORS[case]
    assert error(mistake, thorough()) == pytest.approx(expected)


def test_what_cannot_be_computed_is_infinitely_wrong():
    (along,) = (seen for seen in WILD if seen.name == "row sums laid along columns")
    dy, x, gamma, eps = thorough()
    assert error(along, (dy[:4], x[:4], gamma, eps)) == np.inf
    assert 0.1 < error(along, thorough()) < np.inf


def test_a_mistake_is_hidden_by_a_tolerance_as_large_as_it():
    for size in (0.9e-5, 1.1e-5):
        mistake = scaled(dx=1 + size)
        assert hidden(mistake, thorough()) == (size < 1e-5)
        assert hidden(mistake, thorough(), error(mistake, thorough()))


def test_what_is_right_is_the_derivation():
    assert error(scaled(), thorough()) == 0
    assert LAYER.signature == "dy, x, gamma, eps"
