"""What the page "Derive yours" shows of a layer: its derivatives as formulas, and its code."""

import json
import re
import textwrap
from html import escape
from itertools import count
from typing import get_args

from formulas import tabs
from IPython.display import HTML, Markdown
from layer_text import Unreadable, read
from sympy import Idx, Indexed, IndexedBase, KroneckerDelta, Sum, Symbol, latex

from rmsnorm_math import Refused, abbreviate, jacobian, source, vjp
from rmsnorm_math.codegen import Framework

EXAMPLES = {
    "RMSNorm": """\
r[b] = sqrt(Sum(x[b, k]**2, (k, 1, n))/n + epsilon)
y[b, i] = gamma[i]*x[b, i]/r[b]
b: (1, m)""",
    "LayerNorm": """\
mu[b] = Sum(x[b, k], (k, 1, n))/n
sigma[b] = sqrt(Sum((x[b, k] - mu[b])**2, (k, 1, n))/n + epsilon)
y[b, i] = gamma[i]*(x[b, i] - mu[b])/sigma[b] + beta[i]
b: (1, m)""",
    "softmax": """\
y[i] = exp(x[i])/Sum(exp(x[k]), (k, 1, n))""",
    "a gated RMSNorm": """\
r[b] = sqrt(Sum(x[b, k]**2, (k, 1, n))/n + epsilon)
y[b, i] = gamma[i]*x[b, i]/r[b]*z[b, i]/(1 + exp(-z[b, i]))
b: (1, m)""",
    "cross-entropy": """\
loss[b] = log(Sum(exp(x[b, k]), (k, 1, n))) - Sum(KroneckerDelta(k, label[b])*x[b, k], (k, 1, n))
b: (1, m)""",
    "a linear layer": """\
y[b, o] = Sum(W[o, i]*x[b, i], (i, 1, n)) + c[o]
b: (1, m)
o: (1, O)""",
}
FIRST = "RMSNorm"
LABELS = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "numba": "Numba", "triton": "Triton"}
LABELS["c"] = "C"
FORM = """
<form class="derive" hidden data-examples="{examples}" {labels}>
<label>Examples <select><option value="">your own</option>{options}</select></label>
<label>The layer <textarea rows="5" spellcheck="false" autocapitalize="off" autocomplete="off"
 autocorrect="off" maxlength="2000">{text}</textarea></label>
<div class="derive-bar"><button type="submit">Derive</button>
<button type="button">Copy the link</button> <span role="status"></span> <span></span></div>
<div class="derived"></div>
</form>
<noscript><p>To derive another layer than the one below, the page needs JavaScript.</p></noscript>
"""
LETTERS = "jpqlstuvw"
LENGTHS = {"i": "n", "b": "m"}  # others: the index's letter, as a capital
CONSTANTS = {"epsilon", "eps"}  # no parameter is learned under these names


def answer(text):
    """Return as JSON what `derive` finds, or the message of what is wrong and its line."""
    layer = None
    try:
        layer = read(text)
        found = derive(layer)
    except Unreadable as error:
        found = {"error": str(error), "line": error.line or (layer and layer.line)}
    except Refused as error:
        found = {"error": on_this_page(str(error)), "line": layer.line}
    except (RecursionError, MemoryError):
        found = {"error": "this is too large to be derived here: the package does it", "line": None}
    return json.dumps(found)


def on_this_page(message):
    """Return a message of the package with what to write here in place of what to pass."""
    return re.sub(r"Pass ranges=\{(\w+): (\(.*?\))\}", r"Add the line \1: \2", message)


def derive(layer):
    """Return the formulas, `[what, LaTeX]`, and the code by framework, of a layer."""
    y, output = layer.formula, layer.element
    free = list(output.indices) if isinstance(output, Indexed) else []
    if unknown := sorted(
        {str(s) for s in y.free_symbols if isinstance(s, Idx)} - {*map(str, free)}
    ):
        raise Unreadable(f"the index {unknown[0]} is free on the right: put it on the left, or sum")
    ranges = ranges_of(layer, free)
    bar = IndexedBase(f"{output.base}bar") if free else Symbol(f"{output}bar")
    inputs = variables(y)
    elements = [element(y, variable, free) for variable in inputs]
    gradients = [vjp(y, wrt, bar[tuple(free)] if free else bar, ranges) for wrt in elements]

    leading = {s for e in y.atoms(Indexed) if e.base == inputs[0] for s in e.indices[:-1]}
    wrt = element(y, inputs[0], [s for s in free if s in leading])  # a row's own Jacobian
    formulas = [["the layer", equation(latex(output), y, layer, ranges)]]
    slope = rf"\frac{{\partial {latex(output)}}}{{\partial {latex(wrt)}}}"
    formulas.append(["the Jacobian", equation(slope, jacobian(y, wrt, ranges), layer, ranges)])
    for wrt, gradient in zip(elements, gradients, strict=True):
        shown = equation(barred(wrt), gradient, layer, ranges)
        formulas.append([f"the gradient of {name(wrt)}", shown])
    for short, value in layer.where.items():
        formulas.append(["where", f"{latex(short)} = {latex(value)}"])
    outputs = {key(output, name(output)): y}
    outputs |= {key(w, f"d{name(w)}"): g for w, g in zip(elements, gradients, strict=True)}
    return {"formulas": formulas, "code": code(layer, outputs, bar)}


