"""The C file, compiled and called through ctypes as its first lines say."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.snippets.cases import ROOT, ROUNDING, SCALES, cases, errors

FILE = ROOT / "docs/snippets/rmsnorm.c"
COMPILER = shutil.which("gcc")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no gcc")


def build(folder: Path, real: str, source: Path = FILE) -> ctypes.CDLL:
    """Compile with the file's own command, and with every warning an error."""
    (command,) = re.findall(
        r"^// cc (.+)\n// +rmsnorm\.c -o (?:.+?) -lm$", FILE.read_text("utf-8"), re.MULTILINE
    )
    target = folder / f"{source.stem}_{real}.so"
    warnings = ["-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Wno-unknown-pragmas", "-Werror"]
    options = [*command.split(), *warnings, f"-DREAL={real}"]
    subprocess.run([str(COMPILER), *options, str(source), "-o", str(target), "-lm"], check=True)
    return ctypes.CDLL(str(target))


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ctypes.CDLL]:
    folder = tmp_path_factory.mktemp("c")
    return {t: build(folder, real) for t, real in (("float32", "float"), ("float64", "double"))}


def passes(libraries: Any, dy: Any, x: Any, gamma: Any, eps: float) -> Any:
    """Return y, dx and dgamma of contiguous arrays of float32 or float64."""
    library, n = libraries[x.dtype.name], x.shape[-1]
    shape = ctypes.c_int64(x.size // n), ctypes.c_int64(n)
    y, dx, rstd = np.empty_like(x), np.empty_like(x), np.empty(x.size // n)
    dgamma = None if gamma is None else np.empty_like(gamma)

    def pointers(*arrays: Any) -> list[Any]:
        return [None if a is None else ctypes.c_void_p(a.ctypes.data) for a in arrays]

    library.rmsnorm_forward(*shape, ctypes.c_double(eps), *pointers(x, gamma, y, rstd))
    failed = library.rmsnorm_backward(*shape, *pointers(dy, x, gamma, rstd, dx, dgamma))
    assert failed == 0
    return y, dx, dgamma


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_rounds_once(libraries: Any, dtype: str) -> None:
    worst = errors(lambda *a: passes(libraries, *a), np.dtype(dtype))
    assert max(worst.values()) <= ROUNDING[dtype], worst


@pytest.mark.parametrize("scale", SCALES)
def test_float32_is_right_to_1e_6_at_every_scale(libraries: Any, scale: float) -> None:
    worst = errors(lambda *a: passes(libraries, *a), np.float32, scale=scale)
    assert max(worst.values()) <= 1e-6, worst


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_float64_is_right_where_squares_leave_its_range(libraries: Any, scale: float) -> None:
    for dy, x, gamma, _ in cases(np.float64):
        y, dx, dgamma = passes(libraries, dy, x * scale, gamma, 0.0)
        want = passes(libraries, dy, x, gamma, 0.0)
        for a, b in zip((y, dx * scale, dgamma), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13 * abs(b).max())


def test_without_gamma(libraries: Any) -> None:
    dy, x = np.random.default_rng(0).standard_normal((2, 300, 700))
    y, dx, _ = passes(libraries, dy, x, np.ones(700), 0.1)
    without = passes(libraries, dy, x, None, 0.1)
    np.testing.assert_allclose(without[0], y, rtol=1e-15)
    np.testing.assert_allclose(without[1], dx, rtol=0, atol=1e-14)
    assert without[2] is None


def test_a_row_of_zeros(libraries: Any) -> None:
    x = np.zeros((2, 5))
    assert all(np.isnan(a).all() for a in passes(libraries, x + 1, x, None, 0.0)[:2])
    np.testing.assert_allclose(passes(libraries, x + 1, x, None, 0.01)[1], 10)


def test_an_infinite_element_and_a_nan(libraries: Any) -> None:
    x = np.ones((3, 300))
    x[0, 7], x[1, 8], x[2, 7:9] = np.inf, np.nan, (np.inf, np.nan)
    y = passes(libraries, x, x, None, 0.1)[0]
    assert np.isnan(y[0]).tolist() == [j == 7 for j in range(300)]
    assert np.isnan(y[1:]).all()


def test_no_rows(libraries: Any) -> None:
    x = np.ones((0, 5))
    assert (passes(libraries, x, x, np.ones(5), 0.1)[2] == 0).all()


THREADS = """
import ctypes, sys
import numpy as np
from tests.snippets.test_c import passes
dy, x = np.random.default_rng(0).standard_normal((2, 1000, 130)).astype(np.float32)
results = passes({"float32": ctypes.CDLL(sys.argv[1])}, dy, x, x[0].copy(), 0.1)
print(b"".join(a.tobytes() for a in results).hex())
"""


def test_the_result_does_not_depend_on_the_threads(libraries: Any) -> None:
    library = libraries["float32"]._name
    found = {
        subprocess.run(
            [sys.executable, "-c", THREADS, library],
            env=os.environ | {"OMP_NUM_THREADS": threads},
            cwd=ROOT, capture_output=True, check=True,
        ).stdout
        for threads in ("1", "2", "3")
    }  # fmt: skip
    assert len(found) == 1


def test_it_may_be_copied_by_anyone() -> None:
    assert FILE.read_text("utf-8").startswith("// SPDX-License-Identifier: MIT-0\n")
