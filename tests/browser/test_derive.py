"""Readers type a layer, and the page derives it."""

import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from . import test_run
from .conftest import COLD
from .test_run import LOADED

pytestmark = test_run.pytestmark
Visit = Callable[..., Page]
TEXT, DERIVED = "form.derive textarea", "form.derive .derived"
LAYERS = {  # as tests make them up: the layer, and what its gradient holds
    "root of squares": ("y[i] = x[i]**3/sqrt(Sum(x[k]**4, (k, 1, n)))", r"\bar{x}_{j}"),
    "a gate for each column": ("s[b, i] = w[i]*x[b, i]\ny[b, i] = tanh(s[b, i])", r"\bar{w}_{i}"),
    "two sums": ("y[i] = Sum(A[i, k]*sin(x[k]), (k, 1, n))/Sum(exp(x[k]), (k, 1, n))", r"\bar{A}"),
    "a choice": ("y[i] = x[i] if x[i] > 0 else x[i]/7", r"\bar{x}_{i}"),
    "a scalar": ("loss = Sum((x[k] - t[k])**2, (k, 1, n))/n", r"\bar{t}_{j}"),
}


@pytest.fixture(scope="module")
def page(visit: Visit) -> Iterator[Page]:
    page = visit("derive.html")
    yield page
    page.context.close()


def derive(page: Page, text: str) -> Locator:
    """Type a layer, and return what the page shows of it."""
    page.locator(TEXT).fill(text)
    page.locator(TEXT).press("Control+Enter")
    expect(page.locator("form.derive button[type=submit]")).to_have_text("Derive", timeout=COLD)
    expect(page.locator("form.derive [role=status]")).to_have_text(re.compile("Done|Nothing"))
    return page.locator(DERIVED)


def test_nothing_is_fetched_before_it_is_asked_for_and_the_page_says_how_much(visit: Visit) -> None:
    page = visit("derive.html")
    expect(page.locator("form.derive [role=status]")).to_contain_text(re.compile(r"\d\d\.\d MB"))
    assert "pyodide" not in page.evaluate(LOADED)
    assert page.locator(".tag_derived annotation").count() >= 4  # of the first example, as built
    page.context.close()


def test_nothing_jumps_when_the_form_is_shown(visit: Visit, address: str) -> None:
    screen = {"viewport": {"width": 412, "height": 823}}
    before = visit("about:blank", **screen)
    before.route("**/*.js*", lambda route: route.abort())
    before.goto(f"{address}derive.html")
    tops = []
    for page in (before, visit("derive.html", **screen)):
        top = page.locator(".tag_derived").first.bounding_box()
        assert top is not None
        tops.append(top["y"])
        page.context.close()
    assert abs(tops[0] - tops[1]) < 2  # was 320


@pytest.mark.parametrize(("text", "part"), LAYERS.values(), ids=LAYERS)
def test_a_layer_gives_formulas_and_code(page: Page, text: str, part: str) -> None:
    shown = derive(page, text)
    formulas = shown.locator("annotation").all_text_contents()
    assert any(part in formula for formula in formulas), formulas
    assert not shown.locator(".katex-error").count()
    for tab in shown.get_by_role("tab").all():
        tab.click()
        assert len(shown.locator("pre").text_content() or "") > 40
    shown.get_by_role("tab").first.click()
    expect(shown.locator("pre")).to_contain_text("def forward_backward(")
    expect(page.locator(".tag_derived").first).to_be_hidden()


def test_what_is_typed_is_derived_when_the_typing_stops(page: Page) -> None:
    derive(page, "y[i] = x[i]**5")
    page.locator(TEXT).fill("y[i] = x[i]**7")
    expect(page.locator(DERIVED)).to_contain_text("7")


def test_a_message_stands_beside_its_line(page: Page) -> None:
    shown = derive(page, "r = 2\ny[i] = r*x*x[i]")
    expect(shown).to_have_text(re.compile(r"^Line 2: .*\w"))
    expect(page.locator(TEXT)).to_have_attribute("aria-invalid", "true")
    derive(page, "r = 2\ny[i] = r*x[i]")
    expect(page.locator(TEXT)).not_to_have_attribute("aria-invalid", "true")


def test_the_code_is_copied_and_downloaded(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown = derive(page, "y[i] = x[i]**2/Sum(x[k], (k, 1, n))")
    shown.get_by_role("button", name="Copy code").click()
    code = page.evaluate("navigator.clipboard.readText()")
    assert "def forward_backward(" in code
    with page.expect_download() as download:
        shown.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "layer_numpy.py"
    assert download.value.path().read_text("utf-8") == code


def test_it_is_used_by_keyboard(page: Page) -> None:
    shown = derive(page, "y[i] = cos(x[i])")
    shown.get_by_role("tab").first.focus()
    page.keyboard.press("ArrowRight")
    expect(shown.get_by_role("tab").nth(1)).to_be_focused()
    expect(shown.get_by_role("tabpanel")).to_have_attribute("aria-labelledby", "derive-torch")


def test_a_link_shares_the_layer_and_derives_nothing_by_itself(visit: Visit, page: Page) -> None:
    text = "y[i] = x[i]*exp(-x[i]**2)\n"
    derive(page, text)
    other = visit(page.url)
    expect(other.locator(TEXT)).to_have_value(text)
    expect(other.locator("form.derive [role=status]")).to_contain_text("came with the address")
    assert "pyodide" not in other.evaluate(LOADED)
    other.context.close()


HOSTILE = [
    "<img src=x onerror='window.caught=1'>",
    "y[i] = x[i]</textarea><script>window.caught=1</script>",
    "y[i] = __import__('js').eval('self.postMessage({found: 1})')",
    "import js; js.fetch('/caught')",
    "y[i] = x[i]**9**9**9**9",
    "y[i] = " + "Sum(" * 30 + "x[k]" + ", (k, 1, n))" * 30,
    "y[i] = " + "x[i] + " * 900 + "x[i]",
    "(" * 5000,
    "y[i] = $\\href{javascript:window.caught=1}{x}$",
    "\u202ey[i] = \U0001f4a3[i]\x00",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_address_is_text(page: Page, text: str) -> None:
    page.evaluate(f"location.hash = {json.dumps('layer=' + quote(text))}")
    expect(page.locator(TEXT)).not_to_have_value("")
    shown = derive(page, page.locator(TEXT).input_value())
    assert shown.locator(".derive-error, annotation").count()
    assert not shown.locator("img, script, a[href]").count()
    assert page.evaluate("window.caught") is None


def test_what_runs_is_stopped_by_its_button_and_the_page_goes_on(page: Page) -> None:
    page.evaluate(
        """() => {
            const form = document.querySelector('form.derive');
            form.querySelector('textarea').value = 'y[i] = x[i]**11';
            form.requestSubmit();
            form.querySelector('button').click();
        }"""
    )
    expect(page.locator(".derive-error")).to_have_text("Stopped.")
    shown = derive(page, "y[i] = 2*x[i]")
    assert shown.locator("annotation").count() >= 3


def test_on_a_phone_nothing_is_wider_than_the_screen(visit: Visit) -> None:
    page = visit("derive.html", viewport={"width": 360, "height": 700})
    derive(page, LAYERS["two sums"][0])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.context.close()
