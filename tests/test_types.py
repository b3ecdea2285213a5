"""What is documented passes a strict mypy beside a SymPy that says its types."""

from pathlib import Path

import pytest

from tests.pages import PAGES, cells

api = pytest.importorskip("mypy.api")
ROOT = Path(__file__).parents[1]
CONFIGURED = f"""
[mypy]
strict = True
mypy_path = {ROOT / "tests/typed"}:{ROOT}
explicit_package_bases = True
follow_imports = silent
disallow_untyped_defs = False
disallow_untyped_calls = False
[mypy-numpy.*,matplotlib.*,torch.*,IPython.*,mpmath.*,docs.*,figures.*,formulas.*]
follow_imports = skip
ignore_missing_imports = True
"""
#: What a wrong call of a typed function is.
OF_CALLS = ("[arg-type]", "[call-arg]", "[call-overload]", "[dict-item]", "[list-item]")
RIGHT = """
from sympy import Idx, IndexedBase, Sum, Symbol
from rmsnorm_math import abbreviate, contract, differentiate, evaluate, finite_difference
from rmsnorm_math import instantiate, jacobian, jvp, matrix_form, rms, rmsnorm, substitute, vjp
from rmsnorm_math.notation import b, gamma, i, j, k, m, n, r, x, xdot, xhat, ybar

ranges = {b: (1, m)}
vjp(rmsnorm(b), gamma[j], ybar[b, i], ranges=ranges)
vjp(rmsnorm(b), gamma[j], ybar[b, i], ranges={b: (1, m)})
jvp(rmsnorm(b), x[b, j], xdot[b, j], ranges={b: (1, 3), j: (0, n - 1)})
differentiate(rms(), x[j], {Symbol("q"): (1, n)})
jacobian(rmsnorm(), x[j], {i: (1, n), j: (1, n)})
contract(Sum(x[k], (k, 1, n)), {j: (1, n)})
definitions = {r: rms(), xhat[i]: x[i] / r}
substitute(abbreviate(rmsnorm(), definitions), definitions)
instantiate(rmsnorm(), i, n=3)
instantiate(rmsnorm(), (i, 1, 4), n=3)
values = {x: [1, 2.5, "1/3"], Symbol("epsilon"): 0}
evaluate(rms(), values, n=3)
finite_difference(rms(), x[1], {x: [1, 2, 3], Symbol("epsilon"): 0}, n=3)
matrix_form(x[i] * x[j], i, j, n)
"""
WRONG = """
from rmsnorm_math import differentiate, instantiate, vjp
from rmsnorm_math.notation import b, i, j, m, x, ybar
differentiate("x", x[j])
vjp(x[i], x[j], ybar[i], ranges={b: ("1", m)})
instantiate(x[i], "i")
instantiate(x[i], i, n="3")
"""


def complaints(folder: Path, **modules: str) -> list[str]:
    """Return what mypy says of the calls in each module."""
    (folder / "mypy.ini").write_text(CONFIGURED, "utf-8")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    files = [str(folder / f"{name}.py") for name in modules]
    options = ["--config-file", str(folder / "mypy.ini"), "--cache-dir", str(folder / "cache")]
    said, trouble, _ = api.run([*options, "--no-error-summary", *files])
    assert not trouble, trouble
    lines = [line for line in said.splitlines() if line.endswith(OF_CALLS) or "syntax" in line]
    return [line for line in lines if 'expected "Literal' not in line]  # a loop over frameworks


def test_what_is_documented_has_the_types_that_are_declared(tmp_path):
    assert not complaints(tmp_path, right=RIGHT)


def test_a_wrong_type_is_seen(tmp_path):
    assert len(complaints(tmp_path, wrong=WRONG)) == 4


def test_every_call_that_the_pages_show_has_the_types_that_are_declared(tmp_path):
    pages = {
        f"page_{page.stem.replace('-', '_')}": "\n".join(
            line
            for tags, code in cells(page)
            if "remove-cell" not in tags
            for line in code.splitlines()
            if not line.startswith((":", "%"))
        )
        for page in PAGES
    }
    shown = {name: code for name, code in pages.items() if "rmsnorm_math" in code}
    assert len(shown) > 5
    assert not complaints(tmp_path, **shown)
