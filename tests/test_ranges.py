"""Where an index runs: stated, declared, shown by the sums over its axis, or asked for."""

import pytest
from sympy import Idx, IndexedBase, KroneckerDelta, Piecewise, Sum, Symbol, exp, sin

from rmsnorm_math import contract, differentiate, jacobian, jvp, vjp
from rmsnorm_math.index.ranges import known_range
from rmsnorm_math.notation import gamma, i, j, k, m, n, x, xdot, ybar
from tests.refusals import refusal

l = Idx("l")
A = IndexedBase("A")
whole_sum = Sum(x[k], (k, 1, n))
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


def test_a_tangent_has_every_element_that_the_output_has():
    assert jvp(x[i] * Sum(x[k], (k, 1, i)), x[j], xdot[j]) == (
        xdot[i] * Sum(x[k], (k, 1, i)) + x[i] * Sum(xdot[j], (j, 1, i))
    )
    assert jvp(x[0] * whole_sum, x[j], xdot[j]) == (
        xdot[0] * whole_sum + x[0] * Sum(xdot[j], (j, 1, n))
    )
    assert jvp(x[i] * x[i + 1], x[j], xdot[j]) == x[i + 1] * xdot[i] + x[i] * xdot[i + 1]
    assert jvp(gamma[2], A[i, j], xdot[i, j]) == 0
    assert jvp(Sum(x[k], (k, 1, n)), x[j], xdot[j], {j: (2, n)}) == Sum(xdot[j], (j, 2, n))


def test_no_range_is_asked_for_where_no_sum_is_left():
    assert vjp(x[i] ** 2, x[j], ybar[i]) == 2 * x[j] * ybar[j]
    assert vjp(Sum(A[i, k] * x[k], (k, 1, n)), A[j, l], ybar[i]) == x[l] * ybar[j]
    assert vjp(sin(gamma[i]), x[j], ybar[i]) == 0
    for y in (x[i] * x[i + 1], x[0] * x[i], x[n - i + 1], x[2 * i], x[i] * x[k]):
        bar = ybar[i, k] if y.has(k) else ybar[i]
        with pytest.raises(ValueError, match="range of the index i is not clear"):
            vjp(y, x[j], bar)
    with pytest.raises(ValueError, match="range of the index i is not clear"):
        vjp(gamma[i] * whole_sum, x[i], ybar[i])  # the i of x[i] says nothing of the output's


def test_an_element_by_which_is_differentiated_shows_no_range():
    assert vjp(x[i] * whole_sum, x[2], ybar[i], {j: (1, n)}).has(Sum)
    assert (
        vjp(x[i] ** 2, x[Idx("v", (1, n))], ybar[i])
        == 2 * x[Idx("v", (1, n))] * ybar[Idx("v", (1, n))]
    )


def test_an_element_outside_the_sums_of_an_axis_shows_another_range():
    y = x[i + 1] * x[j] * Sum(x[k], (k, 1, n))
    with pytest.raises(ValueError, match="range of the index j is not clear: several"):
        vjp(y, x[i], ybar[i, j], {i: (1, n)})


