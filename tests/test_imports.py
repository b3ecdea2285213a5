"""What the package needs, and how long a file may be; import-linter keeps the modules' order."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rmsnorm_math

ROOT = Path(__file__).parents[1]
OUTSIDE = {"numpy", "sympy"}
LONGEST = {"rmsnorm_math": 200, "tests": 300}
LONG: dict[str, str] = {}


def imported(path: Path) -> set[str]:
    """Return the packages that a file imports, Python's own aside."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names


def test_the_package_needs_sympy_and_numpy_alone():
    for path in (ROOT / "rmsnorm_math").rglob("*.py"):
        others = imported(path) - OUTSIDE - {"rmsnorm_math"}
        assert not others, f"{path}: {others} would be needed by all who use the package"


def test_a_long_module_has_a_reason():
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for folder in LONGEST
        for path in (ROOT / folder).rglob("*.py")
    }
    long = {name for name, length in lengths.items() if length > LONGEST[name.split("/")[0]]}
    assert long == set(LONG), "split what is long, or give its reason in LONG; drop what is not"


def test_what_prints_is_imported_when_it_is_asked_for() -> None:
    """Importing takes at most a tenth longer than SymPy: the printers are half of the package."""
    code = "import sys, rmsnorm_math; print('rmsnorm_math.codegen' in sys.modules, end=' ')"
    code += "; print({*rmsnorm_math.__all__} <= {*dir(rmsnorm_math)}, end=' ')"
    code += "; rmsnorm_math.source; print('rmsnorm_math.codegen' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True", "True"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rmsnorm_math.nothing  # type: ignore[attr-defined]
