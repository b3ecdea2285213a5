"""The site is never stale, and no error gets into it: small sites, built with the real conf.py."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sites import Site, copy_to

pytest.importorskip("myst_nb", reason="these tests build sites: nox -s site-tests")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return copy_to(tmp_path)


def code(text: str, *options: str) -> str:
    return "\n".join(["```{code-cell}", *options, text, "```", ""])


def logged(name: str, text: str) -> str:
    return code(f"with open('../executed', 'a') as log:\n    log.write('{name} ')\n{text}")


def test_a_page_shows_what_the_package_and_the_data_say_now(site: Site) -> None:
    site.write("rmsnorm_math/answer.py", "def answer():\n    return 'old answer'\n")
    site.write("docs/data.txt", "old data")
    call = "from rmsnorm_math.answer import answer\n(answer(), open('data.txt').read())"
    site.page("index", code(call))
    assert not (result := site.build()).returncode, result.stderr
    assert "old answer" in site.html("index")
    assert "old data" in site.html("index")

    site.write("rmsnorm_math/answer.py", "def answer():\n    return 'new answer'\n")
    assert not (result := site.build()).returncode, result.stderr
    assert "new answer" in site.html("index")
    assert "old answer" not in site.html("index")

    site.write("docs/data.txt", "new data")
    assert not (result := site.build()).returncode, result.stderr
    assert "new data" in site.html("index")
    assert "old data" not in site.html("index")


def test_an_edit_executes_the_edited_cells_page_alone(site: Site) -> None:
    site.page("index", logged("index", "1 + 1") + "\n```{toctree}\nother\n```\n")
    site.page("other", logged("other", "2 + 2"))
    assert not (result := site.build()).returncode, result.stderr
    assert sorted(site.executed().split()) == ["index", "other"]

    site.page("other", logged("other", "2000 + 345"))
    assert not (result := site.build()).returncode, result.stderr
    assert site.executed().split() == ["other"]
    assert "2345" in site.html("other")

    site.page("other", logged("other", "2000 + 345") + "\nA sentence.\n")
    assert not (result := site.build()).returncode, result.stderr
    assert "A sentence." in site.html("other")
    assert "2345" in site.html("other")
    assert not site.executed()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (code("assert 1 == 2, 'one is not two'", ":tags: [remove-cell]"), "one is not two"),
        (code("1 +"), "SyntaxError"),
        ("Typed: $\\frac{1}$.", "KaTeX parse error"),
        (
            code("from IPython.display import Latex\nLatex(r'$\\displaystyle \\nonsense$')"),
            "KaTeX parse error",
        ),
        ("See {py:func}`rmsnorm_math.no_such_function`.", "no_such_function"),
        (
            code("from figures import plt, show\nshow(plt.figure(), alt=' ')"),
            "alt is empty",
        ),
    ],
    ids=[
        "hidden assertion",
        "syntax",
        "typed formula",
        "computed formula",
        "reference",
        "figure's alt",
    ],
)
def test_an_error_on_a_page_breaks_the_build(site: Site, text: str, complaint: str) -> None:
    site.page("index", text)
    result = site.build()
    assert result.returncode
    assert complaint in result.stderr
    assert "threw an exception" not in result.stderr, "an extension has failed as well"


def test_a_wrong_example_fails_whatever_fence_it_stands_in(site: Site) -> None:
    fences = ["python", "pycon", "{doctest}", ""]
    for shown, failures in [(23, 0), (24, len(fences))]:
        examples = [f"```{fence}\n>>> 20 + 3\n{shown}\n```\n" for fence in fences]
        site.page("index", "\n".join([*examples, code("print('>>> no example')")]))
        result = site.build("doctest")
        assert bool(result.returncode) == bool(failures), result.stderr
        report = result.stdout + result.stderr
        assert report.count("Expected:\n    24\nGot:\n    23") == failures, report


def test_a_wrong_example_in_a_docstring_fails(site: Site) -> None:
    function = 'def answer():\n    """Answer.\n\n    >>> answer()\n    %s\n    """\n    return 23\n'
    directive = "```{eval-rst}\n.. autofunction:: rmsnorm_math.answer\n```\n"
    site.page("index", directive)
    for right, wrong in [(23, False), (24, True)]:
        site.write("rmsnorm_math/__init__.py", function % right)
        result = site.build("doctest")
        assert bool(result.returncode) == wrong, result.stdout + result.stderr


def test_figures_differ_in_every_id_and_take_the_page_s_colour(site: Site) -> None:
    draw = "from figures import plt, show\nfig, ax = plt.subplots()\nax.plot([1, 2], label='x')\n"
    site.page(
        "index", code(draw + "show(fig, alt='one')") + "\n" + code(draw + "show(fig, alt='two')")
    )
    assert not (result := site.build()).returncode, result.stderr
    page = site.html("index")
    figures = [figure.split("</figure>")[0] for figure in page.split('<figure class="plot"')[1:]]
    ids = [{word for word in figure.split() if word.startswith('id="')} for figure in figures]
    assert len(figures) == 2
    assert all(ids)
    assert not ids[0] & ids[1]
    assert all("currentColor" in figure and "#010203" not in figure for figure in figures)


def test_an_equation_has_a_number_and_a_reference_leads_to_it(site: Site) -> None:
    text = "$$ y = x $$ (direct)\n\n$$ z = y $$ (next)\n\nFrom {eq}`next`.\n"
    site.page("index", text)
    assert not (result := site.build()).returncode, result.stderr
    page = site.html("index")
    assert re.findall(r'class="eqno">\((\d)\)', page) == ["1", "2"]
    [(target, number)] = re.findall(r'internal" href="#(equation-next)">(.*?)</a>', page)
    assert "2" in number
    assert page.count(f'id="{target}"') == 1


def test_katexs_tree_still_makes_formulas_lighter(site: Site) -> None:
    site.page("index", "An index is no table: $x_i$.\n")
    assert not (result := site.build()).returncode, result.stderr
    assert "katex-html" in site.html("index")
    assert "vlist-t" not in site.html("index"), (
        "KaTeX's tree has changed. In docs/_ext/katex.cjs `katex.renderToString(tex, options)` "
        "alone sets every formula: drop `lighten` and this test; pages get 15 % more elements."
    )


def test_sympys_text_of_a_formula_is_kept(site: Site) -> None:
    site.page("index", code("from sympy import Symbol\n1/Symbol('a')"))
    assert not (result := site.build()).returncode, result.stderr
    assert 'data-sympy="1/a"' in site.html("index")


def test_without_npm_the_build_says_so_in_a_sentence(site: Site) -> None:
    shutil.rmtree(site.root / "docs/_cache", ignore_errors=True)
    site.page("index", "Text.\n")
    nowhere = {"npm_config_registry": "http://127.0.0.1:9", "npm_config_fetch_retries": "0"}
    result = site.build(npm_config_cache=str(site.root / "npm"), **nowhere)
    assert result.returncode
    assert "could not be fetched from npm; connect to the network and build again" in result.stderr


def test_a_wrong_checksum_stops_the_build(site: Site) -> None:
    shutil.rmtree(site.root / "docs/_cache", ignore_errors=True)
    lock = (site.root / "docs/package-lock.json").read_text("utf-8")
    site.write("docs/package-lock.json", lock.replace("sha512-jG", "sha512-jH"))
    site.page("index", "Text.\n")
    result = site.build(npm_config_cache=str(site.root / "npm"))
    assert result.returncode
    assert "EINTEGRITY" in result.stderr


def test_without_python_for_the_browser_the_build_says_so_and_goes_on(site: Site) -> None:
    shutil.rmtree(site.root / "docs/_cache", ignore_errors=True)
    lock = (site.root / "docs/package-lock.json").read_text("utf-8")
    site.write("docs/package-lock.json", lock.replace("sha512-BK", "sha512-BL"))  # Pyodide's
    site.page("index", code("1 + 1"))
    result = site.build(run_here="1", npm_config_cache=str(site.root / "npm"))
    assert not result.returncode, result.stderr
    assert "the pages get no Run button" in result.stdout
    assert "run.js" not in site.html("index")
    assert "notebooks/index.ipynb" in site.html("index")


def test_kernels_that_start_warm_give_what_others_give(site: Site) -> None:
    cell = code(
        "import matplotlib, os, sys\nfrom figures import plt, show\nfrom sympy import Symbol"
    )
    cell += code("fig, ax = plt.subplots()\nax.plot([1, 2])\nshow(fig, alt='a line')")
    cell += code("1/Symbol('a'), sys.path, matplotlib.get_backend(), __name__")
    cell += code("with open('../executed', 'a') as log:\n    log.write(f'{os.getppid()} ')")
    site.page("index", cell)
    assert not (result := site.build(WARM_KERNELS="nowhere")).returncode, result.stderr
    alone, page = site.executed(), site.html("index")
    shutil.rmtree(site.root / "docs/_cache/notebooks")

    site.page("index", "```{toctree}\ntwo\nthree\n```\n")
    site.page("two", cell)
    site.page("three", cell + code("3"))
    assert not (result := site.build()).returncode, result.stderr
    first, second = site.executed().split()
    assert first == second != alone.strip(), "the kernels were not forked from one process"
    outputs = re.compile(
        r'<div class="cell_output.*?(?=<div class="cell docutils|<p class="take")', re.DOTALL
    )
    assert outputs.findall(page) == outputs.findall(site.html("two")) != []


LIVE = r"""
import shutil, subprocess, sys
from pathlib import Path
sys.path.insert(0, "docs/_ext")
import warm
from sphinx_autobuild import __main__
__main__.uvicorn.run = lambda *args, **options: None   # it would serve, and not end
forked, begin = [], warm.Process
warm.Process = lambda *args: forked.append(args[0]) or begin(*args)
page = Path("docs/index.md")
text = page.read_text("utf-8")

