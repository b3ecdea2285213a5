"""Nothing on a page keeps people out, as far as axe can tell: light and dark, wide and narrow."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from .conftest import PAGES

Visit = Callable[..., Page]
HAS_MATHML = "([target]) => Boolean(document.querySelector(target).querySelector('math'))"

# A colour depends on the scheme, a place on the width. So all is judged light and wide, and dark
# and narrow; in between the contrast of what only one width shows, without formulas and code, which
# take most of the time.
WIDE, NARROW = 1280, 390
BETWEEN = {"exclude": [[".katex-html"], ["pre"]]}, {"runOnly": ["color-contrast"]}


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation(visit: Visit, name: str, scheme: str, width: int) -> None:
    page = visit(name, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.add_style_tag(content="* { content-visibility: visible !important }")  # all of the page
    page.wait_for_timeout(300)  # until the scripts have marked what scrolls
    between = (scheme == "light") != (width == WIDE)
    parts, rules = BETWEEN if between else (None, None)
    found = Axe().run(page, context=parts, options=rules).response
    assert len(found["passes"]) > (0 if between else 10)
    wrong = [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:160]}"
        for rule in found["violations"]
        for node in rule["nodes"]
        # axe does not read MathML, screen readers do
        if rule["id"] != "empty-table-header" or not page.evaluate(HAS_MATHML, node["target"])
    ]
    assert not wrong, "\n".join(wrong)
    page.context.close()
