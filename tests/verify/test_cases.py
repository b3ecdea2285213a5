"""The inputs cover what hides mistakes, and what is taken for right is right."""

import mpmath
import numpy as np
import pytest
from sympy import Idx, IndexedBase, Sum, Symbol, exp, sqrt

from rmsnorm_math import layer_norm, rms, rmsnorm, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, m, n, x, ybar
from rmsnorm_math.verify import check
from rmsnorm_math.verify.arrays import Arrays, indices_of
from rmsnorm_math.verify.cases import LARGE, SMALL, makers
from rmsnorm_math.verify.layer import layer_of
from rmsnorm_math.verify.rmsnorm import backward_of, forward_of
from rmsnorm_math.verify.sampling import UNIT, laid_out, rounded
from rmsnorm_math.verify.traits import facts
from rmsnorm_math.verify.trial import copied, prepared, tolerance
from tests.verify.backwards import by_complex_step
from tests.verify.planted import NAMES, gradients

pytestmark = pytest.mark.filterwarnings("ignore:(divide|invalid|overflow):RuntimeWarning")
LAYER = backward_of("inside", 0, weight=True, residual=False, outputs=None).layer


def cases(dtype="float64", layer=LAYER, **options):
    return [make() for make in makers(layer, dtype, **options)]


CASES = cases()


def test_the_truth_is_the_complex_step_derivative():
    for case in CASES:
        if 0 < case.elements < 60:
            truth = LAYER.truth(*case.arguments)
            for right, stepped in zip(truth, by_complex_step(*case.arguments), strict=True):
                scale = abs(stepped).max(initial=0)
                # at n = 1 and eps = 0 the derivative is 0; what is left is rounding of its terms
                size = abs(case.arguments[0]).max(initial=0) * 16 / case.scale
                assert np.allclose(right, stepped, rtol=1e-11, atol=1e-12 * scale + 1e-14 * size)


def test_the_truth_is_the_derivative_in_50_digits():
    dy, x_, weights, eps = [0.3, -1.1, 0.7], [0.2, 1.9, -0.4], [0.5, -2.0, 1.25], 0.1
    with mpmath.workdps(50):

        def loss(*x):
            r = mpmath.sqrt(sum(v * v for v in x) / 3 + mpmath.mpf(eps))
            return sum(d * g * v / r for d, g, v in zip(dy, weights, x, strict=True))

        wanted = [mpmath.diff(loss, x_, tuple(int(j == i) for j in range(3))) for i in range(3)]
    right, _ = LAYER.truth(np.array([dy]), np.array([x_]), np.array(weights), eps)
    assert right[0] == pytest.approx([float(v) for v in wanted], rel=1e-14)


def test_rounding_is_relative_to_the_magnitudes_of_the_terms():
    dy = np.array([[0.3, -1.1, 0.7], [2.0, 0.4, -0.6]])
    x_ = np.array([[0.2, 1.9, -0.4], [1, 3, -5]])
    weights, eps = np.array([0.5, -2.0, 1.25]), 0.1
    arrays = LAYER.arrays({ybar: dy, x: x_, gamma: weights, epsilon: eps})
    dx, dgamma = (
        arrays.laid(arrays.size(LAYER.short[name]), LAYER.indices(name)) for name in LAYER.names
    )
    r = [np.sqrt(np.mean(row**2) + eps) for row in x_]
    for c in range(3):
        for row in (0, 1):
            scale = x_[row, c] / (3 * r[row] ** 3)
            terms = [weights[k] * dy[row, k] * x_[row, k] * scale for k in range(3)]
            terms.append(weights[c] * dy[row, c] / r[row])
            assert dx[row, c] == pytest.approx(sum(map(abs, terms)))
        assert dgamma[c] == pytest.approx(sum(abs(dy[k, c] * x_[k, c] / r[k]) for k in (0, 1)))


def test_a_steep_function_has_larger_rounding_errors():
    arrays = Arrays(["i"], {x: np.array([-50.0, 0.5])}, {})
    assert arrays.size(exp(x[i])) == pytest.approx(np.exp([-50, 0.5]) * [51, 1.5])
    apart = Arrays(["i"], {x: np.array([1.0, 3.0])}, {})
    near = (x[i] - 1 + Symbol("t")) ** -2
    apart.values[Symbol("t")] = 1e-3
    value, size = apart.value(near), apart.size(near)
    assert size[0] / value[0] == pytest.approx(1 + 2 * (2.001 / 1e-3 - 1))


