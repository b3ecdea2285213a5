"""A bound index has no name: nothing captures it, and it does not escape."""

import ast
from pathlib import Path

import pytest
from sympy import (
    And,
    Dummy,
    Heaviside,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Or,
    Piecewise,
    Product,
    Rational,
    S,
    Sum,
    Symbol,
    Xor,
    exp,
    log,
    sin,
    true,
)

from rmsnorm_math import (
    Refused,
    abbreviate,
    calculus,
    contract,
    definitions,
    differentiate,
    evaluate,
    explicit,
    instantiate,
    jvp,
    matrices,
    matrix_form,
    substitute,
    vjp,
)
from rmsnorm_math.index import contraction, derivative
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.inner import Bound, BoundSum, Bracket, Choice, Inner
from rmsnorm_math.index.leave import leave
from rmsnorm_math.index.rebuild import closed, opened, put
from rmsnorm_math.index.walk import free_symbols, nodes
from tests.differences import assert_derivative, elements
from tests.refusals import refusal

x, y, W, xdot, ybar = map(IndexedBase, ("x", "y", "W", "xdot", "ybar"))
i, j, k, l, p = (Idx(letter) for letter in "ijklp")
o, q = (Dummy(letter, integer=True) for letter in "oq")
A, B = [2, -1, Rational(1, 2)], [3, Rational(-1, 2), 2]
n, m = (Symbol(letter, integer=True, positive=True) for letter in "nm")


def test_sums_that_differ_in_names_alone_are_one():
    def double(inner, outer):
        return Sum(x[outer] * exp(Sum(W[outer, inner], (inner, 1, n))), (outer, 1, n))

    one, other = enter(double(k, i)), enter(double(i, k))
    assert leave(one - other, [k, i]) == 0
    assert contract(double(k, i) - double(i, k)) == 0
    assert contract(double(k, i) - double(k, i).subs(x, y)) != 0


def test_what_is_put_into_a_sum_is_not_captured():
    total = put(enter(Sum(W[i, k] * x[k], (k, 1, n))), i, k)
    written = leave(total, [k, l])
    assert written == Sum(W[k, l] * x[l], (l, 1, n))


@pytest.mark.parametrize(
    "expr",
    [
        Sum(W[i, k] * x[k], (k, 1, n)),
        Sum(x[k] * Sum(x[l], (l, 1, k)), (k, 1, n)),
        Sum(x[k] * x[l], (l, 1, k), (k, 1, n)),
        Product(x[k] + Sum(y[l], (l, 1, k)), (k, 1, n)) * sin(x[k]),
    ],
)
def test_what_enters_leaves_unchanged_but_for_names(expr):
    assert leave(enter(leave(enter(expr), [k, l])), [k, l]) == leave(enter(expr), [k, l])
    assert free_symbols(leave(enter(expr), [k, l])) == free_symbols(expr)


def likelihood():
    return Sum(Product(1 - x[k] * y[i], (i, 1, n)), (k, 1, n))


def assert_no_capture():
    """Along the first axis: the sum of the slopes of (1 - 3x)(1 - 5x) at 1, so 22."""
    along = jvp(likelihood(), x[i], xdot[i], {i: (1, n)})
    assert evaluate(along, {x: [1, 2], y: [3, 5], xdot: [1, 0]}, n=2) == 22


def test_a_product_does_not_capture_the_index_of_a_tangent(monkeypatch):
    assert_no_capture()

    def opened_with_a_name(binder):
        index, body = opened(binder)
        return Idx("i"), body.xreplace({index: Idx("i")})

    # The same, where a sum is opened with an index that has a name: what today's form excludes.
    for module in (contraction, derivative):
        monkeypatch.setattr(module, "opened", opened_with_a_name)
    with pytest.raises((AssertionError, Refused, TypeError)):
        assert_no_capture()


ESCAPES = {
    "differentiate": (calculus, "leave", lambda: differentiate(Sum(x[k] ** 2, (k, 1, n)), x[j])),
    "abbreviate": (definitions, "leave", lambda: abbreviate(x[i], {y[p]: x[p] * W[p, p]})),
    "substitute": (definitions, "leave", lambda: substitute(y[i], {y[p]: x[p]})),
    "instantiate": (explicit, "written", lambda: instantiate(x[i] * x[j], i, j, n=2)),
    "instantiate a scalar": (explicit, "written", lambda: instantiate(Sum(x[k], (k, 1, n)), n=2)),
    "matrix_form": (matrices, "tidy", lambda: matrix_form(x[i] * x[j], i, j, n)),
}


@pytest.mark.parametrize("door", ESCAPES)
def test_an_index_that_escapes_is_refused(door, monkeypatch):
    module, name, call = ESCAPES[door]
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: right(*args) * x[p])
    assert "would depend on p, which is not in what was given" in refusal(call)


def test_the_length_that_an_index_declares_may_come_out():
    first = Idx("i", n)  # from 0 to n - 1
    pulled = vjp(x[first] ** 2, x[first + 1], ybar[first])
    assert pulled == Piecewise((2 * x[first + 1] * ybar[first + 1], n >= first + 2), (0, True))


def test_nothing_of_the_inner_form_is_left():
    for result in (
        differentiate(likelihood(), x[i]),
        vjp(Sum(W[i, k] * x[k], (k, 1, n)), x[j], ybar[i], {i: (1, m)}),
    ):
        assert not any(isinstance(node, Bound | Inner | Dummy) for node in nodes(result))


def test_an_index_may_be_called_as_an_internal_one():
    for letter in ("_0", "_1", "<0>", "k_1"):
        u = Idx(letter)
        both = Sum(exp(x[k] * y[u]), (k, 1, n)) + Sum(exp(x[k] * y[k]), (k, 1, n))
        assert len(contract(both).atoms(Sum)) == 2


