"""What is downloaded runs outside the repository: this session does not install the package."""

import re
import subprocess
import sys
from pathlib import Path
from shutil import copy
from zipfile import ZipFile

import nbformat
import pytest
from nbclient import NotebookClient

from .conftest import SITE

TAKEN = sorted(path.stem for path in SITE.glob("notebooks/*.ipynb"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    imported = subprocess.run(
        [sys.executable, "-c", "import rmsnorm_math"], cwd=tmp_path, check=False
    )
    assert imported.returncode, "the package must not be installed here"
    copy(SITE / "notebooks/rmsnorm_math.zip", tmp_path)
    return tmp_path


def test_every_page_with_code_can_be_taken_along() -> None:
    pages = [p for p in SITE.rglob("*.html") if 'class="cell ' in p.read_text("utf-8")]
    assert sorted(page.stem for page in pages) == TAKEN
    for page in pages:
        for kind in ("ipynb", "py"):
            assert f'href="notebooks/{page.stem}.{kind}"' in page.read_text("utf-8")


@pytest.mark.parametrize("name", TAKEN)
def test_a_notebook_holds_nothing_that_only_sphinx_reads(name: str) -> None:
    book = nbformat.read(SITE / f"notebooks/{name}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert not re.findall(r"(?m)^(?:```|:::).*\{.*|^:.*|\{\w+\}`.*", text)


@pytest.mark.parametrize("name", TAKEN)
def test_a_notebook_has_the_outputs_of_the_build(name: str) -> None:
    book = nbformat.read(SITE / f"notebooks/{name}.ipynb", as_version=4)
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    page = (SITE / f"{name}.html").read_text("utf-8")
    assert len(outputs) >= page.count('class="cell_output') > 0


def test_the_zip_file_is_what_pip_installs() -> None:
    with ZipFile(SITE / "notebooks/rmsnorm_math.zip") as archive:
        names = archive.namelist()
    assert {"pyproject.toml", "README.md", "LICENSE", "rmsnorm_math/__init__.py"} <= {*names}


@pytest.mark.parametrize("name", TAKEN)
def test_a_notebook_runs_outside_the_repository(folder: Path, name: str) -> None:
    book = nbformat.read(SITE / f"notebooks/{name}.ipynb", as_version=4)
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()


@pytest.mark.parametrize("name", TAKEN)
def test_a_script_runs_outside_the_repository_and_prints(folder: Path, name: str) -> None:
    command = [sys.executable, copy(SITE / f"notebooks/{name}.py", folder)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not result.returncode, result.stderr
    assert result.stdout
    assert not re.search(r"(?m)^None$|^<.* object", result.stdout)
