"""A backward pass in C is checked by files, and one in a library through ctypes."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rmsnorm_math.verify import assert_backward, check_backward
from rmsnorm_math.verify.__main__ import main

HERE = Path(__file__).parent
GCC = shutil.which("gcc") or shutil.which("cc")
pytestmark = pytest.mark.skipif(GCC is None, reason="there is no C compiler")


def compiled(source, target, *options):
    assert GCC
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", *options]
    subprocess.run([GCC, *flags, "-o", target, source, "-lm"], check=True)
    return target


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_program_by_files(tmp_path, dtype, capsys):
    program = compiled(HERE / "by_files.c", tmp_path / "by_files")
    cases = tmp_path / "cases"
    assert main(["write", str(cases), "--dtype", dtype]) == 0
    subprocess.run([program, cases], check=True)
    assert main(["read", str(cases)]) == 0
    assert "right in all" in capsys.readouterr().out


def test_a_wrong_program_is_told_what_is_wrong(tmp_path, capsys):
    text = (HERE / "by_files.c").read_text("utf-8")
    assert text.count("rstd / n;") == 1
    wrong = tmp_path / "wrong.c"
    wrong.write_text(text.replace("rstd / n;", "rstd;"), "utf-8")
    program = compiled(wrong, tmp_path / "wrong")
    cases = tmp_path / "cases"
    assert main(["write", str(cases)]) == 0
    subprocess.run([program, cases], check=True)
    assert main(["read", str(cases)]) == 1
    assert "1/n is missing" in capsys.readouterr().out


LIBRARY = """
#include <math.h>
void backward(long rows, long n, const double *dy, const double *x, const double *gamma,
              double eps, double *dx, double *dgamma) {
    for (long k = 0; k < n; k++) dgamma[k] = 0;
    for (long row = 0; row < rows; row++, x += n, dy += n, dx += n) {
        double square = 0, dot = 0;
        for (long k = 0; k < n; k++) square += x[k] * x[k], dot += gamma[k] * dy[k] * x[k];
        double rstd = 1 / sqrt(square / n + eps), mean = dot * rstd / n;
        for (long k = 0; k < n; k++) {
            dx[k] = rstd * (gamma[k] * dy[k] - x[k] * rstd * mean);
            dgamma[k] += dy[k] * x[k] * rstd;
        }
    }
}
"""


def test_a_library_by_ctypes(tmp_path):
    (tmp_path / "backward.c").write_text(LIBRARY, "utf-8")
    path = compiled(tmp_path / "backward.c", tmp_path / "backward.so", "-shared", "-fPIC")
    library = ctypes.CDLL(str(path))  # your own library here
    array = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
    long, double = ctypes.c_long, ctypes.c_double
    library.backward.argtypes = [long, long, array, array, array, double, array, array]

    def backward(dy, x, gamma, eps):
        dy, x, gamma = (np.ascontiguousarray(v) for v in (dy, x, gamma))
        dx, dgamma = np.empty_like(x), np.empty_like(gamma)
        rows = x.size // gamma.size
        library.backward(rows, gamma.size, dy, x, gamma, eps, dx, dgamma)
        return dx, dgamma

    assert_backward(backward)
    assert check_backward(lambda *a: backward(*a)[0], outputs=("dx",)).ok
