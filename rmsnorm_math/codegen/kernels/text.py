"""Lines of code, whatever the language."""

from collections.abc import Iterable


def indented(lines: Iterable[str]) -> list[str]:
    """Return lines a step further to the right."""
    return [f"    {line}" if line else line for line in lines]


def listed(before: str, items: Iterable[str], after: str) -> list[str]:
    """Return a list in parentheses, on as many lines as it needs."""
    items = [*items]
    if len(before) + len(", ".join(items)) + len(after) <= 96:
        return [before + ", ".join(items) + after]
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) > 90:
            lines.append(line.rstrip())
            line = ""
        line += f"{item}, "
    return [before, *indented([*lines, line.rstrip().rstrip(",")]), after.lstrip()]
