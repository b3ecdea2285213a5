"""Pages as one works with them: formulas copied, boxes scrolled by keyboard, the picture moved."""

import json
import re
import zlib
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from .conftest import PAGES, SITE

Visit = Callable[..., Page]


@pytest.fixture
def front(visit: Visit) -> Iterator[Page]:
    page = visit("index.html", viewport={"width": 1280, "height": 800})
    yield page
    page.context.close()


def test_the_first_screen_has_the_wrong_and_the_right_derivative_and_the_formulas(
    front: Page,
) -> None:
    wrong, right = front.locator(".tag_side").all()
    assert r"\delta_{i j}" in (right.locator("annotation").text_content() or "")
    boxes = [wrong.bounding_box(), right.bounding_box()]
    assert boxes[0]["y"] == boxes[1]["y"]  # type: ignore[index]  # side by side
    formulas = front.locator(".tag_named .math-wrapper").all()
    assert len(formulas) == 6
    for shown in (right, *formulas[:4]):  # the layer, the Jacobian and both gradients
        box = shown.bounding_box()
        assert box
        assert box["y"] + box["height"] <= 800


def test_each_formula_of_the_front_page_shows_how_it_is_copied(front: Page) -> None:
    for formula in front.locator(".tag_named .math-wrapper").all():
        bar = formula.locator(".copy-formula")
        assert bar.evaluate("bar => getComputedStyle(bar).opacity") == "1"
        expect(bar.get_by_role("button", name="Copy as LaTeX")).to_be_visible()
        expect(bar.get_by_role("button", name="Copy as SymPy")).to_be_visible()


LEAVES = """() => {   // what should be seen whole
    const svg = document.querySelector('.grip').ownerSVGElement, box = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('path, text, ellipse, line[stroke-width], circle:not(.grip)')]
        .filter((part) => getComputedStyle(part).visibility === 'visible')
        .map((part) => part.getBoundingClientRect())
        .filter(({ left, right, top, bottom }) => left < box.left - 1 || right > box.right + 1
            || top < box.top - 1 || bottom > box.bottom + 1);
}"""


def test_the_picture_shows_what_the_derivation_says(front: Page) -> None:
    form = front.locator("form.picture")
    for given, numbers in json.loads(form.get_attribute("data-check") or ""):
        for name, value in given.items():
            form.locator(f"[name={name}]").fill(str(value))
        shown = {name: float(form.locator(f"[name={name}]").inner_text()) for name in numbers}
        assert shown == pytest.approx(numbers, abs=0.0006), given
        assert front.evaluate(LEAVES) == [], given


def test_the_picture_is_moved_by_keyboard_and_by_dragging(front: Page) -> None:
    form = front.locator("form.picture")
    form.locator("[name=eps]").focus()
    before = form.locator("[name=along]").inner_text()
    front.keyboard.press("ArrowRight")
    assert form.locator("[name=along]").inner_text() != before
    expect(form.locator("[name=eps] + span")).to_have_text("0.05")

    grip = front.locator(".grip").first
    grip.scroll_into_view_if_needed()
    box = grip.bounding_box()
    assert box
    front.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    front.mouse.down()
    front.mouse.move(box["x"], box["y"] + 60)
    front.mouse.up()
    assert form.locator("[name=x1]").input_value() != "1.6"
    assert form.locator("[name=r]").inner_text() != "1.265"


def test_a_finger_moves_the_picture_and_not_the_page(visit: Visit) -> None:
    page = visit("index.html", viewport={"width": 390, "height": 844}, has_touch=True)
    grip = page.locator(".grip").first
    grip.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # what is out of sight is laid out when it is reached
    box, top = grip.bounding_box(), page.evaluate("scrollY")
    assert box
    touch = page.context.new_cdp_session(page)
    at = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    for kind, step in (("Start", 0), *(("Move", step) for step in range(1, 8)), ("End", None)):
        points = [] if step is None else [{"x": at[0] - 10 * step, "y": at[1] + 10 * step}]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
        page.wait_for_timeout(30)  # else Chromium merges the moves
    expect(page.locator("[name=x1]")).to_have_value("0.4")
    expect(page.locator("[name=x2]")).to_have_value("-0.4")
    assert page.evaluate("scrollY") == top
    page.context.close()


