"""What the package needs, and how long a file may be; import-linter keeps the modules' order."""

import ast
import sys
from pathlib import Path

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