X, G = IndexedBase("x", shape=(n,)), IndexedBase("g", shape=(n,))
t, whole = Symbol("t", integer=True), Symbol("t", integer=True, positive=True)
u, v, w = Idx("u", (1, m)), Idx("v", n), Idx("w", (2, n))
squares = Sum(x[k] ** 2, (k, 1, n))
SHOWN = {
    "a sum from 1": (j, [squares, x[j]], (1, n)),
    "a sum from 0": (j, [Sum(x[k], (k, 0, n - 1)), x[j]], (0, n - 1)),
    "a sum from 0 to n": (j, [Sum(x[k], (k, 0, n)), x[j]], (0, n)),
    "an index that is a symbol": (t, [squares, x[t]], (1, n)),
    "a length that is an index": (whole, [squares, x[whole]], None),
    "what an Idx declares": (v, [squares, x[v]], (0, n - 1)),
    "an Idx of the same axis": (j, [x[u], x[j]], None),
    "an Idx of the same axis beside a sum": (j, [squares, x[u], x[j]], None),
    "an Idx within the sum": (j, [squares, x[w], x[j]], (1, n)),
    "an Idx that a delta makes equal": (j, [KroneckerDelta(j, u) * x[u]], None),
    "a shape and an Idx from 0": (j, [X[v] * X[j]], (0, n - 1)),
    "a delta with a bound index": (j, [Sum(KroneckerDelta(j, k) * x[k], (k, 1, n))], (1, n)),
    "a shape": (j, [X[j]], (1, n)),
    "a shape and a sum from 0": (j, [Sum(X[k] * X[k + 1], (k, 0, n - 2)), X[j]], (0, n - 1)),
    "a shape and an element 0": (j, [X[0] * X[j]], (0, n - 1)),
    "a shape beside a sum from 0": (i, [G[i] * Sum(exp(X[k]), (k, 0, n - 1)) * X[i]], (0, n - 1)),
    "an element within": (j, [squares * x[1] * x[n - k], x[j]], None),
    "the first element": (j, [squares * x[1], x[j]], (1, n)),
    "the last but one": (j, [Sum(x[k] * x[k + 1], (k, 1, n - 1)) + squares, x[j]], (1, n)),
    "backwards": (j, [Sum(x[k] * x[n + 1 - k], (k, 1, n)), x[j]], (1, n)),
    "a part": (j, [Sum(x[k], (k, 1, 2)), x[j]], None),
    "an element beyond": (j, [Sum(x[k] * x[k + 1], (k, 1, n)), x[j]], None),
    "an element before": (j, [squares * x[0], x[j]], None),
    "an element that n = 1 lacks": (j, [squares * x[2], x[j]], None),
    "an element of another length": (j, [squares * x[m], x[j]], None),
    "two lengths": (j, [squares + Sum(x[k], (k, 1, m)), x[j]], None),
    "a dummy's name": (i, [Sum(gamma[i], (i, 1, n)), x[i]], None),
    "another axis": (j, [squares * gamma[j]], None),
    "an element beyond a shape": (j, [Sum(X[k] * X[k + 1], (k, 1, n)), X[j]], None),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_range_is_known_where_something_shows_it(case):
    index, exprs, expected = SHOWN[case]
    assert known_range(index, *exprs) == expected


def test_what_is_stated_comes_first():
    assert known_range(j, squares, x[j], stated={j: (2, n)}) == (2, n)
    assert known_range(i, x[i], x[j], stated={j: (1, n)}) is None
    assert known_range(j, squares, x[i], x[j], stated={i: (1, m)}) is None
    assert known_range(j, squares, x[i], x[j], stated={i: (2, n)}) == (1, n)
    assert refusal(lambda: differentiate(squares, x[u], {u: (0, m - 1)})) == (
        "Refused: the range 0 to m - 1 of u is not within 1 to m, which u itself declares and "
        "SymPy decides by: use u = Idx('u')."
    )


def test_what_is_said_of_an_index_says_nothing_of_another():
    upto = Sum(KroneckerDelta(l, k) * gamma[k], (k, 1, n - 1))
    kept = Piecewise((gamma[l], (l >= 1) & (l <= n - 1)), (0, True))
    for other, ranges in ((v, {}), (j, {j: (0, n - 1)})):
        assert contract(x[l] + x[other] + upto, ranges) == x[l] + x[other] + kept
        first = differentiate(x[l] * Sum(gamma[k] * x[k], (k, 1, n - 1)), x[l])
        second = differentiate(first * x[m], x[other], ranges)
        assert second.has(l <= n - 1), second
    assert jvp(x[l] ** 2, x[j], xdot[j], {j: (1, n)}) == 2 * x[l] * xdot[l]  # a sum over j


def test_derivatives_and_products_have_the_same_range():
    softmax = exp(X[i]) / Sum(exp(X[k]), (k, 0, n - 1))
    for product in (vjp(softmax, X[j], G[i]), jvp(softmax, X[j], G[j])):
        assert {total.limits[0][1:] for total in product.atoms(Sum)} == {(0, n - 1)}
        assert not product.has(Piecewise)
    gradient = vjp(x[u] * squares, x[j], ybar[u])
    assert Sum(x[u] * ybar[u], (u, 1, m)).xreplace({u: Idx("u")}) in gradient.atoms(Sum)


def test_an_element_beyond_the_sum_keeps_the_conditions():
    differences = Sum((x[k + 1] - x[k]) ** 2, (k, 1, n))
    first = differentiate(differences, x[j])
    for at, expected in {1: -2 * (x[2] - x[1]), 4: 2 * (x[4] - x[3]), 5: 0}.items():
        assert (first.subs(n, 3).subs(j, at) - expected).expand() == 0
    last = differentiate(Sum(x[k] ** 2, (k, 1, m)), x[n])
    assert last == Piecewise((2 * x[n], n <= m), (0, True))


def test_an_index_that_another_sum_binds_has_no_range_of_its_own():
    v = IndexedBase("v", shape=(3,))
    first = differentiate(Sum(v[i] ** 2, (i, 1, 3)) * Sum(gamma[k], (k, 5, 8)), gamma[i])
    assert first.subs(i, 6) == Sum(v[k] ** 2, (k, 1, 3))
    assert first.subs(i, 2) == 0


def test_a_length_counts_whatever_it_is_called():
    for length in (Symbol("N"), Symbol("N", integer=True), n):
        assert contract(Sum(1, (i, 1, length))) == length
        assert contract(Sum(KroneckerDelta(i, j), (i, 1, length), (j, 1, length))) == length
    assert contract(Sum(1, (i, 0, n - 1))) == n
    assert contract(Sum(1, (i, 1, n - 2))).subs(n, 1).has(Sum)
