"""A symbol stands for a quantity wherever it occurs, and only there."""

import pytest
from sympy import (
    Function,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Mul,
    Piecewise,
    Sum,
    Symbol,
    exp,
    sin,
    sqrt,
)

from rmsnorm_math import (
    Refused,
    abbreviate,
    contract,
    evaluate,
    jacobian,
    matching,
    notation,
    rms,
    rmsnorm,
    substitute,
    vjp,
)

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k, l = (Idx(letter) for letter in "ijkl")
n = Symbol("n", integer=True, positive=True)
r = sqrt(Sum(a[i] ** 2, (i, 1, n)) / n + Symbol("epsilon", positive=True))


def test_abbreviate_finds_every_power_whatever_the_dummy_is_called():
    R = Symbol("R")
    expr = r.xreplace({i: l}) ** -3 + r + c[j] * r**2
    assert abbreviate(expr, {R: r}) == R**-3 + R + c[j] * R**2


def test_abbreviate_knows_exponentials_and_means():
    R, total, mean = Symbol("R"), Sum(exp(a[k]), (k, 1, n)), Sum(a[k], (k, 1, n)) / n
    short = {R: total, c[i]: exp(a[i]) / R}
    squares = exp(2 * a[j]) / total**2 + exp(-a[i]) * total
    assert abbreviate(squares, short) == c[j] ** 2 + 1 / c[i]
    assert abbreviate(a[j] - mean, {R: mean}) == a[j] - R
    assert abbreviate(n * mean**2, {R: mean}) == n * R**2


def test_abbreviate_knows_a_quantity_with_an_index():
    row = sqrt(Sum(A[i, k] ** 2, (k, 1, n)))
    R = IndexedBase("R")
    assert abbreviate(Sum(row, (i, 1, n)), {R[j]: row.xreplace({i: j})}) == Sum(R[i], (i, 1, n))


def test_abbreviate_takes_no_root_of_what_is_none():
    assert abbreviate(a[i] * c[i] + a[i] ** 2, {A[i]: a[i] ** 2}) == a[i] * c[i] + A[i]


def test_abbreviate_refuses_a_name_that_means_something_else():
    R = Symbol("R")
    with pytest.raises(ValueError, match="R occurs in the expression already"):
        abbreviate(R * a[i] / r, {R: r})
    with pytest.raises(ValueError, match="c is no key"):
        abbreviate(a[i] / r, {c: a[i] / r})


u, v, w, x, z = (IndexedBase(letter) for letter in "uvwxz")
t = Symbol("t")


def test_abbreviate_finds_a_part_of_a_product_in_the_power_that_is_there():
    product = {u[i]: x[i] * z[i]}
    assert abbreviate(c[i] * x[i] * z[i], product) == c[i] * u[i]
    assert abbreviate(x[k] ** 3 * z[k] ** 2 / (x[j] * z[j]), product) == u[k] ** 2 * x[k] / u[j]
    assert abbreviate(x[i] * z[j], product) == x[i] * z[j]


def test_abbreviate_finds_a_ratio_of_sums_and_a_difference_turned_round():
    mean = Sum(x[k], (k, 1, n)) / Sum(w[k], (k, 1, n))
    assert abbreviate(x[i] - mean, {t: mean}) == x[i] - t
    assert abbreviate(1 / mean**2, {t: mean}) == t**-2
    assert abbreviate(c[j] * (t - x[j]) ** 3, {u[i]: x[i] - t}) == -c[j] * u[j] ** 3


def test_abbreviate_writes_a_later_definition_with_earlier_ones():
    R = Symbol("R")
    short = {R: r, u[i]: a[i] / r}
    assert abbreviate(a[j] * c[j] / r, short) == c[j] * u[j]
    loose = {t: a[i], u[i]: 2 * a[i]}
    assert abbreviate(a[j] * c[i], loose) == u[j] * c[i] / 2, "an open index is no index"
    with pytest.raises(Refused, match="no free index of the expression"):
        abbreviate(a[j], loose)


def test_abbreviate_holds_at_numbers_and_shifts():
    assert abbreviate(x[i], {u[1]: x[1]}) == x[i]
    assert abbreviate(x[1] + x[i + 1], {u[1]: x[1]}) == u[1] + x[i + 1]
    assert abbreviate(x[i + 1], {u[i]: x[i]}) == u[i + 1]


def test_a_condition_is_no_divisor():
    yes = Piecewise((x[i], i < j), (0, True))
    assert abbreviate(yes, {t: yes, u[k]: c[k]}) == t


