"""What CONTRIBUTING.md names is there, and the reverse; CITATION.cff names the version."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PATHS = re.findall(r"`([\w/.-]+(?:\.\w+|/))`", TEXT)


def test_each_session_has_a_line():
    sessions = set()
    for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body:
        marks = " ".join(map(ast.unparse, getattr(node, "decorator_list", [])))
        if isinstance(node, ast.FunctionDef) and "nox.session" in marks:
            name = re.search(r"name='(.*?)'", marks)
            sessions.add(name[1] if name else node.name)
    assert set(re.findall(r"^\| `nox -s ([\w-]+)`", TEXT, re.MULTILINE)) == sessions


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


def test_the_version_stands_in_one_place():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    files = [ROOT / "CITATION.cff", *(ROOT / "rmsnorm_math").rglob("*.py"), ROOT / "docs/conf.py"]
    assert not [path for path in files if f"{version}" in path.read_text("utf-8")]
