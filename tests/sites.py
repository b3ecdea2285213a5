"""Small sites, built with this project's conf.py, extensions and package."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = """\
---
file_format: mystnb
kernelspec: {name: python3, display_name: Python 3}
myst: {html_meta: {description: "A page."}}
---
# Page

"""


@dataclass
class Site:
    root: Path

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, "utf-8")

    def page(self, name: str, text: str) -> None:
        self.write(f"docs/{name}.md", PAGE + text)

    def html(self, name: str) -> str:
        return (self.root / f"docs/_build/html/{name}.html").read_text("utf-8")

    def build(
        self, builder: str = "html", run_here: str = "0", **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-b", builder]
        command += [
            "-D",
            f"run_here={run_here}",
            "-d",
            "docs/_build/doctrees",
            "docs",
            f"docs/_build/{builder}",
        ]
        return subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), **env},
            capture_output=True,
            text=True,
            check=False,
        )

    def executed(self) -> str:
        """Return the names that the pages have logged since the last call."""
        log = self.root / "executed"
        names = log.read_text("utf-8") if log.exists() else ""
        log.unlink(missing_ok=True)
        return names


def copy_to(root: Path) -> Site:
    """Return a site without pages: this project's conf.py, extensions and package, copied."""
    made = shutil.ignore_patterns(
        "*.md", "_build", "notebooks", "static", "run", "pyodide", "__pycache__"
    )
    shutil.copytree(ROOT / "docs", root / "docs", ignore=made)
    shutil.copytree(ROOT / "rmsnorm_math", root / "rmsnorm_math", ignore=made)
    shutil.copy(ROOT / "pyproject.toml", root)
    return Site(root)
