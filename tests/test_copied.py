"""What a page shows runs as a reader copies it: the visible cells alone, one after the other."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

from tests.pages import PAGES, cells

pytest.importorskip("myst_nb", reason="these tests run the pages: nox -s site-tests")


def shown(page: Path) -> list[tuple[str, str]]:
    """Return the tags and the code of the cells that a reader sees and copies."""
    drawn = re.compile(r"\b(show|table|tabs)\(")  # by the site's helpers, under a fold
    return [
        (tags, code)
        for tags, code in cells(page)
        if "remove" not in tags and not ("hide" in tags and drawn.search(code))
    ]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if shown(page)],
    ids=lambda p: p.stem,
)
def test_what_a_page_shows_runs_as_copied(page: Path, tmp_path: Path) -> None:
    script = "from contextlib import suppress\n"
    for tags, code in shown(page):
        if "raises-exception" in tags:
            script += "with suppress(TypeError, ValueError):\n" + indent(code, "    ")
        else:
            script += code
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
