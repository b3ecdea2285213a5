"""Long lines of printed code are broken inside their brackets, in Python and in C alike."""

import re
from collections.abc import Iterator

WIDTH = 99  # 100 columns are shown without scrolling
ASSIGNED = re.compile(r"( *(?:return |[\w\[\], *]+ [-+*/]?= ))(.*?)(;?)$")
INDEX = re.compile(r"[\w\])]\[[^\[\]]*$")  # an index that is open, and holds no other
BREAKS = re.compile(r", | [-+*/] ")


def wrapped(text: str) -> str:
    """Return the text with no line longer than 99 characters, where a line can be broken."""
    lines, quoted = [], False
    for line in text.split("\n"):
        whole = quoted or '"""' in line or re.match(r" *(#|//)", line)
        quoted ^= line.count('"""') == 1
        lines += [line] if whole or len(line) <= WIDTH else broken(line)
    return "\n".join(lines)


def broken(line: str) -> list[str]:
    """Return the lines that a line becomes: each break is in as few brackets as can be."""
    assigned = ASSIGNED.match(line)
    if assigned and any(not depth for _, _, depth in breaks(assigned[2], 0)):
        head, value, end = assigned.groups()
        line = f"{head}({value}){end}"
    further = " " * (len(line) - len(line.lstrip()) + 4)
    lines, depth = [], 0
    while len(line) > WIDTH:
        places = [
            (level, comma, -at)
            for at, comma, level in breaks(line, depth)
            if level and len(further) < at <= WIDTH
        ]
        if not places:
            break
        _, _, at = min(places)
        lines.append(line[:-at].rstrip())
        depth += opened(lines[-1])
        line = further + line[-at:].lstrip()
    return [*lines, line]


def breaks(line: str, depth: int) -> Iterator[tuple[int, bool, int]]:
    """Yield where the line can be broken, whether at an operator, and in how many brackets.

    Between the brackets of an index it is not broken.
    """
    plain = without_strings(line)
    for found in BREAKS.finditer(plain):
        comma = found[0] == ", "
        at = found.end() if comma else found.start() + 1
        if not INDEX.search(plain[:at]):
            yield at, not comma, depth + opened(plain[:at])


def opened(line: str) -> int:
    """Return how many more brackets a line opens than it closes."""
    plain = without_strings(line)
    return sum((c in "([{") - (c in ")]}") for c in plain)


def without_strings(line: str) -> str:
    """Return the line with each string's characters blanked out."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", lambda found: "'" * len(found[0]), line)
