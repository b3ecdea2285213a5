"""Run on every page: what it gives, what it fetches, and what it says where it cannot."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from . import test_run
from .conftest import PAGES, SITE
from .test_run import LOADED, code_of, edit, press

pytestmark = test_run.pytestmark
Visit = Callable[..., Page]
RUN = [name for name in PAGES if "run.js" in (SITE / name).read_text("utf-8")]


@pytest.mark.parametrize("name", RUN)
def test_every_cell_gives_what_the_page_shows(visit: Visit, name: str) -> None:
    """Formulas, text and tables; cells that need what a browser has not say so before."""
    page = visit(name)
    cells = page.locator("div.cell:has(.run-bar)")
    lacking = page.locator(".run-bar:has(button:disabled)")
    assert all("needs NumPy" in text for text in lacking.all_inner_texts())
    for number in range(cells.count()):
        if cells.nth(number).locator(".run-bar button").first.is_enabled():
            press(cells.nth(number))
    shown = page.evaluate(
        """() => {
            const all = (box) => [...box?.querySelectorAll('annotation, pre, table') ?? []]
                .filter((part) => !part.parentElement.closest('table'))
                .map((part) => part.textContent.replace(/\\s+|\\(line \\d+ of the cell\\)/g, ' ')
                    .replace(/\\u200b/g, '')   // in KaTeX's tables, of which the site has fewer
                    .replace(/[“”]/g, '"').replace(/’/g, "'").trim());
            return [...document.querySelectorAll('div.cell')].map((cell) =>
                [all(cell.querySelector('.run-output')), all(cell.querySelector('.cell_output'))]);
        }"""
    )
    live = [(ours, built) for ours, built in shown if ours]
    assert live
    for ours, built in live:
        assert ours == built
    for number in range(cells.count()):  # what is said not to run does not
        if cells.nth(number).locator(".run-bar button").first.is_disabled():
            edit(cells.nth(number), code_of(cells.nth(number)) + "\n# edited")
            press(cells.nth(number))
            expect(cells.nth(number).locator(".run-output")).to_contain_text("No module named")
    page.context.close()


@pytest.mark.parametrize(
    "missing",
    ["run-worker.js", "pyodide.asm.wasm", "python_stdlib.zip", "packages.zip", "pitfall.ipynb"],
)
def test_what_could_not_be_fetched_is_said_and_fetched_at_the_next_press(
    visit: Visit, missing: str
) -> None:
    page = visit("pitfall.html")
    page.context.route(f"**/{missing}", lambda route: route.abort())
    first = page.locator("div.cell:has(.run-bar)").first
    press(first)
    expect(first.locator(".run-error")).to_contain_text("Press the button to try again.")
    page.context.unroute_all()
    press(first)
    expect(first.locator(".run-error")).to_have_count(0)
    expect(first.locator(".run-output annotation")).to_have_count(1)
    page.context.close()


def test_stop_while_python_is_fetched(visit: Visit) -> None:
    page = visit("pitfall.html")
    held: list[Route] = []
    hold = lambda route: held.append(route)  # noqa: E731, PLW0108  Playwright marks what it calls
    page.context.route("**/pitfall.ipynb", hold)
    first = page.locator("div.cell:has(.run-bar)").first
    first.get_by_role("button", name="Run").click()
    first.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(100)
    held[0].continue_()
    expect(first.locator(".run-error")).to_have_text("Stopped.")
    assert "pyodide" not in page.evaluate(LOADED)
    page.context.close()


def test_two_tabs_have_a_python_each(visit: Visit) -> None:
    pages = [visit("pitfall.html")]
    pages.append(pages[0].context.new_page())
    pages[1].goto(pages[0].url)
    for number, page in enumerate(pages):
        only = page.locator("div.cell:has(.run-bar)").first
        edit(only, f"mine = {number}")
        press(only)
    for number, page in enumerate(pages):
        other = page.locator("div.cell:has(.run-bar)").nth(1)
        edit(other, "mine")
        press(other)
        expect(other.locator(".run-output")).to_have_text(str(number))
    pages[0].context.close()


def test_a_page_without_run_says_why() -> None:
    code = [name for name in PAGES if 'class="cell_input' in (SITE / name).read_text("utf-8")]
    without = {name: (SITE / name).read_text("utf-8") for name in code if name not in RUN}
    assert without
    for name, text in without.items():
        assert text.count("have no Run button: they need NumPy") == 1, name
    for name in RUN:
        assert "have no Run button" not in (SITE / name).read_text("utf-8"), name


def test_from_a_file_the_button_says_what_to_do(visit: Visit) -> None:
    page = visit((SITE / "pitfall.html").as_uri())
    expect(page.get_by_role("button", name="Reset")).to_have_count(0)
    first = page.locator("div.cell:has(.run-bar)").first
    first.get_by_role("button", name="Run").click()
    expect(first.get_by_role("status")).to_contain_text("serve the site")
    page.context.close()
