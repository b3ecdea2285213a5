"""Row kernels: what fits one, what is refused, and the C of every layer, compiled and run."""

import ctypes
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
from sympy import IndexedBase, Sum, atan

from rmsnorm_math import function, rms, source
from rmsnorm_math.codegen.kernels.c import HEAD
from rmsnorm_math.codegen.kernels.flat import NUMBER, ROW, TILE, WEIGHT
from rmsnorm_math.codegen.kernels.rows import planned
from rmsnorm_math.codegen.program import program
from rmsnorm_math.errors import Refused
from rmsnorm_math.notation import b, epsilon, i, j, k, m, n, x
from tests.layers_in_rows import CASES, arguments, distances, expected, layers

GCC = shutil.which("gcc")
W, T = IndexedBase("W"), IndexedBase("T")
KERNELS = ("numba", "triton", "c")


# What is planned


def plan(layer: str, what: str) -> Any:
    return planned(program(*layers()[layer][what]))


@pytest.mark.parametrize(
    ("layer", "passes", "kept"),
    [("RMSNorm", 3, 0), ("LayerNorm", 3, 0), ("softmax", 3, 1), ("L2", 2, 0), ("tanh norm", 1, 0)],
)
def test_a_pass_for_each_depth_of_sums(layer: str, passes: int, kept: int) -> None:
    planned = plan(layer, "both")
    assert len(planned.passes) == passes
    assert len(planned.kept) == kept, "what is kept is what takes long: exp, in two passes"


def test_results_are_written_in_the_first_pass_that_can() -> None:
    planned = plan("RMSNorm", "both")
    written = [[line.name for line in one.results] for one in planned.passes]
    assert written == [[], ["y"], ["dx"]]
    assert [line.name for line in planned.passes[1].parts] == ["dgamma"]


def test_what_is_the_same_all_along_a_row_is_computed_once_for_it() -> None:
    text = source({"y": x[b, i] / rms(b)}, {x: "x", epsilon: "eps"}, framework="numba")
    loop = text[text.rindex("for j in") : text.index("_serial")]
    assert "sqrt" not in loop
    assert " / " not in loop


# What is refused

REFUSED: dict[str, tuple[Any, Any, str]] = {
    "a matrix product": (
        "y",
        Sum(W[i, k] * x[b, k], (k, 1, n)),
        "a_W has the|a matrix",
    ),
    "all rows for each": (
        "y",
        x[b, i] - Sum(x[b, i], (b, 1, m)) / m,
        "a second way over",
    ),
    "columns by columns": (W[i, k], Sum(x[b, i] * x[b, k], (b, 1, m)), "a matrix product"),
    "numbers alone": ("y", epsilon * 2, "no argument has rows and columns"),
    "a function": ("y", atan(x[b, i]), "there is no code for atan"),
    "three axes": (T[b, j, i], T[b, j, i] * x[b, i], "a_T has the axes"),
}


