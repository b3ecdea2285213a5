"""The files to copy beside the kernels that are printed from the derivation, line by line."""

import re
from pathlib import Path
from typing import Any

import pytest
from sympy import IndexedBase

from rmsnorm_math import abbreviate, rms, rmsnorm, source, vjp
from rmsnorm_math.notation import b, gamma, i, j, m, x, xhat, ybar

SNIPPETS = Path(__file__).parents[1] / "docs/snippets"
r, rstd = IndexedBase("r"), IndexedBase("rstd")

# What is printed for the backward pass: the line of the file, and what a difference gains.
SAME = "the same, in another order or with another name"
LINES = {
    "triton": {
        "xhat = rstd * x": ("xhat = x * rstd", SAME),
        "t = dy * xhat": ("product = dy * xhat", SAME),
        "dot = tl.sum(tl.where(inside, gamma * t, 0.0), 1)[:, None] / n": (
            "dot = tl.sum(product * gamma, 1)[:, None] / n",
            "no mask under the sum: what is loaded beyond the end is 0, and so are its products",
        ),
        "sum_dgamma += tl.where(inside, t, 0.0)": (
            "dgamma += product",
            "no mask under the sum, for the same reason",
        ),
        "dx = rstd * (dy * gamma - dot * xhat)": ("dx = rstd * (dy * gamma - dot * xhat)", SAME),
    },
    "c": {
        "const double xhat = rstd[row] * (double)x_[j];": (
            "const double product = dy[j] * (rstd * x[j]);",
            "one line for two; C makes double of a REAL that meets a double",
        ),
        "const double t = (double)dy_[j] * xhat;": (
            "const double product = dy[j] * (rstd * x[j]);",
            "one line for two",
        ),
        "dot += (double)gamma[j] * t;": (
            "total += product * (gamma ? gamma[j] : 1);",
            "gamma may be missing",
        ),
        "dgamma_[j] += t;": ("sums[j] += product;", SAME),
        "const double dx_j = rstd[row] * ((double)dy_[j] * (double)gamma[j] - dot * xhat);": (
            "dx[j] = (REAL)(rstd * ((double)dy[j] * (gamma ? gamma[j] : 1) - mean * (",
            "gamma may be missing",
        ),
    },
    "numba": {
        "xhat = rstd_ * x_[j]": (
            "xhat = normalised(b[j], rstd)",
            "a function of its own: where sums are reordered, products would leave the range",
        ),
        "t = dy_[j] * xhat": ("sums[j] += a[j] * xhat", "one line for two"),
        "dot__ += gamma_[j] * t": ("dot += a[j] * (weight[j] * xhat)", "as y, which is in range"),
        "dgamma__[j] += t": ("sums[j] += a[j] * xhat", "one line for two"),
        "dot += dot__": ("total += dot", "the same, with other names"),
        "dx = rstd_ * (dy_[j] * gamma_[j] - dot_ * xhat)": (
            "dx[j] = rstd * (dy[j] * gamma[j] - dot * normalised(x[j], rstd))",
            "one line for two",
        ),
    },
}
FILES = {"triton": "rmsnorm_triton.py", "c": "rmsnorm.c", "numba": "rmsnorm_numba.py"}


def printed(framework: Any) -> list[str]:
    """Return the lines that compute the backward pass, from the inputs and the kept rstd."""
    ranges, short = {b: (1, m)}, {r[b]: rms(b)}
    wanted = {
        "dx": vjp(rmsnorm(b), x[b, j], ybar[b, i], ranges),
        "dgamma": vjp(rmsnorm(b), gamma[j], ybar[b, i], ranges),
    }
    outputs = {k: abbreviate(v, short).xreplace({r[b]: 1 / rstd[b]}) for k, v in wanted.items()}
    names = {ybar: "dy", x: "x", gamma: "gamma", rstd[b]: "rstd"}
    text = source(outputs, names, {xhat[b, i]: x[b, i] * rstd[b]}, framework=framework)
    text = text.split("def _wide")[0].split("_serial")[0]
    known = r"^(const double )?(xhat|t|dot(__)?|dgamma_+\[j\]|sum_dgamma|dx(_j)?) \+?= "
    lines = dict.fromkeys(line.strip() for line in text.splitlines())
    return [
        x
        for x in lines
        if re.match(known, x) and not re.search(r"= (0|0\.0|T\(0\)|tl.zeros.*|calloc.*);?$", x)
    ]


@pytest.mark.parametrize("framework", LINES)
def test_a_file_is_what_is_printed_but_for_what_is_said_here(framework: str) -> None:
    assert printed(framework) == [*LINES[framework]], "say how the file's lines differ now"
    text = " ".join((SNIPPETS / FILES[framework]).read_text("utf-8").split())
    for line, (own, gain) in LINES[framework].items():
        assert own in text, f"{FILES[framework]} no longer has the line {own}"
        if gain == SAME:
            assert sorted(factors(line)) == sorted(factors(own))


def factors(line: str) -> list[str]:
    """Return what stands in a line, called as the files call it."""
    called = {"t": "product", "dgamma__": "sums", "dgamma_": "sums", "sum_dgamma": "dgamma"}
    called |= {"dot__": "dot", "gamma_": "weight"}
    return [called.get(word, word) for word in re.findall(r"\w+|[-+*/=]", line)]
