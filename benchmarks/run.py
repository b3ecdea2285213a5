"""Time forward plus backward of RMSNorm, all contestants in turn in one process, and record it.

`nox -s bench` writes docs/data/bench.json; `nox -s bench -- --quick` does so with few rounds.
Everything runs twice: with the system's allocator as it comes, which gives large arrays back at
once and then pays for fresh pages, and with glibc told to keep what it has.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch

from benchmarks.machine import cpu
from tests.snippets.cases import ROOT, load

RECORD = ROOT / "docs/data/bench.json"
BASE = "PyTorch rms_norm"
EPS = 1e-6
ROUNDS = {(1, 64): 300, (512, 768): 60, (2048, 4096): 15, (8192, 4096): 7}
DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}
ALLOCATORS = {
    "default": {},
    "reused": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TOP_PAD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
    },
}


def contestants(shape: tuple[int, int], dtype: str) -> dict[str, Callable[[], Any]]:
    """Return functions that compute y, dx and dgamma once."""
    rng = np.random.default_rng(0)
    n = shape[-1]
    x, dy, gamma = (rng.standard_normal(s).astype(DTYPES[dtype]) for s in (shape, shape, n))
    jx, jdy, jgamma = map(jnp.asarray, (x, dy, gamma))
    kind = getattr(torch, dtype)
    tx, tdy, tgamma = (torch.from_numpy(a.astype(np.float32)).to(kind) for a in (x, dy, gamma))
    tx.requires_grad_()
    tgamma.requires_grad_()
    ones, other = torch.empty_like(tx), torch.empty_like(tx)
    y, dx = np.empty_like(x), np.empty_like(x)
    snippets = ROOT / "docs/snippets"
    snippet = {n: load(snippets / f"rmsnorm_{n}.py") for n in ("numpy", "torch", "jax", "numba")}

    def through_torch(f: Callable[..., torch.Tensor]) -> Any:
        y = f(tx, (n,), tgamma, EPS)
        return y, *torch.autograd.grad(y, (tx, tgamma), tdy)

    def through_numpy(module: Any, y: Any = None, dx: Any = None) -> Any:
        y, rstd = module.forward(x, gamma, EPS, y)
        return (y, *module.backward(dy, x, gamma, rstd, dx))

    def through_jax(f: Callable[..., jax.Array]) -> Callable[[], Any]:
        @jax.jit
        def passes(dy: Any, x: Any, gamma: Any) -> Any:
            y, vjp = jax.vjp(f, x, gamma)
            return y, *vjp(dy)

        return lambda: jax.block_until_ready(passes(jdy, jx, jgamma))

    def plain(x: Any, gamma: Any) -> Any:
        wide = x.astype(jnp.float32)
        inverse = jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + EPS)
        return (gamma * (wide * inverse)).astype(x.dtype)

    def stream() -> None:
        with torch.no_grad():
            ones.copy_(tx)
            other.copy_(tdy)

    def fill() -> Any:
        return torch.full_like(tx, 1), torch.full_like(tx, 2)

    torch.compiler.reset()
    compiled = torch.compile(torch.nn.functional.rms_norm, dynamic=False)
    return {
        BASE: lambda: through_torch(torch.nn.functional.rms_norm),
        "torch.compile": lambda: through_torch(compiled),
        "PyTorch snippet": lambda: through_torch(snippet["torch"].rms_norm),
        "JAX jit": through_jax(plain),
        "JAX snippet": through_jax(lambda x, gamma: snippet["jax"].rms_norm(x, gamma, EPS)),
        "NumPy snippet": lambda: through_numpy(snippet["numpy"]),
        "NumPy snippet, out given": lambda: through_numpy(snippet["numpy"], y, dx),
        "Numba snippet": lambda: through_numpy(snippet["numba"]),
        "Numba snippet, fused": lambda: snippet["numba"].forward_backward(dy, x, gamma, EPS),
        **fused_into_given(snippet["numba"], dtype, (dy, x, gamma, EPS), (y, dx)),
        "stream": stream,
        "two fresh results, filled": fill,
        "a Function that copies": lambda: through_torch(lambda x, *_: Copy.apply(x, tgamma)),
    }


def fused_into_given(numba: Any, dtype: str, given: Any, out: Any) -> dict[str, Any]:
    """Return the contestant that writes into arrays handed in, which half precision cannot."""
    if dtype != "float32":
        return {}
    return {"Numba snippet, fused, out given": lambda: numba.forward_backward(*given, out=out)}


class Copy(torch.autograd.Function):
    """What a Function costs that computes nothing: the least that one in Python can take."""

    @staticmethod
    def forward(ctx: Any, x: Any, gamma: Any) -> Any:
        ctx.save_for_backward(x, gamma)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        _, gamma = ctx.saved_tensors
        return dy.clone(), gamma.clone()


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def quartiles(values: list[float]) -> list[float]:
    return [float(f"{v:.3g}") for v in statistics.quantiles(values, n=4)]


def measure(quick: bool) -> list[dict[str, Any]]:
    """Return, for each shape and type, quartiles of the time and of the speed-up over PyTorch."""
    rows = []
    for shape, rounds in ROUNDS.items():
        for dtype in DTYPES:
            times: dict[str, list[float]] = {}
            faults: dict[str, int] = {}
            functions = contestants(shape, dtype)
            for f in functions.values():
                f()
            for _ in range(3 if quick else rounds):
                for name, f in functions.items():
                    f()  # what the one before left in caches and threads is not this one's affair
                    faults[name] = -page_faults()
                    start = time.perf_counter()
                    result = f()
                    times.setdefault(name, []).append(time.perf_counter() - start)
                    faults[name] += page_faults()
                    del result
            for name, t in times.items():
                ratio = [base / own for base, own in zip(times[BASE], t, strict=True)]
                milliseconds = quartiles([1e3 * v for v in t])
                row = {"shape": shape, "dtype": dtype, "name": name, "ms": milliseconds}
                pages = faults[name] * resource.getpagesize()
                rows.append(row | {"speedup": quartiles(ratio), "fresh_bytes": pages})
                print(
                    f"{shape!s:>14} {dtype:9} {name:22} {milliseconds[1]:9.3f} ms"
                    f" {statistics.median(ratio):6.2f}",
                    file=sys.stderr,
                    flush=True,
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds each")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.quick)))
        return
    load_before = os.getloadavg()[0]
    results = {}
    for name, environment in ALLOCATORS.items():
        print(f"allocator: {name}", file=sys.stderr)
        quick = ["--quick"] if arguments.quick else []
        command = [sys.executable, "-m", "benchmarks.run", "--child", *quick]
        out = subprocess.run(
            command, env=os.environ | environment, stdout=subprocess.PIPE, check=True, text=True
        )
        results[name] = json.loads(out.stdout)
    names = ("jax", "ml_dtypes", "numba", "numpy", "torch")
    record = {
        "about": "quartiles of the time in ms and of the speed-up over PyTorch in the same round",
        "versions": {"python": platform.python_version()} | {n: metadata.version(n) for n in names},
        "machine": {
            "cpu": cpu(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(load_before, 2),
        },
        "rounds": "3 of each" if arguments.quick else "300 at (1, 64) to 7 at (8192, 4096)",
        "results": results,
    }
    text = json.dumps(record).replace('{"shape"', '\n{"shape"')
    RECORD.write_text(text + "\n", "utf-8")
    print(f"Wrote {RECORD.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
