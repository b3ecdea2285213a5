"""A name is data: nothing of it is ever run. And what a function says of itself."""

import ast
import importlib.util
import inspect
import sys

import numpy as np
import pytest
from sympy import Function, IndexedBase, Sum, Symbol, erf

from rmsnorm_math import Refused, function, layer_source, source
from rmsnorm_math.codegen import FUNCTIONS
from rmsnorm_math.notation import b, epsilon, gamma, i, k, n, x

SHIFTED = {"y": x[b, i] * gamma[i] + epsilon}
CODE = '__import__("sys").modules.setdefault("caught", 1)'
EVIL = [
    f'"""+str({CODE})+"""',
    f'\\"\\"\\"+str({CODE})+\\"\\"\\"',
    f'\\"""\n    {CODE}\n    """',
    f"\n    {CODE}\n",
    f"\r\n    {CODE}\r\n",
    f"{{{CODE}}}",
    "\\",
    '"',
    '""""',
    "\\N{DIGIT ONE}",
    "\x00",
    "\ud800",
    "\u2028" + CODE,
]


@pytest.mark.parametrize("name", EVIL, ids=ascii)
@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_nothing_of_a_name_is_run(name, framework):
    a, length, base = Symbol(name), Symbol(name + "m", integer=True), IndexedBase(name + "b")
    outputs = {"s": Sum(x[i] * base[i], (i, 1, length)) * a * length, "y": Symbol(name + "r")}
    where = {Symbol(name + "r"): Sum(x[k], (k, 1, length))}
    text = source(outputs, {x: "x", a: "a", base: "b"}, where, framework)
    (definition,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    calls = {
        ast.unparse(node.func).split(".")[-1]
        for node in ast.walk(definition)
        if isinstance(node, ast.Call)
    }
    assert calls <= {"sum", "asarray", "result_type"}
    if framework == "numpy":
        f = function(outputs, {x: "x", a: "a", base: "b"}, where)
        assert f(np.ones(2), 3.0, np.ones(2)) == (12, 2)
    assert "caught" not in sys.modules


@pytest.mark.parametrize("name", EVIL, ids=ascii)
@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_nothing_of_a_name_is_run_in_a_layer_s_file(name, framework):
    a, length, base = Symbol(name), Symbol(name + "m", integer=True), IndexedBase(name + "b")
    y = {"y": base[b, i] * a + Sum(base[b, k], (k, 1, length))}
    text = layer_source(y, {base: "x", a: "a"}, framework=framework, blocks=True)
    calls = (n.func for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call))
    assert not {"__import__", "setdefault"} & {ast.unparse(f).split(".")[-1] for f in calls}
    if importlib.util.find_spec(framework):
        exec(text, {})
    assert "caught" not in sys.modules


@pytest.mark.parametrize(
    "name", ["lambda", "a b", "x\n    import os", "", "1", "np.x", "__debug__", "ﬁ", 3, None]
)
@pytest.mark.parametrize(
    "call",
    [
        lambda name: source({"y": x[i]}, {x: "x"}, name=name),
        lambda name: source({"y": x[i]}, {x: name}),
        lambda name: source({name: x[i]}, {x: "x"}),
        lambda name: function({"y": x[i]}, {x: "x"}, name=name),
    ],
    ids=["source's", "an argument's", "an output's", "function's"],
)
def test_what_is_no_name_is_refused(call, name):
    with pytest.raises(Refused):
        call(name)


@pytest.mark.parametrize("name", ["np", "torch", "jnp", "jax", "math"])
def test_no_argument_hides_a_module(name):
    with pytest.raises(Refused, match="would stand for two things"):
        source({"y": x[i]}, {x: name})


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("name", ["_wide", "_forward", "_by_rows", "BLOCK"])
def test_nothing_is_called_as_what_its_file_has(name, framework):
    y = {"y": x[b, i] / Sum(x[b, k], (k, 1, n))}
    for argument, function_name in (("x", name), (name, "layer")):
        with pytest.raises(Refused, match=f"the file has a {name} of its own"):
            layer_source(y, {x: argument}, framework=framework, name=function_name, blocks=True)
    with pytest.raises(Refused, match="the file has a np of its own"):
        source({"y": x[i]}, {x: "x"}, name="np")


@pytest.mark.parametrize(
    ("framework", "name"),
    [("torch", word) for word in ("ctx", "inputs", "output", "any")]
    + [("jax", word) for word in ("primals", "tangents", "all", "isinstance")],
)
def test_no_argument_is_called_as_what_its_functions_use(framework, name):
    with pytest.raises(Refused, match=f"the file has a {name} of its own"):
        layer_source(SHIFTED, {x: "x", gamma: name, epsilon: "eps"}, framework=framework, wrt=[x])


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_other_words_are_names(framework):
    for name in ("rule", "f", "a", "rows", "mean", "list"):
        layer_source(SHIFTED, {x: "x", gamma: name, epsilon: "eps"}, framework=framework, wrt=[x])


def test_a_letter_of_latex_is_a_name():
    xi, s = IndexedBase(r"\xi"), Symbol(r"\sigma")
    outputs, where = {"y": xi[i] * s}, {s: Sum(xi[k], (k, 1, n))}
    text = source(outputs, {xi: "xi"}, where)
    assert "sigma = np.sum(xi, axis=-1, keepdims=True)" in text
    np.testing.assert_allclose(function(outputs, {xi: "xi"}, where)(np.array([1.0, 2])), [3, 6])


def test_a_function_has_its_name_and_shows_its_source():
    f = function({"s": Sum(x[i], (i, 1, n))}, {x: "x"}, name="add_up")
    assert f.__name__ == "add_up"
    text = source({"s": Sum(x[i], (i, 1, n))}, {x: "x"}, name="add_up")
    assert inspect.getsource(f) in text
    assert (f.__doc__ or "").startswith("Return s.")


def test_a_caller_adds_a_function_for_a_framework(monkeypatch):
    monkeypatch.setitem(FUNCTIONS["numpy"], "erf", "scipy.special.erf")
    text = source({"y": erf(x[i])}, {x: "x"})
    assert text.startswith("import numpy as np\nimport scipy.special\n")
    assert "y = scipy.special.erf(x)" in text
    monkeypatch.setitem(FUNCTIONS["numpy"], "softsign", "my.own.softsign")
    assert "y = my.own.softsign(x)" in source({"y": Function("softsign")(x[i])}, {x: "x"})
    with pytest.raises(Refused, match="no code for softsign"):
        source({"y": Function("softsign")(x[i])}, {x: "x"}, framework="torch")


@pytest.mark.parametrize("code", [f"{CODE} or np.exp", "np.exp)(", "", "1.x"])
def test_a_function_s_code_is_a_dotted_name(monkeypatch, code):
    monkeypatch.setitem(FUNCTIONS["numpy"], "exp", code)
    with pytest.raises(Refused, match="no name of a function"):
        source({"y": Function("exp")(x[i])}, {x: "x"})


def test_a_number_that_is_passed_keeps_the_arrays_type():
    from sympy import exp, log

    y = x[i] * exp(epsilon) + gamma[i] * log(epsilon)
    for kind in ("f2", "f4", "f8"):
        ones = np.ones(2, kind)
        got = function({"y": y}, {x: "x", gamma: "g", epsilon: "e"})(ones, ones, 0.5)
        assert got.dtype == kind
        np.testing.assert_allclose(got, np.exp(0.5) + np.log(0.5), rtol=1e-3)