def test_the_picture_s_state_is_in_the_address(front: Page) -> None:
    slider = front.locator("form.picture [name=w1]")
    slider.fill("0.5")
    slider.dispatch_event("change")
    assert front.url.endswith("#picture=1.6,0.8,0.2,1.6,0.5,1,0")
    shown = front.locator("form.picture [name=J11]").inner_text()
    front.goto("about:blank")
    front.go_back()
    expect(front.locator("form.picture [name=J11]")).to_have_text(shown)
    expect(slider).to_have_value("0.5")
    front.goto(front.url.split("#")[0] + "#picture=<b>,1,1,1,1,1,1")  # nonsense changes nothing
    expect(slider).to_have_value("0.5")


def test_a_page_is_printed_without_buttons_and_uncut(visit: Visit) -> None:
    page = visit("snippets.html")
    page.emulate_media(media="print")
    for part in (".skip-to-content", ".run-bar", "button.copybtn", ".take"):
        for found in page.locator(part).all():
            expect(found).to_be_hidden()
    wide = "pres => pres.filter(pre => pre.scrollWidth > pre.clientWidth + 1).length"
    assert page.locator(".highlight pre:visible").evaluate_all(wide) == 0
    page.goto(page.url.replace("snippets", "sheet"))
    printed = page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    page.context.close()


def test_the_picture_is_there_without_javascript(visit: Visit) -> None:
    page = visit("index.html", java_script_enabled=False)
    expect(page.locator("figure.plot svg").first).to_be_visible()
    expect(page.locator("form.picture output").first).to_have_text("1.265")
    expect(page.locator("form.picture input").first).to_be_hidden()
    page.context.close()


def test_a_formula_is_copied_as_latex_and_as_sympy(visit: Visit) -> None:
    page = visit("jacobian.html", permissions=["clipboard-read", "clipboard-write"])
    formula = page.locator(".math-wrapper").first
    copied = {}
    for form in ("LaTeX", "SymPy"):
        button = formula.get_by_role("button", name=f"Copy as {form}")
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_text("Copied")
        copied[form] = page.evaluate("navigator.clipboard.readText()")
    assert copied["SymPy"] == "KroneckerDelta(i, j)*gamma[i]/r - gamma[i]*x[i]*x[j]/(n*r**3)"
    assert copied["LaTeX"].startswith(r"\frac{\delta_{i j}")
    page.context.close()


PARTS = ".katex-display, .highlight pre, figure.plot > svg"
LAID_OUT = f"""() => [...document.querySelectorAll('{PARTS}')]
    .filter((part) => !part.closest('details:not([open])'))
    .every((part) => part.checkVisibility({{ contentVisibilityAuto: true }}))"""


@pytest.mark.parametrize("javascript", [True, False])
def test_all_of_a_page_is_laid_out_soon(visit: Visit, javascript: bool) -> None:
    page = visit("jacobian.html", java_script_enabled=javascript)
    assert page.locator(PARTS).count() > 20
    page.wait_for_function(LAID_OUT)
    page.context.close()


# Each letter of a formula and where it stands, on the page and in what KaTeX itself makes of it.
LETTERS = """(formula) => {
    const letters = () => {
        const range = document.createRange(), found = [];
        const box = formula.querySelector('.katex-html');
        const texts = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            range.selectNode(texts.currentNode);
            const { x, y, width } = range.getBoundingClientRect();
            if (`${range}` !== '\\u200b') found.push([`${range}`, x, y, width]);
        }
        return found;
    };
    const here = letters(), own = document.createElement('div');
    const displayMode = Boolean(formula.closest('.katex-display'));
    const tex = formula.querySelector('annotation').textContent;
    own.innerHTML = katex.renderToString(tex, { displayMode });
    formula.replaceChildren(...own.querySelector('.katex').childNodes);
    return [here, letters()];
}"""


