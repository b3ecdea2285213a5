"""Names in the code: a name that is given is data, and becomes code only where it is a name."""

import ast
import re
import unicodedata
from collections.abc import Iterable
from itertools import count
from keyword import iskeyword
from typing import Any

from rmsnorm_math.errors import Refused

#: What printed code calls modules; nothing else may have these names.
MODULES = ("np", "torch", "jnp", "jax", "math")


def is_name(text: Any) -> bool:
    """Return whether `text` can be the name of a variable."""
    return (
        isinstance(text, str)
        and text.isidentifier()
        and not iskeyword(text)
        and text != "__debug__"
        and unicodedata.normalize("NFKC", text) == text
    )


def refuse_names(given: Iterable[Any]) -> None:
    """Raise if a name is no name in Python, or would stand for two things."""
    taken = {*MODULES}
    for text in given:
        if not is_name(text):
            raise Refused(f"{text!r} is no name in Python: call it otherwise.")
        if text in taken:
            raise Refused(
                f"{text!r} would stand for two things: arguments, outputs and definitions "
                f"need different names, and none may be called {', '.join(MODULES)}."
            )
        taken.add(text)


def refuse_taken(text: str, name: str, arguments: Iterable[str] = ()) -> None:
    """Raise if a file in Python has something else by the name of its function or an argument."""
    tree, given = ast.parse(text), {*arguments}
    own = _top_level(tree)
    own.remove(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            own += _beside(node, given)
    for taken in (name, *sorted(given)):
        if taken in own:
            raise Refused(f"the file has a {taken} of its own: call what you name so otherwise.")


def _top_level(tree: ast.Module) -> list[str]:
    """Return the names that a file gives: of modules, constants, classes, functions."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += [alias.asname or alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found


def _beside(function: ast.FunctionDef, arguments: set[str]) -> list[str]:
    """Return what a function that gets or unpacks the arguments of a layer uses beside them."""
    parameters = [parameter.arg for parameter in function.args.args]
    parts = [*ast.walk(function)]
    unpacked = {
        target.id
        for part in parts
        if isinstance(part, ast.Assign)
        for several in part.targets
        if isinstance(several, ast.Tuple)
        for target in several.elts
        if isinstance(target, ast.Name)
    }
    if not arguments & {*parameters, *unpacked}:
        return []
    called = [part.func for part in parts if isinstance(part, ast.Call)]
    words = [word.id for word in called if isinstance(word, ast.Name)]
    own = parameters if arguments & unpacked else []
    return [*own, *(word for word in words if word not in parameters)]


def identifier(text: str, otherwise: str) -> str:
    r"""Return `text` as the name of a variable: xi of ``\xi``."""
    name = re.sub(r"\W", "", unicodedata.normalize("NFKC", text))
    return name if is_name(name) and name not in MODULES else otherwise


def fresh(stem: str, taken: set[str], pattern: str = "{}_{}") -> str:
    """Return a name that is not taken, `stem` if that is free, and take it."""
    numbered = (stem if k == 1 else pattern.format(stem, k) for k in count(1))
    name = next(text for text in numbered if text not in taken)
    taken.add(name)
    return name


def quoted(text: str) -> str:
    """Return `text` as it may stand in a docstring: nothing in it ends the docstring."""
    visible = "".join(c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in text)
    return visible.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
