"""The habits of testing that hide a wrong gradient."""

from collections.abc import Callable

import numpy as np

from rmsnorm_math.verify import _truth
from rmsnorm_math.verify.cases import Array
from rmsnorm_math.verify.mistakes import Mistake, mean

Arguments = tuple[Array, Array, Array, float]


def thorough() -> Arguments:
    """Return dy, x, gamma and eps that hide nothing: five rows of five, and a gamma with a zero."""
    dy, x = np.random.default_rng(0).standard_normal((2, 5, 5))
    return dy, 3 * x, np.array([0.0, 0.6, -0.8, 1.3, 1.7]), 0.1


def _gamma(value: float) -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy, x, np.full_like(gamma, value), eps


def _eps(value: float) -> Arguments:
    dy, x, gamma, _ = thorough()
    return dy, x, gamma, value


def _with_rms_of_one() -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy, x * ((1 - eps) / mean(x * x)) ** 0.5, gamma, eps


def _with_one_row() -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy[:1], x[:1], gamma, eps


def _with_one_column() -> Arguments:
    dy, x, gamma, eps = thorough()
    return dy[:, -1:], x[:, -1:], gamma[-1:], eps


def _of_the_sum() -> Arguments:
    dy, x, gamma, eps = thorough()
    return np.ones_like(dy), x, gamma, eps


def _across_x() -> Arguments:
    dy, x, gamma, eps = thorough()
    v = gamma * x
    return dy - v * mean(dy * v) / mean(v * v), x, gamma, eps


#: For each habit, the arguments of a test that has it and is thorough in all else.
HABITS: dict[str, Callable[[], Arguments]] = {
    "gamma = 1": lambda: _gamma(1.0),
    "gamma = 2": lambda: _gamma(2.0),
    "rms = 1": _with_rms_of_one,
    "one row": _with_one_row,
    "n = 1": _with_one_column,
    "eps = 1e-6": lambda: _eps(1e-6),
    "eps = 0": lambda: _eps(0.0),
    "dy = 1": _of_the_sum,
    "dy across x": _across_x,
}


def error(mistake: Mistake, arguments: Arguments) -> float:
    """Return what a test would see of a mistake: its largest error relative to the largest element.

    As `numpy.allclose` does, it lets a result of another shape broadcast. What cannot be computed
    or compared at all is infinitely wrong.

    Examples
    --------
    >>> from rmsnorm_math.verify.wrong_gradients import BACKWARD
    >>> twice = next(m for m in BACKWARD if m.name == "gamma twice in the second term")
    >>> error(twice, thorough()) > 0.1
    True
    >>> error(twice, HABITS["gamma = 1"]()) < 1e-15
    True
    """
    errors = [0.0]
    with np.errstate(all="ignore"):
        for formula, right in zip((mistake.dx, mistake.dgamma), _truth(*arguments), strict=True):
            if formula is None:
                continue
            try:
                difference = np.abs(formula(*arguments) - right).max() / np.abs(right).max()
            except ValueError:
                difference = np.inf
            errors.append(float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf)))
    return max(errors)


def hidden(mistake: Mistake, arguments: Arguments, tolerance: float = 1e-5) -> bool:
    """Whether a test with these arguments and this relative tolerance lets the mistake through."""
    return error(mistake, arguments) <= tolerance
