"""Execute pages side by side before they are read: MyST-NB executes one after the other.

Processes fill the cache in which MyST-NB looks for a page's outputs, so a page that fails is not
there, is executed again when it is read, and is reported as always. Where Sphinx reads pages in
several processes itself (`-j`), and where there is no safe fork, nothing is done ahead.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from myst_nb.core.execute import create_client
from myst_nb.core.loggers import DocutilsDocLogger
from myst_nb.core.read import create_nb_reader


class Silent(DocutilsDocLogger):
    """A logger that says nothing."""

    def __init__(self):
        pass

    def log(self, *args, **options):
        pass


def execute(path, text, md_config, nb_config):
    """Execute a page as MyST-NB's parser does, which raises nothing and then has no entry."""
    reader = create_nb_reader(path, md_config, nb_config, text)
    with create_client(reader.read(text), path, nb_config, Silent(), reader.read_fmt):
        pass


def begin(app, env, docnames):
    """Begin with the pages that have most to execute, and have the pages read in that order."""
    app.executed = {}
    if len(docnames) < 3 or app.parallel > 1 or sys.platform != "linux":
        return
    texts = {name: Path(env.doc2path(name)).read_text("utf-8") for name in docnames}
    sizes = {name: len("".join(text.split("```{code-cell}")[1:])) for name, text in texts.items()}
    docnames.sort(key=lambda name: (sizes[name] > 0, -sizes[name]))
    app.pool = ProcessPoolExecutor(2 * os.cpu_count(), get_context("fork"))  # half of them wait
    for name in filter(sizes.get, docnames):
        arguments = env.doc2path(name), texts[name], env.myst_config, env.mystnb_config
        app.executed[name] = app.pool.submit(execute, *map(str, arguments[:1]), *arguments[1:])


def wait(app, docname, content):  # noqa: ARG001
    """Read a page once its outputs are there."""
    if docname in app.executed:
        with suppress(Exception):
            app.executed.pop(docname).result()
            if not app.executed:
                app.pool.shutdown()


def setup(app):
    app.connect("env-before-read-docs", begin, priority=900)  # after the kernels' process
    app.connect("source-read", wait)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
