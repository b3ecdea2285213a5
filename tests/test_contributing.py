"""What CONTRIBUTING.md names is there, and the reverse; CITATION.cff names the version."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import sympy

from tests.graph import redrawn

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PATHS = re.findall(r"`([\w/.-]+(?:\.\w+|/))`", TEXT)


def sessions() -> Iterator[tuple[str, set[str]]]:
    """Yield each session of noxfile.py with its tags."""
    for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body:
        marks = " ".join(map(ast.unparse, getattr(node, "decorator_list", [])))
        if isinstance(node, ast.FunctionDef) and "nox.session" in marks:
            name = re.search(r"name='(.*?)'", marks)
            tags = re.search(r"tags=\[(.*?)\]", marks)
            yield name[1] if name else node.name, set(re.findall(r"\w+", tags[1] if tags else ""))


def test_each_session_has_a_line():
    names = {name for name, _ in sessions()}
    assert set(re.findall(r"^\| `nox -s ([\w-]+)`", TEXT, re.MULTILINE)) == names


def test_the_commands_and_github_ask_for_every_tag():
    every = set().union(*(tags for _, tags in sessions()))
    here = (ROOT / ".ci/run").read_text("utf-8")
    here = re.sub("#.*", "", here)
    assert {tag for tag in every if re.search(rf"\b{tag}\b", here)} == every - {"weekly"}
    there = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    asked = {tag for tag in every if re.search(rf"nox [^#\n]*\b{tag}\b|'{tag}'", there)}
    assert asked == every
    for path in (".readthedocs.yaml", ".github/workflows/pages.yml"):
        assert "nox -s docs\n" in (ROOT / path).read_text("utf-8"), f"{path} builds another site"


def test_what_is_used_beyond_an_interface_is_listed():
    """SymPy's names that it does not offer itself, and what is named private by anyone."""
    table = TEXT.split("What is used beyond")[1].split("\n## ")[0]
    used = set()
    for path in [*(ROOT / "rmsnorm_math").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]:
        own = "self", "super()", "cls", "snippet"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sympy."):
                used |= {alias.name for alias in node.names} - {*dir(sympy)}
            if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
                used |= {node.attr} if ast.unparse(node.value) not in own else set()
    assert "MinMaxBase" in used
    assert "_random_label" in used
    unlisted = {name for name in used if f"`{name}`" not in table}
    assert not unlisted, "list them in CONTRIBUTING.md, with the test that watches them"


def test_each_module_and_each_test_is_named():
    modules = (ROOT / "rmsnorm_math").rglob("[!_]*.py")
    for path in [*modules, *(ROOT / "tests").rglob("test_*.py")]:
        name = path.relative_to(ROOT).as_posix().removeprefix("rmsnorm_math/")
        folders = {f"{folder}/" for folder in Path(name).parents}
        assert {name, *folders} & set(PATHS), f"CONTRIBUTING.md does not name {name}"


def test_each_path_is_there():
    for path in PATHS:
        places = [ROOT / path, ROOT / "rmsnorm_math" / path]
        assert any(place.exists() for place in places), f"CONTRIBUTING.md names {path}: it is gone"


def test_each_path_of_a_session_is_there():
    texts = [(ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "noxfile.py")]
    paths = {path for text in texts for path in re.findall(r'"(tests/[\w/.]+)"', text)}
    assert len(paths) > 20
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_the_graphs_are_those_of_the_imports():
    assert "  calculus --> " in TEXT
    assert redrawn(TEXT) == TEXT, "run python -m tests.graph"


def test_the_version_stands_in_one_place():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    files = [ROOT / "CITATION.cff", *(ROOT / "rmsnorm_math").rglob("*.py"), ROOT / "docs/conf.py"]
    assert not [path for path in files if f"{version}" in path.read_text("utf-8")]