LAYERS = {
    "RMSNorm": (gradients(rmsnorm(b)), NAMES, {IndexedBase("r")[b]: rms(b)}),
    "RMSNorm, unnamed": (gradients(rmsnorm(b)), NAMES, None),
    "LayerNorm": (gradients(layer_norm(b)), NAMES, None),
    "eps outside": (gradients(rmsnorm(b, eps="outside")), NAMES, None),
    "eps as a floor": (gradients(rmsnorm(b, eps="max")), NAMES, None),
    "of one row": ({"dx": vjp(rmsnorm(), x[j], ybar[i])}, NAMES, None),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_values_of_formulas_are_those_of_the_printed_function(name):
    layer = layer_of(*LAYERS[name])
    for case in cases(layer=layer, shapes=[(2, 3), (4, 1), (3, 6)]):
        trial = prepared(case, "float64", 1)
        arrays = layer.arrays(case.values)
        if trial is None:
            continue
        for at, key in enumerate(layer.outputs):
            got = arrays.of(layer.short[key], layer.indices(key))
            right = trial.right[at]
            assert got.shape == right.shape
            known = np.isfinite(right)
            assert (abs(got - right)[known] <= (trial.allowed(at) + 0 * right)[known]).all()


def test_axes_are_the_same_where_an_index_is():
    layer = layer_of(*LAYERS["LayerNorm"])
    assert layer.axes == {x: (m, n), ybar: (m, n), gamma: (n,)}
    assert (layer.rows, layer.column, layer.cotangents) == (m, n, {ybar})
    assert layer_of(*LAYERS["of one row"]).rows is None, "gamma may be the same for every row"


def test_a_matrix_product_is_tried_with_any_number_of_rows():
    weight, o = IndexedBase("W"), Idx("o")
    y = Sum(weight[o, i] * x[b, i], (i, 1, n))
    dx = vjp(y, x[b, i], ybar[b, o], {b: (1, m), o: (1, 4)})
    linear = {"dx": dx}, {ybar: "dy", weight: "w"}, None
    layer = layer_of(*linear)
    assert layer.axes[weight][0] == layer.axes[ybar][1] == 4
    assert layer.rows == layer.axes[ybar][0]
    assert check(lambda dy, w: dy @ w, *linear).ok
    assert not check(lambda dy, w: dy.reshape(-1, 4) @ w, *linear).ok
    assert not check(lambda dy, w: dy @ w / 2, *linear).ok


def test_an_argument_may_say_how_many_elements_a_sum_is_over():
    k, p = Symbol("k", integer=True, positive=True), Idx("p")
    y = x[b, i] / sqrt(Sum(x[b, p] ** 2, (p, 1, k)) / k + epsilon) + Sum(x[b, p], (p, 1, n))

    def partial_rms(x, eps, k):
        part = x[..., : int(k)]
        total = x.sum(-1, keepdims=True)
        return x / np.sqrt(np.mean(part**2, -1, keepdims=True) + eps) + total

    names = {x: "x", epsilon: "eps", k: "k"}
    assert check(partial_rms, {"y": y}, names).ok
    assert not check(lambda x, eps, k: partial_rms(x, eps, k + 1), {"y": y}, names).ok


def test_what_follows_from_others_is_computed_from_what_is_hidden():
    rstd = IndexedBase("rstd")
    outputs = {"dx": gradients(rmsnorm(b))["dx"]}
    names = {ybar: "dy", x: "x", gamma: "gamma", rstd[b]: "rstd"}
    layer = layer_of(outputs, names, {rstd[b]: 1 / rms(b)})
    assert layer.hidden == [epsilon]
    for case in cases(layer=layer):
        dy, x_, weights, factors = case.arguments
        assert factors.shape == (*x_.shape[:-1], 1)
        eps = case.values[epsilon]
        wanted = (np.mean(x_ * x_, -1, keepdims=True) + eps) ** -0.5
        assert np.allclose(factors, wanted, rtol=1e-13)
        assert (dy.shape, weights.shape) == (x_.shape, x_.shape[-1:])


def test_the_cases_are_the_same_at_every_call_and_cover_what_hides_mistakes():
    again = cases()
    assert all(
        np.array_equal(a.arguments[1], c.arguments[1]) for a, c in zip(CASES, again, strict=True)
    )
    assert {c.shape for c in CASES} == {*SMALL, *LARGE}
    lengths = {c.shape[-1] for c in CASES}
    assert {1, 3, 5, 7, 8, 64, 130, 255, 256, 1024, 1030, 4096} <= lengths
    assert {int(np.prod(c.shape[:-1])) for c in CASES} >= {0, 1, 37, 300}
    assert {len(c.shape) for c in CASES} == {1, 2, 3, 4}
    assert {c.scalars["eps"] for c in CASES} == {0, 1e-6, 1e-5, 0.1, 1}
    assert {c.scale for c in CASES} == {1, 1e-3, 1e3}
    dy = [abs(c.arguments[0]).max() for c in CASES if c.arguments[0].size > 5]
    assert sum(v > 1000 for v in dy) > 20 < sum(v < 1e-3 for v in dy)
    weights = [c.arguments[2] for c in CASES if c.shape[-1] > 2]
    for kind in (lambda v: (v == 1).all(), lambda v: (v == 0).any(), lambda v: v.max() == 16):
        assert sum(map(kind, weights)) > 5
    assert sum((v < 0).sum() > v.size / 2 for v in weights) > 5
    assert sum(0 in c.arguments[0].strides for c in CASES) > 10
    assert sum(not c.arguments[1].flags.c_contiguous for c in CASES) > 20


def test_each_shape_has_a_case_that_hides_nothing():
    for shape in (*SMALL, *LARGE):
        first = next(c for c in CASES if c.shape == shape)
        assert (first.plain, first.scale, first.scalars["eps"]) == (True, 1, 0.1)


def test_each_shape_has_a_case_whose_cotangent_is_along_x():
    for shape in (*SMALL, *LARGE):
        third = [c for c in CASES if c.shape == shape][2]
        dy, x_ = (third.arguments[at].ravel() for at in (0, 1))
        assert np.isclose(dy @ x_, np.linalg.norm(dy) * np.linalg.norm(x_), rtol=1e-6)


def test_a_row_of_zeros_comes_where_eps_is_positive():
    zero = [c for c in CASES if c.zero_row]
    assert len(zero) > 3
    assert all(not c.arguments[1][1].any() and c.scalars["eps"] > 0 for c in zero)


def test_no_trait_is_of_every_case():
    found = [facts(case) for case in CASES]
    names = {name for one in found for name in one}
    sets = {name: tuple(one.get(name, False) for one in found) for name in names}
    assert not [name for name, held in sets.items() if all(held)], "a trait of every case"
    assert sum(any(held) for held in sets.values()) > 50


@pytest.mark.parametrize("layout", ["plain", "transposed", "part of a wider array", "broadcast"])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 4), (0, 4), (1, 1)])
def test_a_layout_changes_no_shape_and_a_copy_keeps_it(shape, layout):
    array = np.arange(np.prod(shape), dtype=float).reshape(shape)
    laid = laid_out(array, layout)
    assert laid.shape == shape
    assert layout == "broadcast" or np.array_equal(laid, array)
    copy = copied(laid)
    assert np.array_equal(copy, laid)
    assert not np.shares_memory(copy, laid)
    assert copy.flags.c_contiguous == laid.flags.c_contiguous
    if copy.size:
        copy += 1  # it can be written to
    assert layout != "transposed" or min(shape) < 2 or len(shape) < 2 or not laid.flags.c_contiguous


