"""Press Run, and Python answers in the browser."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import SITE

pytestmark = pytest.mark.skipif(
    not (SITE / "_static/pyodide").exists(), reason="the site was built without Python"
)
Visit = Callable[..., Page]
expect.set_options(timeout=300_000)


@pytest.fixture(scope="module")
def shared(visit: Visit) -> Iterator[Page]:
    page = visit("pitfall.html")
    page.evaluate(
        """() => {
            window.said = [];
            const note = (all) => all.forEach(({ target }) => said.push(target.textContent));
            for (const bar of document.querySelectorAll('.run-bar'))
                new MutationObserver(note).observe(bar, { childList: true, subtree: true });
        }"""
    )
    yield page
    page.context.close()


@pytest.fixture
def page(shared: Page) -> Page:
    """Return the page with Python in it (starting it takes long), every cell reset."""
    for cell in shared.locator(".run-bar button:text-is('Reset'):visible").all():
        cell.click()
    return shared


def cell(page: Page, code: str) -> Locator:
    """Return the cell whose code contains a text when the page is opened."""
    number = (
        page.locator("div.cell:has(.run-bar)")
        .filter(has_text=code)
        .first.evaluate(
            "cell => [...document.querySelectorAll('div.cell:has(.run-bar)')].indexOf(cell)"
        )
    )
    return page.locator("div.cell:has(.run-bar)").nth(number)


def press(cell: Locator) -> None:
    cell.get_by_role("button", name="Run").click()
    expect(cell.get_by_role("button", name="Run")).to_be_visible()


def edit(cell: Locator, code: str) -> None:
    cell.get_by_role("textbox").fill(code)


def formula(cell: Locator) -> str:
    """Return the LaTeX of the formula that the reader's Python gave."""
    return (cell.locator(".run-output annotation").text_content() or "").replace(" ", "")


def test_python_comes_when_run_is_pressed_and_says_how_much_has_come(page: Page) -> None:
    loaded = "performance.getEntriesByType('resource').map(({ name }) => name).join(' ')"
    assert "pyodide" not in page.evaluate(loaded)
    first = cell(page, "from sympy import Idx")
    press(first)
    assert formula(first).startswith(r"\frac{{x}_{i}}{n\sqrt{")
    expect(first.locator(".cell_output")).to_be_hidden()
    said = "\n".join(page.evaluate("said"))
    assert re.search(r"\d+\.\d of \d\d\.\d MB", said), said


def test_the_derivative_of_what_the_reader_writes(page: Page) -> None:
    last = cell(page, "jacobian(rmsnorm(), x[j])")
    edit(
        last, "from rmsnorm_math import differentiate\ndifferentiate(Sum(x[k]**5, (k, 1, n)), x[j])"
    )
    press(last)
    assert formula(last) == "5{x}_{j}^{4}"


def test_a_cell_runs_what_is_above_it_as_the_reader_has_edited_it(page: Page) -> None:
    above, below = cell(page, "root, captured ="), cell(page, "raw = root.diff(x[j])")
    edit(above, "root = Sum(x[k]**7, (k, 1, n))")
    press(below)
    assert formula(below).startswith(r"\sum_{k=1}^{n}7")
    above.get_by_role("button", name="Reset").click()
    press(below)
    assert "7" not in formula(below)


def test_a_result_that_the_page_shows_without_code_follows(page: Page) -> None:
    numbers = cell(page, "quotients = [")
    code = numbers.get_by_role("textbox").inner_text()
    edit(numbers, code.replace("x: [1, 2, 3]", "x: [1, 2, 4]"))
    press(numbers)
    table = page.locator("div.cell.tag_remove-input .run-output table").first
    expect(table).to_contain_text("0.503953")  # 4/(3 sqrt((1 + 4 + 16)/3))


def test_an_error_is_shown_as_one(page: Page) -> None:
    last = cell(page, "jacobian(rmsnorm(), x[j])")
    edit(last, "before = 1\ndifferentiate(rms(), x)")
    press(last)
    error = last.locator(".run-error")
    expect(error).to_contain_text("Error: ")
    expect(error).to_contain_text("(line 2 of the cell)")
    edit(last, "6*7")
    press(last)
    expect(last.locator(".run-output")).to_have_text("42")


def test_reset_brings_back_the_code_and_the_result(page: Page) -> None:
    last = cell(page, "jacobian(rmsnorm(), x[j])")
    code, result = last.get_by_role("textbox"), last.locator(".cell_output")
    before = code.inner_text(), result.inner_text()
    edit(last, "print('something else')")
    press(last)
    expect(last.locator(".run-output")).to_have_text("something else")
    last.get_by_role("button", name="Reset").click()
    expect(last.locator(".run-output")).to_have_count(0)
    expect(result).to_be_visible()
    assert (code.inner_text(), result.inner_text()) == before


def test_what_does_not_end_can_be_stopped(page: Page) -> None:
    last = cell(page, "jacobian(rmsnorm(), x[j])")
    edit(last, "print('started')\nwhile True: pass")
    last.get_by_role("button", name="Run").click()
    page.wait_for_timeout(1000)
    last.get_by_role("button", name="Stop").click()
    expect(last.locator(".run-error")).to_contain_text("Stopped.")
    edit(last, "1 + 1")
    press(last)
    expect(last.locator(".run-output")).to_have_text("2")


def test_what_is_not_there_is_named(page: Page) -> None:
    last = cell(page, "jacobian(rmsnorm(), x[j])")
    edit(last, "import numpy as np\nnp.eye(3)")
    press(last)
    expect(last.locator(".run-text")).to_contain_text("No module named 'numpy'. Here there are")
    expect(last.locator(".run-error")).to_contain_text("No module named 'numpy'")


def test_from_a_file_the_button_says_what_to_do(visit: Visit) -> None:
    page = visit((SITE / "pitfall.html").as_uri())
    first = page.locator("div.cell:has(.run-bar)").first
    first.get_by_role("button", name="Run").click()
    expect(first.get_by_role("status")).to_contain_text("serve the site")
    page.context.close()
