"""A snippet is one short file that anyone may copy, and no snippet is hidden or untested."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.snippets.cases import ROOT, SNIPPETS

LINES = 205  # near 100 is the aim; range, out= and the checks of arguments need some more
LONG = {"rmsnorm_triton.py": 490}  # kernels for rows of any length, and their derivatives
FRAMEWORKS = {"jax", "numba", "numpy", "torch", "triton"}


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_a_snippet_is_one_short_file_that_anyone_may_copy(path: Path) -> None:
    text = path.read_text("utf-8")
    licence = "# SPDX-License-Identifier: MIT-0\n"
    assert text.startswith(licence), f"{path.name} must begin with the line {licence}"
    longest = LONG.get(path.name, LINES)
    assert len(text.splitlines()) <= longest, f"{path.name} is longer than {longest} lines"
    tree = [*ast.walk(ast.parse(text))]
    imports = {a.name for node in tree if isinstance(node, ast.Import) for a in node.names}
    imports |= {node.module or "." for node in tree if isinstance(node, ast.ImportFrom)}
    others = {name.split(".")[0] for name in imports} - sys.stdlib_module_names - FRAMEWORKS
    assert not others, f"{path.name} needs {others}: FRAMEWORKS lists what the tests install"


def test_what_the_pages_show_of_them_needs_no_scrolling() -> None:
    folder = ROOT / "docs/snippets"  # its ruff.toml says the same, but knows nothing of C
    files = [path for path in folder.rglob("rmsnorm*") if path.suffix in {".c", ".py"}]
    assert len(files) == 7
    for path in files:
        lines = path.read_text("utf-8").splitlines()
        wide = [number for number, line in enumerate(lines, 1) if len(line) > 80]
        assert not wide, f"{path.name}: lines {wide} have more than 80 columns"


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_a_snippet_is_shown_and_compared(path: Path) -> None:
    page = (ROOT / "docs/snippets.md").read_text("utf-8")
    assert f"literalinclude}} snippets/{path.name}\n" in page, f"docs/snippets.md lacks {path.name}"
    peers = (ROOT / "tests/peers/implementations.py").read_text("utf-8")
    name = path.stem.removeprefix("rmsnorm_")
    assert f'"{name}"' in peers or f"{name}_snippet" in peers, (
        f"tests/peers/implementations.py does not load {path.name}"
    )


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_a_snippet_names_the_oldest_versions_that_it_is_tested_with(path: Path) -> None:
    about = " ".join((ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split())
    said = re.search(
        r"For Python 3\.11(?:, NumPy [\d.]+)? and (\w+) ([\d.]+), or later ones\.$", about
    )
    assert said, f"{path.name} must say which versions it is for"
    package = {"PyTorch": "torch"}.get(said[1], said[1].lower())
    tested = (ROOT / "noxfile.py").read_text("utf-8")
    assert f'"{package}=={said[2]}' in tested, f"nox -s peers-lowest runs another {package}"
