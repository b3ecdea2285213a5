"""Jacobian, VJP and JVP agree with SymPy's explicit ones, with each other and with differences."""

from functools import cache

import pytest
from mpmath import workdps
from sympy import (
    Idx,
    IndexedBase,
    Matrix,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    Tuple,
    exp,
    log,
    sqrt,
)

from rmsnorm_math import (
    abbreviate,
    differentiate,
    evaluate,
    finite_difference,
    instantiate,
    jacobian,
    jvp,
    rms,
    rmsnorm,
    vjp,
)
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, r, x, xdot, ybar
from tests.differences import difference, elements, value
from tests.refusals import refusal

A, l = IndexedBase("A"), Idx("l")
mean = Sum(x[k], (k, 1, n)) / n
total = Sum(exp(x[k]), (k, 1, n))
LAYERS = {
    "RMSNorm": rmsnorm(),
    "RMSNorm, epsilon outside": rmsnorm(eps="outside"),
    "RMSNorm, 1 + gamma": rmsnorm(offset=1),
    "softmax": exp(x[i]) / total,
    "log-softmax": x[i] - log(total),
    "LayerNorm": gamma[i] * (x[i] - mean) / sqrt(Sum((x[k] - mean) ** 2, (k, 1, n)) / n + epsilon),
    "L2 normalisation": x[i] / sqrt(Sum(x[k] ** 2, (k, 1, n)) + epsilon),
}
POINT = {
    x: [Rational(1, 2), Rational(-4, 3), Rational(9, 5), Rational(2, 7), Rational(-1, 6)],
    gamma: [Rational(3, 2), Rational(-2, 5), Rational(7, 4), Rational(5, 3), Rational(1, 8)],
    ybar: [Rational(-1, 3), Rational(6, 5), Rational(2, 9), Rational(-3, 4), Rational(4, 7)],
    xdot: [Rational(4, 5), Rational(1, 7), Rational(-5, 2), Rational(1, 3), Rational(-2, 3)],
    epsilon: Rational(1, 10),
}
NUMBERS = elements(POINT)


def at(expr, size, **indices):
    return value(expr, NUMBERS | {n: size} | {Idx(name): v for name, v in indices.items()})


@cache
def vjp_of(layer):
    return vjp(LAYERS[layer], x[j], ybar[i])


@cache
def jacobian_of(layer):
    return jacobian(LAYERS[layer], x[j])


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_jacobian_equals_sympys_explicit_one(layer, size):
    inputs = [x[at] for at in range(1, size + 1)]
    explicit = Matrix(instantiate(LAYERS[layer], i, n=size)).jacobian(inputs)
    derived = instantiate(jacobian_of(layer), i, j, n=size)
    assert explicit.shape == derived.shape == (size, size)
    with workdps(40):
        for left, right in zip(explicit, derived, strict=True):
            assert abs(value(left, NUMBERS) - value(right, NUMBERS)) < 1e-30


@pytest.mark.parametrize("layer", LAYERS)
def test_vjp_is_the_cotangent_times_the_finite_differences(layer):
    for column in (1, 2, 3):
        scopes = [NUMBERS | {n: 3, i: row, j: column} for row in (1, 2, 3)]
        with workdps(40):
            expected = sum(NUMBERS[ybar, s[i]] * difference(LAYERS[layer], x[j], s) for s in scopes)
            assert abs(at(vjp_of(layer), 3, j=column) - expected) < 1e-15


@pytest.mark.parametrize("layer", LAYERS)
def test_vjp_and_jvp_are_adjoint(layer):
    forward, backward = jvp(LAYERS[layer], x[j], xdot[j]), vjp_of(layer)
    with workdps(40):
        left = sum(NUMBERS[ybar, row] * at(forward, 4, i=row) for row in (1, 2, 3, 4))
        right = sum(NUMBERS[xdot, column] * at(backward, 4, j=column) for column in (1, 2, 3, 4))
        assert abs(left - right) < 1e-30


def test_rmsnorm_vjp_reads_as_in_the_literature():
    dx = abbreviate(vjp(rmsnorm(), x[j], ybar[i]), {r: rms()})
    dot = Sum(gamma[i] * x[i] * ybar[i], (i, 1, n))
    assert dx == gamma[j] * ybar[j] / r - x[j] * dot / (n * r**3)


