"""What is promised holds for expressions that nobody chose: a few here, thousands by nox."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from sympy import (
    Expr,
    Function,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Max,
    Mod,
    Ne,
    Or,
    Piecewise,
    Product,
    Sum,
    Symbol,
    sin,
    sqrt,
)

from rmsnorm_math import Refused, differentiate
from rmsnorm_math.index import ranges
from tests import promises
from tests.drawn import Case, World, m, n, t
from tests.drawn_forms import features
from tests.properties import PROMISES, Tally, run

a, c, A, T = (IndexedBase(letter) for letter in "acAT")
i, j, k, l = (Idx(letter) for letter in "ijkl")
zero, stated = Idx("i", n), Idx("i", (1, n))
f, g = Function("f"), Function("g")
u = Idx("_0")


@pytest.mark.parametrize("name", PROMISES)
def test_a_promise_holds_for_what_nobody_chose(name):
    promise, strategy = PROMISES[name]
    judged = 0

    @settings(
        max_examples=15,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def check(case):
        nonlocal judged
        with suppress(Refused):
            judged += bool(promise(case))

    check()
    assert judged >= 6, f"{judged} of 15 were compared"


def both(yes: Expr, condition: object, no: Expr | int = 0) -> Expr:
    return Piecewise((yes, condition), (no, True))


#: What some version of the package got wrong: an expression, a variable and stated ranges.
FOUND = {
    "a function of a sum": (f(Sum(a[i], (i, 1, n))), a[i], {}),
    "a function of functions": (g(f(a[i]), Sum(t, (i, 2, n))), a[i], {i: (1, n)}),
    "a function of two elements": (Sum(g(a[i], a[j]), (i, 2, n)), a[i], {}),
    "a function of a reflection": (Sum(g(a[i], a[n - i + 1]), (i, 2, n)), a[i], {i: (1, n)}),
    "a strict condition": (Sum(both(a[i], i > j), (j, 1, n), (i, 2, n)), a[i], {}),
    "an alternative": (both(c[i], Or(i <= k, i < k)), c[i], {i: (1, n), k: (1, n)}),
    "a condition that is not": (Sum(both(a[k], Ne(k, 2), c[k]), (k, 1, n)), c[j], {}),
    "a condition by value": (Sum(A[i, k] * both(a[k], a[k] > 0), (k, 1, n)), a[j], {i: (1, n)}),
    "parity": (Sum(both(a[k] ** 2, Ne(Mod(k, 2), 0)), (k, 1, n)), a[j], {}),
    "a name bound twice": (Product(Sum(A[j, i], (i, 1, n)), (i, 1, n), (j, 2, n)), A[i, j], {}),
    "a length below nothing": (Sum(t, (k, 1, n - 2)), t, {}),
    "a sum inside out": (Sum(sin(Sum(a[i] * a[l], (l, k + 1, n))), (k, 1, n)), a[j], {}),
    "a dummy named like ours": (
        Sum(sin(a[k] * c[u]), (k, 1, n)) + Sum(sin(a[k] * c[k]), (k, 1, n)),
        a[j],
        {u: (1, n), j: (1, n)},
    ),
    "a product beside its own index": (
        Sum(Product(1 - a[k] * c[i], (i, 1, n)), (k, 1, n)),
        a[i],
        {},
    ),
    "a declared index": (Sum(a[zero] ** 2, (zero, 0, n - 1)), a[zero], {}),
    "elements beyond": (Sum((a[k + 1] - a[k]) ** 2, (k, 1, n)), a[j], {j: (1, n + 1)}),
    "two lengths": (Sum(a[k] ** 2, (k, 1, m)) + Sum(c[k], (k, 1, n)), a[j], {j: (1, n)}),
    "three alike in a maximum": (Sum(Max(a[i], a[j], a[k], t), (i, 1, n), (j, 1, n)), a[k], {}),
    "a delta that leaves out": (
        Sum((1 - KroneckerDelta(i, j)) / sqrt((a[i] - a[j]) ** 2), (i, 1, n), (j, 1, n)),
        a[k],
        {},
    ),
}


def case_of(name: str) -> Case:
    expr, wrt, ranges = FOUND[name]
    found = {s for s in (i, j, k, l, u, zero) if expr.has(s) or wrt.has(s)}
    return Case(World(tuple(found), (a, c, A, T), 1), expr, (wrt, wrt), ranges)


@pytest.mark.parametrize("name", FOUND)
def test_what_was_wrong_once_is_right(name):
    case = case_of(name)
    assert promises.derivative(case)
    assert promises.contraction(case)
    for promise in (promises.backward, promises.forward):
        with suppress(Refused):
            promise(case)


def test_a_declared_index_speaks_of_itself_alone():
    squares = Sum(a[zero] ** 2, (zero, 1, n - 1))
    case = Case(World((zero, j), (a, c, A, T), 1), Product(squares, (j, 1, n)), (a[j], a[zero]))
    assert promises.derivative(case)


def test_an_axis_has_the_elements_that_a_condition_leaves_out():
    part = Sum(a[stated] ** 2, (stated, 1, n - 1))  # at n = 1 no term of its derivative holds
    case = Case(World((stated, j), (a, c, A, T), 0), part, (a[stated], a[j]))
    assert promises.backward(case)


def test_a_range_wider_than_its_index_declares_is_refused():
    total = Sum(a[stated], (j, 0, n - 1), (stated, 1, n - 1))
    with pytest.raises(Refused, match="declares"):
        differentiate(total, a[stated], {stated: (0, n - 1)})


WRONG = {
    "a factor": lambda derivative: 2 * derivative,
    "a condition": lambda derivative: derivative.replace(
        lambda node: isinstance(node, Piecewise), lambda node: node.args[0].expr
    ),
    "an index": lambda derivative: derivative.xreplace({a[j]: a[k]}),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_derivative_is_found(fault, monkeypatch):
    wrong = WRONG[fault]
    monkeypatch.setattr(promises, "differentiate", lambda *args: wrong(differentiate(*args)))
    total = Sum(a[k] ** 2, (k, 2, n))
    case = Case(World((j, k), (a, c, A, T), 1), total, (a[j],), {j: (1, n)})
    with pytest.raises(AssertionError, match=r"should be|escapes"):
        promises.derivative(case)


def test_a_condition_that_is_loosened_is_found(monkeypatch):
    case = Case(World((j, k), (a, c, A, T), 1), Sum(a[k] ** 2, (k, 2, n)), (a[j],))
    assert promises.derivative(case)
    monkeypatch.setattr(ranges, "_is_whole", lambda *_: True)
    with pytest.raises(AssertionError, match="should be 0"):
        promises.derivative(case)


def test_the_tally_shrinks_a_failure_and_counts(monkeypatch):
    monkeypatch.setattr(promises, "differentiate", lambda *args: 2 * differentiate(*args))
    tally = Tally()
    run("derivative", 1, tally)
    (failure,) = tally.failures.values()
    assert len(failure.splitlines()[0]) < 120, "not shrunk"
    assert tally.ends["derivative", "FAILED"] == 1
    assert sum(tally.ends.values()) <= 60


def test_kinds_are_counted():
    assert features(case_of("a name bound twice")) >= {
        "Product",
        "nested sums",
        "a name bound twice",
    }
    assert Symbol("t", real=True) == t
