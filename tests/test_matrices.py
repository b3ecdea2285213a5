"""A matrix has the entries that it is made of."""

from itertools import product

import pytest
from sympy import DiagMatrix, Function, Identity, Matrix, MatrixSymbol, S, exp, simplify

from rmsnorm_math import abbreviate, instantiate, jacobian, matrix_form, rms, rmsnorm
from rmsnorm_math.notation import gamma, i, j, n, r, x
from tests.refusals import refusal


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
    X = MatrixSymbol("x", n, 1)
    assert matrix_form(entry, i, j, n) == Identity(n) / r - X * X.T / (n * r**3)


@pytest.mark.parametrize("entry", [x[i] * gamma[i], 2 * x[j], S(3)])
def test_matrix_form_of_what_has_no_row_or_no_column_repeats_it(entry):
    vectors = {MatrixSymbol(str(v), 3, 1): Matrix([v[at] for at in (1, 2, 3)]) for v in (x, gamma)}
    explicit = matrix_form(entry, i, j, n).subs(n, 3).subs(vectors).doit()
    assert Matrix(explicit) == instantiate(entry, i, j, n=3)


def test_matrix_form_refuses_what_is_no_outer_product():
    assert refusal(lambda: matrix_form(Function("f")(x[i] * x[j]), i, j, n)) == (
        "Refused: f(x[i]*x[j]) is no product of a function of i and a function of j."
    )
    assert refusal(lambda: matrix_form(exp(x[i]) * x[j], i, j, n)) == (
        "Refused: exp(x[i]) is no element of a vector: abbreviate it first."
    )