@pytest.mark.parametrize("framework", KERNELS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_reason(name: str, framework: Any) -> None:
    key, y, message = REFUSED[name]
    names = {base: f"a_{base}" for base in (x, W, T, epsilon) if y.has(base)}
    with pytest.raises(Refused, match=message):
        source({key: y}, names, framework=framework)


TAKEN = [
    (framework, name)
    for framework, names in {
        "numba": ("rows", "row", "j", "T", "x_", "out_y", "max"),
        "triton": ("rows", "tile", "tl", "x_ptr", "inside", "load"),
        "c": ("rows", "row", "j", "x_", "for", "REAL"),
    }.items()
    for name in names
]


@pytest.mark.parametrize(("framework", "name"), TAKEN)
def test_a_name_never_stands_for_two_things(name: str, framework: Any) -> None:
    with pytest.raises(Refused, match=name):
        source({"y": 2 * x[b, i]}, {x: name}, framework=framework)


def test_a_name_is_never_code() -> None:
    strange = IndexedBase("x\\\nabort();//")
    text = source({"y": 2 * strange[b, i]}, {strange: "x"}, framework="c")
    code = [line for line in text.splitlines() if not line.startswith("//")]
    assert not any("abort" in line for line in code)
    assert not any(line.endswith("\\") for line in text.splitlines())


def test_a_function_in_c_is_printed_and_not_called() -> None:
    with pytest.raises(Refused, match="has to be compiled"):
        function({"y": 2 * x[b, i]}, {x: "x"}, framework="c")


# C


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ctypes.CDLL]:
    """Return every pass of every layer in one library, for float and for double."""
    if GCC is None:
        pytest.skip("there is no gcc")
    folder = tmp_path_factory.mktemp("c")
    texts: list[str] = []
    for layer, what in CASES:
        name = function_name(layer, what)
        text = source(*layers()[layer][what], framework="c", name=name)
        texts.append(text if not texts else text.replace(HEAD.format(name=name), ""))
    (command,) = re.findall(r"^// cc (.*)\n// +\S+\.c -o", texts[0])
    (folder / "kernels.c").write_text("\n".join(texts), "utf-8")
    found = {}
    for dtype, real in (("float32", "float"), ("float64", "double")):
        target = str(folder / f"{real}.so")
        options = [
            *command.split(),
            "-Wall",
            "-Wextra",
            "-Wshadow",
            "-Wpedantic",
            "-Werror",
            f"-DREAL={real}",
        ]
        subprocess.run([GCC, *options, str(folder / "kernels.c"), "-o", target, "-lm"], check=True)
        found[dtype] = ctypes.CDLL(target)
    return found


def function_name(layer: str, what: str) -> str:
    return f"{re.sub('[^a-z]', '_', layer.lower())}_{what}"


def called(library: ctypes.CDLL, layer: str, what: str, given: dict[str, Any], dtype: str) -> Any:
    """Return what the C function of a pass writes; what it does not write is NaN."""
    planned, shape = plan(layer, what), given["x"].shape
    values: list[Any] = [ctypes.c_int64(shape[0]), ctypes.c_int64(shape[1])]
    arrays = []
    for name in planned.parameters():
        if isinstance(given[name], float):
            values.append(ctypes.c_double(given[name]))
            continue
        kind = "float64" if planned.roles[name] == ROW else dtype
        arrays.append(np.ascontiguousarray(given[name], kind))
        values.append(ctypes.c_void_p(arrays[-1].ctypes.data))
    kinds: dict[str, Any] = {TILE: shape, WEIGHT: shape[1:], ROW: shape[:1], NUMBER: ()}
    made = {
        label: np.full(own, np.nan, dtype if role in (TILE, WEIGHT) else "float64")
        for role, own in kinds.items()
        for label in planned.results(role)
    }
    results = [made[result.label] for result in planned.program.results]
    values += [ctypes.c_void_p(a.ctypes.data) for a in results]
    assert library[function_name(layer, what)](*values) == 0
    return results


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "what"), CASES)
def test_c_is_what_is_derived(libraries: Any, layer: str, what: str, dtype: str) -> None:
    for shape in ((1, 3), (37, 130), (300, 5), (0, 4)):
        given = arguments(layer, what, shape, dtype)
        got = called(libraries[dtype], layer, what, given, dtype)
        if shape[0] or "cross" not in layer:
            right = max(distances(got, expected(layer, what, given)))
            assert right <= {"float32": 2e-7, "float64": 1e-13}[dtype], shape


@pytest.mark.parametrize("scale", [1e-30, 1e20])
def test_c_is_right_as_far_as_is_said(libraries: Any, scale: float) -> None:
    given = arguments("RMSNorm", "both", (3, 130), "float32")
    given |= {"x": (given["x"] * scale).astype("f"), "eps": 0.0}
    got = called(libraries["float32"], "RMSNorm", "both", given, "float32")
    assert max(distances(got, expected("RMSNorm", "both", given))) < 2e-7


@pytest.mark.parametrize(
    ("framework", "name"),
    [("triton", "_add_parts"), ("triton", "number"), ("triton", "_rows"), ("numba", "_serial")],
)
def test_a_function_takes_no_name_of_its_file(framework: Any, name: str) -> None:
    layer = layers()["RMSNorm"]["backward"]
    with pytest.raises(Refused, match=f"the file has a {name} of its own"):
        source(*layer, framework=framework, name=name)
    assert "def kernel(" in source(*layer, framework=framework, name="kernel")
