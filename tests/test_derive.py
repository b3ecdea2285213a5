"""The page "Derive yours": what it reads of a layer's text, what it refuses, and what it finds."""

import json
import sys
from pathlib import Path

import pytest
from sympy import exp, sqrt

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
pytest.importorskip("IPython", reason="what pages show: nox -s site-tests")

from derive import EXAMPLES, answer
from layer_text import LONGEST, Unreadable, read

from rmsnorm_math import instantiate, l2_norm, layer_norm, rms, rmsnorm, softmax
from rmsnorm_math.notation import b, i, x

NORM = "r = sqrt(Sum(x[k]**2, (k, 1, n))/n + epsilon)\ny[i] = gamma[i]*x[i]/r"


def test_a_text_says_what_the_package_has():
    assert read(NORM).formula == rmsnorm()
    assert list(read(NORM).where.values()) == [rms()]
    assert read("y[i] = exp(x[i])/Sum(exp(x[k]), (k, 1, n))").formula == softmax()
    assert read("y[i] = x[i]/sqrt(Sum(x[k]**2, (k, 1, n)) + epsilon)").formula == l2_norm()
    batch = read("y[b, i] = exp(x[b, i])/Sum(exp(x[b, k]), (k, 1, n))\nb: (1, m)")
    assert batch.formula == softmax(b)
    assert [str(end) for end in batch.ranges[b]] == ["1", "m"]


def test_names_for_parts_are_written_out_and_no_index_is_captured():
    text = "mu = Sum(x[k], (k, 1, n))/n\n"
    text += "v = Sum((x[k] - mu)**2, (k, 1, n))/n\ny[i] = gamma[i]*(x[i] - mu)/sqrt(v + epsilon)"
    right = instantiate(layer_norm(), n=3, i=2)
    assert (instantiate(read(text).formula, n=3, i=2) - right).simplify() == 0
    shared = read("e[k] = Sum(x[k]*x[l], (l, 1, 2))\ny[i] = Sum(e[l], (l, 1, 2))").formula
    assert (instantiate(shared) - (x[1] + x[2]) ** 2).expand() == 0


def test_a_name_for_a_number_is_that_number():
    found = json.loads(answer("c = 2*pi\nd = c\ny[i] = d*x[i]"))
    assert found["formulas"][0] == ["the layer", r"{y}_{i} = 2 \pi {x}_{i}"]


def test_a_choice_and_a_chain_of_comparisons_are_read_as_python_reads_them():
    formula = read("y[i] = exp(x[i]) if 0 < x[i] <= 1 else x[i]/4").formula
    assert formula.subs(x[i], 1) == exp(1)
    assert formula.subs(x[i], 2) == sqrt(2) ** 2 / 4


