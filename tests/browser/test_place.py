"""What is shown fits on screen and paper, and a link to a section leads there."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .conftest import PAGES

Visit = Callable[..., Page]
OPEN = """() => {   // all of the page, what is in tabs and behind titles as well
    const style = '* { content-visibility: visible !important } '
        + '.sd-tab-content { display: block !important }';
    document.head.insertAdjacentHTML('beforeend', `<style>${style}</style>`);
    for (const details of document.querySelectorAll('details')) details.open = true;
}"""
WIDE = """() => [...document.querySelectorAll('article *')]
    .filter((box) => box.clientWidth && box.scrollWidth > box.clientWidth + 1)
    .filter((box) => ['auto', 'scroll', 'hidden'].includes(getComputedStyle(box).overflowX))
    .filter((box) => !box.closest('svg, .katex-mathml'))
    .map((box) => `${box.tagName}.${box.className}: ${box.scrollWidth - box.clientWidth} px: `
        + box.textContent.split('\\n').reduce((a, b) => a.length < b.length ? b : a).slice(0, 120))
"""


@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_sideways_on_a_desktop(visit: Visit, name: str) -> None:
    page = visit(name, viewport={"width": 1280, "height": 900})
    page.evaluate(OPEN)
    page.wait_for_timeout(200)  # until it is laid out, and the scripts have marked what scrolls
    assert page.evaluate(WIDE) == []
    page.context.close()


PLACE = """(hash) => {
    const current = [...document.querySelectorAll('.toc-tree .scroll-current > a')];
    const top = document.querySelector(hash).getBoundingClientRect().top;
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    return [current.at(-1)?.hash, end || (top >= 0 && top < 60)];
}"""


@pytest.mark.parametrize("name", ["jacobian", "check-your-own", "index", "more-traps"])
def test_a_link_to_a_section_leads_there_and_marks_it(visit: Visit, name: str) -> None:
    page = visit(f"{name}.html", viewport={"width": 1440, "height": 900})
    links = page.locator(".toc-tree a").evaluate_all("links => links.map(link => link.hash)")
    address = page.url
    for link in [link for link in links if link][1::3]:
        page.goto("about:blank")
        page.goto(address + link)
        page.wait_for_load_state("networkidle")
        page.wait_for_function(f"hash => ({PLACE})(hash).join() === `${{hash}},true`", arg=link)
    page.context.close()


def test_an_address_that_cannot_be_read_breaks_nothing(visit: Visit) -> None:
    page = visit("derive.html#layer=%E0%A4%A&%")
    expect(page.locator("form.derive textarea")).to_be_visible()
    page.context.close()  # that no script failed, `visit` sees


def test_nothing_is_offered_to_be_hidden_where_nothing_is_marked(visit: Visit) -> None:
    page = visit("404.html")
    for term, link in (("zebra", False), ("address", True)):
        page.evaluate("term => localStorage.setItem('sphinx_highlight_terms', term)", term)
        page.reload()
        expect(page.get_by_text("Hide Search Matches")).to_be_visible(visible=link)
    page.context.close()


def test_the_controls_of_derive_are_not_printed(visit: Visit) -> None:
    page = visit("derive.html")
    page.emulate_media(media="print")
    expect(page.get_by_role("combobox")).to_be_hidden()
    expect(page.get_by_role("button", name="Derive")).to_be_hidden()
    page.context.close()
