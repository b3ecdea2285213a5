"""The inputs cover what hides mistakes, and what is taken for right is right."""

from itertools import product

import mpmath
import numpy as np
import pytest

from rmsnorm_math import verify
from rmsnorm_math.verify.cases import EPS, SHAPES, TRAITS, UNIT, grid, rounded, tolerance
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
def test_the_grid_is_every_shape_with_every_rms_and_eps(dtype):
    cases = list(grid(dtype))
    designed = [(case.x.shape, case.scale, case.eps) for case in cases]
    scales = (1, 1e-3, 300 if dtype == "float16" else 1000)
    assert designed == [*product(SHAPES, scales, EPS), ((3, 4), 1, 1e-6), ((3, 4), 1, 0.1)]
    large = [case.gamma.size > 2 for case in cases]
    odd = [*(number % 2 == 1 for number in range(99)), False, True]
    assert [case.gamma[0] == 0 for case in cases] == [*map(min, large, odd)]
    assert len({case.gamma[-1] for case in cases}) > 30
    for case in cases:
        assert case.gamma[-1] < 0 <= case.gamma[:-1].min(initial=0)
        assert all(0.5 <= abs(g) <= 1.5 for g in case.gamma[case.gamma != 0])
    assert [(~case.x.any(-1)).sum() for case in cases] == [0] * 99 + [1, 1]
    assert not cases[99].x[1].any()
    assert not cases[100].x[1].any()
    assert len({case.dy.tobytes() + case.x.tobytes() for case in cases}) == len(cases)
    for values in ([case.dy for case in cases], [case.x / case.scale for case in cases]):
        assert np.mean(np.concatenate([v.ravel() for v in values]) ** 2) == pytest.approx(
            1, abs=0.1
        )


@pytest.mark.parametrize(
    ("dtype", "terms", "smallest"),
    [
        ("float64", 7 + 37, 2**-1074),
        ("float32", 7 + 37, 2**-149),
        ("float16", 0, 2**-24),
        ("bfloat16", 0, 2**-149),
    ],
)
def test_rounding_explains_four_units_for_each_root_of_a_term(dtype, terms, smallest):
    (case, *_) = (case for case in grid(dtype) if case.x.shape == (37, 7))
    units = 4 * (2 + terms**0.5) * UNIT[dtype]
    allowed = tolerance(np.array([0, 3.0]), case, dtype)
    assert allowed.tolist() == pytest.approx([4 * smallest, 3 * units + 4 * smallest], rel=1e-14)


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
