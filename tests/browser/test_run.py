"""Press Run, and Python answers in the browser."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import COLD, SITE

pytestmark = pytest.mark.skipif(
    not (SITE / "_static/pyodide").exists(), reason="the site was built without Python"
)
Visit = Callable[..., Page]
LOADED = "performance.getEntriesByType('resource').map(({ name }) => name).join(' ')"
LAST = "(gamma*x/root).diff(x[j])"


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
    changed = shared.locator(".run-bar button:text-is('Reset'):visible")
    while changed.count():
        changed.first.click()
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
    button = cell.locator(".run-bar button").first
    button.dispatch_event("click")  # some cells are folded
    expect(button).to_have_text("Run", timeout=COLD)


def edit(cell: Locator, code: str) -> None:
    cell.get_by_role("textbox").fill(code)


def code_of(cell: Locator) -> str:
    return cell.get_by_role("textbox").text_content() or ""


def formula(cell: Locator) -> str:
    """Return the LaTeX of the formula that the reader's Python gave."""
    return (cell.locator(".run-output annotation").text_content() or "").replace(" ", "")


def test_python_comes_when_run_is_pressed_and_says_how_much_has_come(page: Page) -> None:
    assert "pyodide" not in page.evaluate(LOADED)
    first = cell(page, "from sympy import Idx")
    press(first)
    assert formula(first).startswith(r"\frac{{x}_{i}}{n\sqrt{")
    expect(first.locator(".cell_output")).to_be_hidden()
    said = "\n".join(page.evaluate("said"))
    assert "Fetching Python, once…" in said
    assert re.search(r"\d+\.\d of \d\d\.\d MB", said), said


def test_the_derivative_of_what_the_reader_writes(page: Page) -> None:
    last = cell(page, LAST)
    edit(last, "differentiate(Sum(x[i]**5, (i, 1, n)), x[j])")
    press(last)
    assert formula(last) == "5{x}_{j}^{4}"


def test_a_cell_runs_what_is_above_it_as_the_reader_has_edited_it(page: Page) -> None:
    above, below = cell(page, "from sympy import Idx"), cell(page, "raw = root.diff(x[j])")
    code = code_of(above)
    edit(
        above, code.replace("sqrt(Sum(x[i]**2, (i, 1, n))/n + epsilon)", "Sum(x[i]**7, (i, 1, n))")
    )
    press(below)
    assert formula(below).startswith(r"\sum_{i=1}^{n}7")
    above.get_by_role("button", name="Reset").click()
    press(below)
    assert "7" not in formula(below)


def test_what_has_run_is_not_run_again(page: Page) -> None:
    above, last = cell(page, "from sympy import Idx"), cell(page, LAST)
    code = code_of(above)
    edit(above, code + "\nruns = globals().get('runs', 0) + 1")
    edit(last, "runs")
    for _ in range(2):
        press(last)
    expect(last.locator(".run-output")).to_have_text("1")


def test_a_wide_result_scrolls_by_keyboard(page: Page) -> None:
    last = cell(page, LAST)
    edit(last, "sum(x[k] for k in range(1, 99))")
    press(last)
    wide = last.locator(".run-latex")
    wide.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.run-latex[tabindex]').scrollLeft > 0")


def test_a_result_that_the_page_shows_without_code_follows(page: Page) -> None:
    numbers = cell(page, "quotients = [")
    code = code_of(numbers)
    edit(numbers, code.replace("x: [1, 2, 3]", "x: [1, 2, 4]"))
    press(numbers)
    table = page.locator("div.cell.tag_remove-input .run-output table").first
    expect(table).to_contain_text("0.503953")  # 4/(3 sqrt((1 + 4 + 16)/3))


def test_an_error_is_shown_as_one(page: Page) -> None:
    last = cell(page, LAST)
    edit(last, "before = 1\ndifferentiate(root, x)")
    press(last)
    error = last.locator(".run-error")
    expect(error).to_contain_text("Refused: ")
    expect(error).to_contain_text("(line 2 of the cell)")
    edit(last, "6*7")
    press(last)
    expect(last.locator(".run-output")).to_have_text("42")


def test_reset_brings_back_the_code_and_the_result(page: Page) -> None:
    last = cell(page, LAST)
    result = last.locator(".cell_output")
    before = code_of(last), result.text_content()
    edit(last, "print('something <b>else</b>')")
    press(last)
    expect(last.locator(".run-output")).to_have_text("something <b>else</b>")
    last.get_by_role("button", name="Reset").click()
    expect(last.locator(".run-output")).to_have_count(0)
    expect(result).to_be_visible()
    assert (code_of(last), result.text_content()) == before


