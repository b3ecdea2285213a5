"""The site's pages, and the cells in them."""

import re
from pathlib import Path

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\}\n(?::tags: \[(.*?)\]\n)?(.*?)^```", re.MULTILINE | re.DOTALL)


def cells(page: Path) -> list[tuple[str, str]]:
    """Return the tags and the code of each cell of a page."""
    return CELL.findall(page.read_text("utf-8"))
