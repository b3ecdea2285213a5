"""A sum over a delta is the term that it picks, under the condition that the sum reaches it."""

from math import prod

import pytest
from sympy import (
    Dummy,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Max,
    Min,
    Piecewise,
    Sum,
    Symbol,
    exp,
    floor,
)

from rmsnorm_math import contract, differentiate, instantiate
from tests.differences import elements, value
from tests.refusals import refusal

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k, l, p, q = (Idx(letter) for letter in "ijklpq")
n, m = (Symbol(letter, integer=True, positive=True) for letter in "nm")
delta = KroneckerDelta


def picked(place, last=n):
    """Return the element of `a` at `place`, picked by a sum."""
    return Sum(delta(l, place) * a[l], (l, 1, last))


def only_if(condition, term):
    return Piecewise((term, condition), (0, True))


CONTRACTED = {
    "a term beside one that must be expanded": (
        Sum((delta(j, k) + c[k]) * a[k] + c[k], (k, 1, n)),
        {},
        a[j] + Sum(a[k] * c[k], (k, 1, n)) + Sum(c[k], (k, 1, n)),
    ),
    "a square": (
        Sum((a[k] - delta(j, k)) ** 2, (k, 1, n)),
        {},
        Sum(a[k] ** 2, (k, 1, n)) - 2 * a[j] + 1,
    ),
    "a cube beside a factor": (
        Sum(c[k] * (a[k] - delta(j, k)) ** 3, (k, 1, n)),
        {},
        Sum(a[k] ** 3 * c[k], (k, 1, n)) - 3 * a[j] ** 2 * c[j] + 3 * a[j] * c[j] - c[j],
    ),
    "a product of two differences": (
        Sum((a[k] - delta(j, k)) * (c[k] - delta(i, k)), (k, 1, n)),
        {},
        Sum(a[k] * c[k], (k, 1, n)) - a[i] - c[j] + delta(i, j),
    ),
    "a delta of a square": (
        Sum(a[k] * delta(k**2 + k, j), (k, 1, n)),
        {},
        Sum(a[k] * delta(k**2 + k, j), (k, 1, n)),
    ),
    "a choice that is no condition": (
        Sum(Piecewise((a[k], k < 2), (c[k], True)), (k, 1, n)),
        {},
        Sum(Piecewise((a[k], k < 2), (c[k], True)), (k, 1, n)),
    ),
    "a stated range": (Sum(a[k] * delta(j, k), (k, 2, n)), {j: (2, n)}, a[j]),
    "a start at 2": (
        Sum(a[k] * delta(j, k), (k, 2, n)),
        {},
        only_if((j >= 2) & (j <= n), a[j]),
    ),
    "twice the index": (picked(2 * j), {}, only_if((2 * j >= 1) & (n >= 2 * j), a[2 * j])),
    "a length times the index": (picked(n * j, m), {j: (1, 2)}, only_if(m >= n * j, a[n * j])),
    "the first of the indices": (
        picked(i - j + k - p + q),
        {},
        only_if(
            (i >= j - k + p - q + 1) & (i <= n + j - k + p - q),
            a[i - j + k - p + q],
        ),
    ),
    "the first of the lengths, where no index stands alone": (
        picked(2 * j + m),
        {},
        only_if((m >= 1 - 2 * j) & (m <= n - 2 * j), a[2 * j + m]),
    ),
    "a condition twice": (
        picked(j, 2) ** 2,
        {},
        only_if((j >= 1) & (j <= 2), a[j] ** 2),
    ),
    "ends that a stated range decides": (
        Sum(c[k] * picked(k - j), (k, 1, n)),
        {j: (0, n)},
        Sum(c[k] * a[k - j], (k, j + 1, n)),
    ),
    "ends that a stated range decides the other way": (
        Sum(c[k] * picked(k - j), (k, 1, n)),
        {j: (-n, 0)},
        Sum(c[k] * a[k - j], (k, 1, n + j)),
    ),
    "a range that another range ends": (picked(j), {k: (1, n), j: (1, k)}, a[j]),
    "ends that remain": (
        Sum(c[k] * picked(k - j), (k, 1, n)),
        {},
        Sum(c[k] * a[k - j], (k, Max(1, j + 1), Min(n, n + j))),
    ),
}


@pytest.mark.parametrize("case", CONTRACTED)
def test_a_contracted_sum_is_readable(case):
    expr, ranges, expected = CONTRACTED[case]
    assert contract(expr, ranges) == expected


