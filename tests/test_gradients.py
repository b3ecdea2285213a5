"""Jacobian, VJP and JVP agree with SymPy's explicit ones, with each other and with differences."""

from itertools import product

import pytest
from sympy import (
    DiagMatrix,
    Function,
    Idx,
    IndexedBase,
    Matrix,
    MatrixSymbol,
    Piecewise,
    Rational,
    S,
    Sum,
    Symbol,
    exp,
    log,
    simplify,
    sqrt,
)

from rmsnorm_math import (
    abbreviate,
    evaluate,
    finite_difference,
    instantiate,
    jacobian,
    jvp,
    matrix_form,
    mean_square,
    rms,
    rmsnorm,
    vjp,
)
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, r, x, xdot, ybar

mean = Sum(x[k], (k, 1, n)) / n
total = Sum(exp(x[k]), (k, 1, n))
LAYERS = {
    "RMSNorm": rmsnorm(),
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
close = pytest.approx


def number(expr, **sizes):
    return float(evaluate(expr, POINT, **sizes))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_jacobian_equals_sympys_explicit_one(layer, size):
    y = LAYERS[layer]
    inputs = [x[at] for at in range(1, size + 1)]
    explicit = Matrix(instantiate(y, i, n=size)).jacobian(inputs)
    derived = instantiate(jacobian(y, x[j]), i, j, n=size)
    values = {x[at]: POINT[x][at - 1] for at in range(1, 6)} | {
        gamma[at]: POINT[gamma][at - 1] for at in range(1, 6)
    }
    values[epsilon] = POINT[epsilon]
    difference = (explicit - derived).xreplace(values).evalf(30)
    assert max(abs(entry) for entry in difference) < 1e-25


@pytest.mark.parametrize("layer", LAYERS)
def test_vjp_is_the_cotangent_times_the_finite_differences(layer):
    y = LAYERS[layer]
    gradient = vjp(y, x[j], ybar[i])
    for at in (1, 2, 3):
        columns = [finite_difference(y, x[at], POINT, digits=20, n=3, i=row) for row in (1, 2, 3)]
        expected = sum(
            cotangent * column for cotangent, column in zip(POINT[ybar], columns, strict=False)
        )
        assert abs(evaluate(gradient, POINT, n=3, j=at) - expected) < 1e-15


@pytest.mark.parametrize("layer", LAYERS)
def test_vjp_and_jvp_are_adjoint(layer):
    y = LAYERS[layer]
    forward, backward = jvp(y, x[j], xdot[j]), vjp(y, x[j], ybar[i])
    left = sum(POINT[ybar][at] * evaluate(forward, POINT, n=4, i=at + 1) for at in range(4))
    right = sum(POINT[xdot][at] * evaluate(backward, POINT, n=4, j=at + 1) for at in range(4))
    assert abs((left - right).evalf(30)) < 1e-25


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
        index = str(element.indices[0])
        for at in (1, 2, 3):
            reference = evaluate(vjp(rmsnorm(), x[j], ybar[i]), POINT, n=3, j=at)
            assert evaluate(gradient, POINT, n=3, **{index: at}) == reference
    for element, tangent in ((x[i], xdot[i]), (x[k], xdot[k])):
        product_ = jvp(rmsnorm(), element, tangent)
        for at in (1, 2, 3):
            reference = evaluate(jvp(rmsnorm(), x[j], xdot[j]), POINT, n=3, i=at)
            assert evaluate(product_, POINT, n=3, i=at) == reference


def test_a_scalar_output_takes_a_scalar_cotangent():
    loss = Symbol("Lbar")
    assert vjp(log(total), x[j], loss) == loss * exp(x[j]) / total


def test_no_pair_of_free_and_bound_index_makes_an_array_of_n_by_n():
    for y in LAYERS.values():
        for inner in vjp(y, x[j], ybar[i]).atoms(Sum):
            assert not inner.free_symbols & {i, j}


def test_matrix_form_has_the_entries_of_the_jacobian():
    entry = abbreviate(jacobian(rmsnorm(), x[j]), {r: rms()})
    G, X = MatrixSymbol("gamma", n, 1), MatrixSymbol("x", n, 1)
    form = matrix_form(entry, i, j, n)
    assert form == DiagMatrix(G) / r - DiagMatrix(G) * X * X.T / (n * r**3)
    explicit = form.subs(n, 3).as_explicit()
    for row, column in product(range(3), repeat=2):
        expected = instantiate(entry, n=3, i=row + 1, j=column + 1)
        names = {x[at + 1]: X.subs(n, 3)[at, 0] for at in range(3)} | {
            gamma[at + 1]: G.subs(n, 3)[at, 0] for at in range(3)
        }
        assert simplify(explicit[row, column] - expected.xreplace(names)) == 0


def test_matrix_form_of_an_unweighted_layer_has_the_identity():
    entry = abbreviate(jacobian(x[i] / rms(), x[j]), {r: rms()})
    assert matrix_form(entry, i, j, n).subs(n, 3).as_explicit()[0, 1].has(r)


def test_matrix_form_refuses_what_is_no_outer_product():
    f = Function("f")
    with pytest.raises(ValueError, match="no product of a function of i and a function of j"):
        matrix_form(f(x[i] * x[j]), i, j, n)
    with pytest.raises(ValueError, match="abbreviate it first"):
        matrix_form(exp(x[i]) * x[j], i, j, n)


def test_missing_pieces_are_named():
    with pytest.raises(ValueError, match=r"free index b, and the cotangent ybar\[i\] lacks it"):
        vjp(rmsnorm(b), gamma[j], ybar[i])
    with pytest.raises(
        ValueError, match=r"range of the index b is not clear.*ranges=\{b: \(1, n\)\}"
    ):
        vjp(rmsnorm(b), gamma[j], ybar[b, i])
    with pytest.raises(ValueError, match="several ranges are possible"):
        vjp(x[i] * Sum(x[k], (k, 1, n)) * Sum(x[k], (k, 1, m)), x[j], ybar[i])
    with pytest.raises(TypeError, match=r"the cotangent ybar stands without an index"):
        vjp(rmsnorm(), x[j], ybar)
    with pytest.raises(ValueError, match="must be different symbols"):
        vjp(rmsnorm(), x[j], ybar[1])
    with pytest.raises(ValueError, match=r"the tangent xdot\[i\] of x\[j\] needs the same indices"):
        jvp(rmsnorm(), x[j], xdot[i])
    with pytest.raises(TypeError, match="x is the whole vector"):
        jacobian(rmsnorm(), x)


def test_the_mean_square_of_each_row():
    assert instantiate(mean_square(b), n=2, b=1) == x[1, 1] ** 2 / 2 + x[1, 2] ** 2 / 2
    assert number(rms(), n=3) == close(
        float(sqrt(S(sum(v**2 for v in POINT[x][:3])) / 3 + Rational(1, 10)))
    )


def test_a_condition_in_a_vjp_leaves_the_terms_without_it_alone():
    p = Symbol("p", integer=True, positive=True)
    y = x[i] * Sum(x[k], (k, 1, p))
    dx = vjp(y, x[j], ybar[i], {i: (1, n), j: (1, n)})
    conditional = Piecewise((Sum(x[i] * ybar[i], (i, 1, n)), j <= p), (0, True))
    assert dx == conditional + ybar[j] * Sum(x[k], (k, 1, p))
