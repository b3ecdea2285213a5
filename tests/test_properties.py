"""What holds for every derivative holds for expressions that nobody chose."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import workdps
from sympy import Add, Expr, Idx, IndexedBase, Mul, Product, Rational, S, Sum, Symbol, cos, sin

from rmsnorm_math import differentiate, jvp, vjp
from rmsnorm_math.index.walk import free_indices
from tests.differences import assert_derivative, elements, value

a, c, A = IndexedBase("a"), IndexedBase("c"), IndexedBase("A")
i, j, k, l = (Idx(letter) for letter in "ijkl")
n = Symbol("n", integer=True, positive=True)
SIZE = 3
NUMBERS = elements(
    {
        a: [Rational(2, 3), Rational(-5, 4), Rational(7, 5)],
        c: [Rational(1, 2), Rational(3, 7), Rational(-4, 3)],
        A: [[Rational(3 * p - 2 * q + 1, p + q + 2) for q in range(SIZE)] for p in range(SIZE)],
    }
) | {n: SIZE}


def bounded(examples: int) -> settings:
    """Draw the same few examples each time, however slow the machine is."""
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None)


indices = st.sampled_from([i, j, k])
leaves = st.one_of(
    indices.map(lambda s: a[s]),
    indices.map(lambda s: c[s]),
    st.tuples(indices, indices).map(lambda pair: A[pair]),
    st.sampled_from([a[1], a[2], S(2)]),
)


def sums(body: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Draw sums whose limits are n, a shorter length, a number or another index, of any name."""
    whole = st.tuples(body, indices).map(lambda drawn: Sum(drawn[0], (drawn[1], 1, n)))
    part = st.tuples(body, indices, st.sampled_from([(2, n), (1, n - 1), (1, 2)])).map(
        lambda drawn: Sum(drawn[0], (drawn[1], *drawn[2]))
    )
    nested = st.tuples(body, indices, indices).map(
        lambda drawn: Sum(drawn[0], (drawn[1], 1, drawn[2]), (drawn[2], 1, n))
    )
    shifted = indices.map(lambda s: Sum(a[s] * a[s + 1], (s, 1, n - 1)))
    reflected = indices.map(lambda s: Sum(a[s] * c[n + 1 - s], (s, 1, n)))
    factors = st.tuples(body, indices).map(lambda drawn: Product(drawn[0], (drawn[1], 1, 2)))
    return st.one_of(whole, whole, part, nested, shifted, reflected, factors)


def combinations(smaller: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.one_of(
        sums(smaller),
        st.tuples(smaller, smaller).map(lambda pair: Add(*pair)),
        st.tuples(smaller, smaller).map(lambda pair: Mul(*pair)),
        smaller.map(lambda e: e**2),
        smaller.map(sin),
    )


expressions = st.recursive(leaves, combinations, max_leaves=5)
elements_of = st.one_of(
    indices.map(lambda s: a[s]), st.tuples(indices, indices).map(lambda p: A[p])
)


def free_of(*exprs: Expr) -> list[Expr]:
    return sorted({s for expr in exprs for s in free_indices(expr)}, key=str)


def assert_equal(left: Expr, right: Expr) -> None:
    """Compare at every value of every free index."""
    free = free_of(left, right)
    for chosen in product(range(1, SIZE + 1), repeat=len(free)):
        scope = NUMBERS | dict(zip(free, chosen, strict=True))
        with workdps(40):
            one, other = value(left, scope), value(right, scope)
            assert abs(one - other) <= 1e-25 * max(1, abs(one)), f"{one} is not {other}"


@bounded(40)
@given(expressions, elements_of)
def test_the_derivative_is_the_limit_of_the_difference_quotient(expr: Expr, wrt: Expr) -> None:
    free = free_of(expr, wrt)
    assert_derivative(differentiate(expr, wrt), expr, wrt, NUMBERS, free, SIZE)


@bounded(10)
@given(expressions, expressions, elements_of)
def test_the_derivative_is_linear(u: Expr, v: Expr, wrt: Expr) -> None:
    assert_equal(
        differentiate(3 * u - 2 * v, wrt), 3 * differentiate(u, wrt) - 2 * differentiate(v, wrt)
    )


@bounded(10)
@given(expressions, expressions, elements_of)
def test_the_derivative_obeys_the_product_rule(u: Expr, v: Expr, wrt: Expr) -> None:
    assert_equal(differentiate(u * v, wrt), differentiate(u, wrt) * v + u * differentiate(v, wrt))


@bounded(10)
@given(expressions, elements_of)
def test_the_derivative_obeys_the_chain_rule(u: Expr, wrt: Expr) -> None:
    assert_equal(differentiate(sin(u), wrt), cos(u) * differentiate(u, wrt))


@bounded(10)
@given(expressions, elements_of, elements_of)
def test_second_derivatives_are_symmetric(u: Expr, one: Expr, other: Expr) -> None:
    assert_equal(
        differentiate(differentiate(u, one), other), differentiate(differentiate(u, other), one)
    )


@bounded(10)
@given(expressions)
def test_vjp_and_jvp_are_adjoint(factor: Expr) -> None:
    for index in set(free_of(factor)) - {i}:
        factor = Sum(factor, (index, 1, n))
    y = a[i] * factor
    backward = vjp(y, a[j], c[i], {i: (1, n)})
    forward = jvp(y, a[j], c[j], {j: (1, n)})
    assert_equal(Sum(c[i] * forward, (i, 1, n)), Sum(c[j] * backward, (j, 1, n)))
