"""Let readers take a page with them: as a notebook with its outputs, and as a script.

Both need one zip file beside them.

The zip file holds the package, so that pip installs it, and what lies beside the pages: helpers,
data, snippets. With it beside them, notebook and script run anywhere.
"""

import ast
import io
import re
import textwrap
import tomllib
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import jupytext
import nbformat
import needs
from jupyter_cache import get_cache
from project import TEXTS
from sphinx.directives.code import LiteralIncludeReader

FOLDER, BUNDLE = "notebooks", "rmsnorm_math.zip"
PROJECT = r"```\{project\} (\w+)\n```"
LINKS = """
<p class="take">Take this page with you: <a href="{0}.ipynb" download>notebook</a>,
<a href="{0}.py" download>script</a>, and <a href="{1}" download>rmsnorm_math.zip</a>,
which both need beside them.</p>
"""
UNPACK = """\
# The files of this project: the zip file is on the page that this is from. It goes beside this.
import os, sys
from zipfile import ZipFile

if not os.path.exists("formulas.py"):
    ZipFile("rmsnorm_math.zip").extractall("rmsnorm_math_files")
    os.chdir("rmsnorm_math_files")
sys.path.insert(0, "")"""
INCLUDED = re.compile(r"```\{literalinclude\} (?P<file>.*)\n(?P<options>(?::.*\n)*)```")
DISPLAY = """\
import IPython.display

def display(*values):
    for value in values:
        kind = type(value).__name__
        if value is not None and kind != "HTML":
            print(value.data if kind == "Markdown" else value)

IPython.display.display = display"""
TRY = """\
try:
{}
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")"""


def bundle(docs):
    """Return the zip file's bytes: the same whenever the files are the same."""
    package = docs.parent / "rmsnorm_math"
    files = {path.relative_to(docs.parent): path for path in package.rglob("*.py")}
    beside = [*docs.glob("*.py"), *docs.glob("[!_]*/**/*")]
    files |= {path.relative_to(docs): path for path in beside if path.name != "conf.py"}
    files |= {Path(name): docs.parent / name for name in ("LICENSE", "README.md", "pyproject.toml")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            if path.is_file() and "__pycache__" not in name.parts:
                entry = zipfile.ZipInfo(name.as_posix())  # dated 1980
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def requirements(docs):
    """Return the sentence that says what to install: what the dependency group `pages` lists."""
    pyproject = tomllib.loads((docs.parent / "pyproject.toml").read_text("utf-8"))
    groups = pyproject["project"]["dependencies"], pyproject["dependency-groups"]["pages"]
    names = [re.match(r"[\w-]+", name)[0] for group in groups for name in group]
    return f"What this needs: `pip install {' '.join(names)}`."


def included(folder, config, directive):
    """Return as a block of code what a literalinclude shows."""
    options = dict(re.findall(r"(?m)^:([\w-]+): (.*)", directive["options"]))
    code, _ = LiteralIncludeReader(folder / directive["file"], options, config).read()
    return f"```{options['language']}\n{code}```"


def cells(path, config):
    """Return a page's cells with their outputs, without what only Sphinx reads."""
    book = jupytext.reads(path.read_text("utf-8"), "md:myst")
    with suppress(KeyError):  # of a page with a cell that fails nothing is kept
        _, book = get_cache(config.nb_execution_cache_path).merge_match_into_notebook(book)
    for cell in book.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        if cell.cell_type == "markdown":
            cell.source = re.sub(
                r"```\{(toctree|index)\}.*?```\n?", "", cell.source, flags=re.DOTALL
            )
            cell.source = re.sub(PROJECT, lambda of: TEXTS[of[1]](), cell.source)
            cell.source = re.sub(INCLUDED, partial(included, path.parent, config), cell.source)
            cell.source = re.sub(r"(?m)^:{3,}\{tab-item\} (.*)", r"**\1**\n", cell.source)
            cell.source = re.sub(r"(?m)^:.*\n|^:{3,}\s*\Z", "", cell.source)
            # {doc}`vjp` -> `vjp`, {doc}`text <vjp>` -> text
            cell.source = re.sub(r"\{[\w:]+\}`([^`<]+) <[^`]+>`", r"\1", cell.source)
            cell.source = re.sub(r"\{[\w:]+\}(`[^`]+`)", r"\1", cell.source)
    return [cell for cell in book.cells if cell.source]


def notebook(page, needed):
    """Return the notebook of a page's cells, as text."""
    start = [
        nbformat.v4.new_markdown_cell(needed),
        nbformat.v4.new_code_cell(UNPACK, metadata={"tags": ["unpack"]}),
    ]
    kernel = {"name": "python3", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(cells=start + page, metadata={"kernelspec": kernel})
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"  # not random
    return nbformat.writes(book) + "\n"


def script(page, needed):
    """Return the script of a page's cells: what a notebook displays, it prints."""
    parts = [f"# {needed}", UNPACK]
    parts.append(DISPLAY)
    for cell in page:
        if cell.cell_type == "markdown":
            parts.append(re.sub("^", "# ", cell.source, flags=re.MULTILINE))
        elif code := printing(cell.source):
            if "raises-exception" in cell.metadata.get("tags", []):
                code = TRY.format(textwrap.indent(code, "    "))
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
        value = f"({value})" if isinstance(last.value, ast.Tuple) else value
        return f"{before}\ndisplay({value})".strip()
    return source.strip()


def take(app, pagename, templatename, context, doctree):  # noqa: ARG001
    source = Path(app.env.doc2path(pagename))
    if doctree is None or "```{code-cell}" not in source.read_text("utf-8"):
        return
    page, needed = cells(source, app.config), requirements(Path(app.srcdir))
    try:
        code_of_page = script(page, needed)
    except SyntaxError:  # a cell has failed, and MyST-NB has said so
        return
    target = Path(app.outdir) / FOLDER / pagename
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".ipynb").write_text(notebook(page, needed), "utf-8")
    target.with_suffix(".py").write_text(code_of_page, "utf-8")
    path = [context["pathto"](f"{FOLDER}/{name}", resource=True) for name in (pagename, BUNDLE)]
    context["body"] += LINKS.format(*path)
    context["program"] = f"{path[0]}.ipynb"  # for run_here
    code = [cell for cell in page if cell.cell_type == "code"]
    hidden = ["remove-cell" in cell.metadata.get("tags", []) for cell in code]
    lost = needs.needs([cell.source for cell in code])
    context["needs"] = [lost for lost, hide in zip(lost, hidden, strict=True) if not hide]


def write_bundle(app, exception):
    if not exception and app.builder.format == "html":
        folder = Path(app.outdir) / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / BUNDLE).write_bytes(bundle(Path(app.srcdir)))


def setup(app):
    app.connect("html-page-context", take)
    app.connect("build-finished", write_bundle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
