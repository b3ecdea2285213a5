"""Every page, as it is read: without JavaScript, on a phone, and copied from."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .conftest import PAGES, SITE

Visit = Callable[..., Page]


@pytest.fixture
def phone() -> dict[str, object]:
    return {"viewport": {"width": 390, "height": 844}}


@pytest.mark.parametrize("javascript", [True, False])
def test_nothing_is_wider_than_a_phone(
    visit: Visit, phone: dict[str, object], javascript: bool
) -> None:
    page = visit(PAGES[0], java_script_enabled=javascript, **phone)
    wide = {}
    for name in PAGES:
        page.goto(page.url.rsplit("/", PAGES[0].count("/") + 1)[0] + "/" + name)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[name] = width
    page.context.close()
    assert not wide


def test_formulas_are_there_without_javascript(visit: Visit) -> None:
    for name in PAGES:
        if 'class="katex' not in (SITE / name).read_text("utf-8"):
            continue
        page = visit(name, java_script_enabled=False)
        drawn = page.locator("main .katex-html, article .katex-html")
        assert drawn.first.bounding_box()["height"] > 5  # type: ignore[index]
        assert page.locator(".math-error").count() == 0
        expect(page.get_by_role("button", name="Run")).to_have_count(0)
        page.context.close()


def copied(page: Page, selector: str) -> str:
    block = page.locator(selector).first
    block.hover()
    block.locator("button.copybtn").click()
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_what_is_copied_runs(visit: Visit) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    page = visit("pitfall.html", permissions=permissions)
    book = json.loads((SITE / "notebooks/pitfall.ipynb").read_text("utf-8"))
    sources = ["".join(cell["source"]) for cell in book["cells"]]
    assert copied(page, ".cell_input .highlight").strip() in sources
    page.context.close()

    page = visit("reference.html", permissions=permissions)
    text = copied(page, ".highlight:has(.gp):has(.go)")
    assert ">>>" not in text
    compile(text, "copied", "exec")
    outputs = page.locator(".highlight:has(.gp):has(.go) .go").first.inner_text()
    assert outputs not in text.splitlines()
    page.context.close()


def test_code_tabs_remember_the_framework_on_every_page(visit: Visit) -> None:
    tabbed = [name for name in PAGES if "sd-tab-set" in (SITE / name).read_text("utf-8")]
    assert tabbed
    page = visit(tabbed[0])
    root = page.url[: -len(tabbed[0])]
    tab = "label[data-sync-group=framework][data-sync-id=PyTorch]"
    page.locator(tab).first.click()
    for name in tabbed:
        page.goto(root + name)
        labels = page.locator(tab).all()
        assert labels, name
        for label in labels:
            assert label.evaluate("label => document.getElementById(label.htmlFor).checked"), name
    page.context.close()