def test_eight_indices_are_found_without_trying_all_orders(monkeypatch):
    tried: list[object] = []
    monkeypatch.setattr(matching, "_in_order", counted(matching._in_order, tried))
    ids, others = ([Idx(f"{letter}{at}") for at in range(8)] for letter in "ij")
    assert abbreviate(A[others] ** 2 * x[j], {u[ids]: A[ids] ** 2}) == u[others] * x[j]
    assert len(tried) < 100
    there, nearly = (Mul(*(a[s] + c[s] for s in of[:7])) for of in (others, ids))
    for whole, sought in (
        (there * (a[i] + c[i]), nearly * (a[ids[7]] + A[ids])),  # one is nowhere
        (there * (a[i] + A[others]), nearly * (a[ids[7]] + c[ids[7]])),  # eight for seven places
    ):
        assert abbreviate(whole, {u[ids]: sought}) == whole
    assert len(tried) < 20_000


def counted(function, calls):
    def call(*args):
        calls.append(args)
        return function(*args)

    return call


BACK = {
    "a root": (r**-3 * a[j] + r, {Symbol("R"): r}),
    "an element of a sum": (Sum(c[k] * a[k] / r, (k, 1, n)), {Symbol("R"): r, u[i]: a[i] / r}),
    "a sum in a sum": (
        Sum(c[k] * Sum(A[k, l] * a[l], (l, 1, n)), (k, 1, n)),
        {u[i]: Sum(A[i, k] * a[k], (k, 1, n))},
    ),
}


@pytest.mark.parametrize("case", BACK)
def test_substitute_is_the_way_back(case):
    expr, definitions = BACK[case]
    short = abbreviate(expr, definitions)
    assert short != expr
    assert contract(substitute(short, definitions) - expr) == 0


def test_substitute_captures_no_index_and_reaches_into_sums():
    row = Sum(A[i, k] * a[k], (k, 1, n))
    inside = substitute(Sum(c[k] * u[k], (k, 1, n)), {u[i]: row})
    assert evaluate(inside, {A: [[1, 2], [3, 4]], a: [1, 1], c: [1, 10]}, n=2) == 73
    assert substitute(t, {t: Symbol("R") + 1, Symbol("R"): r}) == r + 1


def test_a_whole_definition_comes_before_a_part_of_it():
    softmax = exp(a[i]) / Sum(exp(a[k]), (k, 1, n))
    u, first = IndexedBase("u"), jacobian(softmax, a[j])
    assert abbreviate(first, {u[i]: softmax}) == u[i] * KroneckerDelta(i, j) - u[i] * u[j]
    assert substitute(abbreviate(first, {u[i]: softmax}), {u[i]: softmax}) == first


def test_nothing_is_divided_by_what_may_be_zero():
    x, gamma, ybar, y = notation.x, notation.gamma, notation.ybar, IndexedBase("y")
    short = {notation.r: rms(), y[i]: rmsnorm()}
    gradient = abbreviate(vjp(rmsnorm(), gamma[j], ybar[i]), short)
    assert gradient == x[j] * ybar[j] / notation.r, "y/gamma is no x/r where gamma is 0"
    assert abbreviate(c[j] * gamma[j] * x[j], {y[i]: gamma[i] * x[i]}) == c[j] * y[j]
    total = Sum(c[k], (k, 1, n))
    assert abbreviate(a[i] * c[i], {y[i]: a[i] * total}) == a[i] * c[i], "the sum may be 0"
    assert abbreviate(a[i] * c[i] * total, {y[i]: a[i] * total}) == c[i] * y[i]
    t, Q, R, u, f = Symbol("t"), Symbol("Q"), Symbol("R"), IndexedBase("u"), Function("f")
    part = Sum(a[k], (k, 2, n))  # none at n = 1, where sin(0) and n - 1 are 0
    whole = (t * c[i] + n * t) * sin(part)
    assert abbreviate(whole, {R: whole, u[i]: whole}) == R
    whole = f(part) * (n - 1) ** 2 * a[j]
    assert abbreviate(whole, {u[j]: whole, Q: whole}) == u[j]
    short = {u[i]: (n - 1) * c[i], Q: t * c[i] * (n - 1) * c[i] / n}
    assert abbreviate(t * c[i] * (n - 1) * c[i], short) == t * c[i] * u[i]


def test_the_last_guard_knows_what_a_condition_on_the_key_s_index_guards():
    u = IndexedBase("u")
    masked = (1 - KroneckerDelta(1, j)) * x[j]
    assert abbreviate(sin(masked), {u[j]: masked}) == sin(u[j])
    assert substitute(sin(u[j]), {u[j]: masked}) == sin(masked)
