"""A matrix has the entries that it is made of."""

from itertools import product

import pytest
from sympy import (
    DiagMatrix,
    Function,
    HadamardProduct,
    Identity,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    Lambda,
    Matrix,
    MatrixSymbol,
    Ne,
    OneMatrix,
    Piecewise,
    S,
    Sum,
    Symbol,
    exp,
    simplify,
    sin,
    tanh,
)

from rmsnorm_math import (
    abbreviate,
    contract,
    differentiate,
    instantiate,
    jacobian,
    matrix_form,
    rms,
    rmsnorm,
)
from rmsnorm_math.notation import b, gamma, i, j, k, m, n, r, x
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


def test_a_condition_on_a_part_leaves_the_other_terms_what_they_are():
    entry = r + 2 * Piecewise((1, Ne(i, j)), (0, True))
    assert matrix_form(entry, i, j, n) == (r + 2) * OneMatrix(n, n) - 2 * Identity(n)
    again = contract(entry)
    assert again == again.func(*again.args), "a sum stands in a sum"


A, B = IndexedBase("A"), IndexedBase("B")
w, z = IndexedBase("w"), IndexedBase("z")
f = Function("f")
delta, t = KroneckerDelta, Symbol("t")
of_f, of_exp = Lambda(t, f(t)), Lambda(t, exp(t))
M, Mx, Mz = MatrixSymbol("A", n, n), MatrixSymbol("x", n, 1), MatrixSymbol("z", n, 1)
X, Z, Mw = MatrixSymbol("x", m, n), MatrixSymbol("z", m, n), MatrixSymbol("w", m, 1)
FORMS = {
    "a matrix and its transpose": (A[i, j] + A[j, i], M + M.T),
    "a Gram matrix": (Sum(x[b, i] * x[b, j], (b, 1, m)), X.T * X),
    "outer products with weights": (
        Sum(x[b, i] * w[b] * z[b, j], (b, 1, m)) / m,
        X.T * DiagMatrix(Mw) * Z / m,
    ),
    "the diagonal of a function": (
        delta(i, j) * f(x[i]),
        DiagMatrix(Mx.applyfunc(of_f)),
    ),
    "the diagonal of a second derivative": (
        delta(i, j) * differentiate(differentiate(f(x[i]), x[i]), x[i]),
        DiagMatrix(Mx.applyfunc(Lambda(t, f(t).diff(t, 2)))),
    ),
    "a vector that a function is applied to": (
        exp(x[i]) * z[j],
        Mx.applyfunc(of_exp) * Mz.T,
    ),
    "a product of matrices": (
        Sum(A[i, k] * B[k, j], (k, 1, n)),
        M * MatrixSymbol("B", n, n),
    ),
    "a matrix times a vector": (Sum(A[i, k] * x[k], (k, 1, n)) * z[j], M * Mx * Mz.T),
    "a matrix scaled by rows and columns": (
        x[i] * A[i, j] * z[j],
        DiagMatrix(Mx) * M * DiagMatrix(Mz),
    ),
    "entry by entry": (A[i, j] * A[j, i], HadamardProduct(M, M.T)),
    "a scalar with a sum": (
        Sum(x[k] ** 2, (k, 1, n)) * x[i] * z[j],
        Sum(x[k] ** 2, (k, 1, n)) * Mx * Mz.T,
    ),
}


@pytest.mark.parametrize("case", FORMS)
def test_matrix_form_writes(case):
    entry, form = FORMS[case]
    assert matrix_form(entry, i, j, n) == form


ENTRIES = [
    2 * delta(i, j) - delta(i, j + 1) - delta(i, j - 1),
    x[i] * delta(i, j + 1) * z[j],
    delta(i, j) * (1 - tanh(x[i]) ** 2),
    delta(i, 1) * x[j] + i * z[j],
    Piecewise((x[j], i <= j), (0, True)),
    Piecewise((A[i, j], Ne(i, j)), (0, True)),
    sin(Sum(A[i, k] * x[k], (k, 1, n))) * z[j] / (x[i] ** 2 + 1),
    (A[i, j] + x[i]) ** 2,
    Sum((x[i] - A[k, j]) * z[k], (k, 1, n)),
    S.Zero,
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_matrix_form_has_the_entries(entry):
    form = matrix_form(entry, i, j, n).subs(n, 3)
    shapes = {s.name: s for s in form.atoms(MatrixSymbol)}
    expected = instantiate(entry, (i, 1, 3), (j, 1, 3), **({"n": 3} if entry.has(n) else {}))
    places = {
        e: shapes[str(e.base)][tuple(at - 1 for at in (*e.indices, 1)[:2])]
        for e in expected.atoms(Indexed)
    }
    got = Matrix(form.as_explicit())
    assert (got - expected.xreplace(places)).applyfunc(lambda e: simplify(e.doit())).is_zero_matrix


REFUSED = {
    "a function of a product": (
        f(x[i] * x[j]),
        "f(x[i]*x[j]) is no product of a function of i and a function of j.",
    ),
    "a shifted element": (
        x[i + 1] * x[j],
        "x[i + 1] is no element of a vector: abbreviate it first.",
    ),
    "a sum over a part": (
        Sum(A[i, k] * x[k], (k, 2, n)) * x[j],
        "Sum(A[i, k]*x[k], (k, 2, n)) is not over a whole axis: write it from 1 to n.",
    ),
    "an index too many": (
        x[b, i] * z[j],
        "x[b, i] is no element of a vector: abbreviate it first.",
    ),
    "a name of two shapes": (
        Sum(x[k] * z[i], (k, 1, n)) * Sum(A[i, b] * x[b], (b, 1, m)) * x[j],
        "x would be a matrix of shape",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_matrix_form_refuses(case):
    entry, message = REFUSED[case]
    assert message in refusal(lambda: matrix_form(entry, i, j, n))


def test_matrix_form_wants_two_indices():
    assert refusal(lambda: matrix_form(x[i] * x[i], i, i, n)) == (
        "Refused: i is given for the row and for the column: give two indices."
    )