@pytest.mark.parametrize("name", ["jacobian", "variants"])
def test_a_formula_of_fewer_elements_looks_as_katex_sets_it(visit: Visit, name: str) -> None:
    page = visit(f"{name}.html")
    page.wait_for_function(LAID_OUT)
    page.add_script_tag(path=SITE / "_static/pyodide/katex.min.js")
    fewer = 0
    for formula in page.locator("p .katex:visible, div.math .katex:visible").all():
        elements = formula.locator("*").count()
        ours, own = formula.evaluate(LETTERS)
        assert [letter for letter, *_ in ours] == [letter for letter, *_ in own]
        for (_, *here), (_, *there) in zip(ours, own, strict=True):
            assert here == pytest.approx(there, abs=0.3)  # px
        fewer += elements < formula.locator("*").count()
    assert fewer > 20
    page.context.close()


def test_every_formula_is_there_for_those_who_hear_the_page(visit: Visit) -> None:
    page = visit("jacobian.html")
    page.wait_for_function(LAID_OUT)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    heard = [node for node in tree if node.get("role", {}).get("value") == "MathMLMath"]
    assert len(heard) == page.locator(".katex").count() > 0
    page.context.close()


@pytest.mark.parametrize(
    ("name", "label", "kind"),
    [
        ("jacobian", "Formula", ".math-wrapper"),
        ("reference", "Code", ".highlight pre"),
        ("paper", "Table", ".table-wrapper"),
    ],
)
def test_what_scrolls_is_reached_by_keyboard(
    visit: Visit, name: str, label: str, kind: str
) -> None:
    page = visit(f"{name}.html", viewport={"width": 390, "height": 844})
    page.wait_for_function(LAID_OUT)
    page.wait_for_function(f"document.querySelector('{kind}[tabindex][aria-label={label}]')")
    boxes = page.locator(kind).all()
    scrolling = [box for box in boxes if box.evaluate("e => e.scrollWidth > e.clientWidth")]
    assert scrolling
    for box in scrolling:
        expect(box).to_have_attribute("aria-label", label)
        box.focus()
        expect(box).to_be_focused()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("e => e.scrollLeft > 0", arg=box.element_handle())
    page.context.close()


# The height of each box before and after its content is laid out, and what is in it.
HEIGHTS = """() => [...document.querySelectorAll('div.math, .highlight[style], figure.plot')]
    .filter((box) => box.offsetHeight).map((box) => {
        const height = (contain) => {
            Object.assign(box.style, { contentVisibility: 'visible', contain });
            return box.getBoundingClientRect().height;
        };
        const heights = [height('size layout'), height('layout')], code = box.querySelector('pre');
        const bar = code ? code.offsetHeight - code.clientHeight : 0;   // of code that scrolls
        return [heights[0], heights[1] - bar, box.textContent];
    })"""


def test_a_box_has_its_height_before_its_content_is_laid_out(visit: Visit) -> None:
    boxes = 0
    for name in PAGES:
        page = visit(name)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            for before, after, text in page.evaluate(HEIGHTS):
                boxes += 1
                assert before == pytest.approx(after, abs=1), (name, width, text)
        page.context.close()
    assert boxes > 200


def test_code_changes_its_colours_with_the_theme(visit: Visit) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        page = visit("index.html", color_scheme=scheme)
        code = page.locator(".highlight").first
        seen.add(code.evaluate("e => getComputedStyle(e).backgroundColor"))
        page.context.close()
    assert len(seen) == 2


def test_others_can_link_to_the_reference() -> None:
    inventory = (SITE / "objects.inv").read_bytes().split(b"\n", 4)
    assert inventory[3].startswith(b"# The remainder of this file is compressed")
    lines = zlib.decompress(inventory[4]).decode().splitlines()
    [line] = [line for line in lines if line.startswith("rmsnorm_math.vjp py:function ")]
    assert "reference.html#$" in line
    assert 'id="rmsnorm_math.vjp"' in (SITE / "reference.html").read_text("utf-8")


def test_each_page_says_what_it_is_about() -> None:
    texts = {name: (SITE / name).read_text("utf-8") for name in PAGES}
    found = {
        name: re.findall(
            r'<meta (?:content="([^"]+)" name="description"|name="description" content="([^"]+)")',
            text,
        )
        for name, text in texts.items()
    }
    assert all(len(text) == 1 for text in found.values()), found
    assert len({"".join(*description) for description in found.values()}) == len(PAGES)
    assert all('property="og:title"' in text for text in texts.values())
