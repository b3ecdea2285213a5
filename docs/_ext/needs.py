"""Which cells of a page need what a browser does not have: NumPy and what is built on it."""

import ast
import symtable
import sys
from functools import cache
from pathlib import Path

HERE = {"sympy", "mpmath", "IPython", "rmsnorm_math", *sys.stdlib_module_names}
ARRAYS = {"rmsnorm_math.verify", "rmsnorm_math.function"}  # of this package: they need NumPy
DOCS = Path(__file__).parents[1]


@cache
def absent(module):
    """Return whether a module cannot be imported in the browser."""
    root = module.split(".")[0]
    if root in HERE:
        return any(module == name or module.startswith(f"{name}.") for name in ARRAYS)
    beside = DOCS / f"{root}.py"
    if not beside.exists():
        return True
    return any(absent(name) for node in ast.parse(beside.read_text("utf-8")).body
               for name in imported(node).values())  # fmt: skip


def imported(node):
    """Return what an import binds: `{name: module}`."""
    if isinstance(node, ast.Import):
        return {(a.asname or a.name).split(".")[0]: a.name for a in node.names}
    if isinstance(node, ast.ImportFrom):
        return {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return {}


class Scoped(ast.NodeTransformer):
    """Makes a function of each comprehension, whose names `symtable` mixes up since Python 3.12."""

    def visit(self, node):
        self.generic_visit(node)
        if not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            return node
        first, *others = node.generators
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        values += [part for g in node.generators for part in g.ifs] + [g.iter for g in others]
        targets = [n for g in node.generators for n in ast.walk(g.target)]
        own = dict.fromkeys(n.id for n in targets if isinstance(n, ast.Name))
        arguments = ast.arguments([], [ast.arg(name) for name in own], None, [], [], None, [])
        body = ast.Tuple(values, ast.Load())
        return ast.Tuple([first.iter, ast.Lambda(arguments, body)], ast.Load())


def names(node):
    """Return the names that a statement reads from the page, and those that it binds there."""
    top = symtable.symtable(ast.unparse(Scoped().visit(node)), "cell", "exec")
    used = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    inner = top.get_children()
    while inner:
        table = inner.pop()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
        inner += table.get_children()
    return used, {s.get_name() for s in top.get_symbols() if s.is_assigned()}


def needs(sources):
    """Return for each cell, in the order in which they run, whether it cannot run in a browser."""
    lost, found = set(), []
    for source in sources:
        lines = [line for line in source.splitlines() if not line.startswith("%")]
        failed = False
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                lost |= {name for name, module in imported(node).items() if absent(module)}
                continue
            used, bound = names(node)
            fails = bool(used & lost)
            failed = failed or (fails and not isinstance(node, ast.FunctionDef))  # not yet called
            lost = lost | bound if failed or fails else lost - bound
        found.append(failed)
    return found