def test_gradient_of_gamma_is_summed_over_the_rows_of_a_batch():
    R = IndexedBase("r")
    dgamma = abbreviate(vjp(rmsnorm(b), gamma[j], ybar[b, i], {b: (1, m)}), {R[b]: rms(b)})
    assert dgamma == Sum(x[b, j] * ybar[b, j] / R[b], (b, 1, m))


def test_gradient_of_a_batch_stays_in_its_row():
    R = IndexedBase("r")
    c = Idx("c")
    dx = vjp(rmsnorm(b), x[c, j], ybar[b, i], {b: (1, m), c: (1, m)})
    row = gamma[j] * ybar[c, j] / R[c] - x[c, j] * Sum(
        gamma[i] * x[c, i] * ybar[c, i], (i, 1, n)
    ) / (n * R[c] ** 3)
    assert abbreviate(dx, {R[b]: rms(b)}) == row


def test_an_index_that_is_summed_may_be_called_as_the_results():
    for element, cotangent in ((x[i], ybar[i]), (x[k], ybar[i])):
        gradient = vjp(rmsnorm(), element, cotangent)
        renamed = vjp_of("RMSNorm").xreplace({i: Idx("l"), j: element.indices[0]})
        assert differ_nowhere(gradient, renamed, element.indices[0])
    for element, tangent in ((x[i], xdot[i]), (x[k], xdot[k])):
        assert differ_nowhere(jvp(rmsnorm(), element, tangent), jvp(rmsnorm(), x[j], xdot[j]), i)


def differ_nowhere(left, right, index):
    scopes = [NUMBERS | {n: 3, index: position} for position in (1, 2, 3)]
    with workdps(40):
        return all(abs(value(left, scope) - value(right, scope)) < 1e-30 for scope in scopes)


def test_an_output_index_is_not_captured_by_a_sum_of_the_result():
    matrix = {A: [[1, 2, 3], [4, 5, 6], [7, 8, 10]]} | POINT
    for index in (i, k, l):
        bound = l if index != l else k
        y = x[index] * Sum(A[index, bound] * x[bound], (bound, 1, n))
        gradient = vjp(y, x[j], ybar[index])
        loss = Sum(ybar[index] * y, (index, 1, n))
        for at in (1, 2, 3):
            right = finite_difference(loss, x[at], matrix, digits=20, n=3)
            assert abs(evaluate(gradient, matrix, n=3, j=at) - right) < 1e-15


def test_a_condition_stays_in_the_sum_that_binds_its_index():
    layer = x[i] * Sum(x[k] * x[k + 1], (k, 1, n - 1))
    forward = jvp(layer, x[j], xdot[j], {j: (1, n)})
    assert forward.expand() == (
        xdot[i] * Sum(x[k + 1] * x[k], (k, 1, n - 1))
        + x[i] * Sum(x[j + 1] * xdot[j], (j, 1, n - 1))
        + x[i] * Sum(x[k] * xdot[k + 1], (k, 1, n - 1))
    )
    second = vjp(forward, x[k], ybar[i], {i: (1, n)})
    assert {s for s in second.free_symbols if isinstance(s, Idx)} == {k}
    for column in (1, 2, 3):
        scopes = [NUMBERS | {n: 3, i: row, k: column} for row in (1, 2, 3)]
        with workdps(40):
            expected = sum(NUMBERS[ybar, s[i]] * difference(forward, x[k], s) for s in scopes)
            assert abs(at(second, 3, k=column) - expected) < 1e-15


def test_a_scalar_output_takes_a_scalar_cotangent():
    loss = Symbol("Lbar")
    assert vjp(log(total), x[j], loss) == loss * exp(x[j]) / total


def test_no_pair_of_free_and_bound_index_makes_an_array_of_n_by_n():
    for layer in LAYERS:
        for inner in vjp_of(layer).atoms(Sum):
            assert not inner.free_symbols & {i, j}