@pytest.mark.parametrize(
    ("dtype", "terms", "smallest"),
    [
        ("float64", 7 + 37, 2**-1074),
        ("float32", 7 + 37, 2**-149),
        ("float16", 0, 2**-24),
        ("bfloat16", 0, 2**-149),
    ],
)
def test_rounding_explains_four_units_for_each_root_of_a_term(dtype, terms, smallest):
    case = next(case for case in CASES if case.shape == (37, 7))
    units = 4 * (2 + terms**0.5) * UNIT[dtype]
    allowed = tolerance(np.array([0, 3.0]), case, dtype)
    assert allowed.tolist() == pytest.approx([4 * smallest, 3 * units + 4 * smallest], rel=1e-14)


@pytest.mark.parametrize("dtype", UNIT)
def test_inputs_are_exact_in_the_dtype_asked_for(dtype):
    for case in cases(dtype):
        for values in case.arguments[:3]:
            assert np.array_equal(rounded(values, dtype), values)
            assert values.dtype == ("float32" if dtype == "bfloat16" else dtype)


def test_bfloat16_rounds_to_nearest_and_ties_to_even():
    values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-12, -3.14159, np.inf, 0])
    wanted = [1, 1, 1 + 2**-6, 1 + 2**-7, -3.140625, np.inf, 0]
    assert rounded(values, "bfloat16").tolist() == wanted
    assert np.isnan(rounded(np.array([np.nan]), "bfloat16")).all()


def test_only_the_shapes_and_values_asked_for_are_tried():
    some = cases(shapes=[(4, 8), (2, 16)], values={epsilon: (1e-5,)})
    assert {c.shape for c in some} == {(4, 8), (2, 16)}
    assert {c.scalars["eps"] for c in some} == {1e-5}


def test_a_forward_has_the_same_cases():
    layer = forward_of("inside", 0, weight=True, residual=False).layer
    assert [c.shape for c in cases(layer=layer)] == [c.shape for c in CASES]
    assert layer.cotangents == set()
    assert indices_of([x[b, i]]) == ["b", "i"]
