"""Time printed layers, forward and backward, beside PyTorch's autograd and JAX's jit; record it.

`nox -s bench` writes docs/data/printed.json. Contestants run in turn, and only ratios within a
round count. CPU time, of all threads: another process on the machine changes it least.
`python -m benchmarks.printed --cuda` writes docs/data/printed-gpu.json, PyTorch's part on a GPU.
"""

import argparse
import gc
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from sympy import Idx, IndexedBase, KroneckerDelta, Sum, exp, log, sqrt, symbols

from rmsnorm_math import layer_norm, layer_source, softmax
from rmsnorm_math.notation import b, epsilon, gamma, i, k, m, n, x
from tests.snippets.cases import ROOT

F = torch.nn.functional
RECORD, GPU_RECORD = (ROOT / f"docs/data/printed{end}.json" for end in ("", "-gpu"))
ROUNDS = 5
EPS = 1e-5
H, S, C = symbols("H S C", integer=True, positive=True)
h, s, u, c = Idx("h"), Idx("s"), Idx("u"), Idx("c")
label, beta, Q, K, V = map(IndexedBase, ("label", "beta", "Q", "K", "V"))
mu, r, xhat = map(IndexedBase, ("mu", "r", "xhat"))
chosen = Sum(KroneckerDelta(k, label[b]) * x[b, k], (k, 1, n))
score = {at: Sum(Q[b, h] * K[at, h], (h, 1, H)) / sqrt(H) for at in (s, u)}
attention = Sum(exp(score[s]) * V[s, c], (s, 1, S)) / Sum(exp(score[u]), (u, 1, S))
p = Idx("p")
row_mean, column_mean = Sum(x[b, k], (k, 1, n)) / n, Sum(x[p, i], (p, 1, m)) / m
column_variance = Sum((x[p, i] - column_mean) ** 2, (p, 1, m)) / m
batch_norm = (x[b, i] - column_mean) / sqrt(column_variance + epsilon)


def one_hot_cross_entropy(v: Any, at: Any) -> Any:
    logits = v - jax.scipy.special.logsumexp(v, -1, keepdims=True)
    return -jnp.take_along_axis(logits, at[:, None] - 1, -1)[:, 0]


def jax_norm(v: Any, axis: int) -> Any:
    centred = v - v.mean(axis, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(axis, keepdims=True) + EPS)


# What is printed; whether JAX works in blocks of rows, as the others do; how PyTorch and JAX
# write it; the shapes of the inputs.
ROWS = (2048, 4096)
LAYERS: dict[str, dict[str, Any]] = {
    "LayerNorm": {
        "y": {"y": layer_norm(b)},
        "arguments": {x: "x", gamma: "gamma", epsilon: "eps"},
        "where": {
            mu[b]: row_mean,
            r[b]: sqrt(Sum((x[b, k] - mu[b]) ** 2, (k, 1, n)) / n + epsilon),
            xhat[b, i]: (x[b, i] - mu[b]) / r[b],
        },
        "torch": lambda v, w: F.layer_norm(v, v.shape[-1:], w, None, EPS),
        "jax": lambda v, w: w * jax_norm(v, -1),
        "shapes": (ROWS, ROWS[1:]),
        "constants": (EPS,),
    },
    "softmax": {
        "y": {"y": softmax(b)},
        "arguments": {x: "x"},
        "torch": lambda v: F.softmax(v, -1),
        "jax": lambda v: jax.nn.softmax(v, -1),
        "shapes": (ROWS,),
    },
    "cross-entropy": {
        "y": {"y": log(Sum(exp(x[b, k]), (k, 1, n))) - chosen},
        "arguments": {x: "x", label: "label"},
        "jax in blocks": True,
        "torch": lambda v, at: F.cross_entropy(v, at - 1, reduction="none"),
        "jax": one_hot_cross_entropy,
        "shapes": (ROWS,),
        "labels": True,
    },
    "batch norm": {
        "y": {"y": gamma[i] * batch_norm + beta[i]},
        "arguments": {x: "x", gamma: "gamma", beta: "beta", epsilon: "eps"},
        "where": {
            mu[i]: column_mean,
            r[i]: sqrt(Sum((x[p, i] - mu[i]) ** 2, (p, 1, m)) / m + epsilon),
            xhat[b, i]: (x[b, i] - mu[i]) / r[i],
        },
        "torch": lambda v, w, a: F.batch_norm(v, None, None, w, a, True, eps=EPS),
        "jax": lambda v, w, a: w * jax_norm(v, 0) + a,
        "shapes": (ROWS, ROWS[1:], ROWS[1:]),
        "constants": (EPS,),
    },
    "attention": {
        "y": {IndexedBase("y")[b, c]: attention},
        "arguments": {Q: "q", K: "k", V: "v"},
        "jax in blocks": True,
        "torch": F.scaled_dot_product_attention,
        "jax": lambda q, k, v: jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5, -1) @ v,
        "shapes": ((2048, 64),) * 3,
    },
}