REFUSED = {
    "a call that is no function": "y[i] = __import__('os').system('x')",
    "an attribute": "y[i] = x.__class__",
    "a method": "y[i] = exp(x[i]).subs(1, 2)",
    "a lambda": "y[i] = (lambda: 1)()",
    "a comprehension": "y[i] = [x[i] for q in x]",
    "an import": "import os",
    "a statement": "while True: pass",
    "a function": "def f(): pass",
    "a walrus": "y[i] = (z := x[i])",
    "a text": "y[i] = 'a'*99*x[i]",
    "an f-string": "y[i] = f'{x}'",
    "starred": "y[i] = exp(*x[i])",
    "a keyword": "y[i] = exp(x=1)",
    "a slice": "y[i] = x[1:3]",
    "a dunder": "y[i] = __builtins__",
    "a tower of powers": "y[i] = 9**9**9*x[i]",
    "powers of powers": "y[i] = ((10**64)**64)**64*x[i]",
    "a large number": "y[i] = 10000000*x[i]",
    "an infinite number": "y[i] = 1e400*x[i]",
    "a complex number": "y[i] = 1j*x[i]",
    "an imaginary root": "y[i] = sqrt(-1)*x[i]",
    "a division by zero": "y[i] = x[i]/0",
    "nesting": f"y[i] = {'(' * 250}x[i]{')' * 250}",
    "signs": f"y[i] = {'-' * 300}x[i]",
    "length": f"y[i] = {'x[i] + ' * LONGEST}x[i]",
    "many terms": "y[i] = " + " + ".join(["x[i]"] * 200),
    "a null byte": "y[i] = x[i]\x00",
    "no layer": "",
    "a range alone": "b: (1, m)",
    "a range of no two ends": "b: 3\ny[b] = x[b]",
    "a sum without limits": "y[i] = Sum(x[k])",
    "a sum over an element": "y[i] = Sum(x[k], (x[k], 1, n))",
    "a sum over a number": "y[i] = Sum(x[k], (3, 1, n))",
    "the output on the right": "y[i] = y[i] + x[i]",
    "the output twice": "y[i] = x[i]\ny[j] = x[j]",
    "a base without an index": "y[i] = x*x[i]",
    "a condition for a value": "y[i] = x[i] < 1",
    "an index that is free": "y[i] = x[i]*x[k]",
    "no array": "y = 1",
    "wrong arguments": "y[i] = exp()*x[i]",
    "assignment to a number": "1 = x[i]",
    "two targets": "y[i] = z[i] = x[i]",
    "numbers of indices": "y[i] = x[i, i]*x[i]",
    "a number for a condition": "y[i] = x[i] and 1",
    "a condition in a sum": "y[i] = (x[i] < 1) + x[i]",
    "a range in a product": "y[i] = (1, n)*x[i]",
    "a condition under a root": "y[i] = sqrt(x[i] < 1)",
    "a negated element": "y[i] = not x[i]",
    "a comparison of pairs": "y[i] = (1, 2) < x[i]",
    "a pair as an index": "y[i] = x[(1, 2), 3]",
    "a sum of pairs": "y[i] = Sum((x[k], k), (k, 1, n))",
    "a product of conditions": "y[i] = Product(x[k] > 0, (k, 1, n))*x[i]",
    "a condition as an index": "y[i] = x[i < 1]",
    "a choice by a number": "y[i] = x[i] if x[i] else 1",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_no_layer_is_refused_with_a_sentence(text):
    found = json.loads(answer(text))
    assert found.keys() == {"error", "line"}
    assert len(found["error"].split()) > 2


def test_a_message_names_the_line():
    with pytest.raises(Unreadable, match="has elements elsewhere") as caught:
        read("r = 1\ny[i] = x*x[i]")
    assert caught.value.line == 2


HINTS = {
    "y[i] = x[i]^2": "x[i]**2",
    "y[i] = np.exp(x[i])": "exp(x[i])",
    "y[i] = x[i]/mean(x)": "Sum(x[k], (k, 1, n))/n",
    "y[i] = torch.sigmoid(x[i])": "1/(1 + exp(-x[i]))",
    "y[i] = \\frac{x}{r}": "LaTeX is not read",
    "y[i] = exp(x[i]": "a bracket",
    "a[i] = c[i]\nc[i] = x[i]**2\ny[i] = a[i]": "defined below",
    "y[i] = x[i]*Sum(x[k], (k, 1, oo))": "an end",
    "y[i] = x[i]*Sum(x[k]*x[k + 1], (k, 1, n - 1))": "Add the line i: (1, n)",
}


@pytest.mark.parametrize(("text", "hint"), HINTS.items())
def test_a_message_says_what_to_write_instead_and_where(text, hint):
    found = json.loads(answer(text))
    assert hint in found["error"]
    assert found["line"] == 1


def test_a_definition_may_be_a_number_or_unused():
    found = json.loads(answer("c = 1/2\nd = sqrt(c)\nr = Sum(x[k], (k, 1, n))\ny[i] = d*x[i]**2"))
    assert found["formulas"][2][1] == r"\bar{x}_{i} = \sqrt{2} {x}_{i} {\bar{y}}_{i}"


BOMBS = {
    "definitions that double": "\n".join(
        [
            "a0 = x[1] + 1",
            *(f"a{k} = a{k - 1}*a{k - 1} + a{k - 1}" for k in range(1, 14)),
            "y[i] = a13*x[i]",
        ]
    ),
    "a choice of many": f"y[i] = max({', '.join(f'{k}*x[i]' for k in range(1, 30))})",
    "choices in choices": "y[i] = " + "max(x[i], " * 12 + "0" + ")" * 12,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_what_grows_too_large_is_refused_before_it_does(text):
    assert "error" in json.loads(answer(text))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_derived_and_printed(name):
    found = json.loads(answer(EXAMPLES[name]))
    assert [what for what, _ in found["formulas"]][:3] == [
        "the layer", "the Jacobian", "the gradient of x"
    ]  # fmt: skip
    for framework in ("numpy", "torch", "jax"):
        assert "def forward_backward(" in found["code"][framework], found["code"][framework]


def test_a_sum_over_the_rows_is_counted_by_their_own_letter():
    found = dict(json.loads(answer(EXAMPLES["LayerNorm"]))["formulas"])
    assert r"\bar{\gamma}_{i} = \sum_{b=1}^{m}" in found["the gradient of gamma"]
    for formula in found.values():
        assert r"_{l" not in formula, "l counts nothing of this layer"


def test_what_is_found_is_text_without_markup():
    found = json.loads(answer("y[i] = x[i]*href[i] + onclick[i]"))
    assert not any("<" in tex or r"\htm" in tex for _, tex in found["formulas"])


def test_code_that_a_framework_has_not_is_said_and_the_rest_is_shown():
    text = "y[i] = Sum(A[i, k]*sin(x[k]), (k, 1, n))/Sum(exp(x[k]), (k, 1, n))"
    code = json.loads(answer(text))["code"]
    assert "def forward_backward(" in code["numpy"]
    assert code["c"].startswith("# There is no code for this")
