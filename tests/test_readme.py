"""The README's example runs as it stands, and what it says of installing is so."""

import doctest
import tomllib
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_s_example_prints_what_it_says() -> None:
    results = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert results.attempted, "the README holds no example"
    assert not results.failed


def test_the_readme_names_the_index_once_the_package_is_there() -> None:
    pyproject = tomllib.loads((README.parent / "pyproject.toml").read_text("utf-8"))
    named = f"pip install {pyproject['project']['name']}`" in README.read_text("utf-8")
    assert named == pyproject["tool"]["rmsnorm_math"]["on-index"]