def plain(options):
    subprocess.run([sys.executable, "-m", "sphinx", "build", *options], check=True)

def options(folder):
    return f"-W -n -q -D run_here=0 -d {folder}/doctrees docs {folder}/html".split()

for build, folder in (warm.autobuild, "forked"), (plain, "others"):
    for new in text, text.replace("old", "new"):
        page.write_text(new, "utf-8")
        build(options(folder))
page.write_text("# Page\n\n{doc}`nowhere`\n", "utf-8")
command = [sys.executable, "-m", "sphinx", "build", *options("wrong")]
print("forked:", forked, "of an error:", warm.run(command).returncode)
"""


def test_builds_that_are_forked_give_what_others_give(site: Site) -> None:
    pytest.importorskip("sphinx_autobuild")
    site.page("index", "An old sentence.\n\n" + code("from sympy import Symbol\n1/Symbol('a')"))
    command = [sys.executable, "docs/_ext/warm.py", sys.executable, "-c", LIVE]
    env = os.environ | {"PYTHONPATH": str(site.root)}
    done = subprocess.run(
        command, cwd=site.root, env=env, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    # sphinx-autobuild's own way to start a build has changed if the first two are not there
    assert "forked: ['WARM_BUILDS', 'WARM_BUILDS', 'WARM_BUILDS'] of an error: 1" in done.stdout
    forked, others = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
        for root in (site.root / "forked/html", site.root / "others/html")
    )
    assert "new sentence" in others[Path("index.html")].decode()
    assert forked == others
