"""The range of an index: read from a sum over its whole axis, or stated."""

import pytest
from sympy import Idx, KroneckerDelta, Sum

from rmsnorm_math import jacobian, jvp, vjp
from rmsnorm_math.notation import gamma, i, j, k, n, x, xdot, ybar

l = Idx("l")
part = Sum(x[k], (k, 1, 2))
beyond_the_first = Sum(KroneckerDelta(j, k) * gamma[k], (k, 2, n))
STATED = {
    "a Jacobian": (lambda: jacobian(x[i] * part, x[i], {i: (1, 2)}), part + x[i]),
    "an output": (lambda: vjp(x[i], x[j], ybar[i], {i: (2, n), j: (2, n)}), ybar[j]),
    "the input of a scalar": (
        lambda: vjp(Sum(x[k] ** 2, (k, 1, n)), x[j], beyond_the_first, {j: (2, n)}),
        2 * gamma[j] * x[j],
    ),
    "a tangent": (
        lambda: jvp((gamma[i] + 1) * part, x[j], xdot[j], {j: (1, 2)}),
        (gamma[i] + 1) * Sum(xdot[j], (j, 1, 2)),
    ),
    "an output of a JVP": (
        lambda: jvp(x[i], x[j], xdot[j], {i: (2, n), j: (2, n)}),
        xdot[i],
    ),
}


@pytest.mark.parametrize("case", STATED)
def test_stated_ranges_leave_no_condition(case):
    call, expected = STATED[case]
    assert call() == expected


def test_a_sum_over_a_part_does_not_show_where_the_axis_ends():
    for y in (
        x[i] * Sum(x[k], (k, 1, i - 1)),
        x[i] * x[n] * Sum(x[k], (k, 1, n - 1)),
        x[i] * Sum(x[k], (k, 1, i)),
        x[i] * x[1] / Sum(x[k] ** 2, (k, 2, n)),
        x[i] * x[n] * Sum(x[k], (k, 1, n)),
        x[i] * Sum(x[k], (k, 1, l), (l, 1, n)),
    ):
        with pytest.raises(ValueError, match=r"range of the index \w is not clear"):
            vjp(y, x[j], ybar[i])
        with pytest.raises(ValueError, match=r"range of the index \w is not clear"):
            jvp(y, x[j], xdot[j])
