"""Small repairs of what the tools produce, until they do it themselves."""

import posixpath
import re
from pathlib import Path

from docutils import nodes
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

log = logging.getLogger(__name__)
WHOLE = 15  # pages: a site of as many has what each of these repairs is for


def label(renderer):
    """Number the amsmath environments of a page, where MyST-Parser takes a random label."""
    data = renderer.sphinx_env.temp_data
    data["amsmath"] = data.get("amsmath", 0) + 1
    return f"{renderer.sphinx_env.docname}-amsmath-{data['amsmath']}"


SphinxRenderer._random_label = label


class OneId(SphinxPostTransform):
    """Take a formula's or a table's id from the wrapper that Furo puts around it."""

    default_priority = 501  # after Furo's

    def run(self):
        for node in self.document.findall(nodes.container):
            if {"math-wrapper", "table-wrapper"} & set(node["classes"]) and node.children:
                node["ids"] = [i for i in node["ids"] if i not in node[0].get("ids", [])]


# No page can be fetched to sum it up when the site is read from files.
SEARCH = """<h1>Search</h1>
<form><input name="q" type="search" aria-label="Search for"> <button>Search</button></form>
<script defer src="_static/search-words.js"></script>
<script>addEventListener("DOMContentLoaded", () => {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY &&= location.protocol !== "file:";
}, true)</script>"""
CODE = (
    r'("highlight-(?:default|ipython3|python)\b[^>]*><div class="highlight")(><pre>(?s:.*?)</pre>)'
)
HTML = {
    # Furo's: a landmark needs a name where there are two of a kind
    r'<aside class="sidebar-drawer">': r'<aside class="sidebar-drawer" aria-label="Site">',
    r'<aside class="toc-drawer([^"]*)">': r'<aside class="toc-drawer\1" aria-label="On this page">',
    r'(<label[^>]*?) aria-controls="[^"]*"': r"\1",  # sphinx-design's tabs
    r'<th class="head">\s*(?:<p></p>)?\s*</th>': "<td></td>",  # heads nothing
    r'<summary aria-label="[^"]*"': "<summary",  # it says the same in visible words
    r"(<article [^>]*>)(?=\s*<noscript>)": rf"\1{SEARCH}",
    # of a list of links: it has no level (https://github.com/sphinx-doc/sphinx/issues/14030)
    r'(<p class="caption") role="heading"': r"\1",
    # no paragraph may stand in a summary (as since https://github.com/sphinx-doc/sphinx/pull/12507)
    r'<p( class="(?:collapsed|expanded) admonition-title">.*?)</p>': r"<span\1</span>",
    r'<meta name="robots" content="noindex" */>\s*': "",  # of the search page
    # its height, for site.css
    CODE: lambda code: f'{code[1]} style="--lines: {len(code[2].splitlines()) - 1}"{code[2]}',
}
# A rule for all that stands below any element with an attribute makes each change of the attribute
# restyle the whole page.
QUICK = {"dl[class]": "dl.py", "article[role=main]": "article"}
STYLE = re.compile(r'<link rel="stylesheet"[^>]*href="([^"?]*_static/)([^"?]*)[^>]*>\s*')


def bundle(static, names, met):
    """Write the style sheets into one: the first view waits for one file, not nine."""
    sheet = static / "style.css"
    if sheet.exists():  # its first line lists those of the pages that are not new
        names = dict.fromkeys([*sheet.read_text("utf-8").splitlines()[0].split()[1:-1], *names])
    names = [name for name in names if (static / name).exists()]
    css = [f"/* {' '.join(names)} */"]
    for name in names:
        folder = posixpath.join(posixpath.dirname(name), "")
        text = (static / name).read_text("utf-8")
        for slow, quick in QUICK.items():
            met[slow] = met.get(slow, 0) + text.count(slow)
            text = text.replace(slow, quick)
        css.append(re.sub(r"url\((?!['\"]?(?:data:|#))(['\"]?)", rf"url(\1{folder}", text))
    sheet.write_text("\n".join(css), "utf-8")


def mend(app, exception):
    if exception or app.builder.format != "html":
        return
    sheets, met = {}, dict.fromkeys([*HTML, STYLE.pattern], 0)
    for page in Path(app.outdir).rglob("*.html"):
        old = new = page.read_text("utf-8")
        for pattern, text in HTML.items():
            new, times = re.subn(pattern, text, new)
            met[pattern] += times
        met[STYLE.pattern] += len(links := STYLE.findall(new))
        if len(links) > 1:
            sheets.update(dict.fromkeys(name for _, name in links))
            new = STYLE.sub(
                rf'<link rel="stylesheet" href="{links[0][0]}style.css">\n\g<0>', new, 1
            )
            first, rest = new.split("style.css", 1)
            new = f"{first}style.css{STYLE.sub('', rest)}"
        if new != old:
            page.write_text(new, "utf-8")
    bundle(Path(app.outdir, "_static"), list(sheets), met)
    # A page that is not new has been mended before: only a site built from nothing tells.
    if app.read_now >= WHOLE and app.builder.name == "html":
        for pattern in [pattern for pattern, times in met.items() if not times]:
            log.warning("nothing matches %s: what it mended has changed, or is mended", pattern)


def count(app, env, added, changed, removed):  # noqa: ARG001
    """Remember whether the whole site is read."""
    app.read_now = len(added)
    return []


def setup(app):
    app.add_post_transform(OneId)
    app.connect("env-get-outdated", count)
    app.connect("build-finished", mend, priority=900)  # after Furo has written its colours
    return {"parallel_read_safe": True, "parallel_write_safe": True}