def test_what_does_not_end_can_be_stopped(page: Page) -> None:
    above, last = cell(page, "from sympy import Idx"), cell(page, LAST)
    edit(above, code_of(above) + "\n1")
    edit(last, "print('started')\nwhile True: pass")
    page.evaluate("said.length = 0")
    last.get_by_role("button", name="Run").click()
    expect(last.get_by_role("status")).to_have_text("Running…")
    assert "Running cell" in "\n".join(page.evaluate("said"))
    page.wait_for_timeout(1000)
    last.get_by_role("button", name="Stop").click()
    expect(last.locator(".run-error")).to_contain_text("Stopped.")
    edit(last, "1 + 1")
    press(last)
    expect(last.locator(".run-output")).to_have_text("2")


def test_what_is_not_there_is_named_and_where_it_is(page: Page) -> None:
    last = cell(page, LAST)
    edit(last, "import numpy as np\nnp.eye(3)")
    press(last)
    for kind in ("text", "error"):
        shown = last.locator(f".run-{kind}")
        expect(shown).to_contain_text("No module named 'numpy'. In the browser there are")
        expect(shown).to_contain_text("the notebook at the end of the page")
    edit(last, "from numpy import *\n1")
    press(last)
    expect(last.locator(".run-output")).to_contain_text("ModuleNotFoundError: No module named")


def test_the_status_says_how_it_ended_and_that_another_cell_runs(page: Page) -> None:
    first, last = cell(page, "from sympy import Idx"), cell(page, LAST)
    press(first)
    expect(first.get_by_role("status")).to_have_text("Done.")
    edit(first, "1/0")
    expect(first.get_by_role("status")).to_have_text("")
    press(first)
    expect(first.get_by_role("status")).to_have_text("Error.")
    first.get_by_role("button", name="Reset").click()
    edit(last, "while True: pass")
    last.get_by_role("button", name="Run").click()
    first.get_by_role("button", name="Run").click()
    expect(first.get_by_role("status")).to_have_text("Another cell is running.")
    last.get_by_role("button", name="Stop").click()
    expect(last.locator(".run-error")).to_have_text("Stopped.")
    press(first)
    expect(first.get_by_role("status")).to_have_text("Done.")


def test_it_is_used_by_keyboard(page: Page) -> None:
    last = cell(page, LAST)
    code = last.get_by_role("textbox")
    code.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("\n2**10")
    page.keyboard.press("Shift+Enter")
    expect(last.locator(".run-output")).to_have_text("1024")
    expect(last.get_by_role("button", name="Run")).to_be_visible()  # no longer called Stop
    code.focus()
    page.keyboard.press("Tab")
    assert not code.evaluate("code => code === document.activeElement")
    assert "\t" not in code_of(last)
    reached = []
    for _ in range(4):  # the button that copies comes first
        reached.append(page.evaluate("document.activeElement.textContent"))
        page.keyboard.press("Tab")
    assert reached[1:] == ["Run", "Reset", "Restart"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(last.locator(".run-output")).to_have_count(0)
    assert page.evaluate("document.activeElement.textContent") == "Run"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(code).to_be_focused()


def test_what_is_copied_is_what_the_reader_wrote(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    last = cell(page, LAST)
    edit(last, "a = 1\nb = 2\na + b")
    last.hover()
    last.locator("button.copybtn").click()
    assert page.evaluate("navigator.clipboard.readText()").strip() == "a = 1\nb = 2\na + b"


def test_an_edit_is_there_after_a_reload_and_gone_after_a_reset(visit: Visit) -> None:
    page = visit("pitfall.html")
    edit(cell(page, LAST), "40 + 2")
    page.reload()
    kept = page.locator("div.cell:has(.run-bar)").filter(has_text="40 + 2")
    press(kept)
    expect(kept.locator(".run-output")).to_have_text("42")
    kept.get_by_role("button", name="Reset").click()
    page.reload()
    assert not page.locator("div.cell:has(.run-bar)").filter(has_text="40 + 2").count()
    page.context.close()


def test_a_restart_forgets_what_has_run(page: Page) -> None:
    above, last = cell(page, "from sympy import Idx"), cell(page, LAST)
    press(above)
    above.get_by_role("button", name="Restart").click()
    expect(above.locator(".run-output")).to_have_count(0)
    edit(last, "globals().get('here', 'anew')")
    press(last)
    expect(last.locator(".run-output")).to_have_text("'anew'")


def test_a_long_output_scrolls_in_a_box_of_its_own(page: Page) -> None:
    last = cell(page, LAST)
    edit(last, "print('\\n'.join(map(str, range(5000))))")
    press(last)
    box = last.locator(".run-output").bounding_box()
    assert box
    assert box["height"] < 700
