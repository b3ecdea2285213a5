"""Execute pages side by side before they are read: MyST-NB executes one after the other.

Processes fill the cache in which MyST-NB looks for a page's outputs. A page that fails is not
there: it is executed again when it is read, and reported as always. Where Sphinx reads pages in
several processes itself (`-j`), and where there is no safe fork, nothing is done ahead.
"""

import atexit
import os
import sys
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from jupyter_cache.cache.main import JupyterCacheBase
from myst_nb.core.execute import create_client
from myst_nb.core.loggers import DocutilsDocLogger
from myst_nb.core.read import create_nb_reader


class Silent(DocutilsDocLogger):
    """A logger that says nothing: the page is executed again, and then it is said."""

    def __init__(self):
        pass

    def log(self, *args, **options):
        pass


def keep_all(cache):
    """Delete nothing: jupyter-cache takes a page that another process caches meanwhile for old."""


def execute(path, text, env):
    """Execute a page as MyST-NB's parser does, unless its outputs are in the cache."""
    reader = create_nb_reader(path, env.myst_config, env.mystnb_config, text)
    notebook = reader.read(text)
    with create_client(notebook, path, env.mystnb_config, Silent(), reader.read_fmt):
        pass


def work(pages, turn, done, env, parent):
    """Execute pages, each the next that no other process has taken."""
    while os.getppid() == parent:
        with turn:
            number, turn.value = turn.value, turn.value + 1
        if number >= len(pages):
            return
        name, path, text = pages[number]
        with suppress(Exception):
            execute(path, text, env)
        done[name].set()


def begin(app, env, docnames):
    """Begin with the pages that have most to execute, and have the pages read in that order."""
    app.done, app.workers = {}, []
    if len(docnames) < 3 or app.parallel > 1 or sys.platform != "linux":
        return
    texts = {name: Path(env.doc2path(name)).read_text("utf-8") for name in docnames}
    sizes = {name: len("".join(text.split("```{code-cell}")[1:])) for name, text in texts.items()}
    docnames.sort(key=lambda name: (sizes[name] > 0, -sizes[name]))
    pages = [(name, str(env.doc2path(name)), texts[name]) for name in docnames if sizes[name]]
    context = get_context("fork")
    turn, app.done = context.Value("i", 0), {name: context.Event() for name, *_ in pages}
    for _ in range(2 * os.cpu_count()):  # half of them wait for kernels to start and end
        arguments = pages, turn, app.done, env, os.getpid()
        app.workers.append(context.Process(target=work, args=arguments, daemon=True))
        app.workers[-1].start()
        atexit.register(app.workers[-1].kill)  # where the build is interrupted, before its kernels


def wait(app, docname, content):  # noqa: ARG001
    """Read a page once its outputs are there, or nobody is left to make them."""
    if docname in app.done:
        while any(worker.is_alive() for worker in app.workers):
            if app.done[docname].wait(1):
                break


def end(app, env):  # noqa: ARG001
    for worker in app.workers:
        worker.join()


def setup(app):
    JupyterCacheBase.truncate_caches = keep_all
    app.connect("env-before-read-docs", begin, priority=900)  # after the kernels' process
    app.connect("source-read", wait)
    app.connect("env-updated", end)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
