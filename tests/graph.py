"""Who reads from whom: `python -m tests.graph` draws it in CONTRIBUTING.md, `... verify` shows one.

A line stands for an import, unless one that goes through others says it already.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"(?<=```mermaid\n%% rmsnorm_math/)(\w*)\n(.*?)(?=```)", re.DOTALL)


def imports(folder: str) -> dict[str, set[str]]:
    """Return, for each module or folder in a folder of the package, those that it reads from."""
    package = f"rmsnorm_math/{folder}".strip("/")
    prefix, found = package.replace("/", ".") + ".", dict[str, set[str]]()
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT / package).with_suffix("").parts[0]
        if name.startswith("__"):
            continue
        own = found.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                own |= {n.removeprefix(prefix).split(".")[0] for n in names if n.startswith(prefix)}
    return {name: own & {*found} - {name} for name, own in found.items()}


def drawn(folder: str) -> str:
    """Return the graph of a folder as Mermaid draws it."""
    below = imports(folder)

    def reached(name: str) -> set[str]:
        return below[name].union(*map(reached, below[name]))

    lines = ["graph LR"]
    for name, others in below.items():
        direct = others - set().union(*map(reached, others))
        lines += [f"  {name} --> {' & '.join(sorted(direct))}"] if direct else []
    return "\n".join(lines) + "\n"


def redrawn(text: str) -> str:
    """Return a page with its graphs as they are now."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{drawn(found[1])}", text)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.write(drawn(sys.argv[1]))
    else:
        PAGE.write_text(redrawn(PAGE.read_text("utf-8")), "utf-8")
