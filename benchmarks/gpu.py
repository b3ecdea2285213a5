"""Check and time RMSNorm and its cousins on a CUDA device, beside others', and record it.

`python -m benchmarks.gpu` writes docs/data/gpu.json; it needs PyTorch and Triton, and takes Liger
and JAX where they are installed. Each result is compared with float64 before it is timed. A time is
a median, by events (with what launching costs) and replayed from a CUDA graph (without).
`python -m benchmarks.gpu --check` only compares, on small arrays: on a CPU, with TRITON_INTERPRET=1
set, in Triton's interpreter.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config
import triton

from benchmarks.contestants import EPS, JAX, LAYERS, THEIRS, Layer, cast, contestants, snippet

RECORD = Path(__file__).parents[1] / "docs/data/gpu.json"
SHAPES = [
    (131072, 128), (65536, 256), (32768, 1024), (8192, 4096),
    (4096, 8192), (4096, 16384), (2048, 2048), (512, 768),
]  # fmt: skip
SMALL = [(37, 130), (3, 700)]
DTYPES = {"bfloat16": (torch.bfloat16, 2.0**-7), "float32": (torch.float32, 3e-6)}
OTHERS = 4  # times as large may the errors of others be: some round between their steps
COMPILED = [(131072, 128), (8192, 4096)]  # torch.compile's shapes for RMSNorm's cousins: it is slow
THROUGH_JAX = [(8192, 4096)]
SECONDS = 200  # then no further layer is begun
PACKAGES = ("jax", "liger-kernel", "torch", "triton")


def errors(layer: Layer, function: Callable[..., Any], inputs: Any, along: Any) -> float:
    """Return the largest error of results and gradients over the largest element, by float64."""
    both = []
    for f, given, dys in (
        (function, inputs, [a.clone() for a in along]),
        (layer.reference, [cast(a, torch.float64) for a in inputs], [a.double() for a in along]),
    ):
        results = f(*given)
        results = results if isinstance(results, tuple) else (results,)
        both.append([*results, *torch.autograd.grad(results, given, dys)])
    pairs = zip(*both, strict=True)
    found = [((a.double() - b).abs().max() / b.abs().max()).item() for a, b in pairs]
    return max(found) if all(map(torch.isfinite, map(torch.tensor, found))) else float("inf")


def arrays(layer: Layer, shape: tuple[int, int], dtype: torch.dtype, device: str) -> Any:
    """Return the inputs of a layer, which want gradients, and a cotangent for each result."""
    random = torch.Generator(device).manual_seed(0)
    shapes = [*layer.shapes(*shape), *[shape] * layer.results]
    made = [torch.randn(s, dtype=dtype, device=device, generator=random) for s in shapes]
    inputs = [a.requires_grad_() for a in made[: -layer.results]]
    return inputs, made[-layer.results :]


def by_events(f: Callable[[], Any]) -> float:
    return float(triton.testing.do_bench(f, warmup=3, rep=15, return_mode="median"))


def by_clock(f: Callable[[], Any]) -> float:
    """Return the median time of `f` until the whole device is done, for what has its own stream."""
    times = []
    for _ in range(20):
        torch.cuda.synchronize()
        start = time.perf_counter()
        f()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def by_replay(f: Callable[[], Any]) -> float:
    """Return the median time of `f` replayed from a CUDA graph, which waits for no launching."""
    for _ in range(3):
        f()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        f()
    return by_events(graph.replay)


def copy_bandwidth() -> float:
    """Return how many bytes a large copy reads and writes in a millisecond."""
    source = torch.empty(2**28, device="cuda")
    target = torch.empty_like(source)
    return float(2 * source.numel() * 4 / by_events(lambda: target.copy_(source)))


def passes(function: Callable[..., Any], inputs: Any, along: Any) -> dict[str, Callable[[], Any]]:
    results = function(*inputs)
    return {
        "forward": lambda: function(*inputs),
        "backward": lambda: torch.autograd.grad(results, inputs, along, retain_graph=True),
        "both": lambda: torch.autograd.grad(function(*inputs), inputs, along),
    }


def allowed(name: str, dtype: str) -> float:
    return DTYPES[dtype][1] * (OTHERS if name in THEIRS else 1)


def who(layer: Layer, shape: tuple[int, int]) -> dict[str, Callable[..., Any]]:
    """Return who computes a layer and is timed at a shape."""
    found = contestants(layer, compiled=layer is LAYERS[0] or shape in COMPILED)
    return {k: f for k, f in found.items() if k != JAX or shape in THROUGH_JAX}


def measured(layer: Layer, name: str, function: Any, *rest: Any) -> list[dict[str, Any]]:
    """Return a row for each pass, or what went wrong."""
    try:
        return [*measure(layer, name, function, *rest)]
    except Exception as error:  # noqa: BLE001  others' software may raise anything
        shape, dtype, _ = rest
        what = {"layer": layer.name, "shape": shape, "dtype": dtype, "name": name}
        return [what | {"wrong": f"{type(error).__name__}: {error}"[:200]}]


def measure(layer: Layer, name: str, function: Any, shape: Any, dtype: str, copied: float) -> Any:
    """Yield a row for each pass, or one that says why there is none."""
    kind = DTYPES[dtype][0]
    inputs, along = arrays(layer, shape, kind, "cuda")
    row = {"layer": layer.name, "shape": shape, "dtype": dtype, "name": name}
    error = errors(layer, function, inputs, along)
    row["error"] = float(f"{error:.2g}")
    if not error <= allowed(name, dtype):
        yield row | {"wrong": f"off by {error:.2g}"}
        return
    size = inputs[0].numel() * inputs[0].element_size()
    for what, f in passes(function, inputs, along).items():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        f()
        torch.cuda.synchronize()
        peak = (torch.cuda.max_memory_allocated() - before) / size
        if name == JAX:  # no graph of PyTorch's holds it
            times = dict.fromkeys(("events", "replay"), by_clock(f))
        else:
            times = {"events": by_events(f), "replay": by_replay(f)}
        moved = sum(layer.moved) if what == "both" else layer.moved[what == "backward"]
        of_copy = moved * size / copied / times["replay"]
        rounded = {k: float(f"{1e3 * v:.4g}") for k, v in times.items()}
        yield (
            row | {"pass": what} | rounded | {"of_copy": round(of_copy, 3), "peak": round(peak, 2)}
        )


def compared(device: str, shapes: list[tuple[int, int]]) -> Iterator[tuple[str, float, float]]:
    """Yield what was compared with float64, its error, and the error it may have."""
    for layer in LAYERS:
        for name, function in contestants(layer, compiled=device == "cuda").items():
            for shape in shapes:
                for dtype, (kind, _) in DTYPES.items():
                    inputs, along = arrays(layer, shape, kind, device)
                    what = f"{layer.name}, {name}, {shape}, {dtype}"
                    yield what, errors(layer, function, inputs, along), allowed(name, dtype)


def beyond_2_31() -> float:
    """Return the error of the last row of more than 2**31 elements."""
    x = torch.ones(2**15 + 1, 2**16, dtype=torch.bfloat16, device="cuda")
    x[-1].normal_().requires_grad_(False)
    x.requires_grad_()
    y = snippet("triton").rms_norm(x, x.shape[-1:], None, EPS)
    (dx,) = torch.autograd.grad(y, x, x.detach())
    last = x.detach()[-1:].double().requires_grad_()
    want = torch.nn.functional.rms_norm(last, last.shape[-1:], None, EPS)
    (want_dx,) = torch.autograd.grad(want, last, last.detach())
    errors = (y[-1:] - want).abs().max(), (dx[-1:] - want_dx).abs().max()
    return float(max(error.item() for error in errors))


def check(device: str) -> int:
    """Print the comparison, and return how many are wrong."""
    wrong = 0
    for what, error, limit in compared(device, SMALL):
        wrong += not error <= limit
        print(f"{what}: {error:.1e}{'' if error <= limit else ', WRONG'}", flush=True)
    return wrong


def settle() -> None:
    """Let a compiled backward pass run again, and let it be tuned where it is timed."""
    torch._functorch.config.donated_buffer = False
    torch._inductor.config.autotune_local_cache = False


def compiled(at: int, shape: tuple[int, int], dtype: str) -> None:
    """Run a layer's passes once, so that the caches on disk hold their kernels."""
    settle()
    inputs, along = arrays(LAYERS[at], shape, DTYPES[dtype][0], "cuda")
    for name, function in who(LAYERS[at], shape).items():
        if name != JAX:
            for f in passes(function, inputs, along).values():
                f()


