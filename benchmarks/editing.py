"""Time what a writer waits for: `python -m benchmarks.editing`, or `nox -s docs-speed`.

In a copy of the repository the site is built from nothing (npm's packages and Pyodide's pack kept),
again without a change, after a changed sentence and after a changed cell, in turn, five times.
But for the build from nothing, builds and kernels are forked from processes that are there, as in
docs-live.
"""

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs/_ext"))
from warm import BUILDS, KERNELS, run  # noqa: E402

GOALS = {"clean": 15.0, "no change": None, "sentence": 1.5, "cell": 3.0}  # seconds
PAGE = "vjp"
KEPT = "notebooks", "formulas"  # by a build for the next: not for one from nothing


def build(root: Path, kind: str = "clean") -> tuple[float, float]:
    """Build the site as `nox -s docs` or docs-live does; return the seconds, the processors' too.

    The latter are not known of what is forked from a process that is no child.
    """
    clean = kind == "clean"
    env = {k: v for k, v in os.environ.items() if not (clean and k in {KERNELS, BUILDS})}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    options = "-b html -W -n --keep-going -q -d docs/_build/doctrees"
    (subprocess.run if clean else run)(
        [sys.executable, "-m", "sphinx", "build", *options.split(), "docs", "docs/_build/html"],
        cwd=root,
        env=env | {"PYTHONPATH": str(root)},
        check=True,
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def change(page: Path, kind: str, number: int) -> None:
    """Change a page's first paragraph or its last visible cell, each time to something new."""
    text = page.read_text("utf-8")
    if kind == "sentence":
        paragraph = re.compile(r"(?ms)^(# .*?\n\n)(?=[A-Z])")  # the first, after the index's words
        page.write_text(paragraph.sub(rf"\1Sentence {number}. ", text, count=1), "utf-8")
    if kind == "cell":
        before, mark, last = text.rpartition("```{code-cell}\n")
        assert mark, page
        tags = re.match(r"(?::.*\n)*", last)
        assert tags
        cell = f"{tags[0]}changed = {number}\n{last[tags.end() :]}"
        page.write_text(before + mark + cell, "utf-8")


def main() -> None:
    """Print all five times of each kind, and whether the median meets its goal."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "site"
        made = shutil.ignore_patterns(".*", "_build", *KEPT, "__pycache__")
        shutil.copytree(ROOT, root, ignore=made)
        page = root / f"docs/{PAGE}.md"
        build(root)  # what is fetched and packed once is there
        times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in GOALS}
        for number in range(runs):
            for kind, found in times.items():
                if kind == "clean":
                    for name in ("_build", *(f"_cache/{kept}" for kept in KEPT)):
                        shutil.rmtree(root / "docs" / name, ignore_errors=True)
                change(page, kind, number)
                found.append(build(root, kind))
    for kind, found in times.items():
        clock, cpu = zip(*found, strict=True)
        median, goal = statistics.median(clock), GOALS[kind]
        verdict = "" if goal is None else f"goal {goal:g}: {'met' if median < goal else 'missed'}"
        print(
            f"{kind:10} median {median:6.2f} s of {' '.join(f'{t:.2f}' for t in clock)}; "
            f"processors {' '.join(f'{t:.2f}' for t in cpu)}  {verdict}"
        )


if __name__ == "__main__":
    if KERNELS not in os.environ:  # as noxfile.py's docs-live
        again = [sys.executable, "-m", "benchmarks.editing", *sys.argv[1:]]
        sys.exit(subprocess.call([sys.executable, "docs/_ext/warm.py", *again], cwd=ROOT))
    main()
