"""The NumPy and the JAX file beside what `layer_source` prints: where they differ, and why."""

import ast

import pytest
from sympy import IndexedBase

from rmsnorm_math import layer_source, rms, rmsnorm
from rmsnorm_math.codegen import Framework
from rmsnorm_math.notation import b, epsilon, gamma, i, x, xhat
from tests.snippets.cases import ROOT

rstd = IndexedBase("rstd")
WHERE = {rstd[b]: 1 / rms(b), xhat[b, i]: rstd[b] * x[b, i]}
NAMES = {x: "x", gamma: "gamma", epsilon: "eps"}
RANGE = "squares leave the range of float32 at 1e20: such rows are scaled first"
REASONS = {  # of each function with a line that is not printed
    "numpy": {
        "forward": "gamma may be None, eps too, results go into out; in blocks, in place",
        "backward": "gamma may be None, results go into out; in blocks, and dgamma in float64",
        "gradients": "rows have any number of axes; in the print's blocks they have one",
        "gradients_into": "in place, in two arrays that are there; row sums by BLAS",
        "reciprocal_rms": RANGE,
        "mean_product": "BLAS adds up pieces of a row, which are then added up in pairs",
        "_arrays": "says which argument has a wrong shape or type",
        "_array": "says that an argument is masked",
        "_result": "says why out does not fit, or what else is in its memory",
        "_blocks": "blocks with scratch arrays, where the print allocates",
    },
    "jax": {
        "rms_norm": "gamma and eps may be None; says which argument does not fit",
        "_rms_norm": "the scale and the reciprocal rms are shared with the derivative",
        "_derivative": "eps has a derivative, too; a checkpoint says what is kept",
        "statistics": RANGE,
        "forward": RANGE,
        "tangent": "a tangent that is zero costs nothing; multiplied by the scale",
    },
}


def statements(text: str) -> dict[str, list[str]]:
    """Return the statements of each function, without docstrings."""
    return {
        f.name: [ast.unparse(s) for s in f.body if not isinstance(s, ast.Expr)]
        for f in ast.walk(ast.parse(text))
        if isinstance(f, ast.FunctionDef)
    }


@pytest.mark.parametrize("framework", ["numpy", "jax"])
def test_each_line_is_printed_or_has_a_reason(framework: Framework) -> None:
    blocks = framework == "numpy"
    text = layer_source({"y": rmsnorm(b)}, NAMES, WHERE, framework, "rms_norm", blocks=blocks)
    printed = {line for lines in statements(text).values() for line in lines}
    snippet = statements((ROOT / f"docs/snippets/rmsnorm_{framework}.py").read_text("utf-8"))
    own = {name: [s for s in lines if s not in printed] for name, lines in snippet.items()}
    differing = {name for name, lines in own.items() if lines}
    assert differing == set(REASONS[framework]), "give each that differs its reason"


def test_numpy_s_backward_is_the_printed_one() -> None:
    text = layer_source({"y": rmsnorm(b)}, NAMES, WHERE, name="rms_norm", blocks=True)
    snippet = (ROOT / "docs/snippets/rmsnorm_numpy.py").read_text("utf-8")
    gradients = statements(snippet)["gradients"]
    flat = [s.replace("t.reshape(-1, dy.shape[-1]).sum(0)", "np.sum(t, axis=0)") for s in gradients]
    functions = [f for f in ast.walk(ast.parse(text)) if isinstance(f, ast.FunctionDef)]
    _, backward = (f for f in functions if f.name == "_rows")
    assert flat == [ast.unparse(s) for s in backward.body]
