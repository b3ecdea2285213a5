"""The README's example runs as it stands."""

import doctest
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_s_example_prints_what_it_says() -> None:
    results = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert results.attempted, "the README holds no example"
    assert not results.failed