HALF = Rational(1, 2)
NUMBERS = elements(
    {x: [2, -1, HALF], y: [3, -HALF, 2], W: [[1, -2, 3], [HALF, 1, -1], [2, 0, 3 * HALF]]}
) | {n: 3}
FOLDED = Sum(exp(Sum(Piecewise((W[i, k] * x[k], x[k] > 0), (0, True)), (k, 1, n))), (i, 1, n))


def test_a_condition_that_sympy_has_moved_out_of_its_sum_is_refused():
    for call in (lambda: differentiate(FOLDED, x[j]), lambda: contract(FOLDED)):
        assert refusal(call) == (
            "Refused: the condition x[k] > 0 tests a free k, and a sum over k stands beside it: "
            "where sums are nested, SymPy moves a condition out of the sum that binds its index "
            "(https://github.com/sympy/sympy/issues/27359). Write it as a limit, "
            "Sum(..., (k, 1, i - 1)), as one Sum over all its indices, or as a factor: "
            "Heaviside(x[k], 0) for x[k] > 0, KroneckerDelta for =. If k is free on purpose, give "
            "it another name."
        )


INNER = {
    "one of two": (Or(x[q] > 0, y[q] > 1), lambda a, b: a > 0 or b > 1),
    "both": (And(x[q] > 0, y[q] >= -1), lambda a, b: a > 0 and b >= -1),
    "strictly less": (x[q] < y[q], lambda a, b: a < b),
}


@pytest.mark.parametrize("case", INNER)
def test_a_condition_within_is_a_number(case):
    """So SymPy leaves it there; a choice between two values becomes the sum of both."""
    condition, holds = INNER[case]
    body = Choice(W[o, q] * x[q], condition, x[q], true)
    within = closed(BoundSum, q, body, S.One, n)
    written = leave(closed(BoundSum, o, sin(within), S.One, n), [i, k])
    assert not written.has(Piecewise)
    rows = [[1, -2, 3], [HALF, 1, -1], [2, 0, 3 * HALF]]
    sums = (
        sum(w * a if holds(a, b) else a for w, a, b in zip(row, A, B, strict=True)) for row in rows
    )
    got = evaluate(written, {x: A, y: B, W: rows}, n=3)
    assert (got - sum(map(sin, sums))).evalf() == 0


def test_a_condition_within_that_is_no_number_is_refused():
    body = W[o, q] * Bracket(Xor(x[q] > 0, y[q] > 0, evaluate=False))
    total = closed(BoundSum, o, sin(closed(BoundSum, q, body, S.One, n)), S.One, n)
    assert "stands within nested sums: write it with <, <= or ==." in refusal(
        lambda: leave(total, [i, k])
    )


NESTED = {
    "two, as factors": Sum(
        exp(Sum(W[i, k] * x[k] * Heaviside(x[k], 0) * Heaviside(y[k], 1), (k, 1, n))), (i, 1, n)
    ),
    "as a factor": Sum(exp(Sum(Heaviside(x[k], 0) * W[i, k] * x[k], (k, 1, n))), (i, 1, n)),
    "or equal, as a factor": Sum(sin(Sum(Heaviside(x[k], 1) * W[i, k], (k, 1, n))), (i, 1, n))
    * x[1],
    "as one sum": Sum(Piecewise((W[i, k] * x[k] ** 2, x[k] > 0), (0, True)), (k, 1, n), (i, 1, n)),
    "of other indices, as a factor": Sum(
        exp(Sum(W[i, k] * x[k] * Heaviside(2 * k - i, 1), (k, 1, n))), (i, 1, n)
    ),
    "a distance, as a factor": Sum(
        sin(Sum(W[i, k] * x[k] * (1 - KroneckerDelta(i, k)), (k, 1, n))), (i, 1, n)
    ),
    "of two values, a sum under a logarithm": Sum(
        x[i] - log(Sum(exp(x[k]) * Heaviside(y[k] - y[i], 1), (k, 1, n))), (i, 1, n)
    ),
    "beside a sum of the outer index": Sum(
        y[i] * Sum(Piecewise((x[k] ** 2, x[k] > y[k]), (0, True)), (k, 1, n)), (i, 1, n)
    ),
}


@pytest.mark.parametrize("case", NESTED)
def test_a_condition_stays_with_its_sum(case):
    expr = NESTED[case]
    for result in (differentiate(expr, x[j]), contract(expr)):
        assert free_symbols(result) <= free_symbols(expr, x[j])
    first = differentiate(expr, x[j])
    assert_derivative(first, expr, x[j], NUMBERS, [j], 3)
    assert_derivative(differentiate(first, x[k]), first, x[k], NUMBERS, [j, k], 3)


def test_a_condition_that_guards_a_value_is_not_made_a_factor():
    guarded = Sum(sin(Sum(Heaviside(x[k], 0) * W[i, k] / x[k], (k, 1, n))), (i, 1, n))
    assert refusal(lambda: contract(guarded)).startswith(
        "Refused: the condition x[k] > 0 would leave the sum that binds its index, by SymPy's own"
    )
    outermost = Sum(Heaviside(x[k], 0) / x[k], (k, 1, n))
    assert contract(outermost) == Sum(Piecewise((1 / x[k], x[k] > 0), (0, True)), (k, 1, n))


def test_nothing_is_remembered_between_calls():
    for path in Path(contraction.__file__).parent.rglob("*.py"):
        for node in ast.parse(
            path.read_text("utf-8")
        ).body:  # within a function a cache ends with it
            marks = map(ast.unparse, getattr(node, "decorator_list", []))
            assert not any("cache" in mark for mark in marks), (path, node.lineno)