def file(name: str, framework: Any) -> dict[str, Any]:
    layer = LAYERS[name]
    wrt = [key for key, text in layer["arguments"].items() if text not in ("eps", "label")]
    blocks = framework != "jax" or layer.get("jax in blocks", False)  # XLA has loops of its own
    text = layer_source(
        layer["y"],
        layer["arguments"],
        layer.get("where"),
        framework,
        wrt=wrt,
        blocks=blocks,
    )
    namespace: dict[str, Any] = {"text": text}
    exec(text, namespace)
    return namespace


def arrays(name: str) -> tuple[list[Any], list[Any], Any]:
    """Return the inputs, the constants and the cotangent."""
    rng = np.random.default_rng(0)
    layer = LAYERS[name]
    inputs = [rng.standard_normal(shape).astype("f") for shape in layer["shapes"]]
    rows, columns = layer["shapes"][0]
    constants = [*layer.get("constants", ())]
    constants += [rng.integers(1, columns + 1, rows)] if layer.get("labels") else []
    shape = (rows,) if layer.get("labels") else (rows, columns)
    return inputs, constants, rng.standard_normal(shape).astype("f")


PEERS = {
    "NumPy printed": "NumPy by hand, in place",
    "PyTorch printed": "PyTorch autograd",
    "PyTorch printed, compiled": "PyTorch autograd, compiled",
    "JAX printed": "JAX grad",
}


def with_torch(name: str, device: str) -> dict[str, Callable[[], Any]]:
    """Return PyTorch's functions that compute the output and the gradients once."""
    inputs, constants, dy = arrays(name)
    tensors = [torch.from_numpy(v).to(device).requires_grad_() for v in inputs]
    fixed = [torch.from_numpy(v).to(device) if np.ndim(v) else v for v in constants]
    labels = [v for v in fixed if isinstance(v, torch.Tensor)]
    along = torch.from_numpy(dy).to(device)

    def through(f: Callable[..., Any], others: list[Any]) -> Callable[[], Any]:
        def passes() -> Any:
            y = f(*tensors, *others)
            return y, torch.autograd.grad(y, tensors, along)

        return passes

    torch.compiler.reset()
    ours, theirs = file(name, "torch")["layer"], LAYERS[name]["torch"]
    compiled, their_compiled = (torch.compile(f, dynamic=False) for f in (ours, theirs))
    return {
        "PyTorch autograd": through(theirs, labels),
        "PyTorch printed": through(ours, fixed),
        "PyTorch autograd, compiled": through(their_compiled, labels),
        "PyTorch printed, compiled": through(compiled, fixed),
    }


def contestants(name: str) -> dict[str, Callable[[], Any]]:
    """Return functions that compute the output and the gradients once."""
    layer = LAYERS[name]
    inputs, constants, dy = arrays(name)
    labels = [v for v in constants if np.ndim(v)]
    there = dict(zip(layer["arguments"].values(), [*inputs, *constants], strict=True))

    def numpy_passes() -> Any:
        forward = printed["layer"](**there)
        y, *kept = forward if isinstance(forward, tuple) else (forward,)
        values = iter(kept)
        known = there | {"dy": dy, "y": y}
        return y, printed["layer_backward"](
            *(known[a] if a in known else next(values) for a in takes)
        )

    printed = file(name, "numpy")
    takes = printed["text"].split("layer_backward(")[1].split(")")[0].split(", ")

    def through_jax(f: Callable[..., Any], *others: Any) -> Callable[[], Any]:
        @jax.jit
        def passes(dy: Any, inputs: Any, others: Any) -> Any:
            y, back = jax.vjp(lambda *inputs: f(*inputs, *others), *inputs)
            return y, back(dy)

        given = jnp.asarray(dy), [*map(jnp.asarray, inputs)], [*others]
        return lambda: jax.block_until_ready(passes(*given))

    return {
        "NumPy printed": numpy_passes,
        **with_torch(name, "cpu"),
        "JAX grad": through_jax(layer["jax"], *labels),
        "JAX printed": through_jax(file(name, "jax")["layer"], *constants),
        **(
            {"NumPy by hand, in place": lambda: by_hand(dy, *inputs)} if name == "LayerNorm" else {}
        ),
    }


def refuse_wrong(name: str, functions: dict[str, Callable[[], Any]]) -> None:
    """Raise if a result is not PyTorch's: what is wrong is not timed."""
    results = {key: [*map(as_array, jax.tree.leaves(f()))] for key, f in functions.items()}
    for key, found in results.items():
        for got, want in zip(found, results["PyTorch autograd"], strict=True):
            if not np.abs(got - want).max() <= 1e-5 * np.abs(want).max():
                raise ValueError(f"{key} of {name} is wrong by {np.abs(got - want).max()}")


def as_array(value: Any) -> Any:
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)


