"""No printed line is too long to be read without scrolling, and a broken one says the same."""

import ast

import pytest
from sympy import Sum, exp, sqrt

from rmsnorm_math import layer_norm, source, vjp
from rmsnorm_math.codegen.wrap import WIDTH, wrapped
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x, ybar

LINES = {
    "a call": f"f({', '.join(f'argument_{at}' for at in range(20))})",
    "what is returned": f"    return {', '.join(f'f(argument_{at})' for at in range(20))}",
    "a sum": f"    y = {' + '.join(f'a[{at}]*b[{at}]' for at in range(20))}",
    "a sum that is added": f"y[1, 2] += {' - '.join(f'a[{at}]*b[{at}]' for at in range(20))}",
    "brackets in brackets": f"y = f(g(h({', '.join(f'argument_{at}' for at in range(20))})), 1)",
    "strings": f"f('a, b (', \"c, ]\", {', '.join(f'argument_{at}' for at in range(20))})",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_broken_line_is_short_and_says_the_same(line: str) -> None:
    text = wrapped(line)
    assert len(line) > WIDTH >= max(map(len, text.splitlines()))
    before, after = (f"def whole():\n    {part.strip()}" for part in (line, text))
    assert ast.dump(ast.parse(before)) == ast.dump(ast.parse(after))


def test_an_index_is_not_broken() -> None:
    text = wrapped(f"y = dy[:, None]*(a[:, 0]/b{' + c[0, :, None]' * 12})")
    assert all(line.count("[") == line.count("]") for line in text.splitlines())


def test_what_cannot_be_broken_and_what_is_short_stays() -> None:
    for line in ("x = 1", "# " + "word, " * 30, '"""' + "word, " * 30 + '"""', "x" * 120):
        assert wrapped(line) == line


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "numba", "triton", "c"])
def test_no_printed_line_is_longer(framework: str) -> None:
    ranges = {b: (1, m)}
    gate = 1 / (1 + exp(-x[b, i])) + sqrt(Sum(x[b, k] ** 2, (k, 1, n)) / n + epsilon)
    layer = layer_norm(b) * gate
    gradient = vjp(layer, x[b, j], ybar[b, i], ranges)
    outputs = {"y": layer, "dx": gradient, "dgamma": vjp(layer, gamma[j], ybar[b, i], ranges)}
    names = {ybar: "cotangent", x: "activations", gamma: "gamma", epsilon: "eps"}
    text = source(outputs, names, framework=framework)  # type: ignore[arg-type]
    assert not [line for line in text.splitlines() if len(line) > 100]