def compile_all() -> None:
    """Compile all that will be timed, in as many processes as there are cores."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    jobs = [(at, shape, dtype) for at in range(len(LAYERS)) for shape in SHAPES for dtype in DTYPES]
    many = max(1, (os.cpu_count() or 1) - 1)
    with ProcessPoolExecutor(many, multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(compiled, *job) for job in jobs]:
            if done.exception():  # it is said where it is measured
                print(done.exception(), file=sys.stderr)


def plain(shape: tuple[int, int], dtype: str, copied: float) -> dict[str, Any]:
    """Return how near one array's copy and two arrays' sum come to the copy of a large array."""
    x, y, z = (torch.randn(shape, device="cuda", dtype=DTYPES[dtype][0]) for _ in range(3))
    size = x.numel() * x.element_size() / copied
    of_copy = {
        "copy": 2 * size / by_replay(lambda: z.copy_(x)),
        "sum": 3 * size / by_replay(lambda: torch.add(x, y, out=z)),
    }
    return {"shape": shape, "dtype": dtype} | {k: round(v, 3) for k, v in of_copy.items()}


def record() -> dict[str, Any]:
    begun = time.monotonic()
    compile_all()
    torch.cuda.set_stream(torch.cuda.Stream())  # a backward pass runs, and is captured, in its own
    copied, rows, left_out = copy_bandwidth(), [], []
    limits = [plain(shape, dtype, copied) for shape in SHAPES for dtype in DTYPES]
    settle()
    for layer in LAYERS:
        for shape in SHAPES:
            for dtype in DTYPES:
                if time.monotonic() - begun > SECONDS:
                    left_out.append(f"{layer.name} {shape} {dtype}")
                    continue
                torch.compiler.reset()
                for name, function in who(layer, shape).items():
                    for row in measured(layer, name, function, shape, dtype, copied):
                        print(json.dumps(row), file=sys.stderr, flush=True)
                        rows.append(row)
    installed = {d.metadata["Name"].lower().replace("_", "-") for d in metadata.distributions()}
    versions = {p: metadata.version(p) for p in PACKAGES if p in installed}
    return {
        "about": "medians in microseconds, JAX's by the clock, launching included; of_copy: the "
        "time a copy of the same bytes takes, over the replayed time; peak: the most memory "
        "beyond the inputs, in arrays of x; plain: of_copy of a copy and of a sum of two arrays of "
        "that shape",
        "card": torch.cuda.get_device_name(0),
        "copy_gb_per_s": round(copied / 1e6),
        "versions": {"python": platform.python_version(), "cuda": torch.version.cuda} | versions,
        "beyond_2_31": float(f"{beyond_2_31():.2g}"),
        "left_out": left_out,
        "plain": limits,
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare small arrays, time nothing")
    arguments = parser.parse_args()
    interpreted = triton.knobs.runtime.interpret
    if arguments.check and (interpreted or torch.cuda.is_available()):
        sys.exit(1 if check("cpu" if interpreted else "cuda") else 0)
    if not torch.cuda.is_available() or interpreted:
        sys.exit(
            "benchmarks/gpu.py times kernels on a GPU, and PyTorch finds no CUDA device here"
            if not torch.cuda.is_available()
            else "with TRITON_INTERPRET set nothing runs on the GPU: unset it"
            " (to compare without times on a CPU, set TRITON_INTERPRET=1 and pass --check)."
        )
    text = json.dumps(record()).replace('{"layer"', '\n{"layer"')
    RECORD.write_text(text + "\n", "utf-8")
    print(f"Wrote {RECORD.relative_to(RECORD.parents[2])}")


if __name__ == "__main__":
    main()
