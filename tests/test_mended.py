"""What `docs/_ext/site_fixes.py` looks for becomes what it says; what matches nothing warns."""

import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("myst_nb", reason="the tools that these repairs are for: nox -s site-tests")
sys.path.append(str(Path(__file__).parents[1] / "docs/_ext"))
fixes = pytest.importorskip("site_fixes")

#: What a tool writes, and what stands in the page: one for each pattern, in their order.
WRITTEN = [
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="Site">'),
    (
        '<aside class="toc-drawer no-toc">',
        '<aside class="toc-drawer no-toc" aria-label="On this page">',
    ),
    (
        '<label class="sd-tab-label" for="a" aria-controls="b">',
        '<label class="sd-tab-label" for="a">',
    ),
    ('<th class="head"><p></p></th>', "<td></td>"),
    ('<summary aria-label="Toggle">', "<summary>"),
    (
        '<article role="main">\n<noscript>',
        f'<article role="main">{fixes.SEARCH}\n<noscript>',
    ),
    ('<p class="caption" role="heading">', '<p class="caption">'),
    (
        '<p class="collapsed admonition-title">Answer</p>',
        '<span class="collapsed admonition-title">Answer</span>',
    ),
    ('<meta name="robots" content="noindex" />\n<title>', "<title>"),
    (
        '<div class="highlight-python"><div class="highlight"><pre>a\nb\n</pre>',
        '<div class="highlight-python"><div class="highlight" style="--lines: 2"><pre>a\nb\n</pre>',
    ),
]


@pytest.mark.parametrize(
    ("pattern", "written"), [*zip(fixes.HTML, WRITTEN, strict=True)], ids=lambda of: str(of)[:25]
)
def test_a_pattern_mends_what_it_is_for(pattern: str, written: tuple[str, str]) -> None:
    before, after = written
    assert [p for p in fixes.HTML if re.search(p, before)] == [pattern], "another one is meant"
    assert re.sub(pattern, fixes.HTML[pattern], before) == after


def mended(tmp_path: Path, page: str, css: dict[str, str]) -> str:
    """Return the page as it is mended, in a site read from nothing."""
    for name, text in {"page.html": page, **css}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (tmp_path / "_static").mkdir(exist_ok=True)
    builder = SimpleNamespace(format="html", name="html")
    fixes.mend(SimpleNamespace(outdir=tmp_path, builder=builder, read_now=fixes.WHOLE), None)
    return (tmp_path / "page.html").read_text("utf-8")


LINKS = "".join(f'<link rel="stylesheet" href="_static/{name}.css?v=1" />\n' for name in ("a", "b"))


def test_what_matches_nothing_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    page = "".join(before for before, _ in WRITTEN[1:])
    with caplog.at_level(logging.WARNING):
        mended(tmp_path / "one", page, {})
        sheets = {"_static/a.css": "dl[class] dd {}", "_static/b.css": ""}
        mended(tmp_path / "two", page + LINKS, sheets)
    first, *_ = known = [*fixes.HTML, fixes.STYLE.pattern, *fixes.QUICK]
    lost = [pattern for said in caplog.messages for pattern in known if pattern in said]
    assert lost == [first, fixes.STYLE.pattern, first, "article[role=main]"]


def test_a_page_asks_for_one_style_sheet(tmp_path: Path) -> None:
    css = {
        "_static/a.css": "dl[class] dd {}\n@font-face {src: url(fonts/f.woff2)}",
        "_static/sub/b.css": "article[role=main] p {background: url('../x.svg'), url(data:,)}",
    }
    links = LINKS.replace("b.css", "sub/b.css")
    page = mended(tmp_path, f"{links}<p>", css)
    assert page == '<link rel="stylesheet" href="_static/style.css">\n<p>'
    sheet = (tmp_path / "_static/style.css").read_text("utf-8")
    assert "dl.py dd" in sheet
    assert "article p" in sheet
    assert "url(fonts/f.woff2)" in sheet
    assert "url('sub/../x.svg')" in sheet
    assert "url(data:,)" in sheet
