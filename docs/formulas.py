"""What pages show beside SymPy's own output: an equation with a name on its left, a table, code."""

import sys

import sympy
from IPython.display import Markdown
from sympy import Eq, Symbol, latex


def equation(left, right):
    """Return `left = right`, with the left side given in LaTeX."""
    return Eq(Symbol(left), right, evaluate=False)


def table(header, *rows):
    """Return a table; SymPy's expressions in it are set as formulas, numbers with 6 digits."""
    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))


def code(text):
    """Return Python source text, to be shown with colours and a copy button."""
    return Markdown(f"```python\n{text.strip()}\n```")


def tabs(texts):
    """Return source texts, `{label: text}`, in tabs that switch together on all pages."""
    items = (
        f":::{{tab-item}} {label}\n:sync: {label}\n\n```python\n{text.strip()}\n```\n:::\n"
        for label, text in texts.items()
    )
    return Markdown("::::{tab-set}\n:sync-group: framework\n\n" + "\n".join(items) + "::::\n")


def versions(*modules):
    """Return the sentence that says which versions computed the page."""
    used = [f"{module.__name__} {module.__version__}" for module in (sympy, *modules)]
    return Markdown(f"*Computed with Python {sys.version.split()[0]}, {', '.join(used)}.*")


def _cell(value):
    if isinstance(value, str):
        return value
    if isinstance(value, float) or getattr(value, "is_Float", False):
        return f"{float(value):.6g}"
    return f"${latex(value)}$"
