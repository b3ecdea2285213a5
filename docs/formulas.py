"""What pages show beside SymPy's own output: an equation with a name on its left, a table, code."""

import sys

import sympy
from IPython.display import Markdown
from records import written
from sympy import Eq, MatAdd, Symbol, latex

from rmsnorm_math import abbreviate, jacobian, rms, rmsnorm, source, vjp
from rmsnorm_math.notation import epsilon, gamma, i, j, r, x, xhat, ybar


class Equation(Eq):
    """An equation whose sums of matrices are shown in the order in which they were written."""

    def _latex(self, printer):  # noqa: ARG002
        order = "none" if self.has(MatAdd) else None
        text = " = ".join(latex(side, order=order) for side in self.args)
        return text.replace("+ - ", "- ")


def equation(left, right):
    """Return `left = right`, with the left side given in LaTeX."""
    return Equation(Symbol(left), right, evaluate=False)


class Line:
    """A numbered equation: a formula on a page, SymPy's text where it is printed."""

    def __init__(self, number, left, right):
        self.equation, self.number = equation(left, right), number

    def _repr_latex_(self):
        return rf"$$\displaystyle {latex(self.equation)} \tag{{{self.number}}}$$"

    def __repr__(self):
        return str(self.equation)


def unfold(*answers):
    """Return texts, `(title, text)`, each behind its title until that is pressed."""
    items = (f":::{{dropdown}} {title}\n{text.strip()}\n:::\n" for title, text in answers)
    return Markdown("\n".join(items))


def results():
    """Return what this site is about: the layer and its derivatives, `{what: equation}`."""
    found = {
        "the layer": ("y_i", rmsnorm()),
        "the Jacobian": ("J_{ij}", jacobian(rmsnorm(), x[j])),
        "the gradient of the input": (r"\bar{x}_j", vjp(rmsnorm(), x[j], ybar[i])),
        "the gradient of the weight": (r"\bar{\gamma}_j", vjp(rmsnorm(), gamma[j], ybar[i])),
    }
    names = {r: rms(), xhat[i]: x[i] / r}
    plain = ("the layer", "the Jacobian")  # without xhat, as people look for them
    short = {
        what: equation(left, abbreviate(right, {r: rms()} if what in plain else names))
        for what, (left, right) in found.items()
    }
    return {
        **short,
        "the root mean square": equation("r", rms()),
        "the normalised input": equation(r"\hat{x}_i", x[i] / r),
    }


def backward(framework):
    """Return the source of the gradient of the input, for one of the three frameworks."""
    arguments = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}
    dx = vjp(rmsnorm(), x[j], ybar[i])
    return source({"dx": dx}, arguments, {r: rms(), xhat[i]: x[i] / r}, framework=framework)


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
        f":::{{tab-item}} {label}\n:sync: {label}\n\n"
        f"```{'c' if label == 'C' else 'python'}\n{text.strip()}\n```\n:::\n"
        for label, text in texts.items()
    )
    return Markdown("::::{tab-set}\n:sync-group: framework\n\n" + "\n".join(items) + "::::\n")


def versions(*modules):
    """Return the sentence that says which versions computed the page."""
    used = [f"{written(module.__name__)} {module.__version__}" for module in (sympy, *modules)]
    return Markdown(f"*Computed with Python {sys.version.split()[0]}, {', '.join(used)}.*")


def _cell(value):
    if isinstance(value, str):
        return value
    if isinstance(value, int) or getattr(value, "is_Integer", False):
        return str(value).replace("-", "\N{MINUS SIGN}")
    if isinstance(value, float) or getattr(value, "is_Float", False):
        return f"{float(value):.6g}".replace("-", "\N{MINUS SIGN}")
    return f"${latex(value)}$"
