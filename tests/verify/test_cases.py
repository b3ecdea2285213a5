"""The inputs cover what hides mistakes, and what is taken for right is right."""

import mpmath
import numpy as np
import pytest

from rmsnorm_math import verify
from rmsnorm_math.verify.cases import TRAITS, UNIT, grid, rounded
from tests.verify.backwards import by_complex_step


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


def test_rounding_is_relative_to_the_magnitudes_of_the_terms():
    dy, x = np.array([[0.3, -1.1, 0.7], [2.0, 0.4, -0.6]]), np.array([[0.2, 1.9, -0.4], [1, 3, -5]])
    gamma, eps = np.array([0.5, -2.0, 1.25]), 0.1
    dx, dgamma = verify._scale(dy, x, gamma, eps)
    r = [np.sqrt(np.mean(row**2) + eps) for row in x]
    for j in range(3):
        for b in (0, 1):
            terms = [gamma[i] * dy[b, i] * x[b, i] * x[b, j] / (3 * r[b] ** 3) for i in range(3)]
            terms.append(gamma[j] * dy[b, j] / r[b])
            assert dx[b, j] == pytest.approx(sum(map(abs, terms)))
        assert dgamma[j] == pytest.approx(sum(abs(dy[b, j] * x[b, j] / r[b]) for b in (0, 1)))


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
