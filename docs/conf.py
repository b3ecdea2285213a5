"""The site: MyST pages, executed while they are built."""

import gc
import hashlib
import importlib.util
import logging
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

gc.set_threshold(20_000, 20, 50)  # docutils' trees are cycles: else a tenth of the build's time
logging.basicConfig()  # or Furo's styles do it, and show what every library informs of

docs = Path(__file__).parent
sys.path[:0] = [str(docs), str(docs / "_ext")]
import warm  # noqa: E402

pyproject = tomllib.loads((docs.parent / "pyproject.toml").read_text("utf-8"))

project = "RMSNorm, derived"
release = pyproject["project"]["version"]
language = "en"
html_title = project
html_baseurl = pyproject["tool"]["rmsnorm_math"]["site-url"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "ahead",
    "downloads",
    "katex",
    "mark_doctests",
    "page_metadata",
    "project",
    "run_here",
    "site_fixes",
    "warm",
]
exclude_patterns = ["_build", "_cache", "snippets"]
myst_heading_anchors = 3  # links to a section of another page
myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "deflist", "dollarmath"]

html_theme = "furo"
pygments_dark_style = "a11y-high-contrast-dark"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [
    (name, {"defer": "defer"}) for name in ("scroll.js", "copy-formula.js", "lay-out.js")
]
html_favicon = "_static/icon.svg"
html_copy_source = False
html_domain_indices = False
html_show_copyright = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"

# Names of this project must resolve; others' are not linked, so that the site builds offline.
default_role = "py:obj"  # a link where it names something here, else code
nitpick_ignore_regex = [(r"py:.*", r"(?!rmsnorm_math).*")]
autodoc_member_order = "bysource"
napoleon_use_param = napoleon_use_rtype = False
doctest_global_setup = "from rmsnorm_math import *"

# What a page shows follows from the page, the package, the files beside the pages and the versions
# below. The cache knows the page; the rest is in the cache's name, so that nothing stale is shown.
spec = importlib.util.find_spec("rmsnorm_math")
roots = {Path(spec.origin).parent: "*.py", docs: "*"}
outside = {"_build", "_cache", "_ext", "_static", "__pycache__"}
state = hashlib.sha256(sys.version.encode())
for name in ("sympy", "numpy", "matplotlib"):
    state.update(metadata.version(name).encode())
for root, pattern in roots.items():
    for path in sorted(root.rglob(pattern)):
        local = path.relative_to(root)
        if path.is_file() and path.suffix != ".md" and not outside.intersection(local.parts):
            state.update(local.as_posix().encode() + path.read_bytes())
nb_execution_mode = "cache"
nb_execution_cache_path = str(docs / "_cache/notebooks" / state.hexdigest()[:16])
if not Path(nb_execution_cache_path).exists():  # every page will be executed
    warm.start(warm.KERNELS, *warm.OWN)
get_cache(nb_execution_cache_path).db  # noqa: B018  made now: processes that read pages would race
# A cell that fails is a warning, and with -W an error. Raised, it would lose its message on the way
# from a process that reads pages beside others.
nb_execution_raise_on_error = False
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_render_markdown_format = "myst"  # tables and formulas in the output of a cell
KernelManager.transport_encryption.default_value = "auto"  # plain TCP is a warning
NotebookClient.shutdown_kernel.default_value = "immediate"  # nothing on a page waits for the end
