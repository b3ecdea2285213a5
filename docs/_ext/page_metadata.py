"""Let the site be found: a description and a social card for each page, a sitemap, and llms.txt.

What needs the site's address (html_baseurl) is left out as long as that is empty.
"""

import shutil
import sys
import tempfile
from contextlib import suppress
from html import escape
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

log = logging.getLogger(__name__)
CARD = "_static/card.png"
DESCRIPTIONS = {  # for the pages that Sphinx makes
    "genindex": "Every name in the reference of rmsnorm_math, from A to Z.",
    "search": "Search the derivation of RMSNorm's derivative and the reference of its package.",
}


def remember(app, doctree):
    """Keep the description of a page for those who list the pages."""
    for meta in doctree.findall(nodes.meta):
        if meta.get("name") == "description":
            app.env.metadata[app.env.docname]["description"] = meta["content"]


def described(app, page):
    return app.env.metadata[page].get("description") or DESCRIPTIONS.get(page, "")


def describe(app, page, template, context, doctree):  # noqa: ARG001
    """Put what search engines and link previews read into the head of a page."""
    if app.builder.name != "html":
        return
    if not (text := described(app, page)):
        hint = "its front matter needs myst: {html_meta: {description: ...}}"
        log.warning("%s has no description: %s", page, hint, type="page_metadata")
        return
    title = app.env.titles[page].astext() if page in app.env.titles else page
    tags = {
        "og:type": "website",
        "og:site_name": app.config.html_title,
        "og:title": title,
        "og:description": text,
    }
    if base := app.config.html_baseurl:
        tags |= {
            "og:url": base + app.builder.get_target_uri(page),
            "og:image": base + CARD,
            "og:image:alt": "A gradient loses its part along x and is scaled by 1/r.",
            "twitter:card": "summary_large_image",
        }
    lines = [f'<meta property="{name}" content="{escape(tags[name])}">' for name in tags]
    if page in DESCRIPTIONS:
        lines.append(f'<meta name="description" content="{escape(text)}">')
    if page == "404" and base:  # served at any depth
        lines.append(f'<base href="{base}">')
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def pages(app):
    """Return the pages in the order of the table of contents, each with its address."""
    toctrees, order = app.env.toctree_includes, []

    def walk(page):
        order.append(page)
        for child in toctrees.get(page, ()):
            walk(child)

    walk(app.config.root_doc)
    return [(page, app.config.html_baseurl + app.builder.get_target_uri(page)) for page in order]


def write(app, exception):
    if beside := getattr(app, "beside", None):
        beside.join()
    if exception or app.builder.name != "html":
        return
    out, kept = Path(app.outdir), derived(Path(app.config.nb_execution_cache_path))
    shutil.copy(kept / "card.png", out / CARD)
    text = (kept / "llms.txt").read_text("utf-8")
    (out / "llms.txt").write_text(llms(app, text), "utf-8")
    if app.config.html_baseurl:
        places = "\n".join(f"<url><loc>{escape(address)}</loc></url>" for _, address in pages(app))
        head = '<?xml version="1.0" encoding="utf-8"?>\n'
        schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
        (out / "sitemap.xml").write_text(
            f'{head}<urlset xmlns="{schema}">\n{places}\n</urlset>\n', "utf-8"
        )
        (out / "robots.txt").write_text(f"Sitemap: {app.config.html_baseurl}sitemap.xml\n", "utf-8")


def begin(app, env, docnames):  # noqa: ARG001
    """Begin beside a whole site what `write` needs, where it is not there yet."""
    folder = Path(app.config.nb_execution_cache_path)
    whole = app.builder.name == "html" and len(docnames) > 2 and sys.platform == "linux"
    if whole and not (folder / "found").exists():
        with suppress(Exception):  # a page will say why
            import_module("formulas")  # once, and not there and for autodoc
        app.beside = get_context("fork").Process(target=derived, args=(folder,))
        app.beside.start()


def derived(folder):
    """Return a folder with the card and what llms.txt derives, made once for each state of it all.

    The name of the notebooks' cache is a hash of that state: see conf.py.
    """
    if not (kept := folder / "found").exists():
        from formulas import backward, results
        from picture import card
        from sympy import latex

        lines = ["## Formulas", ""]
        lines += [f"- {name}: $${latex(formula)}$$" for name, formula in results().items()]
        for framework in ("numpy", "torch", "jax"):
            code = backward(framework).strip()
            lines += ["", f"## Code, {framework}", "", "```python", code, "```"]
        with tempfile.TemporaryDirectory(dir=folder) as new:
            made = Path(new) / "made"
            made.mkdir()
            (made / "llms.txt").write_text("\n".join(lines), "utf-8")
            card(made / "card.png")
            made.rename(kept)
    return kept


def llms(app, formulas):
    """Return the formulas and the code, both from the derivation, and what each page is about."""
    what = described(app, app.config.root_doc)
    lines = [f"# {app.config.html_title}", "", f"> {what}", "", formulas, "", "## Pages", ""]
    for page, address in pages(app):
        title, text = app.env.titles[page].astext(), described(app, page)
        lines.append(f"- [{title}]({address}): {text}")
    return "\n".join(lines) + "\n"


def setup(app):
    app.connect("env-before-read-docs", begin)
    app.connect("doctree-read", remember)
    app.connect("html-page-context", describe)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