def by_hand(dy: Any, x: Any, gamma: Any) -> Any:
    """Return what LayerNorm returns, in blocks of rows and in place, as one would by hand."""
    rows, n = x.shape
    y, dx, dgamma = np.empty_like(x), np.empty_like(x), np.zeros(n)
    mean, r, one = np.empty((rows, 1), "f"), np.empty((rows, 1), "f"), np.float32(n)
    step = max(1, 2**16 // n)
    centred, product = np.empty((2, step, n), "f")
    for start in range(0, rows, step):
        at = slice(start, start + step)
        np.mean(x[at], -1, keepdims=True, out=mean[at])
        np.subtract(x[at], mean[at], out=centred)
        np.sqrt(np.einsum("bi,bi->b", centred, centred)[:, None] / one + np.float32(EPS), out=r[at])
        np.divide(centred, r[at], out=centred)
        np.multiply(centred, gamma, out=y[at])
    for start in range(0, rows, step):
        at = slice(start, start + step)
        np.subtract(x[at], mean[at], out=centred)
        np.divide(centred, r[at], out=centred)
        np.multiply(dy[at], centred, out=product)
        dgamma += product.sum(0)
        dot = (product @ gamma)[:, None] / one
        np.multiply(dy[at], gamma, out=product)
        np.multiply(centred, dot, out=centred)
        np.subtract(product, centred, out=centred)
        np.subtract(centred, product.mean(-1, keepdims=True), out=centred)
        np.divide(centred, r[at], out=dx[at])
    return y, (dx, dgamma.astype("f"))


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Return the quartiles of each contestant's times and of its ratio to its peer's."""
    functions, size = contestants(name), 4 * math.prod(LAYERS[name]["shapes"][0])
    refuse_wrong(name, functions)
    times: dict[str, list[float]] = {key: [] for key in functions}
    for _ in range(rounds):
        for key, f in functions.items():
            f()  # what the one before left in caches is not this one's affair
            start = time.process_time()
            result = f()
            times[key].append(time.process_time() - start)
            del result
    found = {}
    for key, own in times.items():
        row = {"ms": quartiles([1e3 * t for t in own]), "peak": peak(functions[key], size)}
        if PEERS.get(key) in times:
            ratios = [mine / other for mine, other in zip(own, times[PEERS[key]], strict=True)]
            row["ratio"] = quartiles(ratios)
        found[key] = row
        print(f"{name:14} {key:27} {row}", file=sys.stderr, flush=True)
    return found


def quartiles(values: list[float]) -> list[float]:
    return [float(f"{v:.3g}") for v in statistics.quantiles(values, n=4)]


def peak(f: Callable[[], Any], size: int) -> float:
    """Return how many arrays of `size` bytes one call holds at its peak, its results among them.

    Arrays as large as these are asked for from the system and given back each time.
    """
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is counted from here
    before = resident("VmRSS")
    result = f()
    after = resident("VmHWM")
    del result
    return float(f"{(after - before) / size:.3g}")


def resident(what: str) -> int:
    """Return a number of bytes that Linux counts for this process."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024


def on_card(name: str) -> dict[str, Any]:
    """Return each time in us, replayed from a CUDA graph, over its peer's, and the peak memory."""
    from benchmarks.gpu import by_replay  # Triton is needed on a GPU alone

    functions, size = with_torch(name, "cuda"), 4 * math.prod(LAYERS[name]["shapes"][0])
    refuse_wrong(name, functions)
    found: dict[str, Any] = {}
    for key, f in functions.items():
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        f()
        torch.cuda.synchronize()
        peak = (torch.cuda.max_memory_allocated() - before) / size
        found[key] = {"us": float(f"{1e3 * by_replay(f):.4g}"), "peak": float(f"{peak:.3g}")}
        if key in PEERS:
            found[key]["ratio"] = float(f"{found[key]['us'] / found[PEERS[key]]['us']:.3g}")
        print(f"{name:14} {key:27} {found[key]}", file=sys.stderr, flush=True)
    return found


def versions(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in packages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds each")
    parser.add_argument("--cuda", action="store_true", help="PyTorch's part, on a GPU")
    arguments = parser.parse_args()
    if arguments.cuda:
        if not torch.cuda.is_available():
            sys.exit("PyTorch finds no CUDA device here: leave out --cuda.")
        torch.cuda.set_stream(torch.cuda.Stream())  # a backward pass is captured in its own
        write(
            GPU_RECORD,
            {
                "about": "medians in us, replayed from a CUDA graph, and the ratio to the peer's; "
                "peak memory of a call in arrays of the input",
                "card": torch.cuda.get_device_name(0),
                "versions": versions("torch", "triton") | {"cuda": torch.version.cuda},
                "results": {name: on_card(name) for name in LAYERS},
            },
        )
        return
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # XLA's threads count where they wait
    torch.set_num_threads(1)
    rounds = 3 if arguments.quick else ROUNDS
    load = os.getloadavg()[0]
    write(
        RECORD,
        {
            "about": "quartiles of the CPU time in ms and of the ratio to the peer in the same "
            "round; peak memory of a call in arrays of the input",
            "versions": versions("jax", "numpy", "sympy", "torch"),
            "load_before": round(load, 2),
            "rounds": rounds,
            "results": {name: measure(name, rounds) for name in LAYERS},
        },
    )


def write(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"Wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
