"""The measurements recorded in docs/data, as tables for the pages."""

import json
from pathlib import Path

from IPython.display import Markdown

DATA = Path(__file__).parent / "data"


def load(name):
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


def table(head, rows):
    """Return a table whose first column holds words and whose others hold numbers."""
    lines: list = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


def number(value):
    """Return two digits of an error, and words where it is not finite."""
    if value is None:
        return "not finite"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10<sup>{int(exponent)}</sup>" if value else "0"


def versions(record):
    return ", ".join(f"{name} {version}" for name, version in record["versions"].items())