def ranges_of(layer, free):
    """Return the stated ranges, and 1 to a length of its own for an index that no sum shows."""
    y, ranges = layer.formula, dict(layer.ranges)
    bound = {limit[0] for node in y.atoms(Sum) for limit in node.limits}
    for index in free:
        axes = {
            (e.base, at) for e in y.atoms(Indexed) for at, s in enumerate(e.indices) if s == index
        }
        others = {e.indices[at] for base, at in axes for e in y.atoms(Indexed) if e.base == base}
        if index not in ranges and not others & bound:
            letter = LENGTHS.get(str(index), str(index).upper())
            ranges[index] = (1, Symbol(letter, integer=True, positive=True))
    return ranges


def variables(expr):
    """Return what the layer can be differentiated by: its arrays, x first, then its numbers."""
    labels = {e.base for delta in expr.atoms(KroneckerDelta) for e in delta.atoms(Indexed)}
    bases = {e.base for e in expr.atoms(Indexed)} - labels
    if not bases:
        raise Unreadable("the last line, the layer, has no array: write its elements, x[i]")
    numbers = {s for s in expr.free_symbols if type(s) is Symbol and not s.is_integer}
    numbers = {s for s in numbers if str(s) not in CONSTANTS | {str(b) for b in bases | labels}}
    return [*sorted(bases, key=lambda b: (str(b) != "x", str(b))), *sorted(numbers, key=str)]


def element(expr, variable, free):
    """Return the element to differentiate by: an index that all its elements share stays."""
    if isinstance(variable, Symbol):
        return variable
    places = zip(*(e.indices for e in expr.atoms(Indexed) if e.base == variable), strict=True)
    taken = {str(s) for s in expr.atoms(Idx)}
    spare = (f"{letter}{at or ''}" for at in count() for letter in LETTERS)
    return variable[tuple(
        place[0] if len({*place}) == 1 and place[0] in free
        else Idx(next(letter for letter in spare if letter not in taken))
        for place in places
    )]  # fmt: skip


def name(wrt):
    return str(getattr(wrt, "base", wrt))


def key(element, label):
    """Return the key of a result among the outputs of the code: its indices give the axes."""
    return IndexedBase(label)[element.indices] if isinstance(element, Indexed) else label


def barred(wrt):
    indices = f"_{{{','.join(map(latex, wrt.indices))}}}" if isinstance(wrt, Indexed) else ""
    return rf"\bar{{{latex(getattr(wrt, 'base', wrt))}}}{indices}"


def equation(left, right, layer, ranges):
    """Return the LaTeX of an equation, with the layer's own names and letters on its right."""
    right = abbreviate(right, layer.where) if layer.where else right
    limits = {limit for node in right.atoms(Sum) for limit in node.limits}
    for index, *ends in limits:
        own = next((s for s, span in ranges.items() if [*span] == ends), index)
        if not right.has(own):
            right = right.xreplace({index: own})
    return f"{left} = {latex(right)}"


def code(layer, outputs, bar):
    """Return the forward and all gradients as code, or why there is none, for each framework."""
    arrays = {e.base for e in layer.formula.atoms(Indexed)}
    numbers = {s for s in layer.formula.free_symbols if type(s) is Symbol and not s.is_integer}
    numbers -= {base.label for base in arrays}
    given = {bar: f"d{name(layer.element)}"}
    given |= {base: str(base) for base in sorted(arrays, key=lambda b: (str(b) != "x", str(b)))}
    given |= {number: str(number) for number in sorted(numbers, key=str)}
    texts = {}
    for framework in get_args(Framework):
        try:
            texts[framework] = source(outputs, given, layer.where, framework, "forward_backward")
        except Refused as refusal:
            texts[framework] = textwrap.fill(
                f"There is no code for this: {refusal}",
                78,
                initial_indent="# ",
                subsequent_indent="# ",
            )
    return texts


def form():
    """Return the form of the page; _static/derive.js shows it, where Python can be fetched."""
    options = "".join(f"<option{' selected' * (n == FIRST)}>{escape(n)}</option>" for n in EXAMPLES)
    labels = " ".join(f'data-{name}="{label}"' for name, label in LABELS.items())
    examples = escape(json.dumps(EXAMPLES))
    text = escape(EXAMPLES[FIRST])
    return HTML(FORM.format(examples=examples, labels=labels, options=options, text=text))


def derived():
    """Return what is derived of the first example, as the page shows it when it is opened."""
    found = derive(read(EXAMPLES[FIRST]))
    lines = [f"{what[0].upper()}{what[1:]}:\n\n$$\n{tex}\n$$\n" for what, tex in found["formulas"]]
    return Markdown("\n".join(lines) + tabs({LABELS[f]: t for f, t in found["code"].items()}).data)
