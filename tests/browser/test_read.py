"""Every page, as it is read: without JavaScript, on a phone, and copied from."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import PAGES, SITE

Visit = Callable[..., Page]


@pytest.fixture
def phone() -> dict[str, object]:
    return {"viewport": {"width": 390, "height": 844}}


ALL = """() => document.head.insertAdjacentHTML(
    'beforeend', '<style>* { content-visibility: visible !important }</style>'
)"""
CUT = """texts => texts.filter(text => getComputedStyle(text).overflowX === 'hidden'
    && text.scrollWidth > text.clientWidth).map(text => text.textContent)"""


@pytest.mark.parametrize("javascript", [True, False])
def test_nothing_is_wider_than_a_phone(
    visit: Visit, phone: dict[str, object], javascript: bool
) -> None:
    page = visit(PAGES[0], java_script_enabled=javascript, **phone)
    wide = {}
    for name in PAGES:
        page.goto(page.url.rsplit("/", PAGES[0].count("/") + 1)[0] + "/" + name)
        page.evaluate(ALL)
        boxes = page.locator("html, body, .page, .main, .content, .article-container, article")
        over = "boxes => Math.max(...boxes.map(box => box.scrollWidth))"
        if (width := boxes.evaluate_all(over)) > 390:
            wide[name] = width
        cut = page.locator("article :is(h1, h2, h3, p, li, dd, td)").evaluate_all(CUT)
        assert not cut, name
    page.context.close()
    assert not wide


FORMULAS = """() => [...document.querySelectorAll('.math')].map(math => ({
    drawn: [...math.querySelectorAll('.katex-html')].map(e => e.getBoundingClientRect().height),
    said: math.querySelector('math')?.textContent,
    hidden: !math.checkVisibility() || !!math.closest('details:not([open])'),
}))"""


def test_formulas_are_drawn_and_said_from_a_file_without_javascript(visit: Visit) -> None:
    for name in PAGES:
        if 'class="math ' not in (SITE / name).read_text("utf-8"):
            continue
        page = visit((SITE / name).as_uri(), java_script_enabled=False)
        formulas = page.evaluate(FORMULAS)
        assert all(formula["said"] for formula in formulas), name
        seen = [formula["drawn"] for formula in formulas if not formula["hidden"]]
        assert seen, name
        assert all(len(drawn) == 1 and drawn[0] > 3 for drawn in seen), name
        loaded = "document.fonts.size && [...document.fonts].some(f => f.status === 'loaded')"
        page.wait_for_function(loaded)
        assert page.locator(".math-error").count() == 0
        expect(page.get_by_role("button", name="Run")).to_have_count(0)
        page.context.close()


def test_a_picture_says_what_it_shows() -> None:
    pictures = 0
    for name in PAGES:
        article = (SITE / name).read_text("utf-8").partition("<article")[2]
        for picture in re.findall(r"<img[^>]*>|(?<=<figure)[^>]*>\s*<svg[^>]*>", article):
            pictures += 1
            assert re.search(r'(?:alt|aria-label)="\s*[^"\s]', picture), name
    assert pictures


def test_no_picture_styles_the_page() -> None:
    for name in PAGES:
        assert "<style" not in (SITE / name).read_text("utf-8").partition("<article")[2], name


RESTYLE = """() => {
    document.body.offsetHeight;
    performance.mark('before');
    document.documentElement.classList.add('seen');
    document.body.offsetHeight;
    performance.mark('after');
}"""


def test_a_class_on_the_page_restyles_little_of_it(browser: Browser, visit: Visit) -> None:
    page = visit("jacobian.html")
    page.evaluate(ALL)
    browser.start_tracing(page=page, categories=["devtools.timeline", "blink.user_timing"])
    page.evaluate(RESTYLE)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    page.context.close()
    before, after = (
        next(event["ts"] for event in events if event["name"] == mark)
        for mark in ("before", "after")
    )
    (restyled,) = (
        event["args"]["elementCount"]
        for event in events
        if event["name"] == "UpdateLayoutTree" and before < event["ts"] < after
    )
    assert restyled < 300


@pytest.mark.parametrize("place", ["served", "from a file"])
def test_search_finds_what_a_page_says(visit: Visit, place: str) -> None:
    page = visit("search.html" if place == "served" else (SITE / "search.html").as_uri())
    page.get_by_label("Search for").fill("cotangent")
    page.get_by_role("button", name="Search").click()
    found = page.locator("#search-results a").get_by_text("The backward pass", exact=True)
    found.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("The backward pass")
    page.context.close()


FIRST = {
    "gradient": "The backward pass",
    "backward": "The backward pass",
    "eps": "Variants, and who ships which",
    "triton": "For kernels",
    "cuda": "For kernels",
    "cite": "Install and cite",
    "double backward": "Differentiate the backward pass",
    "chain rule": "Derive it by hand",
    "jacobian": "The Jacobian",
    "softmax": "Derive the backward pass of your own layer",
    "layernorm": "Variants, and who ships which",
    "qk-norm": "Variants, and who ships which",
    "llama": "Variants, and who ships which",
    "bfloat16": "Keep the precision",
    "all-reduce": "Split the hidden axis over devices",
    "install": "Install and cite",
    "indexedbase": "Why SymPy says 0",
    "derive": "Derive yours, here",
    "check": "Is your backward pass right?",
    "speed": "Benchmarks",
}


def test_search_leads_to_the_right_page_first_and_shows_words(visit: Visit) -> None:
    page = visit("search.html")
    address = page.url.split("?")[0]
    for query, title in FIRST.items():
        page.goto(f"{address}?q={query}")
        first = page.locator("#search-results li").first
        expect(first.locator("a").first).to_have_text(title)
        page.wait_for_function("document.querySelector('.search-summary').innerText")
        expect(first.locator(".context")).not_to_be_empty()
        text = page.locator("#search-results ul.search").inner_text()
        assert not re.findall(r"\\(?:frac|hat|bar|sum)|\w\^=", text), query
    page.context.close()


def test_code_leaves_room_for_a_button_only_where_there_is_one(visit: Visit) -> None:
    room = """cells => cells.filter(cell => {
        const more = parseFloat(getComputedStyle(cell).paddingBottom) > 16;
        return more != !!cell.querySelector('.run-bar');
    }).length"""
    for name in PAGES:
        page = visit(name)
        assert not page.locator(".cell_input").evaluate_all(room), name
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
