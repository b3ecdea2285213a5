"""Run a cell as a notebook does; run-worker.js calls `run_cell`."""

import ast
import io
import re
import sys
import traceback
import types
from contextlib import redirect_stderr, redirect_stdout

HERE = (
    "In the browser there are SymPy, mpmath and this project; "
    "the notebook at the end of the page runs the rest."
)
outputs = []  # (kind, text), of the cell that runs


class Stream(io.TextIOBase):
    def write(self, text):
        if outputs and outputs[-1][0] == "text":
            text = outputs.pop()[1] + text
        outputs.append(("text", text))
        return len(text)


def display(*values):
    for value in values:
        for kind in ("html", "markdown", "latex"):
            method = getattr(value, f"_repr_{kind}_", None)
            if method and (text := method()):
                outputs.append(("html", html(text)) if kind == "markdown" else (kind, text))
                break
        else:
            items = sorted(map(repr, value)) if type(value) is set else []  # as IPython does
            display_text(f"{{{', '.join(items)}}}" if items else repr(value))


def display_text(text):
    print(text, file=Stream())


def html(markdown):
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    # MyST's tabs and what unfolds: one below the other, each with its label
    markdown = re.sub(
        r"^:::\{(?:tab-item|dropdown)\} (.*)$", r"**\1**\n", markdown, flags=re.MULTILINE
    )
    markdown = re.sub(r"^:.*$", "", markdown, flags=re.MULTILINE)
    parser = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
    return parser.render(markdown)


def stand_in():
    """Put a small IPython.display in IPython's place."""

    class Shown:
        def __init__(self, data):
            self.data = data

    module = types.ModuleType("IPython.display")
    module.display = display
    for name, kind in {"HTML": "html", "Latex": "latex", "Markdown": "markdown"}.items():
        method = {f"_repr_{kind}_": lambda self: self.data}
        setattr(module, name, type(name, (Shown,), method))
    package = types.ModuleType("IPython")
    package.display = module
    sys.modules |= {"IPython": package, "IPython.display": module}


class Absent:
    """What could not be imported: using it is the error, so that the rest of the cell runs."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        raise self.error

    def __call__(self, *args, **options):  # noqa: ARG002
        raise self.error


def absent(error):
    display_text(f"{error}. {HERE}")
    return Absent(error)


def forgiving(statement):
    """Return an import that goes on where a module is not here."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return statement
    names = [(alias.asname or alias.name).split(".")[0] for alias in statement.names]
    if names == ["*"]:
        return statement
    source = f"try: ...\nexcept ModuleNotFoundError as e: {' = '.join(names)} = _absent(e)"
    attempt = ast.parse(source).body[0]
    attempt.body = [statement]
    return attempt


def run_cell(source, checked):
    """Return the cell's outputs, and whether it failed.

    The checks of a cell that the page hides were made when the page was built: with `checked`,
    its assertions are left out.
    """
    outputs.clear()
    source = re.sub(r"^%.*$", "", source, flags=re.MULTILINE)  # magics
    failed = False
    with redirect_stdout(Stream()), redirect_stderr(Stream()):
        try:
            tree = ast.parse(source, "<cell>")
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            tree.body = [forgiving(statement) for statement in tree.body]
            exec(compile(tree, "<cell>", "exec", optimize=1 if checked else 0), space)
            if last:
                value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), space)
                if value is not None:
                    display(value)
        except BaseException as error:  # noqa: BLE001
            failed = True
            outputs.append(("error", message(error)))
    return outputs, failed


def message(error):
    text = "".join(traceback.format_exception_only(error)).strip()
    text = re.sub(r"^(?:\w+\.)+(?=\w+: )", "", text)  # a notebook names the type alone
    if isinstance(error, ModuleNotFoundError):
        return f"{text}. {HERE}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<cell>"]
    return f"{text}\n(line {lines[-1]} of the cell)" if lines and lines[-1] > 1 else text


space = {"__name__": "__main__", "_absent": absent}
stand_in()
