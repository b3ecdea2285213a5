"""Let readers take a page with them: as a notebook, as a script, and one zip file that both need.

The zip file holds the package and what lies beside the pages: helpers, data, snippets. Unpacked
beside a notebook, it makes the notebook run anywhere.
"""

import ast
import io
import re
import textwrap
import zipfile
from pathlib import Path

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook

FOLDER, BUNDLE = "notebooks", "rmsnorm_math.zip"
LINKS = """
<p class="take">Take this page with you: <a href="{0}.ipynb" download>notebook</a>,
<a href="{0}.py" download>script</a>, and <a href="{1}" download>rmsnorm_math.zip</a>,
which both need beside them.</p>
"""
UNPACK = """\
# Unpack this project beside the notebook. The zip file is on the page that the notebook is from.
from zipfile import ZipFile

ZipFile("rmsnorm_math.zip").extractall()"""
NEEDS = "It needs SymPy, NumPy and Matplotlib: `pip install sympy numpy matplotlib ipython`."


def bundle(docs):
    """Return the zip file's bytes: the same whenever the files are the same."""
    package = docs.parent / "rmsnorm_math"
    files = {path.relative_to(docs.parent): path for path in package.rglob("*.py")}
    beside = [*docs.glob("*.py"), *docs.glob("[!_]*/**/*")]
    files |= {path.relative_to(docs): path for path in beside if path.name != "conf.py"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            if path.is_file() and "__pycache__" not in name.parts:
                entry = zipfile.ZipInfo(name.as_posix())  # dated 1980
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def cells(path):
    """Return a page's cells, without what only Sphinx reads."""
    book = read_myst_markdown_notebook(path.read_text("utf-8"))
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"```\{toctree\}.*?```\n?", "", cell.source, flags=re.DOTALL)
            # {doc}`vjp` -> `vjp`, {doc}`text <vjp>` -> text
            cell.source = re.sub(r"\{[\w:]+\}`([^`<]+) <[^`]+>`", r"\1", cell.source)
            cell.source = re.sub(r"\{[\w:]+\}(`[^`]+`)", r"\1", cell.source)
    return [cell for cell in book.cells if cell.source]


def notebook(page):
    """Return the notebook of a page's cells, as text."""
    start = [
        nbformat.v4.new_markdown_cell(NEEDS),
        nbformat.v4.new_code_cell(UNPACK, metadata={"tags": ["unpack"]}),
    ]
    kernel = {"name": "python3", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(cells=start + page, metadata={"kernelspec": kernel})
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"  # not random
    return nbformat.writes(book) + "\n"


def script(page):
    """Return the script of a page's cells: what a notebook displays, it prints."""
    parts = [f"# {NEEDS}", UNPACK.replace("notebook", "script")]
    parts.append('def display(value):\n    print(getattr(value, "data", value))')
    for cell in page:
        if cell.cell_type == "markdown":
            parts.append(textwrap.indent(cell.source, "# ", lambda line: True))
        elif code := printing(cell.source):
            if "raises-exception" in cell.metadata.get("tags", []):
                code = textwrap.indent(code, "    ")
                code = f'try:\n{code}\nexcept Exception as error:\n    print(f"{{type(error).__name__}}: {{error}}")'
            parts.append(code)
    return re.sub(r"[ \t]+$", "", "\n\n".join(parts), flags=re.MULTILINE) + "\n"


def printing(source):
    """Return a cell's source with its last expression displayed, and without magics."""
    source = re.sub(r"^%.*\n?", "", source, flags=re.MULTILINE)
    body = ast.parse(source).body
    if body and isinstance(last := body[-1], ast.Expr):
        lines = source.splitlines()[: last.end_lineno]
        value = ast.get_source_segment(source, last.value)
        before = "\n".join(lines[: last.lineno - 1])
        return f"{before}\ndisplay({value})".strip()
    return source.strip()


def take(app, pagename, templatename, context, doctree):  # noqa: ARG001
    if doctree is None or "code-cell" not in (text := Path(app.env.doc2path(pagename))).read_text("utf-8"):
        return
    page = cells(text)
    target = Path(app.outdir) / FOLDER / pagename
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".ipynb").write_text(notebook(page), "utf-8")
    target.with_suffix(".py").write_text(script(page), "utf-8")
    path = [context["pathto"](f"{FOLDER}/{name}", resource=True) for name in (pagename, BUNDLE)]
    context["body"] += LINKS.format(*path)
    context["program"] = f"{path[0]}.ipynb"  # for run_here


def write_bundle(app, exception):
    if not exception and app.builder.format == "html":
        folder = Path(app.outdir) / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / BUNDLE).write_bytes(bundle(Path(app.srcdir)))


def setup(app):
    app.connect("html-page-context", take)
    app.connect("build-finished", write_bundle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
