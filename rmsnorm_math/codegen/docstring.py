"""What a printed function says of itself: formulas, names and shapes."""

import re
from collections.abc import Mapping
from textwrap import fill

from sympy import Expr

from rmsnorm_math.codegen.build import label_of
from rmsnorm_math.codegen.names import quoted
from rmsnorm_math.codegen.record import Key, Program
from rmsnorm_math.index.walk import free_indices


def docstring_of(recorded: Program, arguments: Mapping[Expr, str]) -> str:
    """Return the docstring, with its quotes."""
    labels = ", ".join(result.label for result in recorded.results)
    formulas = "\n".join(formula(*pair) for pair in recorded.formulas)
    renamed = ", ".join(f"{text} for {key}" for key, text in arguments.items() if text != str(key))
    arrays = [p for p in recorded.parameters if p.axes]
    axes = {p.name: [axis.name for axis in p.axes] + ["1"] * p.column for p in arrays}
    shapes = ", ".join(
        f"{name} ({', '.join(own)}{',' * (len(own) < 2)})" for name, own in axes.items()
    )
    plain = recorded.batch is not None and all(len(own) < 3 for own in axes.values())
    notes = [f"With {renamed}."] if renamed else []
    notes += [] if plain else [f"Shapes: {shapes}."]
    head, *notes = map(quoted, [f"Return {labels}.", *notes])
    text = "\n\n".join([head, formulas, *notes, *notes_of(recorded)])
    return f'"""{text}\n"""'


def notes_of(recorded: Program) -> list[str]:
    """Return the notes of a program as paragraphs of a docstring."""
    return [quoted(fill(note, 92, break_long_words=False)) for note in recorded.notes]


def formula(key: Key, expr: Expr) -> str:
    """Return a formula for a docstring, no element and no limits of a sum broken."""
    left = str(key)
    if isinstance(key, str) and (indices := sorted(free_indices(expr), key=str)):
        left = f"{label_of(key)}[{', '.join(map(str, indices))}]"
    whole = r"\[[^\[\]]*\]|\(\w+, [^(),]*, [^(),]*\)"  # x[b, i] and (i, 1, n)
    text = re.sub(whole, lambda found: found[0].replace(" ", "\0"), f"{left} = {expr}")
    text = fill(text, 92, subsequent_indent="    ", break_long_words=False)
    return quoted(text.replace("\0", " "))
