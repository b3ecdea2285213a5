"""Data runs one way: a module reads from those before it, and nothing reads from the pages."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rmsnorm_math"
ORDER = [
    ["deprecation", "errors", "notation"],
    ["index"],
    ["inputs", "refusals", "masks", "matching", "writing"],
    ["layers", "explicit", "matrices", "definitions"],
    ["calculus", "abbreviation", "numeric", "pitfalls"],
    ["gradients"],
    ["codegen"],
    ["verify"],
]
KNOW_RMSNORM = {"layers", "pitfalls", "verify"}
OUTSIDE = {"numpy", "sympy"}
LONGEST = {"rmsnorm_math": 200, "tests": 300}
LONG: dict[str, str] = {}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
ROOMS = [room for rooms in ORDER for room in rooms]


def names(path: Path) -> set[str]:
    """Return what a file imports: `a.b` of `from a import b`, `a` of `import a`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def imported(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, by their first name."""
    return {name.split(".")[1] for name in names(path) if name.startswith("rmsnorm_math.")}


def outside(path: Path) -> set[str]:
    """Return the packages that a file imports, this one and Python's own aside."""
    roots = {name.split(".")[0] for name in names(path)}
    return roots - {"rmsnorm_math"} - sys.stdlib_module_names


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_a_place_in_the_order():
    assert {room(path) for path in FILES} == set(ROOMS), "give each module its place in ORDER"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_reads_from_those_before_it(path):
    level = next(at for at, rooms in enumerate(ORDER) if room(path) in rooms)
    before = {name for rooms in ORDER[:level] for name in rooms}
    later = imported(path) - before - {room(path)}
    assert not later, (
        f"{room(path)} must not read from {later}: they do not come before it in ORDER"
    )
    others = outside(path) - OUTSIDE
    assert not others, f"{others} would be needed by all who use the package"


def test_the_calculus_knows_nothing_of_rmsnorm():
    knowing = {room(path) for path in FILES if imported(path) & {"notation", "layers"}}
    assert knowing == KNOW_RMSNORM, "the calculus is for any layer: take what is given as arguments"


def test_a_long_module_has_a_reason():
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for folder in LONGEST
        for path in (ROOT / folder).rglob("*.py")
    }
    long = {name for name, length in lengths.items() if length > LONGEST[name.split("/")[0]]}
    assert long == set(LONG), "split what is long, or give its reason in LONG; drop what is not"
