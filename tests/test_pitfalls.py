"""The wrong ways stay wrong as the pages say, and their numbers mean what the pages say."""

import doctest
import inspect
import json
from importlib.metadata import version
from pathlib import Path

import pytest
from sympy import Derivative, Rational, Sum, sqrt

from rmsnorm_math import (
    differentiate,
    evaluate,
    finite_difference,
    instantiate,
    jacobian,
    rms,
    rmsnorm,
)
from rmsnorm_math.notation import epsilon, i, j, k, n, x

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[1] / "docs")
    import pitfalls
    from pitfalls import (
        answers,
        bound_index,
        function_of_index,
        ignored_subs,
        late_index,
        lookalike_indices,
        matrix_norm,
        matrix_square,
        plain_symbol,
        real_base,
        shaped_base,
        transposed_array,
        unindexed_numerator,
    )

RECORD = Path(__file__).parent.parent / "docs/data/traps.json"
POINT = {x: [1, 2, 3], epsilon: 0}


def test_the_examples_are_right():
    assert doctest.testmod(pitfalls).attempted
    assert not doctest.testmod(pitfalls).failed


def test_each_trap_is_in_the_record():
    functions = inspect.getmembers(pitfalls, inspect.isfunction)
    ways = {name for name, f in functions if f.__module__ == pitfalls.__name__} - {"answers"}
    assert ways == {*answers()}, "answers() does not list each trap"


def test_a_plain_symbol_gives_zero():
    root, derivative = plain_symbol()
    assert root.has(Sum)
    assert derivative == 0


def test_a_bound_index_gives_the_directional_derivative_along_ones():
    wrong = evaluate(bound_index()[1], POINT, n=3)
    gradient = [evaluate(differentiate(rms(), x[i]), POINT, n=3, i=at) for at in (1, 2, 3)]
    assert wrong == sqrt(42) / 7
    assert gradient == [
        sqrt(42) * part for part in (Rational(1, 42), Rational(1, 21), Rational(1, 14))
    ]
    assert wrong == sum(gradient)
    for at in (1, 2, 3):
        assert abs(finite_difference(rms(), x[at], POINT, n=3) - gradient[at - 1]) < 1e-25


def test_differentiate_is_right_for_the_same_expression():
    root, wrong = bound_index()
    right = differentiate(root, x[i])
    assert wrong.has(Sum(2 * x[i], (i, 1, n)))
    assert [evaluate(right, POINT, n=3, i=at) for at in (1, 2, 3)] == [
        evaluate(differentiate(rms(), x[i]), POINT, n=3, i=at) for at in (1, 2, 3)
    ]


def test_an_unindexed_numerator_keeps_a_derivative_without_a_value():
    assert unindexed_numerator().has(Derivative)


def test_an_index_that_comes_late_is_captured():
    assert evaluate(late_index(), POINT, n=3) == 12
    assert abs(finite_difference(Sum(x[k] ** 2, (k, 1, n)), x[1], POINT, n=3) - 2) < 1e-25


@pytest.mark.parametrize("way", [shaped_base, real_base, matrix_square, function_of_index])
def test_a_vector_that_is_another_object_gives_zero(way):
    assert str(way()) == "0"  # a zero matrix is not equal to 0


def test_a_matrix_norm_loses_the_outer_product():
    assert matrix_norm()[0, 1] == 0
    assert evaluate(differentiate(x[i] / rms(), x[j]), POINT, n=3, i=1, j=2) != 0


def test_indices_that_print_alike_are_not_compared():
    first, second = lookalike_indices().args
    assert str(first) == str(second)
    assert first != second


def test_derive_by_array_gives_the_transpose():
    J = instantiate(jacobian(rmsnorm(), x[j]), i, j, n=2)
    assert transposed_array().tomatrix() == J.T
    assert J != J.T


def test_subs_leaves_an_element_with_a_bound_index():
    assert ignored_subs() == Sum(x[k] ** 2, (k, 1, n))


def test_the_record_of_sympy_versions_holds_what_the_traps_answer():
    record = json.loads(RECORD.read_text("utf-8"))
    now = answers()
    assert {"1.12.1", "1.13.3", "1.14.0"} <= set(record)
    assert all(list(row) == list(now) for row in record.values()), "run nox -s traps"
    if version("sympy") not in record:
        pytest.skip(f"SymPy {version('sympy')} is not in the record: run `nox -s traps`")
    assert record[version("sympy")] == now, "run nox -s traps"
