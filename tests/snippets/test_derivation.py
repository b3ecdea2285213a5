"""The snippets' gradients are the derivation's: printed from it, or checked against it."""

import ast

import numpy as np
from sympy import IndexedBase

from rmsnorm_math import abbreviate, function, rms, rmsnorm, source, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, m, x, xhat, ybar
from tests.snippets.cases import ROOT, cases, distance, reference

r, rstd = IndexedBase("r"), IndexedBase("rstd")
rows = {b: (1, m)}
y = rmsnorm(b)
dx = vjp(y, x[b, j], ybar[b, i], rows)
dgamma = vjp(y, gamma[j], ybar[b, i], rows)
names = {ybar: "dy", x: "x", gamma: "gamma"}


def body(text: str) -> list[str]:
    """Return the statements of the function gradients in text, without its docstring."""
    (f,) = (
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == "gradients"
    )
    return [ast.unparse(s) for s in f.body if not (isinstance(s, ast.Expr))]


def test_the_gradients_are_printed_from_the_derivation() -> None:
    kept = {
        name: abbreviate(expr, {r[b]: rms(b)}).xreplace({r[b]: 1 / rstd[b]})
        for name, expr in (("dx", dx), ("dgamma", dgamma))
    }
    where = {xhat[b, i]: rstd[b] * x[b, i]}
    printed = source(kept, names | {rstd[b]: "rstd"}, where, "numpy", "gradients")
    snippet = (ROOT / "docs/snippets/rmsnorm_numpy.py").read_text("utf-8")
    # the file adds up few rows at once
    wide = ", dtype=np.result_type(t, np.float64)).astype(t.dtype)"
    expected = [line.replace(wide, ")") for line in body(printed)]
    assert body(snippet) == expected, "derivation and snippet drifted apart"


def test_the_reference_is_the_derivation() -> None:
    derived = function({"y": y, "dx": dx, "dgamma": dgamma}, names | {epsilon: "eps"})
    for dy_, x_, gamma_, eps in cases(np.longdouble):
        got, want = derived(dy_, x_, gamma_, eps), reference(dy_, x_, gamma_, eps)
        # The reference takes its inputs from float64, which are what the cases hold.
        assert all(distance(a, w) < 1e-14 for a, w in zip(got, want, strict=True))
