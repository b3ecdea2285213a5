"""A page with cells asserts what it shows, and an assertion says what is wrong when it fails."""

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
