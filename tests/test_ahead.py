"""Several pages are executed side by side before they are read: nothing shows but the time."""

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sites import ROOT, Site, copy_to

pytest.importorskip("myst_nb", reason="these tests build sites: nox -s site-tests")

MEET = """\
from pathlib import Path
from time import sleep

here = Path("../{own}.here")
here.touch()
for _ in range(300):
    if Path("../{other}.here").exists():
        break
    sleep(0.1)
else:
    here.unlink()
    raise TimeoutError("the other page is not executed beside this one")
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = copy_to(tmp_path)
    site.page("index", "```{toctree}\none\ntwo\n```\n")
    return site


def code(text: str) -> str:
    return f"```{{code-cell}}\n{text}\n```\n"


def test_what_is_cached_meanwhile_is_not_deleted(tmp_path: Path, monkeypatch: Any) -> None:
    """jupyter-cache deletes all records that are not among those that it read a moment before."""
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from jupyter_cache.cache.db import NbCacheRecord
    from jupyter_cache.cache.main import JupyterCacheBase
    from nbformat import v4

    monkeypatch.syspath_prepend(str(ROOT / "docs/_ext"))
    monkeypatch.setattr(JupyterCacheBase, "truncate_caches", JupyterCacheBase.truncate_caches)
    import_module("ahead").setup(SimpleNamespace(connect=lambda *_, **__: None))
    monkeypatch.setattr(NbCacheRecord, "records_to_delete", lambda *_: [1])  # as the race has it
    cache, page = get_cache(tmp_path), v4.new_notebook(cells=[v4.new_code_cell("1")])
    cache.cache_notebook_bundle(CacheBundleIn(page, "page"), check_validity=False)
    assert cache.match_cache_notebook(page).pk == 1


def test_pages_are_executed_side_by_side(site: Site) -> None:
    site.page("one", code(MEET.format(own="one", other="two")))
    site.page("two", code(MEET.format(own="two", other="one")))
    assert not (result := site.build()).returncode, result.stderr


def test_each_page_is_executed_once_and_shown_as_the_package_is_now(site: Site) -> None:
    log = "with open('../executed', 'a') as log:\n    log.write('{} ')\n"
    answer = "from rmsnorm_math.notation import answer\nanswer"
    notation = (site.root / "rmsnorm_math/notation.py").read_text("utf-8")
    for page in ("one", "two"):
        site.page(page, code(log.format(page) + answer))
    for new in ("an early answer", "a late answer"):
        site.write("rmsnorm_math/notation.py", f"{notation}\nanswer = {new!r}\n")
        assert not (result := site.build()).returncode, result.stderr
        assert sorted(site.executed().split()) == ["one", "two"]
        assert new in site.html("one")
        assert new in site.html("two")
    assert "an early answer" not in site.html("one")


def test_a_page_that_fails_is_reported_and_the_others_are_not(site: Site) -> None:
    site.page("one", code("assert 1 == 2, 'one is not two'"))
    site.page("two", code("1 + 1"))
    result = site.build()
    assert result.returncode
    assert result.stderr.count("Executing notebook failed") == 1
    assert "one is not two" in result.stderr


def test_a_package_that_cannot_be_imported_fails_on_the_page(site: Site) -> None:
    site.write("rmsnorm_math/notation.py", "1 +\n")
    for page in ("one", "two"):
        site.page(page, code("import rmsnorm_math.notation"))
    result = site.build()
    assert result.returncode
    assert "SyntaxError" in result.stderr
