"""The site can be found, cited and installed: by its address, where it has one, and without."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import latex

from rmsnorm_math import abbreviate, evaluate, jacobian, rms, rmsnorm, vjp
from rmsnorm_math.notation import epsilon, gamma, i, j, r, x, ybar
from tests.sites import ROOT, Site, copy_to

pytest.importorskip("myst_nb", reason="these tests build sites: nox -s site-tests")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return copy_to(tmp_path)


def test_a_page_without_a_description_breaks_the_build(site: Site) -> None:
    site.write("docs/index.md", "# Page\n\nText.\n")
    result = site.build()
    assert result.returncode
    assert "index has no description" in result.stderr


def test_the_site_s_address_is_used_where_it_is_known_and_nowhere_else(site: Site) -> None:
    base = "https://example.org/rms/"
    known = ("sitemap.xml", "robots.txt")
    site.page("index", "Text.\n\n```{toctree}\nother\n```\n")
    site.page("other", "Text.\n")
    shutil.copy(ROOT / "docs/404.md", site.root / "docs")
    assert not (result := site.build()).returncode, result.stderr
    html = site.root / "docs/_build/html"
    for name in ("index", "other", "404", "search", "genindex"):
        addresses = re.findall(r'(?:href|src|content|loc)="(https?:[^"]*)"', site.html(name))
        assert set(addresses) == {"https://github.com/pradyunsg/furo"}, name  # the theme's own
        assert not re.search(r'rel="canonical"|property="og:(url|image)|<base', site.html(name))
    assert not any((html / name).exists() for name in known)
    assert "- [Page](other.html): A page." in (html / "llms.txt").read_text("utf-8")

    pyproject = (site.root / "pyproject.toml").read_text("utf-8")
    site.write("pyproject.toml", pyproject.replace('site-url = ""', f'site-url = "{base}"'))
    assert not (result := site.build()).returncode, result.stderr
    assert f'<link rel="canonical" href="{base}other.html"' in site.html("other")
    assert f'property="og:url" content="{base}other.html"' in site.html("other")
    assert f'<base href="{base}">' in site.html("404")  # served at any depth
    assert f'property="og:image" content="{base}_static/card.png"' in site.html("other")
    assert (html / "_static/card.png").stat().st_size > 10_000
    places = re.findall("<loc>(.*?)</loc>", (html / "sitemap.xml").read_text("utf-8"))
    assert places == [f"{base}index.html", f"{base}other.html"]
    assert (html / "robots.txt").read_text("utf-8") == f"Sitemap: {base}sitemap.xml\n"
    assert f"]({base}other.html)" in (html / "llms.txt").read_text("utf-8")


def test_the_repository_s_address_adds_its_links_and_is_what_is_installed(site: Site) -> None:
    repository = "https://example.org/team/rms"
    text = "```{project} install\n```\n\n```{project} links\n```\n\n```{project} citation\n```\n"
    site.page("index", text)
    shutil.copy(ROOT / "CITATION.cff", site.root)
    assert not (result := site.build()).returncode, result.stderr
    assert "pip install rmsnorm_math.zip" in re.sub("<[^>]*>", "", site.html("index"))
    assert "@software{rmsnorm_math," in re.sub("<[^>]*>", "", site.html("index"))
    assert "example.org" not in site.html("index")

    pyproject = (site.root / "pyproject.toml").read_text("utf-8")
    known = pyproject.replace('repository-url = ""', f'repository-url = "{repository}"')
    site.write("pyproject.toml", known)
    assert not (result := site.build()).returncode, result.stderr
    assert f"pip install git+{repository}" in re.sub("<[^>]*>", "", site.html("index"))
    assert f'href="{repository}/issues"' in site.html("index")

    site.write("pyproject.toml", known.replace("on-index = false", "on-index = true"))
    assert not (result := site.build()).returncode, result.stderr
    assert "pip install rmsnorm_math\n" in re.sub("<[^>]*>", "", site.html("index"))

    site.write("pyproject.toml", known)
    assert not (result := site.build()).returncode, result.stderr
    assert f'href="{repository}/blob/main/LICENSE"' in site.html("index")


def test_llms_txt_has_the_derived_formulas_and_code_that_runs(site: Site) -> None:
    site.page("index", "Text.\n")
    assert not (result := site.build()).returncode, result.stderr
    text = (site.root / "docs/_build/html/llms.txt").read_text("utf-8")
    entry = abbreviate(jacobian(rmsnorm(), x[j]), {r: rms()})
    assert f"$$J_{{ij}} = {latex(entry)}$$" in text
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(next(block for block in blocks if "import numpy" in block), names)
    dx = names["backward"](np.array([1.0, 2.0]), np.array([3.0, 1.0]), np.array([2.0, 1.0]), 0.5)
    point = {ybar: [1, 2], x: [3, 1], gamma: [2, 1], epsilon: 0.5}
    right = [evaluate(vjp(rmsnorm(), x[j], ybar[i]), point, n=2, j=at) for at in (1, 2)]
    assert dx == pytest.approx([float(value) for value in right])