NUMBERS = elements({a: [2, 3, 5, 7], c: [11, 13, 17, 19]}) | {n: 4}
KEPT = {
    "every second element": Sum(c[k] * picked(2 * k), (k, 1, n)),
    "elements at k (k + 1)": Sum(c[k] * picked(k**2 + k), (k, 1, n)),
    "elements at k (1 - k) + 4": Sum(c[k] * picked(k - k**2 + 4), (k, 1, n)),
    "backwards": Sum(c[k] * picked(j - 2 * k), (k, 1, n)),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_condition_that_is_no_limit_stays_in_its_sum(case):
    contracted = contract(KEPT[case])
    assert not contracted.has(KroneckerDelta)
    for at in range(1, 9):
        scope = NUMBERS | {j: at}
        assert value(contracted, scope) == value(KEPT[case], scope)


def test_a_condition_is_a_limit_in_whatever_order_the_sums_stand():
    inner, outer = (k, 1, n), (p, 1, n)
    every_second = Sum(picked(2 * k) * A[p, k] * c[p], inner, outer)
    assert contract(every_second) == Sum(
        c[p] * Sum(A[p, k] * a[2 * k], (k, 1, floor(n / 2))), outer
    )
    assert contract(every_second.func(every_second.function, outer, inner)) == Sum(
        a[2 * k] * Sum(A[p, k] * c[p], outer), (k, 1, floor(n / 2))
    )


def test_look_alikes_are_refused():
    shaped = IndexedBase("a", shape=(n,))
    assert "two different objects print as a" in refusal(lambda: contract(a[i] + shaped[j]))
    likewise = refusal(lambda: contract(picked(j), {Symbol("j"): (1, n)}))
    assert "two different objects print as j" in likewise


s, t = IndexedBase("s", shape=(n,)), IndexedBase("t", shape=(m,))
ranged, end = Idx("j", (1, m)), Symbol("end", integer=True)
KNOWN = {
    "shapes of two bases": (
        lambda: contract(s[i] * t[j] * Sum(delta(i, k), (k, 1, n)) * Sum(delta(j, k), (k, 1, m))),
        s[i] * t[j],
    ),
    "shapes of two bases, without a sum over either": (
        lambda: contract(s[i] + t[j] + picked(i, n + 1) + picked(j, m + 1)),
        s[i] + t[j] + a[i] + a[j],
    ),
    "the range of an index": (lambda: differentiate(Sum(a[k], (k, 1, m + 1)), a[ranged]), 1),
    "no range: an end that is an index": (
        lambda: differentiate(a[end] * Sum(a[k], (k, 1, end)), a[j]),
        only_if((end >= j) & (j >= 1), a[end]) + delta(end, j) * Sum(a[k], (k, 1, end)),
    ),
    "no range: an end that another sum moves": (
        lambda: differentiate(Sum(a[k], (k, 1, l), (l, 1, n)), a[j]),
        only_if(j >= 1, Sum(1, (l, Max(1, j), n))),
    ),
}


@pytest.mark.parametrize("case", KNOWN)
def test_a_range_is_known_where_something_declares_it(case):
    call, expected = KNOWN[case]
    assert call() == expected


def test_an_index_for_which_every_letter_is_taken_gets_a_number():
    letters = [Idx(letter) for letter in "klpqstuvw"]
    taken = prod(a[letter] for letter in letters)
    once = contract(taken * Sum(c[k], (k, 1, n)))
    assert once == taken * Sum(c[Idx("k_1")], (Idx("k_1"), 1, n))


def test_a_bound_index_loses_its_range_in_the_result():
    squares = Sum(a[ranged] ** 2, (ranged, 1, m))
    assert differentiate(squares**2, a[k]) == 4 * a[k] * Sum(a[j] ** 2, (j, 1, m))


def test_contract_pulls_out_what_does_not_depend_on_the_index():
    assert (
        contract(Sum(n * a[j] * c[k] + a[j], (k, 1, n)))
        == n * a[j] * Sum(c[k], (k, 1, n)) + n * a[j]
    )


def test_contract_keeps_a_sum_within_both_its_limits():
    shifted = Sum(KroneckerDelta(l, k + 1) * c[l], (l, 1, n))
    expected = Sum(a[k] * c[k + 1], (k, 1, n - 1))
    assert contract(Sum(a[k] * shifted, (k, 1, n))) == expected
    assert contract(Sum(a[k] * shifted, (k, 0, n - 1))).limits[0][1:] == (0, n - 1)
    assert contract(Sum(a[k] * shifted.xreplace({k: k - 2}), (k, 1, n))).limits[0][1:] == (2, n)


def test_contract_leaves_a_delta_that_it_cannot_solve():
    expr = Sum(KroneckerDelta(2 * k, j) * a[k], (k, 1, 4))
    assert [instantiate(contract(expr), j=at) for at in (1, 2, 4)] == [0, a[1], a[2]]


def test_an_empty_sum_of_a_constant_stays_empty():
    assert contract(Sum(a[i], (k, 5, 3))).has(Sum)
    assert instantiate(contract(Sum(a[i], (k, 1, i - 2))), i=1) == 0
    assert instantiate(contract(Sum(a[j], (k, 1, n))), n=3) == 3 * a[j]


def test_sums_over_different_names_of_the_dummy_become_one():
    assert contract(Sum(a[k], (k, 1, n)) - Sum(a[j], (j, 1, n))) == 0


def test_sums_over_dummies_that_print_alike_become_one():
    one, other = (Sum(a[s], (s, 1, n)) for s in (Dummy("k"), Dummy("k")))
    total = Sum(a[k], (k, 1, n))
    assert (contract(one - other), contract(one / other)) == (0, 1)
    assert contract(a[i] * one / other**2 + exp(one + other)) == a[i] / total + exp(2 * total)


def test_conditions_of_several_factors_are_one_condition():
    expr = (1 - KroneckerDelta(i, k)) * Piecewise((a[i], i < j), (0, True))
    once = contract(expr)
    assert contract(once) == once
    assert len(once.atoms(Piecewise)) == 1
