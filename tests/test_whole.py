"""A whole layer's file for NumPy: right, and keeping what it says; PyTorch's and JAX's in peers."""

import ast
import functools
import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from sympy import Idx, IndexedBase, Sum, exp, log

from rmsnorm_math import layer_norm, layer_source, rms, rmsnorm
from rmsnorm_math.codegen import Framework
from rmsnorm_math.notation import b, epsilon, gamma, i, k, m, n, x
from tests.layers.everything import TABLE
from tests.layers.record import file_of
from tests.layers.test_numpy import differences

NAMES = {x: "x", gamma: "gamma", epsilon: "eps"}
c, p = Idx("c"), Idx("p")
R, XHAT, G = map(IndexedBase, ("r", "xhat", "G"))
WHERE = {R[b]: rms(b), XHAT[b, i]: x[b, i] / R[b]}
RNG = np.random.default_rng(3)
DEF, STORE, LOAD = ast.FunctionDef, ast.Store, ast.Load


def run(text: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    return namespace


def parameters(text: str, name: str) -> list[str]:
    return text.split(f"def {name}(")[1].split(")", maxsplit=1)[0].split(", ")


@functools.cache
def printed(name: str, blocks: bool = False) -> str:
    return file_of(name, "numpy", blocks)


ALL = ["rmsnorm", "layer norm", "softmax", "swiglu", "cross-entropy of each row", "linear"]
ALL += ["batch norm", "attention", "mean squared error", "softmax with a temperature"]
ALL += ["embedding"]  # the backward pass has the weight for its length
ALL += ["load of experts"]  # the backward pass has another array with as many rows
ALL += ["pointwise convolution", "modulation by features", "causal attention"]


BLOCKS = ["batch norm of channels", "redundancy of features", "linear, then rmsnorm", "ridge"]


@pytest.mark.parametrize(("name", "blocks"), [*product(ALL, (False, True)), *product(BLOCKS, [1])])
def test_both_passes_are_right(name: str, blocks: bool) -> None:
    layer, text = TABLE[name], printed(name, blocks)
    file = run(text)
    file["BLOCK"] = 1  # a row at a time
    keys = [str(getattr(key, "base", key)) for key in [*layer.inputs, *layer.constants]]
    there = dict(zip(keys, layer.values(), strict=True))
    forward = file["layer"](**there)
    values = forward if isinstance(forward, tuple) else (forward,)
    np.testing.assert_allclose(values[0], layer.forward(np, *layer.values()), rtol=1e-12)
    takes = parameters(text, "layer_backward")
    returns = text.split("return ")[1].split("\n")[0]
    kept = [part.strip() for part in returns.split(",")[-len(values) + 1 :]] if values[1:] else []
    there |= dict(zip(kept, values[1:], strict=True)) | {"y": values[0], takes[0]: layer.dy()}
    gradients = file["layer_backward"](*(there[name] for name in takes))
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for got, want in zip(gradients, differences(layer), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", [(300, 700), (2, 150, 700), (700,), (0, 700)])
def test_blocks_change_nothing(shape: tuple[int, ...]) -> None:
    texts = [
        layer_source({"y": layer_norm(b)}, NAMES, name="f", blocks=blocks)
        for blocks in (False, True)
    ]
    x_, dy = RNG.normal(size=(2, *shape))
    results = []
    for text in texts:
        file = run(text)
        y, *kept = file["f"](x_, np.arange(700.0), 0.1)
        results.append((y, *kept, *file["f_backward"](dy, x_, np.arange(700.0), *kept)))
    for one, other in zip(*results, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("blocks", [False, True])
def test_an_output_for_each_row_takes_any_batch(blocks: bool) -> None:
    text = layer_source({"y": log(Sum(exp(x[b, k]), (k, 1, n)))}, {x: "x"}, blocks=blocks)
    file, (x_, dy) = run(text), (RNG.normal(size=(2, 3, 5)), RNG.normal(size=(2, 3)))
    file["BLOCK"] = 1
    y, *kept = file["layer"](x_)
    total = np.exp(x_).sum(-1)
    np.testing.assert_allclose(y, np.log(total))
    want = (dy / total)[..., None] * np.exp(x_)
    np.testing.assert_allclose(file["layer_backward"](dy, x_, *kept), want)


def test_more_axes_than_an_index_stands_for_are_refused() -> None:
    file = run(printed("contrastive"))
    x_, z_ = RNG.normal(size=(2, 2, 3, 5))
    with pytest.raises(ValueError, match=r"the axes must be those of x \(b, h\), z \(b, h\)"):
        file["layer"](x_, z_)


def test_attention_in_blocks_holds_no_array_of_queries_by_keys() -> None:
    q, k, v, dy = RNG.normal(size=(4, 2000, 8))
    file = run(printed("attention", blocks=True))
    tracemalloc.start()
    y, *kept = file["layer"](q, k, v)
    takes = parameters(printed("attention", blocks=True), "layer_backward")
    known = {"Q": q, "K": k, "V": v, "y": y, "dy": dy}
    others = iter(kept)
    gradients = file["layer_backward"](*(known[a] if a in known else next(others) for a in takes))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2000 * 2000 * 8 / 4
    values = known | dict(zip((a for a in takes if a not in known), kept, strict=True))
    whole = run(printed("attention"))["layer_backward"](*(values[a] for a in takes))
    for one, other in zip(gradients, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_sums_over_many_rows_keep_their_digits() -> None:
    x_, dy = RNG.normal(size=(2, 2048, 256)).astype("f")
    one = np.ones(256, "f")
    file = run(layer_source({"y": rmsnorm(b)}, NAMES, name="f", blocks=True))
    dgamma, file["BLOCK"] = {}, 1  # many parts are added up
    for kind in ("f", "d"):
        arrays = [a.astype(kind) for a in (x_, one, dy)]
        _, kept = file["f"](*arrays[:2], 1e-6)
        dgamma[kind] = file["f_backward"](arrays[2], *arrays[:2], kept)[1]
    assert dgamma["f"].dtype == np.float32
    error = np.max(np.abs(dgamma["f"] - dgamma["d"])) / np.max(np.abs(dgamma["d"]))
    assert error < 3e-7


def test_what_rows_keep_is_a_column() -> None:
    text = layer_source({"y": rmsnorm(b)}, NAMES, {R[b]: rms(b)}, name="f", kept=[x, R])
    file, (x_, dy) = run(text), RNG.normal(size=(2, 2, 3, 5))
    y, kept = file["f"](x_, np.ones(5), 0.1)
    assert kept.shape == (2, 3)
    dx, _ = file["f_backward"](dy, x_, np.ones(5), kept)
    r = kept[..., None]
    np.testing.assert_allclose(y, x_ / r)
    np.testing.assert_allclose(dx, (dy - y * (dy * y).mean(-1, keepdims=True)) / r)


def test_sums_along_rows_are_kept_for_a_later_loop() -> None:
    share = exp(x[b, i]) / Sum(exp(x[b, k]), (k, 1, n))
    centred = share - Sum(share.subs(b, p), (p, 1, m)) / m
    files = [
        run(layer_source({"y": centred}, {x: "x"}, name="f", blocks=blocks))
        for blocks in (False, True)
    ]
    files[1]["BLOCK"] = 1
    x_ = RNG.normal(size=(7, 5))
    ys = [y[0] if isinstance(y := file["f"](x_), tuple) else y for file in files]
    np.testing.assert_allclose(ys[0], ys[1], rtol=1e-12, atol=1e-12)


def test_half_precision_is_summed_in_single() -> None:
    file = run(layer_source({"y": rmsnorm(b)}, NAMES, name="f"))
    x_ = np.full((2, 1000), 300, np.float16)
    y, kept = file["f"](x_, np.ones(1000, np.float16), 1e-6)
    dx, dgamma = file["f_backward"](x_, x_, np.ones(1000, np.float16), kept)
    assert {y.dtype, dx.dtype, dgamma.dtype} == {np.dtype(np.float16)}
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(y, 1)
    with pytest.raises(TypeError, match="int64 is no floating-point type"):
        file["f"](np.ones((2, 3), int), np.ones(3), 0.1)


def test_what_is_kept_needs_least_memory() -> None:
    takes = {
        "rmsnorm": ["dy", "x", "gamma", "one a row"],
        "layer norm": ["dy", "x", "gamma", "one a row", "one a row"],
        "softmax": ["dy", "y"],
        "tanh": ["dy", "y"],
        "linear": ["dy", "x", "W"],
    }
    for name, want in takes.items():
        known = {"dy", "x", "gamma", "y", "W"}
        own = parameters(printed(name), "layer_backward")
        assert [p if p in known else "one a row" for p in own] == want, name


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("name", ["rmsnorm", "batch norm", "gumbel softmax", "soft clusters"])
def test_nothing_is_computed_for_nothing(name: str, framework: str) -> None:
    functions = [f for f in ast.walk(ast.parse(file_of(name, framework))) if isinstance(f, DEF)]
    for names in ([v for v in ast.walk(f) if isinstance(v, ast.Name)] for f in functions):
        stored, loaded = (
            {v.id for v in names if isinstance(v.ctx, kind)} for kind in (STORE, LOAD)
        )
        assert stored - loaded <= {"_"}


def test_the_caller_chooses_what_is_kept() -> None:
    for kept, want in (
        ([R], ["dy", "x", "gamma", "r"]),
        ([R, XHAT], ["dy", "gamma", "r", "xhat"]),
        ([x], ["dy", "x", "gamma", "eps"]),
    ):
        text = layer_source({"y": rmsnorm(b)}, NAMES, WHERE, name="f", kept=kept)
        assert parameters(text, "f_backward") == want


def test_a_kept_sum_of_exponentials_is_taken_as_it_was_kept() -> None:
    total, value = IndexedBase("total"), RNG.normal(size=(2, 3, 5))
    where = {total[b]: Sum(exp(x[b, k]), (k, 1, n))}  # in the file it is over the largest
    text = layer_source({"y": log(where[total[b]])}, {x: "x"}, where, kept=[total])
    file, dy = run(text), RNG.normal(size=(2, 3))
    _, kept = file["layer"](value)
    power = np.exp(value)
    want = dy[..., None] * power / power.sum(-1, keepdims=True)
    np.testing.assert_allclose(file["layer_backward"](dy, value, kept), want, rtol=1e-12)


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ({"y": rmsnorm()}, {}, "which of x, gamma all rows share is not clear"),
        ({"y": rmsnorm(b), "z": rmsnorm(b)}, {}, "a layer has one output, not 2"),
        ({"y": rmsnorm(b)}, {"kept": [k]}, "k cannot be kept"),
        ({"y": rmsnorm(b)}, {"wrt": [k]}, "k is no argument"),
        ({"y": rmsnorm(b)}, {"framework": "jax", "kept": [R]}, "JAX chooses itself"),
        ({"y": rmsnorm(b)}, {"framework": "c"}, "there is no framework 'c'"),
        ({"y": rmsnorm(b)}, {"name": "a b"}, "'a b' is no name in Python"),
        ({G[b, c]: Sum(x[b, k] * x[c, k], (k, 1, n))}, {"blocks": True}, "other rows one by one"),
        ({"y": exp(x[b, i]) / Sum(exp(x[c, i]), (c, 1, m))}, {"blocks": True}, "largest of other"),
    ],
)
def test_what_is_refused(output: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer_source(output, NAMES, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({x[b, i]: "x", gamma: "g"}, r"x\[b, i\] is an element, .* write \{x: 'x'\}"),
        ({b: "t"}, "y changes with no array among the arguments: name one"),
    ],
)
def test_what_is_differentiated_by_is_an_array(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer_source({"y": x[b, i] * gamma[i]}, arguments)


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_a_file_is_code_and_short(framework: Framework) -> None:
    text = layer_source({"y": rmsnorm(b)}, NAMES, WHERE, framework, "rms_norm")
    compile(text, "file", "exec")
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) <= 100