REFUSED = {
    "an index without a cotangent": (
        lambda: vjp(A[i, j] * rmsnorm(b), gamma[k], ybar[i]),
        (
            "Refused: y has the free index b, j, and the cotangent ybar[i] is no element with it: "
            "the sum over it would be missing. Give ybar[b, i, j]."
        ),
    ),
    "a batch without a range": (
        lambda: vjp(rmsnorm(b), gamma[j], ybar[b, i]),
        (
            "Refused: the range of the index b is not clear: no sum over a whole axis shows it. "
            "Pass ranges={b: (1, n)}."
        ),
    ),
    "two ranges": (
        lambda: vjp(x[i] * mean * Sum(x[k], (k, 1, m)), x[j], ybar[i]),
        (
            "Refused: the range of the index i is not clear: several ranges are possible. "
            "Pass ranges={i: (1, n)}."
        ),
    ),
    "a bare cotangent": (
        lambda: vjp(rmsnorm(), x[j], ybar),
        "Refused: the cotangent ybar stands without an index: write ybar[i].",
    ),
    "an element of the cotangent": (
        lambda: vjp(rmsnorm(), x[j], ybar[1]),
        (
            "Refused: the indices of the cotangent ybar[1] must be different symbols, "
            "such as ybar[i]."
        ),
    ),
    "the diagonal of a cotangent": (
        lambda: vjp(rmsnorm(b), x[j], ybar[i, i]),
        (
            "Refused: the indices of the cotangent ybar[i, i] must be different symbols, "
            "such as ybar[i]."
        ),
    ),
    "a bare tangent": (
        lambda: jvp(rmsnorm(), x[j], xdot),
        "Refused: the tangent xdot stands without an index: write xdot[i].",
    ),
    "a tangent of another element": (
        lambda: jvp(rmsnorm(), x[j], xdot[i]),
        "Refused: the tangent xdot[i] of x[j] needs the same indices as x[j].",
    ),
    "a tangent with too many indices": (
        lambda: jvp(rmsnorm(), epsilon, xdot[j]),
        "Refused: the tangent xdot[j] of epsilon needs the same indices as epsilon.",
    ),
    "a whole vector": (
        lambda: jacobian(rmsnorm(), x),
        "Refused: x is the whole vector. Differentiate by one element of it: x[j].",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_missing_pieces_are_named(case):
    call, message = REFUSED[case]
    assert refusal(call) == message


p = Symbol("p", integer=True, positive=True)
part = Sum(x[k], (k, 1, p))


def test_factors_stay_together_where_there_is_no_condition():
    assert vjp((gamma[i] + 1) * x[i], x[j], ybar[i], {i: (1, n)}) == (gamma[j] + 1) * ybar[j]
    factor = (gamma[i] + 1) * ybar[i]
    forward = jvp(factor * Sum(x[k], (k, 1, 2)), x[j], xdot[j], {j: (1, 2)})
    assert forward == factor * Sum(xdot[j], (j, 1, 2))


def test_the_sums_of_a_jvp_have_the_names_of_the_tangent():
    dot = IndexedBase("Adot")
    square = Sum(A[k, l] ** 2, (k, 1, n), (l, 1, n))
    assert jvp(square, A[i, j], dot[i, j]) == 2 * Sum(A[i, j] * dot[i, j], (i, 1, n), (j, 1, n))


def test_along_the_input_itself_a_sum_is_the_same_sum():
    along = jvp(rmsnorm(), x[j], x[j])
    assert {inner.limits for inner in along.atoms(Sum)} == {(Tuple(k, 1, n),)}


def test_a_jvp_by_a_symbol_takes_a_symbol():
    step = Symbol("step")
    assert jvp(rmsnorm(), epsilon, step) == step * differentiate(rmsnorm(), epsilon)


def test_a_condition_in_a_vjp_leaves_the_terms_without_it_alone():
    dx = vjp(x[i] * part, x[j], ybar[i], {i: (1, n), j: (1, n)})
    conditional = Piecewise((Sum(x[i] * ybar[i], (i, 1, n)), j <= p), (0, True))
    assert dx == conditional + ybar[j] * part


def test_a_length_may_be_an_index():
    y = x[n] * x[i] * Sum(x[k], (k, 1, n))
    gradient, loss = vjp(y, x[j], ybar[i], {i: (1, n)}), Sum(ybar[i] * y, (i, 1, n))
    for at in (1, 2, 3):
        right = finite_difference(loss, x[at], POINT, digits=20, n=3)
        assert abs(evaluate(gradient, POINT, n=3, j=at) - right) < 1e-15


def test_a_condition_on_two_indices_never_leaves_the_inner_sum():
    deep = Sum(gamma[i] * Sum(x[k] * Sum(x[l], (l, 1, k + i)), (k, 1, n)), (i, 1, n))
    derivative = differentiate(deep, x[j], {j: (1, 2 * n)})
    point = {x: [1, -2, 3, 5], gamma: [2, 7]}
    for at in (1, 2, 3, 4):
        right = finite_difference(deep, x[at], point, digits=20, n=2)
        assert abs(evaluate(derivative, point, n=2, j=at) - right) < 1e-15
