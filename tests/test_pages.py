"""A page asserts what it shows, says what is wrong when that fails, and describes itself."""

import ast
import re

import pytest

from tests.pages import PAGES, cells


@pytest.mark.parametrize("page", [p for p in PAGES if cells(p)], ids=lambda page: page.stem)
def test_a_page_asserts_what_it_shows(page):
    hidden = [re.sub(r"(?m)^%.*", "", code) for tags, code in cells(page) if "remove-cell" in tags]
    nodes = [node for code in hidden for node in ast.walk(ast.parse(code))]
    asserted = [node for node in nodes if isinstance(node, ast.Assert)]
    assert asserted, f"{page.name} asserts nothing in a cell tagged remove-cell"
    silent = [ast.unparse(node) for node in asserted if node.msg is None]
    assert not silent, f"{page.name}: write behind each assertion what is wrong when it fails"


def test_each_page_has_a_description_of_its_own():
    first: dict[str, str] = {}
    for page in PAGES:
        for description in re.findall(r"(?m)^ +description: (.*)", page.read_text("utf-8")):
            other = first.setdefault(description, page.name)
            assert other == page.name, f"{page.name} has the description of {other}"
